"""An OpenID Connect provider's documents and keys, fetched when needed and kept a while."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import anyio
import httpx
from jwt import PyJWK, PyJWTError

from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.server.configuration import OidcSettings, require_secure_url
from parotid_brachy.lib.server.refusals import RequestRefusedError

logger = logging.getLogger(__name__)

_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVES: Final = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
ALGORITHMS: Final = frozenset({*_RSA, *_CURVES.values()})
"""What may sign a token: never ``none``, never a shared secret."""

_TIMEOUT_S: Final = 5.0
_LARGEST_ANSWER: Final = 2**20
_FRESH_S: Final = 3600.0
"""How long keys are used without asking again."""
_PAUSE_S: Final = 60.0
"""Between two fetches on account of an unknown key: a flood of made-up keys causes no flood."""
_PAUSE_WHEN_DOWN_S: Final = 5.0
_SMALLEST_RSA_BITS: Final = 2048
_DISCOVERY: Final = "/.well-known/openid-configuration"


@dataclass(frozen=True)
class SigningKey:
    """A provider's public key.

    Attributes:
        public: as the cryptography library has it.
        algorithms: that it may have signed with.
    """

    public: Any
    algorithms: tuple[str, ...]


class ProviderKeys:
    """The keys that a provider signs with.

    Args:
        settings: of the provider.
        clock: seconds that only grow.
    """

    def __init__(
        self, settings: OidcSettings, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._keys: dict[str, SigningKey] = {}
        self._fetched = self._tried = float("-inf")
        self._one_at_a_time = anyio.Lock()

    async def key(self, kid: str | None, algorithm: str) -> SigningKey | None:
        """The key of that id for that algorithm; None: the provider has none.

        A token without id is taken for one of the only key, if there is only one.

        Raises:
            RequestRefusedError: the provider cannot be reached, and the key is not known (503).
        """
        found = self._find(kid, algorithm)
        is_fresh = self._clock() - self._fetched < _FRESH_S
        if found is not None and is_fresh:
            return found
        async with self._one_at_a_time:
            await self._refresh()
        return self._find(kid, algorithm)

    async def token_endpoint(self) -> str:
        """Where the provider gives tokens for passwords.

        Raises:
            RequestRefusedError: the provider cannot be reached, or has none (503).
        """
        try:
            return self._address(await self._discovered(), "token_endpoint")
        except (httpx.HTTPError, ValueError, UsageError) as error:
            raise _unavailable(error) from error

    def _find(self, kid: str | None, algorithm: str) -> SigningKey | None:
        fitting = [
            key
            for name, key in self._keys.items()
            if algorithm in key.algorithms and kid in {None, name}
        ]
        return fitting[0] if len(fitting) == 1 else None

    async def _refresh(self) -> None:
        has_keys = self._fetched > float("-inf")
        pause = _PAUSE_S if has_keys else _PAUSE_WHEN_DOWN_S
        if self._clock() - self._tried < pause:
            if not has_keys:
                raise _unavailable("it did not answer a moment ago")
            return
        self._tried = self._clock()
        try:
            url = self._settings.jwks_url
            if url is None:
                url = self._address(await self._discovered(), "jwks_uri")
            self._keys = _usable_keys(await _fetched(url))
            self._fetched = self._clock()
        except (httpx.HTTPError, ValueError, UsageError) as error:
            # What is known is used on: a provider that is down for a while locks nobody out.
            if not has_keys:
                raise _unavailable(error) from error
            logger.warning("identity provider %s: %s", self._settings.issuer, error)

    async def _discovered(self) -> Mapping[str, Any]:
        document = await _fetched(self._settings.issuer.rstrip("/") + _DISCOVERY)
        if document.get("issuer") != self._settings.issuer:
            message = f"it calls itself {document.get('issuer')!r:.200}"
            raise ValueError(message)
        return document

    @staticmethod
    def _address(document: Mapping[str, Any], name: str) -> str:
        url = document.get(name)
        if not isinstance(url, str):
            message = f"it names no {name}"
            raise ValueError(message)  # noqa: TRY004 (a fault of the document's, as the others)
        require_secure_url(name, url)
        return url


async def _fetched(url: str) -> Mapping[str, Any]:
    async with (
        httpx.AsyncClient(timeout=_TIMEOUT_S, follow_redirects=False, trust_env=False) as client,
        client.stream("GET", url, headers={"Accept": "application/json"}) as answer,
    ):
        answer.raise_for_status()
        if answer.status_code != HTTPStatus.OK:
            message = f"{url} answered {answer.status_code}"
            raise ValueError(message)
        content = b""
        async for part in answer.aiter_bytes():
            content += part
            if len(content) > _LARGEST_ANSWER:
                message = f"{url} answers more than {_LARGEST_ANSWER} bytes"
                raise ValueError(message)
    document = json.loads(content)
    if not isinstance(document, dict):
        message = f"{url} answers no JSON object"
        raise ValueError(message)  # noqa: TRY004 (as above)
    return document


def _usable_keys(document: Mapping[str, Any]) -> dict[str, SigningKey]:
    """The public signature keys of a JWKS document; others are left out."""
    rows = document.get("keys")
    if not isinstance(rows, list):
        message = "its key set has no list of keys"
        raise ValueError(message)  # noqa: TRY004 (as above)
    keys: dict[str, SigningKey] = {}
    for place, row in enumerate(rows):
        if isinstance(row, dict) and (algorithms := _algorithms_of(row)):
            try:
                public = PyJWK(row, algorithms[0]).key
            except (PyJWTError, ValueError, TypeError) as error:
                logger.warning("a key of the identity provider is not usable: %s", error)
                continue
            if row["kty"] == "RSA" and public.key_size < _SMALLEST_RSA_BITS:
                logger.warning("an RSA key of the identity provider is too short to be trusted")
                continue
            keys[str(row.get("kid", f"#{place}"))] = SigningKey(public, algorithms)
    return keys


def _algorithms_of(row: Mapping[str, Any]) -> tuple[str, ...]:
    """What a key of a key set may have signed with; empty: it is for something else."""
    kind, curve, told = row.get("kty"), row.get("crv"), row.get("alg")
    possible: tuple[str, ...] = ()
    if kind == "RSA":
        possible = _RSA
    elif kind == "EC" and isinstance(curve, str) and curve in _CURVES:
        possible = (_CURVES[curve],)
    is_private = "d" in row
    if is_private or row.get("use", "sig") != "sig":
        return ()
    return tuple(name for name in possible if told is None or told == name)


def _unavailable(why: object) -> RequestRefusedError:
    logger.warning("identity provider: %s", why)
    message = "the identity provider cannot be reached: try again later"
    return RequestRefusedError(
        HTTPStatus.SERVICE_UNAVAILABLE, message, headers={"Retry-After": "10"}
    )
