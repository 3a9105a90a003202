"""Who is asking: a reader with a token or a session, or somebody here who says a name.

The gate puts an :class:`Identity` on each request. Handlers take the reader from it::

    identity_of(request).reader                      what the token proves
    stated_reader(identity, client_id)               without login, whom Slicer says it works for
    reviewer_without_token(request, approved_by)     the stock Reviewer, which never sends a token
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from typing import Final

from starlette.requests import HTTPConnection, Request

from parotid_brachy.lib.errors import (
    InputRefusedError,
    NotAllowedError,
    NotAuthenticatedError,
    StoreError,
    UsageError,
)
from parotid_brachy.lib.review.readers import ReaderRecord, ReadersFile
from parotid_brachy.lib.review.roles import Reader, Role, checked_reader_name
from parotid_brachy.lib.review.tag_names import correction_number
from parotid_brachy.lib.server.configuration import AuthMode, ServerSettings
from parotid_brachy.lib.server.oidc import Provider
from parotid_brachy.lib.server.peers import is_for_this_machine, is_from_this_machine
from parotid_brachy.lib.server.refusals import RequestRefusedError
from parotid_brachy.lib.server.session_cookie import require_own_page, session_token
from parotid_brachy.lib.server.tokens import Tokens

logger = logging.getLogger(__name__)

NOBODY: Final = Reader("unknown", Role.ANNOTATOR)
"""Who has given no name, or none that a reader can have."""

LOGIN_IS_OFF: Final = (
    "this server has no login and serves its own machine only; to let others in, start it with "
    "'--conf auth local' and add readers with 'parotid readers add'"
)
_NEEDS_MORE: Final = (
    "without login this is not possible; start with '--conf auth local' and log in, or, for this "
    "machine alone, add '--conf loopback_reviewer NAME' with a reviewer of the readers file"
)


@dataclass(frozen=True)
class Identity:
    """Who is asking.

    Attributes:
        reader: the name and role that count.
        is_proved: by a token; else it is only said.
        loopback_reviewer: as whom the stock Reviewer's request acts; None: it is no such request.
        called: where authentication is off, the reader of a name that a client states.
    """

    reader: Reader
    is_proved: bool
    loopback_reviewer: Reader | None = None
    called: Callable[[str], Reader | None] | None = field(default=None, compare=False, repr=False)


def identity_of(request: HTTPConnection) -> Identity:
    """Who is asking, as the gate has found out.

    Raises:
        NotAuthenticatedError: on a public route, which asks nobody.
    """
    identity = request.scope.get("state", {}).get("identity")
    if not isinstance(identity, Identity):
        message = "log in first"
        raise NotAuthenticatedError(message)
    return identity


def stated_reader(identity: Identity, client_id: object) -> Reader:
    """Whom a client says it works for; with a token, or with login on, whoever is asking.

    Args:
        identity: of the request.
        client_id: what 3D Slicer sends. A name of the readers file has its role; another is an
            annotator's; what no reader can be called is nobody's.
    """
    if identity.called is None or identity.is_proved or not isinstance(client_id, str):
        return identity.reader
    name = client_id.strip()
    known = identity.called(name)
    if known is not None:
        return known
    try:
        return Reader(checked_reader_name(name), Role.ANNOTATOR)
    except UsageError:
        return identity.reader


def reviewer_without_token(request: Request, approved_by: str | None = None) -> Reader | None:
    """As whom the stock Reviewer works, which sends no token and names the senior in its record.

    Args:
        request: what it sends.
        approved_by: ``segmentationMeta.approvedBy``; counts for changes.

    Returns:
        The configured loopback reviewer or the one who is named; None where the request has a
        token, is not the Reviewer's, or no loopback reviewer is configured.

    Raises:
        NotAllowedError: nobody of the name may review; nobody else is taken for him or her.
    """
    identity = identity_of(request)
    if identity.loopback_reviewer is None:
        return None
    if approved_by and request.method == "PUT":
        authenticator: Authenticator = request.app.state.authenticator
        named = authenticator.known(approved_by)
        if named is None or not named.role.includes(Role.REVIEWER):
            message = (
                f"approvedBy {approved_by[:64]!r}: the readers file has no reviewer of that name; "
                "choose yours in the Reviewer, or add it (parotid readers add)"
            )
            raise NotAllowedError(message)
        return named.reader
    return identity.loopback_reviewer


def is_stock_reviewers(request: HTTPConnection, method: str, path: str) -> bool:
    """Whether the stock MONAILabelReviewer module sends requests like this one.

    Args:
        request: for its query.
        method: of it.
        path: of it, without the server's root path.
    """
    query = request.query_params

    def is_correction() -> bool:
        tags = query.getlist("tag")
        return len(tags) == 1 and correction_number(tags[0]) is not None

    match method, path:
        case ("GET", "/" | "/datastore/image" | "/datastore/label"):
            return True
        case ("GET", "/datastore/" | "/datastore"):
            return query.getlist("output") == ["all"]
        case ("PUT", "/datastore/updatelabelinfo"):
            return True
        case ("PUT" | "DELETE", "/datastore/label"):
            return is_correction()
        case _:
            return False


class Authenticator:
    """Finds out who is asking.

    Args:
        settings: how somebody proves it.

    Raises:
        UsageError: the loopback reviewer is not in the readers file, or may not review.
        InputRefusedError: the readers file is damaged.
        StoreError: the tokens' key is damaged.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self.readers = ReadersFile(settings.readers_file) if settings.readers_file else None
        self.provider = Provider(settings.oidc) if settings.oidc else None
        if settings.auth is AuthMode.LOCAL:
            _ = self.tokens  # a damaged key is told at the start
            if not (self.readers and any(r.password_hash for r in self.readers.all())):
                logger.warning(
                    "nobody can log in yet: parotid readers add NAME --role admin --readers %s",
                    settings.readers_file,
                )
        if settings.loopback_reviewer and self._loopback_reviewer() is None:
            message = (
                f"loopback_reviewer {settings.loopback_reviewer!r}: there is no reviewer or admin "
                f"of that name in {settings.readers_file}; parotid readers add NAME --role reviewer"
            )
            raise UsageError(message)

    @cached_property
    def tokens(self) -> Tokens | None:
        """Of the readers file; None where there is none. Makes the key's file if need be."""
        if self.readers is None or self.settings.token_key_file is None:
            return None
        return Tokens(
            self.readers,
            key_file=self.settings.token_key_file,
            lifetime=self.settings.token_lifetime,
        )

    def known(self, name: str) -> ReaderRecord | None:
        """The readers file's entry of a name.

        Raises:
            RequestRefusedError: the file is damaged (503).
        """
        try:
            return self.readers.find(name) if self.readers is not None else None
        except InputRefusedError as error:
            raise unrecognisable(error) from error

    async def identify(self, request: HTTPConnection, path: str, least: Role) -> Identity:
        """Who is asking.

        Args:
            request: what is asked.
            path: of it, without the server's root path.
            least: the least role that may.

        Raises:
            NotAuthenticatedError: nobody has proved, or said, who he or she is.
            RequestRefusedError: it cannot be found out at present (503).
        """
        try:
            return await self._identify(request, path, least)
        except (InputRefusedError, StoreError) as error:
            raise unrecognisable(error) from error

    async def reader_of_token(self, token: str) -> Reader:
        """The reader whose token it is.

        Raises:
            NotAuthenticatedError: nobody's, or not any more.
            RequestRefusedError: it cannot be found out at present (503).
        """
        try:
            return await self._reader_of(token)
        except (InputRefusedError, StoreError) as error:
            raise unrecognisable(error) from error

    async def reader_of_session(self, request: HTTPConnection) -> Reader | None:
        """Who has logged in with the browser that opens a page; None: nobody, or not any more.

        Raises:
            RequestRefusedError: it cannot be found out at present (503).
        """
        try:
            token = session_token(request)
            return None if token is None else await self.reader_of_token(token)
        except NotAuthenticatedError:
            return None

    async def _identify(self, request: HTTPConnection, path: str, least: Role) -> Identity:
        given = request.headers.getlist("authorization")
        if given:
            return Identity(await self._proved(given), is_proved=True)
        session = session_token(request)
        if session is not None:
            require_own_page(request)
            return Identity(await self._reader_of(session), is_proved=True)
        is_here = is_from_this_machine(request) and is_for_this_machine(request)
        reviewer = self._loopback_reviewer() if is_here else None
        is_reviewers = is_stock_reviewers(request, str(request.scope["method"]), path)
        if self.settings.auth is not AuthMode.OFF:
            if reviewer is not None and is_reviewers:
                return Identity(reviewer, is_proved=False, loopback_reviewer=reviewer)
            message = "log in first: POST /auth/token, then send Authorization: Bearer TOKEN"
            raise NotAuthenticatedError(message)
        if not is_here:
            raise NotAuthenticatedError(LOGIN_IS_OFF)
        if reviewer is not None and (is_reviewers or least is not Role.ANNOTATOR):
            return Identity(reviewer, is_proved=False, loopback_reviewer=reviewer)
        if least is not Role.ANNOTATOR:
            raise NotAuthenticatedError(_NEEDS_MORE)
        return Identity(NOBODY, is_proved=False, called=self._called)

    async def _proved(self, given: list[str]) -> Reader:
        scheme, _, token = given[0].partition(" ")
        if len(given) > 1 or scheme.lower() != "bearer" or not token.strip():
            message = "send one header Authorization: Bearer TOKEN"
            raise NotAuthenticatedError(message)
        return await self._reader_of(token.strip())

    async def _reader_of(self, token: str) -> Reader:
        if self.provider is not None:
            return await self.provider.reader_of(token)
        if self.tokens is None:
            message = "this server issues no tokens: there is no readers file"
            raise NotAuthenticatedError(message)
        return self.tokens.reader_of(token).reader

    def _called(self, name: str) -> Reader | None:
        record = self.known(name)
        return record.reader if record is not None else None

    def _loopback_reviewer(self) -> Reader | None:
        name = self.settings.loopback_reviewer
        record = self.readers.find(name) if name and self.readers is not None else None
        if record is None or not record.role.includes(Role.REVIEWER):
            return None
        return record.reader


def unrecognisable(error: Exception) -> RequestRefusedError:
    """What is answered while the readers file or the tokens' key is damaged."""
    # The reason names a path of the server's, which is not for everybody.
    logger.error("%s", error)
    message = "nobody can be recognised at present: the server's log says why"
    return RequestRefusedError(HTTPStatus.SERVICE_UNAVAILABLE, message)
