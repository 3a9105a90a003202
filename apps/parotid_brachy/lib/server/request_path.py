"""The path of a request, as the router sees it."""

from __future__ import annotations

# The router's own function: gate and router must never see different paths.
from starlette._utils import get_route_path
from starlette.types import Scope


def route_path(scope: Scope) -> str:
    """The decoded path, without the root path that a proxy in front adds."""
    return get_route_path(scope)
