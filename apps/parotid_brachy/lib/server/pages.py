"""What people open in a browser: OHIF's pages, and for admins the server's log."""

from __future__ import annotations

import shutil
import subprocess
from collections import deque
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import FileResponse, PlainTextResponse
from monailabel.config import settings
from monailabel.endpoints import ohif as framework_ohif

from parotid_brachy.lib.errors import NotFoundError

_OHIF = Path(framework_ohif.__file__).resolve().parent / "static" / "ohif"
_GPU_TIMEOUT_S = 20


def router() -> APIRouter:
    """The routes below ``/ohif`` and ``/logs``."""
    routes = APIRouter(tags=["Others"])
    routes.add_api_route(
        "/ohif/{path:path}",
        ohif,
        methods=["GET"],
        include_in_schema=False,
        response_class=FileResponse,
    )
    routes.add_api_route("/logs/", log, methods=["GET"], response_class=PlainTextResponse)
    routes.add_api_route("/logs/gpu", gpu, methods=["GET"], response_class=PlainTextResponse)
    return routes


def ohif(path: str) -> FileResponse:
    """A file of OHIF's, or its first page, which finds out by the address what to show."""
    wanted = (_OHIF / path).resolve()
    is_ours = wanted.is_relative_to(_OHIF) and wanted.is_file()
    page = wanted if is_ours else _OHIF / "index.html"
    if not page.is_file():
        message = "OHIF is not part of this installation of MONAI Label"
        raise NotFoundError(message)
    return FileResponse(page)


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
