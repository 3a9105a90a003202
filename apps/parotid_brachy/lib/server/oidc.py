"""Tokens of an OpenID Connect provider: checked for signature, issuer, audience and time."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import httpx
import jwt

from parotid_brachy.lib.errors import NotAllowedError, NotAuthenticatedError, UsageError
from parotid_brachy.lib.review.roles import Reader, Role, checked_reader_name
from parotid_brachy.lib.server.configuration import OidcSettings
from parotid_brachy.lib.server.provider_keys import ALGORITHMS, ProviderKeys
from parotid_brachy.lib.server.refusals import RequestRefusedError

_LEEWAY_S: Final = 30
_LOGIN_TIMEOUT_S: Final = 15.0
_NOT_VALID: Final = "the token is not valid here: log in again"
# The framework's names of the roles, which existing realms for MONAI Label have.
_FRAMEWORK_PREFIX: Final = "monailabel-"


class Provider:
    """An OpenID Connect provider.

    Args:
        settings: of it.
        keys: its keys; else fetched from it.
    """

    def __init__(self, settings: OidcSettings, *, keys: ProviderKeys | None = None) -> None:
        self.settings = settings
        self._keys = keys or ProviderKeys(settings)

    async def reader_of(self, token: str) -> Reader:
        """The reader whom the provider has issued a token for.

        Raises:
            NotAuthenticatedError: forged, expired, from another issuer or for another audience.
            NotAllowedError: it gives none of our roles, or no name that a reader can have.
            RequestRefusedError: the provider cannot be reached, and its keys are not known (503).
        """
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError as error:
            raise NotAuthenticatedError(_NOT_VALID) from error
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in ALGORITHMS or not (kid is None or isinstance(kid, str)):
            raise NotAuthenticatedError(_NOT_VALID)
        key = await self._keys.key(kid, algorithm)
        if key is None:
            raise NotAuthenticatedError(_NOT_VALID)
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key.public,
                algorithms=[algorithm],
                issuer=self.settings.issuer,
                audience=self.settings.audience,
                leeway=_LEEWAY_S,
                options={"require": ["exp", "iss", "aud"]},
            )
        except jwt.ExpiredSignatureError as error:
            message = "the login has expired: log in again"
            raise NotAuthenticatedError(message) from error
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise NotAuthenticatedError(_NOT_VALID) from error
        return Reader(self._name(claims), self._role(claims))

    async def token_for_password(self, username: str, password: str) -> str:
        """A token by the provider's password grant, which 3D Slicer's login needs.

        Raises:
            NotAuthenticatedError: the provider refuses name or password.
            RequestRefusedError: the provider cannot be reached (503).
        """
        url = await self._keys.token_endpoint()
        form = {
            "grant_type": "password",
            "client_id": self.settings.client_id,
            "username": username,
            "password": password,
            "scope": "openid",
        }
        try:
            async with httpx.AsyncClient(timeout=_LOGIN_TIMEOUT_S, trust_env=False) as client:
                answer = await client.post(url, data=form)
            if answer.status_code in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED}:
                message = "name or password is wrong"
                raise NotAuthenticatedError(message)
            answer.raise_for_status()
            token = answer.json()["access_token"]
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            message = "the identity provider cannot be reached: try again later"
            raise RequestRefusedError(HTTPStatus.SERVICE_UNAVAILABLE, message) from error
        return str(token)

    def _name(self, claims: Mapping[str, Any]) -> str:
        name = claim(claims, self.settings.name_claim)
        try:
            return checked_reader_name(name if isinstance(name, str) else "")
        except UsageError as error:
            message = f"the token's {self.settings.name_claim} cannot name a reader: {error}"
            raise NotAllowedError(message) from error

    def _role(self, claims: Mapping[str, Any]) -> Role:
        names: set[str] = set()
        for path in self.settings.role_claims:
            value = claim(claims, path)
            values = value.split() if isinstance(value, str) else value
            if isinstance(values, list):
                names |= {v.removeprefix(_FRAMEWORK_PREFIX) for v in values if isinstance(v, str)}
        roles = [role for role in Role if role.value in names]
        if not roles:
            message = (
                "the token gives none of the roles annotator, reviewer, admin: ask whoever keeps "
                f"the identity provider ({' or '.join(self.settings.role_claims)})"
            )
            raise NotAllowedError(message)
        return max(roles, key=lambda role: role.rank)


def claim(claims: Mapping[str, Any], path: str) -> object:
    """A claim by its name, or by a path of names with dots between; None: there is none."""
    if path in claims:  # some providers' names are addresses, with dots in them
        return claims[path]
    value: object = claims
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
