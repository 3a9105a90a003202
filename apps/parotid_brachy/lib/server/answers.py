"""What every answer has: JSON for every refusal, nothing of the server's insides, safe headers."""

from __future__ import annotations

import logging
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from parotid_brachy.lib.errors import ParotidBrachyError
from parotid_brachy.lib.server.refusals import answer
from parotid_brachy.lib.server.request_path import route_path

logger = logging.getLogger(__name__)

_ALWAYS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "frame-ancestors 'self'",
}
# Whatever else is answered may be about a patient.
_MAY_BE_KEPT: Final = ("/static/", "/ohif/", "/favicon.ico")


class Answers:
    """The outermost part: puts headers on answers, and makes answers of errors.

    Args:
        app: everything else.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, whatever happens behind."""
        if scope["type"] == "websocket":  # there are none
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        has_begun = False

        async def send_with_headers(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                _add_headers(message, route_path(scope))
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except ParotidBrachyError as error:
            if has_begun:
                raise
            response = answer(HTTPConnection(scope), error)
            await response(scope, receive, send_with_headers)
        except Exception:
            if has_begun:
                raise
            logger.exception("%s %r failed", scope["method"], scope["path"][:200])
            message = "this went wrong on the server; its log says how"
            response = JSONResponse({"detail": message}, status_code=500)
            await response(scope, receive, send_with_headers)


def _add_headers(message: Message, path: str) -> None:
    headers = MutableHeaders(scope=message)
    for name, value in _ALWAYS.items():
        headers.setdefault(name, value)
    if not path.startswith(_MAY_BE_KEPT):
        headers["Cache-Control"] = "no-store"
