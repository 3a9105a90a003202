"""The review under ``/review/``: cases, versions, transitions, agreement, journal."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse

from parotid_brachy.lib.errors import ConflictError, NotFoundError, UsageError
from parotid_brachy.lib.review.records import (
    INITIAL_TAG,
    Case,
    CaseFilter,
    Kind,
    Page,
    ReviewStatus,
    Version,
)
from parotid_brachy.lib.review.reviewing import Review
from parotid_brachy.lib.review.roles import Reader, Role
from parotid_brachy.lib.review.states import Action, CaseState
from parotid_brachy.lib.server.authentication import identity_of
from parotid_brachy.lib.server.label_routes import studies
from parotid_brachy.lib.server.review_records import (
    CaseDetail,
    CaseRow,
    Consensus,
    JournalRow,
    Me,
    PageOf,
    Transition,
    VersionRow,
)
from parotid_brachy.lib.server.wire import checked_id, checked_tag

_STATUS_OF = {
    Action.APPROVE: ReviewStatus.APPROVED,
    Action.RETURN: ReviewStatus.FLAGGED,
    Action.RESUME: ReviewStatus.NONE,
}

Offset = Annotated[int, Query(ge=0, le=10_000_000)]
Limit = Annotated[int, Query(ge=1, le=1000)]


def router() -> APIRouter:
    """The routes below ``/review``."""
    routes = APIRouter(prefix="/review", tags=["Review"])
    routes.add_api_route("/me", me, methods=["GET"])
    routes.add_api_route("/cases", cases, methods=["GET"])
    routes.add_api_route("/cases/{case}", case_detail, methods=["GET"])
    routes.add_api_route("/cases/{case}/versions", versions, methods=["GET"])
    routes.add_api_route("/cases/{case}/versions/{number}", version, methods=["GET"])
    routes.add_api_route(
        "/cases/{case}/versions/{number}/file",
        version_file,
        methods=["GET"],
        response_class=FileResponse,
    )
    routes.add_api_route("/cases/{case}/transitions", transition, methods=["POST"])
    routes.add_api_route("/cases/{case}/consensus", consensus, methods=["PUT"])
    routes.add_api_route("/journal", journal, methods=["GET"])
    return routes


def me(http: Request) -> Me:
    """Who is asking, and with which role."""
    identity = identity_of(http)
    return Me(name=identity.reader.name, role=identity.reader.role, is_proved=identity.is_proved)


def cases(
    *,
    state: Annotated[list[CaseState] | None, Query()] = None,
    consensus: bool | None = None,
    initial_author: Annotated[str | None, Query(max_length=64)] = None,
    contains: Annotated[str, Query(max_length=200)] = "",
    present: bool | None = True,
    offset: Offset = 0,
    limit: Limit = 100,
) -> PageOf[CaseRow]:
    """Cases by id; filters are combined."""
    store = studies()
    store.refresh()
    only = CaseFilter(
        states=tuple(state or ()),
        is_consensus=consensus,
        initial_author=initial_author,
        contains=contains,
        is_present=present,
    )
    page: Page[Case] = store.store.cases(only, offset=offset, limit=limit)
    return PageOf[CaseRow].of(page, CaseRow.of)


def case_detail(http: Request, case: str) -> CaseDetail:
    """A case with all its versions and the words on them."""
    case = checked_id(case, what="case")
    store = studies()
    store.refresh()
    row = CaseRow.of(store.store.case(case))
    return CaseDetail(**row.model_dump(), versions=_version_rows(http, case))


def versions(
    http: Request, case: str, offset: Offset = 0, limit: Limit = 100
) -> PageOf[VersionRow]:
    """A case's versions, the oldest first; withdrawn ones too."""
    rows = _version_rows(http, checked_id(case, what="case"))
    page = Page(rows[offset : offset + limit], len(rows), offset)
    return PageOf[VersionRow].of(page, lambda row: row)


def version(http: Request, case: str, number: int) -> VersionRow:
    """One version."""
    case = checked_id(case, what="case")
    found = _visible(http, studies().store.version(case, number))
    return VersionRow.of(found, studies().store.notes(case))


def version_file(http: Request, case: str, number: int) -> FileResponse:
    """One version's label map; loading what a tag points at is remembered for the approval."""
    case = checked_id(case, what="case")
    store = studies().store
    found = _visible(http, store.version(case, number))
    current = store.tagged(case, found.tag)
    if current is not None and current.number == number:
        studies().remember_served(found, identity_of(http).reader)
    return FileResponse(
        store.path_of(found.file),
        media_type="application/octet-stream",
        filename=f"{case}-{number}{found.file.ending}",
    )


def transition(http: Request, case: str, wish: Transition) -> CaseDetail:
    """Comments on, returns, resumes, approves, reopens a case, or withdraws a version."""
    case = checked_id(case, what="case")
    reader = identity_of(http).reader
    workflow = studies().workflow
    if wish.action is Action.REOPEN:
        workflow.reopen(case, wish.comment, reader)
        return case_detail(http, case)
    tag = _tag_meant(case, wish)
    if wish.action in (Action.WITHDRAW, Action.WITHDRAW_CORRECTION):
        workflow.withdraw(case, tag, reader)
    else:
        workflow.review(case, tag, _review_meant(case, tag, wish), reader)
    return case_detail(http, case)


def consensus(http: Request, case: str, wish: Consensus) -> CaseRow:
    """Puts a case into the consensus set or takes it out, before anybody has contoured it."""
    case = checked_id(case, what="case")
    store = studies()
    store.refresh()
    store.workflow.set_consensus(case, identity_of(http).reader, is_consensus=wish.consensus)
    return CaseRow.of(store.store.case(case))


def journal(
    case: Annotated[str | None, Query(max_length=200)] = None,
    offset: Offset = 0,
    limit: Limit = 100,
) -> PageOf[JournalRow]:
    """The journal, the oldest entry first; of one case, if asked."""
    if case is not None:
        checked_id(case, what="case")
    store = studies().store
    entries = store.journal(case=case, offset=offset, limit=limit)
    page = Page(entries, store.journal_length(case), offset)
    return PageOf[JournalRow].of(page, JournalRow.of)


def _version_rows(http: Request, case: str) -> list[VersionRow]:
    notes = studies().store.notes(case)
    return [VersionRow.of(v, notes) for v in visible_versions(http, case)]


def visible_versions(http: Request, case: str) -> list[Version]:
    """A case's versions by number, without other readers' contours of a consensus case."""
    store = studies().store
    reader, hides = identity_of(http).reader, _hides_others(store.case(case))
    return [one for one in store.versions(case) if not hides or _is_open_to(one, reader)]


def _visible(http: Request, found: Version) -> Version:
    """A version, unless it is another reader's contours of a consensus case."""
    reader = identity_of(http).reader
    if _hides_others(studies().store.case(found.case)) and not _is_open_to(found, reader):
        message = f"{found.case}: it is a consensus case; everybody sees his or her own contours"
        raise NotFoundError(message)
    return found


def _hides_others(case: Case) -> bool:
    return case.is_consensus


def _is_open_to(found: Version, reader: Reader) -> bool:
    return found.kind is Kind.DRAFT or found.author == reader.name or reader.may(Role.ADMIN)


def _tag_meant(case: str, wish: Transition) -> str:
    """The tag of the version that a transition is about.

    Raises:
        UsageError: the transition names none.
        ConflictError: the number is not what the tag points at.
    """
    if wish.tag is None and wish.version is None:
        message = f"{case}: name the version, by its tag ({INITIAL_TAG}, version_1, ...) or number"
        raise UsageError(message)
    store = studies().store
    if wish.version is None:
        return checked_tag(str(wish.tag))
    meant = store.version(case, wish.version)
    current = store.tagged(case, meant.tag)
    if current is None or current.number != meant.number or wish.tag not in (None, meant.tag):
        message = (
            f"{case}: version {wish.version} is not what {wish.tag or meant.tag!r} points at; "
            "load the case again"
        )
        raise ConflictError(message)
    return meant.tag


def _review_meant(case: str, tag: str, wish: Transition) -> Review:
    if wish.action is Action.COMMENT:
        return Review(_status_now(case, tag), wish.level, wish.comment)
    status: Any = _STATUS_OF.get(wish.action)
    if status is None:
        message = f"{case}: {wish.action.value} is done through /datastore/label or /infer"
        raise UsageError(message)
    return Review(status, wish.level, wish.comment)


def _status_now(case: str, tag: str) -> ReviewStatus:
    """A comment leaves a version's status as it is."""
    for overview in studies().store.overview(case):
        note = overview.notes.get(tag)
        if note is not None:
            return note.status
    return ReviewStatus.NONE
