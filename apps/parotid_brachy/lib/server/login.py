"""``/auth/``: the login of MONAI Label's clients, by our readers file or a provider."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Final

import anyio.to_thread
from fastapi import APIRouter, FastAPI, Form, Request
from monailabel.endpoints.user.auth import Token, User

from parotid_brachy.lib.errors import InputRefusedError, NotAuthenticatedError, StoreError
from parotid_brachy.lib.review.roles import Role
from parotid_brachy.lib.server.authentication import Authenticator, identity_of, unrecognisable
from parotid_brachy.lib.server.configuration import AuthMode
from parotid_brachy.lib.server.login_pace import LoginPace
from parotid_brachy.lib.server.peers import address_of
from parotid_brachy.lib.server.refusals import RequestRefusedError

LONGEST_NAME: Final = 256
"""Characters of a name, or of a password."""
_HASHES_AT_ONCE: Final = 2
"""A password's check takes a core for a quarter of a second; the others are for the readers."""


def router() -> APIRouter:
    """The routes below ``/auth``; they answer as the framework's do."""
    routes = APIRouter(prefix="/auth", tags=["Auth"])
    routes.add_api_route("/", about, methods=["GET"], summary="Whether a login is needed")
    routes.add_api_route("/token", log_in, methods=["POST"], summary="Log in", response_model=Token)
    routes.add_api_route("/token/valid", whose, methods=["GET"], summary="Whose token it is")
    return routes


def describe(app: FastAPI) -> None:
    """Tells the API's pages how to log in, so that they can be used by hand."""
    described = app.openapi

    def openapi() -> dict[str, Any]:
        schema = described()
        flow = {"tokenUrl": "auth/token", "scopes": {}}
        scheme = {"type": "oauth2", "flows": {"password": flow}}
        schema.setdefault("components", {})["securitySchemes"] = {"login": scheme}
        schema["security"] = [{"login": []}]
        return schema

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI's documentation does


class LoginDesk:
    """Where readers log in; keeps count of failures.

    Args:
        authenticator: knows the readers, or the provider.
    """

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator
        self._pace = LoginPace()
        self._hashing = anyio.CapacityLimiter(_HASHES_AT_ONCE)

    async def token(self, username: str, password: str, address: str) -> str:
        """A token for a reader.

        Raises:
            NotAuthenticatedError: name or password is wrong.
            RequestRefusedError: too many failures of late (429), no login here (404), or the
                readers or the provider cannot be asked at present (503).
        """
        wait_s = self._pace.begin(username, address)
        if wait_s > 0:
            message = f"too many failed logins: wait {wait_s} s"
            headers = {"Retry-After": str(wait_s)}
            raise RequestRefusedError(HTTPStatus.TOO_MANY_REQUESTS, message, headers=headers)
        provider = self._authenticator.provider
        if provider is not None:
            token = await provider.token_for_password(username, password)
        else:
            token = await anyio.to_thread.run_sync(
                self._own_token, username, password, limiter=self._hashing
            )
        self._pace.succeeded(username, address)
        return token

    def _own_token(self, username: str, password: str) -> str:
        readers = self._authenticator.readers
        try:
            tokens = self._authenticator.tokens
            if readers is None or tokens is None:
                message = "there is no login here: no readers file"
                raise RequestRefusedError(HTTPStatus.NOT_FOUND, message)
            record = readers.with_password(username, password)
            if record is None:
                message = "name or password is wrong"
                raise NotAuthenticatedError(message)
            return tokens.issue(record)
        except (InputRefusedError, StoreError) as error:
            raise unrecognisable(error) from error


async def about(http: Request) -> dict[str, Any]:
    """Whether a login is needed, as MONAI Label's clients ask it."""
    settings = http.app.state.authenticator.settings
    oidc = settings.oidc
    return {
        "enabled": settings.auth is not AuthMode.OFF,
        "client_id": oidc.client_id if oidc else "",
        "realm": oidc.issuer if oidc else "",
    }


async def log_in(
    http: Request,
    username: Annotated[str, Form(max_length=LONGEST_NAME)],
    password: Annotated[str, Form(max_length=LONGEST_NAME)],
    grant_type: Annotated[str, Form(pattern="^password$")] = "password",
) -> dict[str, str]:
    """A token for name and password."""
    del grant_type
    desk: LoginDesk = http.app.state.login_desk
    token = await desk.token(username, password, address_of(http))
    return {"access_token": token, "token_type": "bearer"}


async def whose(http: Request) -> dict[str, Any]:
    """Name and roles of whoever asks, in the framework's form."""
    return dict(user_of(http).model_dump())


def user_of(http: Request) -> User:
    """Who is asking, as the framework's endpoints want to know it."""
    reader = identity_of(http).reader
    roles = [role.value for role in Role if reader.may(role)]
    return User(username=reader.name, name=reader.name, roles=roles)
