"""Keeps other web sites from using the server through a reader's browser."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from parotid_brachy.lib.errors import NotAuthenticatedError
from parotid_brachy.lib.server.authentication import LOGIN_IS_OFF
from parotid_brachy.lib.server.configuration import AuthMode, ServerSettings
from parotid_brachy.lib.server.peers import (
    is_for_this_machine,
    is_from_this_machine,
    is_own_origin,
)
from parotid_brachy.lib.server.refusals import RequestRefusedError

_CHANGES_NOTHING: Final = frozenset({"GET", "HEAD"})


class Origin:
    """Refuses requests from elsewhere while there is no login, and those of other web sites.

    Args:
        app: what is behind.
        settings: whether there is a login, and which other web sites may.
    """

    def __init__(self, app: ASGIApp, *, settings: ServerSettings) -> None:
        self.app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets a request through, or raises why not."""
        if scope["type"] == "http":
            request = HTTPConnection(scope)
            if self._settings.auth is AuthMode.OFF:
                _require_this_machine(request)
            origin = request.headers.get("origin")
            if origin is not None and scope["method"] not in _CHANGES_NOTHING:
                self._require_known(origin, request)
        await self.app(scope, receive, send)

    def _require_known(self, origin: str, request: HTTPConnection) -> None:
        if origin in self._settings.cors_origins or is_own_origin(origin, request):
            return
        message = (
            f"the web site {origin[:100]!r} may not change anything here; "
            "--conf cors_origins lists those that may"
        )
        raise RequestRefusedError(HTTPStatus.FORBIDDEN, message)


def _require_this_machine(request: HTTPConnection) -> None:
    if not is_from_this_machine(request):
        raise NotAuthenticatedError(LOGIN_IS_OFF)
    if not is_for_this_machine(request):
        message = f"call it localhost or 127.0.0.1, not by another name: {LOGIN_IS_OFF}"
        raise RequestRefusedError(HTTPStatus.FORBIDDEN, message)
