"""What people open in a browser: OHIF's pages, and for admins the server's log."""

from __future__ import annotations

import shutil
import subprocess
from collections import deque
from http import HTTPStatus
from pathlib import Path
from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Query, Request
from fastapi.responses import PlainTextResponse, RedirectResponse, Response
from monailabel.config import settings

from parotid_brachy.lib.errors import NotFoundError
from parotid_brachy.lib.server.authentication import Authenticator
from parotid_brachy.lib.server.configuration import AuthMode
from parotid_brachy.lib.server.login_page import login_address
from parotid_brachy.lib.server.session_cookie import end_session, root_path
from parotid_brachy.lib.server.viewer import Viewer

_GPU_TIMEOUT_S = 20


def router() -> APIRouter:
    """The routes below ``/ohif`` and ``/logs``."""
    routes = APIRouter(tags=["Others"])
    routes.add_api_route(
        "/ohif/{path:path}",
        ohif,
        methods=["GET"],
        include_in_schema=False,
        response_model=None,
    )
    routes.add_api_route("/logs/", log, methods=["GET"], response_class=PlainTextResponse)
    routes.add_api_route("/logs/gpu", gpu, methods=["GET"], response_class=PlainTextResponse)
    return routes


async def ohif(http: Request, path: str) -> Response:
    """A file of OHIF's, or its first page; where there is a login, for whoever has logged in."""
    viewer = Viewer(root_path(http))
    if not viewer.is_page(path):
        return await anyio.to_thread.run_sync(viewer.file, path)
    authenticator: Authenticator = http.app.state.authenticator
    reader = await authenticator.reader_of_session(http)
    if reader is None and authenticator.settings.auth is not AuthMode.OFF:
        query = http.url.query
        wanted = f"/ohif/{path}?{query}" if query else f"/ohif/{path}"
        address = login_address(http, wanted)
        return RedirectResponse(address, HTTPStatus.SEE_OTHER, {"Cache-Control": "no-store"})
    page = await anyio.to_thread.run_sync(viewer.page)
    if reader is None:  # an old session would keep its requests from being anybody's
        end_session(page, http)
    return page


def log(lines: Annotated[int, Query(ge=1, le=100_000)] = 300) -> str:
    """The last lines of the server's log."""
    path = Path(settings.MONAI_LABEL_APP_DIR) / "logs" / "app.log"
    if not path.is_file():
        message = "the server writes no log file"
        raise NotFoundError(message)
    with path.open(encoding="utf-8", errors="replace") as file:
        return "".join(deque(file, lines))


def gpu() -> str:
    """What the graphics cards are doing, as ``nvidia-smi`` tells it."""
    program = shutil.which("nvidia-smi")
    if program is None:
        message = "this server has no nvidia-smi: no NVIDIA graphics card, or no driver"
        raise NotFoundError(message)
    done = subprocess.run(
        [program], capture_output=True, text=True, check=False, timeout=_GPU_TIMEOUT_S
    )
    return done.stdout or done.stderr
