"""What the server is told by ``--conf KEY VALUE``: parsed and checked once, at the start."""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from monailabel.config import settings as framework

from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.review.readers import readers_file_of
from parotid_brachy.lib.review.roles import checked_reader_name
from parotid_brachy.lib.server.archive_settings import studies_folder
from parotid_brachy.lib.server.conf_values import ConfValues, nonsense

_KEY_FILE: Final = "token.key"
_TOKEN_HOURS: Final = (1 / 60, 31 * 24)
_UPLOAD_MB: Final = (1, 64 * 1024)


class AuthMode(enum.Enum):
    """How somebody proves who he or she is."""

    OFF = "off"
    """Not at all: only this machine is served."""
    LOCAL = "local"
    """By a password of the readers file."""
    OIDC = "oidc"
    """By an OpenID Connect provider's token."""


@dataclass(frozen=True)
class OidcSettings:
    """An OpenID Connect provider, and where its tokens say who somebody is.

    Attributes:
        issuer: the provider's address, as its tokens have it.
        audience: for whom its tokens must have been issued.
        jwks_url: where its keys are; None: its discovery document says so.
        role_claims: where the roles may be, as paths of names with dots between.
        name_claim: where the reader's name is.
        client_id: as which this server asks for tokens when somebody logs in from 3D Slicer.
    """

    issuer: str
    audience: str
    jwks_url: str | None = None
    role_claims: tuple[str, ...] = ("realm_access.roles", "roles")
    name_claim: str = "preferred_username"
    client_id: str = "monailabel-app"


@dataclass(frozen=True)
class ServerSettings:
    """How the server is protected, and what a team has agreed on.

    Attributes:
        auth: how somebody proves who he or she is.
        readers_file: of names, roles and passwords; None: there is none.
        token_key_file: of the key that our tokens are signed with; None: none are issued.
        token_lifetime: of a token of ours.
        oidc: the provider, if ``auth`` is OIDC.
        loopback_reviewer: as whom the stock Reviewer, which sends no token, works on this machine.
        cors_origins: other web sites that may use this server.
        max_upload_bytes: largest body of a request.
        has_one_reader: the team has one reader, who approves what he or she contoured.
        sends_approved: approved contours of an archive's cases are sent to it.
    """

    auth: AuthMode = AuthMode.OFF
    readers_file: Path | None = None
    token_key_file: Path | None = None
    token_lifetime: timedelta = timedelta(hours=12)
    oidc: OidcSettings | None = None
    loopback_reviewer: str | None = None
    cors_origins: tuple[str, ...] = ()
    max_upload_bytes: int = 1024 * 2**20
    has_one_reader: bool = False
    sends_approved: bool = True

    @classmethod
    def of(cls, conf: Mapping[str, Any], *, studies: str) -> ServerSettings:
        """The settings from what follows ``--conf``.

        Args:
            conf: values by key; keys of others are left alone.
            studies: the folder of studies, or an archive's address.

        Raises:
            UsageError: naming the key, its value and what it may be.
        """
        values = ConfValues(conf)
        usual = readers_file_of(studies_folder(conf, studies)) if studies else None
        readers = Path(named) if (named := values.text("readers")) else usual
        beside = usual or readers
        auth = _auth(values)
        loopback_reviewer = values.text("loopback_reviewer")
        if readers is None and (auth is AuthMode.LOCAL or loopback_reviewer):
            message = "no --studies are served; say where the readers are: --conf readers FILE"
            raise UsageError(message)
        return cls(
            auth=auth,
            readers_file=readers,
            token_key_file=beside.with_name(_KEY_FILE) if beside else None,
            token_lifetime=timedelta(hours=values.number("token_hours", 12, _TOKEN_HOURS)),
            oidc=_oidc(values) if auth is AuthMode.OIDC else None,
            loopback_reviewer=checked_reader_name(loopback_reviewer) if loopback_reviewer else None,
            cors_origins=_origins(values),
            max_upload_bytes=int(values.number("max_upload_mb", 1024, _UPLOAD_MB) * 2**20),
            has_one_reader=values.yes_no("one_reader"),
            sends_approved=values.yes_no("send_approved", default=True),
        )

    @classmethod
    def of_framework(cls) -> ServerSettings:
        """The settings that MONAI Label's ``start_server`` was given.

        Raises:
            UsageError: nonsense, or the framework's own settings for the same things are in use.
        """
        if framework.MONAI_LABEL_AUTH_ENABLE:
            message = (
                "MONAI_LABEL_AUTH_ENABLE turns on MONAI Label's own login, which refuses every "
                "token; unset it and use --conf auth oidc"
            )
            raise UsageError(message)
        if framework.MONAI_LABEL_API_STR:
            message = "MONAI_LABEL_API_STR is not served; unset it and use --root_path"
            raise UsageError(message)
        return cls.of(framework.MONAI_LABEL_APP_CONF, studies=framework.MONAI_LABEL_STUDIES)


def _auth(values: ConfValues) -> AuthMode:
    text = values.text("auth") or AuthMode.OFF.value
    try:
        return AuthMode(text)
    except ValueError as error:
        raise nonsense("auth", text, "off, local or oidc") from error


def _origins(values: ConfValues) -> tuple[str, ...]:
    origins = tuple(values.text("cors_origins").replace(",", " ").split())
    for origin in origins:
        parts = _split("cors_origins", origin)
        is_bare = not (parts.path or parts.query or parts.fragment or parts.username)
        if parts.scheme not in {"http", "https"} or not parts.hostname or not is_bare:
            wanted = "origins such as https://viewer.example.org, with spaces between; never *"
            raise nonsense("cors_origins", origin, wanted)
    return origins


def _oidc(values: ConfValues) -> OidcSettings:
    issuer, audience = values.text("oidc_issuer"), values.text("oidc_audience")
    if not issuer or not audience:
        message = "auth oidc: --conf oidc_issuer URL and --conf oidc_audience NAME are needed"
        raise UsageError(message)
    require_secure_url("oidc_issuer", issuer)
    jwks_url = values.text("oidc_jwks") or None
    if jwks_url is not None:
        require_secure_url("oidc_jwks", jwks_url)
    claims = tuple(values.text("oidc_role_claim").replace(",", " ").split())
    return OidcSettings(
        issuer=issuer,
        audience=audience,
        jwks_url=jwks_url,
        role_claims=claims or OidcSettings.role_claims,
        name_claim=values.text("oidc_name_claim") or OidcSettings.name_claim,
        client_id=framework.MONAI_LABEL_AUTH_CLIENT_ID,
    )


def require_secure_url(what: str, url: str) -> None:
    """Refuses an address that somebody between could answer in the provider's place.

    Raises:
        UsageError: it is neither https nor on this machine.
    """
    parts = _split(what, url)
    host = parts.hostname or ""
    is_secure = parts.scheme == "https" or (parts.scheme == "http" and is_loopback_name(host))
    if not is_secure or not host or parts.username is not None or parts.fragment:
        raise nonsense(what, url, "an https:// address (http:// on this machine only)")


def is_loopback_name(host: str) -> bool:
    """Whether a host's name, without port, is this machine's own."""
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def _split(what: str, url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # out of range, it raises
    except ValueError as error:
        raise nonsense(what, url, "an address") from error
    return parts
