"""Pairs of versions whose agreement says something, and what was computed for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, func, insert, select, update

from parotid_brachy.lib.errors import NotFoundError
from parotid_brachy.lib.review import rows
from parotid_brachy.lib.review.records import (
    DRAFT_TAG,
    INITIAL_TAG,
    HandOver,
    KeptAgreement,
    Kind,
    Page,
    Version,
)
from parotid_brachy.lib.review.schema import handovers

DRAFT_TO_INITIAL: Final = "draft_to_initial"
INITIAL_TO_APPROVED: Final = "initial_to_approved"


def open_draft_to_initial(connection: Connection, initial: Version, now: datetime) -> None:
    """Notes that initial contours are to be compared with the draft that they began with."""
    draft = _made_from(connection, initial, Kind.DRAFT, DRAFT_TAG)
    if draft is not None:
        _open(connection, _hand_over(draft, initial, DRAFT_TO_INITIAL), now)


def open_initial_to_approved(connection: Connection, approved: Version, now: datetime) -> None:
    """Notes that an approved version is to be compared with the initial contours.

    These are the ones that were corrected; reader 1 may have submitted others since.
    """
    initial = _made_from(connection, approved, Kind.INITIAL, INITIAL_TAG)
    if initial is not None:
        _open(connection, _hand_over(initial, approved, INITIAL_TO_APPROVED), now)


def without_agreement(connection: Connection, limit: int) -> list[HandOver]:
    """Hand-overs still to be computed, the oldest first."""
    query = select(handovers).where(handovers.c.agreement.is_(None))
    found = connection.execute(query.order_by(handovers.c.created).limit(limit))
    return [_hand_over_of(row) for row in found]


def keep_agreement(
    connection: Connection, hand_over: HandOver, agreement: Sequence[Mapping[str, Any]]
) -> None:
    """Keeps what was computed for a hand-over.

    Raises:
        NotFoundError: there is no such hand-over.
    """
    kept = update(handovers).where(_is(hand_over)).values(agreement=list(agreement))
    if connection.execute(kept).rowcount == 0:
        message = (
            f"{hand_over.case}: versions {hand_over.before} and {hand_over.after} are no "
            f"hand-over of kind {hand_over.kind!r}"
        )
        raise NotFoundError(message)


def with_agreement(
    connection: Connection, case: str | None, offset: int, limit: int | None
) -> Page[KeptAgreement]:
    """Computed hand-overs by case and version."""
    here: ColumnElement[bool] = handovers.c.agreement.is_not(None)
    if case is not None:
        here &= handovers.c.case_id == case
    order = (handovers.c.case_id, handovers.c.after, handovers.c.before, handovers.c.kind)
    query = select(handovers).where(here).order_by(*order).offset(offset).limit(limit)
    found = [KeptAgreement(_hand_over_of(row), row.agreement) for row in connection.execute(query)]
    total = connection.execute(select(func.count()).select_from(handovers).where(here))
    return Page(found, total.scalar_one(), offset)


def _made_from(connection: Connection, made: Version, kind: Kind, tag: str) -> Version | None:
    """The version that one was made from, if it is of that kind; else the tag's."""
    parent = None
    if made.parent is not None:
        parent = rows.version(connection, made.case, made.parent)
    if parent is not None and parent.kind is kind:
        return parent
    return rows.tagged_version(connection, made.case, tag)


def _open(connection: Connection, hand_over: HandOver, now: datetime) -> None:
    known = select(handovers.c.kind).where(_is(hand_over))
    if connection.execute(known).scalar() is None:
        connection.execute(
            insert(handovers).values(
                case_id=hand_over.case,
                before=hand_over.before,
                after=hand_over.after,
                kind=hand_over.kind,
                created=now,
            )
        )


def _is(hand_over: HandOver) -> ColumnElement[bool]:
    return (
        (handovers.c.case_id == hand_over.case)
        & (handovers.c.before == hand_over.before)
        & (handovers.c.after == hand_over.after)
        & (handovers.c.kind == hand_over.kind)
    )


def _hand_over(before: Version, after: Version, kind: str) -> HandOver:
    return HandOver(after.case, before.number, after.number, kind)


def _hand_over_of(row: Row[Any]) -> HandOver:
    return HandOver(row.case_id, row.before, row.after, row.kind)
