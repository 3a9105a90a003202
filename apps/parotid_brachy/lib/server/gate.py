"""The gate: nobody comes to a route whom the table of routes does not let in."""

from __future__ import annotations

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from parotid_brachy.lib.errors import NotAllowedError, NotAuthenticatedError
from parotid_brachy.lib.server.authentication import Authenticator, Identity
from parotid_brachy.lib.server.authorisation import RouteRule, rule_for
from parotid_brachy.lib.server.request_path import route_path


class Gate:
    """Puts an :class:`Identity` on each request, or refuses it.

    Args:
        app: what is behind the gate.
        authenticator: finds out who is asking.
    """

    def __init__(self, app: ASGIApp, *, authenticator: Authenticator) -> None:
        self.app = app
        self._authenticator = authenticator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets a request through, or raises why not."""
        if scope["type"] == "http":
            path = route_path(scope)
            rule = rule_for(scope["method"], path)
            # Nobody but the gate says who is asking.
            scope["state"] = {**scope.get("state", {}), "identity": None}
            if rule.least is not None:
                request = HTTPConnection(scope)
                identity = await self._authenticator.identify(request, path, rule.least)
                _require(identity, rule)
                scope["state"]["identity"] = identity
        await self.app(scope, receive, send)


def _require(identity: Identity, rule: RouteRule) -> None:
    if rule.least is None or identity.reader.may(rule.least):
        return
    who = f"{identity.reader.name} is {identity.reader.role.value}"
    message = f"{who}; {rule.method} {rule.path} needs {rule.least.value}"
    raise NotAllowedError(message) if identity.is_proved else NotAuthenticatedError(message)
