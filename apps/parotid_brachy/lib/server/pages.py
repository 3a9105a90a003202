"""What people open in a browser: OHIF's pages, blind grading, and for admins the server's log."""

from __future__ import annotations

import shutil
import subprocess
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Final

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
_OUR_FILES: Final = Path(__file__).with_name("browser_files")
_GRADING: Final = {
    "": ("grading.html", "text/html"),
    "grading.css": ("grading.css", "text/css"),
    **{
        f"grading{part}.js": (f"grading{part}.js", "text/javascript")
        for part in ("", "_item", "_keys", "_server")
    },
}
_GRADING_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)


def router() -> APIRouter:
    """The routes below ``/ohif``, ``/grading`` and ``/logs``."""
    routes = APIRouter(tags=["Others"])
    routes.add_api_route(
        "/ohif/{path:path}",
        ohif,
        methods=["GET"],
        include_in_schema=False,
        response_model=None,
    )
    routes.add_api_route(
        "/grading/{path:path}",
        grading,
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
    return await _for_a_reader(http, f"/ohif/{path}", viewer.page)


async def grading(http: Request, path: str) -> Response:
    """The page for blind grading, which is all the same for everybody, or a file of it."""
    if path not in _GRADING:
        message = f"blind grading has no file {path[:60]!r}; its page is /grading/"
        raise NotFoundError(message)

    def file() -> Response:
        name, media_type = _GRADING[path]
        text = (_OUR_FILES / name).read_text("utf-8")
        headers = {} if path else {"Content-Security-Policy": _GRADING_POLICY}
        return Response(text, media_type=media_type, headers=headers)

    if path:
        return await anyio.to_thread.run_sync(file)
    return await _for_a_reader(http, "/grading/", file)


async def _for_a_reader(http: Request, wanted: str, page: Callable[[], Response]) -> Response:
    """A page, for whoever has logged in, or may do without; else the way to the login page."""
    authenticator: Authenticator = http.app.state.authenticator
    reader = await authenticator.reader_of_session(http)
    if reader is None and authenticator.settings.auth is not AuthMode.OFF:
        query = http.url.query
        address = login_address(http, f"{wanted}?{query}" if query else wanted)
        return RedirectResponse(address, HTTPStatus.SEE_OTHER, {"Cache-Control": "no-store"})
    shown = await anyio.to_thread.run_sync(page)
    if reader is None:  # an old session would keep its requests from being anybody's
        end_session(shown, http)
    return shown


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
