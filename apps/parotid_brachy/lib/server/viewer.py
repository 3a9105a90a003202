"""OHIF as MONAI Label bundles it, made to fit where this server is: no file of it is changed.

Its first page names places at the top of the host and fetches fonts from elsewhere, its settings
belong to one port, and its scripts are told the address of their parts when they are built.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fastapi.responses import FileResponse, Response
from monailabel.endpoints import ohif as framework_ohif

from parotid_brachy.lib.errors import NotFoundError
from parotid_brachy.lib.server.login_page import PAGE as LOGIN_PAGE

_FILES: Final = Path(framework_ohif.__file__).resolve().parent / "static" / "ohif"
_FIRST: Final = "index.html"
_CONFIG: Final = "app-config.js"
_OURS: Final = Path(__file__).with_name("browser_files") / "viewer.js"

# Links to other hosts, and to a manifest whose icons lie at the top of the host.
_ELSEWHERE: Final = re.compile(
    r"<link\b[^>]*(?:\bhref=[\"']?https?://|rel=\"manifest\")[^>]*>", re.IGNORECASE
)
_INLINE: Final = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_BUILT_FOR: Final = '"/ohif/"'
_FETCHES: Final = re.compile(r"@import\s+url\([\"']?https?://[^;]*;", re.IGNORECASE)
# Where the machine's own table of types is wrong, browsers run nothing.
_KINDS: Final = {".js": "text/javascript", ".wasm": "application/wasm", ".svg": "image/svg+xml"}
_ASKS_AGAIN: Final = {"Cache-Control": "no-cache"}


@dataclass(frozen=True)
class Viewer:
    """OHIF's files for one place.

    Attributes:
        root: the path that the server is mounted at, without a last slash; empty: at the top.
    """

    root: str

    def is_page(self, path: str) -> bool:
        """Whether the viewer itself answers to a path, which finds out by it what to show."""
        return path in ("", _FIRST) or (path != _CONFIG and _file(path) is None)

    def page(self) -> Response:
        """The first page, with a policy by which it reaches nothing but this server.

        Raises:
            NotFoundError: OHIF is not installed.
        """
        first = _FILES / _FIRST
        if not first.is_file():
            message = "OHIF is not part of this installation of MONAI Label"
            raise NotFoundError(message)
        text = _ELSEWHERE.sub("", first.read_text("utf-8"))
        text = text.replace("/ohif/", f"{html.escape(self.root)}/ohif/")
        headers = {"Content-Security-Policy": _policy(_INLINE.findall(text)), **_ASKS_AGAIN}
        return Response(text, media_type="text/html", headers=headers)

    def file(self, path: str) -> Response:
        """One of its other files.

        Raises:
            NotFoundError: there is none of that name.
        """
        if path == _CONFIG:
            return self._config()
        file = _file(path)
        if file is None:
            message = f"OHIF has no file {path[:60]!r}"
            raise NotFoundError(message)
        if file.suffix == ".css":
            return Response(_FETCHES.sub("", file.read_text("utf-8")), media_type="text/css")
        if self.root and file.suffix == ".js":
            text = file.read_text("utf-8")
            if _BUILT_FOR in text:
                there = json.dumps(f"{self.root}/ohif/")
                return Response(text.replace(_BUILT_FOR, there), media_type="text/javascript")
        return FileResponse(file, media_type=_KINDS.get(file.suffix))

    def _config(self) -> Response:
        told = json.dumps({"root": self.root, "login": LOGIN_PAGE})
        text = _OURS.read_text("utf-8").replace("__SERVER__", told)
        return Response(text, media_type="text/javascript", headers=_ASKS_AGAIN)


def _file(path: str) -> Path | None:
    wanted = (_FILES / path).resolve()
    return wanted if wanted.is_relative_to(_FILES) and wanted.is_file() else None


def _policy(inline_scripts: list[str]) -> str:
    """What the first page may: its own scripts, and this server for everything else.

    Images are decoded by WebAssembly in workers that are made from blobs; styles are written by
    scripts.
    """
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(one.encode()).digest()).decode()}'"
        for one in inline_scripts
    )
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self' 'wasm-unsafe-eval' {hashes}",
            "worker-src 'self' blob:",
            "connect-src 'self' data: blob:",
            "img-src 'self' data: blob:",
            "style-src 'self' 'unsafe-inline'",
            "font-src 'self' data:",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'self'",
        )
    )
