"""The cookie by which a browser that has logged in is known: our token, and where it counts.

A page's plain navigation and OHIF's requests cannot carry an Authorization header. The cookie is
out of scripts' reach (HttpOnly), is sent for this server's own pages only (SameSite=Strict), and
counts here only where the browser says that one of these pages asks.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Final

from starlette.requests import HTTPConnection
from starlette.responses import Response

from parotid_brachy.lib.errors import NotAuthenticatedError
from parotid_brachy.lib.server.peers import is_own_origin
from parotid_brachy.lib.server.refusals import RequestRefusedError

LONGEST_TOKEN: Final = 3800
"""Characters; browsers drop cookies of more than 4096 bytes."""

_NAME: Final = "parotid_session"
_CHANGES_NOTHING: Final = frozenset({"GET", "HEAD"})
_OURS_OR_THE_READERS: Final = frozenset({"same-origin", "none"})
_PORT: Final = re.compile(r":([0-9]{1,5})$")


def cookie_name(connection: HTTPConnection) -> str:
    """The cookie's name, by port and root path: all servers of a host see each other's cookies."""
    port = _PORT.search(connection.headers.get("host", ""))
    place = f"{port[1] if port else ''}{root_path(connection)}"
    return re.sub(r"[^A-Za-z0-9]+", "_", f"{_NAME}_{place}").rstrip("_")


def root_path(connection: HTTPConnection) -> str:
    """Where this server is mounted (``--root_path``), without a last slash; empty: at the top."""
    return str(connection.scope.get("root_path", "")).rstrip("/")


def session_token(connection: HTTPConnection) -> str | None:
    """The token in a request's cookie; None without the cookie.

    Raises:
        NotAuthenticatedError: the cookie is there more than once: somebody has put one beside ours.
    """
    name = cookie_name(connection)
    found = []
    for header in connection.headers.getlist("cookie"):
        for pair in header.split(";"):
            key, _, value = pair.partition("=")
            if key.strip() == name:
                found.append(value.strip())
    if len(found) > 1:
        message = "the browser sends two sessions: delete its cookies of this server, log in again"
        raise NotAuthenticatedError(message)
    return found[0] if found else None


def require_own_page(connection: HTTPConnection) -> None:
    """Refuses what another site's page sends through a reader's browser.

    What changes something must say that it comes from a page of this server's; what only reads
    must not say that it comes from elsewhere.

    Raises:
        RequestRefusedError: 403.
    """
    origin = connection.headers.get("origin")
    site = connection.headers.get("sec-fetch-site")
    is_ours = (origin is None or is_own_origin(origin, connection)) and (
        site is None or site in _OURS_OR_THE_READERS
    )
    if connection.scope["method"] not in _CHANGES_NOTHING:
        is_ours = is_ours and (origin is not None or site == "same-origin")
    if not is_ours:
        message = "a session counts for this server's own pages; others send a token"
        raise RequestRefusedError(HTTPStatus.FORBIDDEN, message)


def set_session(response: Response, connection: HTTPConnection, token: str) -> None:
    """Puts a session into an answer, until the browser is closed.

    Raises:
        RequestRefusedError: the token is longer than a cookie can be (502).
    """
    if len(token) > LONGEST_TOKEN:
        message = (
            f"the provider's token has {len(token)} characters, and browsers keep up to "
            f"{LONGEST_TOKEN}: let it put fewer claims into the tokens for this server"
        )
        raise RequestRefusedError(HTTPStatus.BAD_GATEWAY, message)
    response.set_cookie(
        cookie_name(connection),
        token,
        path=root_path(connection) or "/",
        secure=is_https(connection),
        httponly=True,
        samesite="strict",
    )


def end_session(response: Response, connection: HTTPConnection) -> None:
    """Takes the session out of the browser that gets the answer."""
    response.delete_cookie(
        cookie_name(connection),
        path=root_path(connection) or "/",
        secure=is_https(connection),
        httponly=True,
        samesite="strict",
    )


def is_https(connection: HTTPConnection) -> bool:
    """Whether the browser speaks https, with us or with a proxy in front."""
    origin = connection.headers.get("origin", "")
    return connection.scope.get("scheme") == "https" or origin.startswith("https://")
