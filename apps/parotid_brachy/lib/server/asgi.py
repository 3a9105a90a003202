"""The ASGI application that ``scripts/serve`` starts.

MONAI Label's ``start_server --uvicorn_app`` takes it; it is the framework's own application with
ours installed on it.
"""

from __future__ import annotations

from monailabel.app import app

from parotid_brachy.lib.errors import ParotidBrachyError
from parotid_brachy.lib.server.install import install

try:
    install(app)
except ParotidBrachyError as error:
    message = f"The server does not start: {error}"
    raise SystemExit(message) from error

__all__ = ["app"]
