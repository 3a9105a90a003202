"""Where a request comes from: this machine, or somewhere else."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from parotid_brachy.lib.server.configuration import is_loopback_name

# Whoever sends one of these has been let through by a proxy, from who knows where.
_FORWARDED: Final = frozenset(
    {"forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip"}
)

_USUAL_PORTS: Final = {"http": 80, "https": 443}

_HOST: Final = re.compile(
    r"(?:\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::[0-9]{1,5})?"
)


def is_from_this_machine(connection: HTTPConnection) -> bool:
    """Whether the peer is this machine itself, and no proxy on it."""
    peer = connection.client
    is_forwarded = any(
        name in _FORWARDED or name.startswith("x-forwarded") for name in connection.headers
    )
    # nginx, unless told otherwise, adds no such header and speaks as no client of ours does.
    is_old = connection.scope.get("http_version") == "1.0"
    return peer is not None and is_loopback_name(peer.host) and not is_forwarded and not is_old


def is_for_this_machine(connection: HTTPConnection) -> bool:
    """Whether it was sent to an address of this machine's own.

    A web site can give its own name this machine's address (DNS rebinding); its requests then come
    from the reader's own browser, and only the name that they were sent to tells.
    """
    return is_loopback_name(host_of(connection))


def host_of(connection: HTTPConnection) -> str:
    """The host that a request was sent to, without port; empty if it does not say, or nonsense."""
    stated = _HOST.fullmatch(connection.headers.get("host", ""))
    return stated["address"] or stated["name"] if stated else ""


def address_of(connection: HTTPConnection) -> str:
    """The peer's address, for keeping count of it."""
    return connection.client.host if connection.client is not None else ""


def is_own_origin(origin: str, connection: HTTPConnection) -> bool:
    """Whether a page of this server's sent the request.

    The scheme is left aside: a proxy in front may speak https for us.

    Args:
        origin: the header of that name.
        connection: what was sent to which host.
    """
    try:
        ours = urlsplit(f"//{connection.headers.get('host', '')}")
        theirs = urlsplit(origin)
        usual = _USUAL_PORTS.get(theirs.scheme)
        if usual is None or not ours.hostname:
            return False
        same_port = (ours.port or usual) == (theirs.port or usual)
        return ours.hostname == theirs.hostname and same_port
    except ValueError:
        return False
