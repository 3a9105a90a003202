"""Puts our routes and error answers on MONAI Label's application, however it was started.

``--uvicorn_app parotid_brachy.lib.server.asgi:app`` does it while the server is imported; a plain
``start_server --app apps/parotid_brachy`` does it when the framework builds our app, which is after
its ASGI application has begun. Both give the same server.
"""

from __future__ import annotations

import sys

from fastapi import FastAPI

from parotid_brachy.lib.server import refusals, routes

FRAMEWORK_MODULE = "monailabel.app"


def install(app: FastAPI) -> None:
    """Installs everything of ours on ``app``; a second time changes nothing."""
    if getattr(app.state, "has_parotid_brachy", False):
        return
    app.state.has_parotid_brachy = True
    # Built anew at the next request: when the framework builds our app, its own is running.
    app.middleware_stack = None
    refusals.install(app)
    routes.install(app)


def install_on_running_server() -> None:
    """Installs on the framework's application, if this process serves it.

    Its training and batch subprocesses build our app too, without a server.
    """
    framework = sys.modules.get(FRAMEWORK_MODULE)
    if framework is not None:
        install(framework.app)
