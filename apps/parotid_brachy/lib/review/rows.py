"""Rows of the version store's tables as the values of :mod:`.records`, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, select

from parotid_brachy.lib.errors import NotFoundError
from parotid_brachy.lib.review.objects import object_name
from parotid_brachy.lib.review.records import (
    Case,
    Kind,
    Level,
    Note,
    ReviewStatus,
    StoredFile,
    Version,
)
from parotid_brachy.lib.review.schema import cases, notes, objects, servings, tags, versions
from parotid_brachy.lib.review.states import CaseState

_KEPT: Final = objects.alias("kept")
_SENT: Final = objects.alias("sent")
_FILE_COLUMNS: Final = ("sha256", "size_bytes", "ending")

VERSION_ROWS: Final = (
    select(versions)
    .add_columns(*(_KEPT.c[name].label(f"kept_{name}") for name in _FILE_COLUMNS))
    .add_columns(*(_SENT.c[name].label(f"sent_{name}") for name in _FILE_COLUMNS))
    .join_from(versions, _KEPT, versions.c.file == _KEPT.c.name)
    .outerjoin(_SENT, versions.c.received == _SENT.c.name)
)
"""Versions with their files, for :func:`version_of`."""

TAGGED_ROWS: Final = VERSION_ROWS.add_columns(tags.c.tag.label("points")).join(
    tags, (tags.c.case_id == versions.c.case_id) & (tags.c.number == versions.c.number)
)
"""The same, of the versions that tags point at now, with the tag as ``points``."""


def case_of(row: Row[Any]) -> Case:
    """A row of ``cases``."""
    return Case(
        id=row.id,
        image_name=row.image_name,
        state=CaseState(row.state),
        is_consensus=row.is_consensus,
        is_present=row.is_present,
        created=row.created,
        changed=row.changed,
        initial_author=row.initial_author,
        reviewer=row.reviewer,
        approved_by=row.approved_by,
        approved_at=row.approved_at,
        approved_version=row.approved_version,
        image_info=row.image_info,
    )


def version_of(row: Row[Any]) -> Version:
    """A row of :data:`VERSION_ROWS`."""
    received = None
    if row.sent_sha256 is not None:
        received = StoredFile(row.sent_sha256, row.sent_size_bytes, row.sent_ending)
    return Version(
        case=row.case_id,
        number=row.number,
        tag=row.tag,
        kind=Kind(row.kind),
        author=row.author,
        created=row.created,
        file=StoredFile(row.kept_sha256, row.kept_size_bytes, row.kept_ending),
        received=received,
        volumes_ml=row.volumes_ml,
        parent=row.parent,
        info=row.info,
        is_withdrawn=row.is_withdrawn,
    )


def version_values(version: Version) -> dict[str, Any]:
    """A row of ``versions``."""
    return {
        "case_id": version.case,
        "number": version.number,
        "tag": version.tag,
        "kind": version.kind.value,
        "author": version.author,
        "created": version.created,
        "file": object_name(version.file),
        "received": None if version.received is None else object_name(version.received),
        "volumes_ml": dict(version.volumes_ml),
        "parent": version.parent,
        "info": dict(version.info),
        "is_withdrawn": version.is_withdrawn,
    }


def note_of(row: Row[Any]) -> Note:
    """A row of ``notes``."""
    return Note(
        case=row.case_id,
        version=row.version,
        reviewer=row.reviewer,
        status=ReviewStatus(row.status),
        level=Level(row.level),
        comment=row.comment,
        created=row.created,
    )


def note_values(note: Note) -> dict[str, Any]:
    """A row of ``notes``, without its number."""
    return {
        "case_id": note.case,
        "version": note.version,
        "reviewer": note.reviewer,
        "status": note.status.value,
        "level": note.level.value,
        "comment": note.comment,
        "created": note.created,
    }


def case_row(connection: Connection, case: str, *, is_held: bool = False) -> Row[Any]:
    """A case's row.

    Args:
        connection: a transaction.
        case: its id.
        is_held: nobody else changes the row before the transaction ends.

    Raises:
        NotFoundError: no such case.
    """
    query = select(cases).where(cases.c.id == case)
    row = connection.execute(query.with_for_update() if is_held else query).one_or_none()
    if row is None:
        message = f"case {case[:200]!r}: not in this store"
        raise NotFoundError(message)
    return row


def version(connection: Connection, case: str, number: int) -> Version:
    """One version, withdrawn or not.

    Raises:
        NotFoundError: no such case, or no such version.
    """
    query = VERSION_ROWS.where(versions.c.case_id == case, versions.c.number == number)
    row = connection.execute(query).one_or_none()
    if row is None:
        case_row(connection, case)  # says so if it is the case that is missing
        message = f"{case}: there is no version {number}"
        raise NotFoundError(message)
    return version_of(row)


def tagged_version(connection: Connection, case: str, tag: str) -> Version | None:
    """The version that a tag points at now."""
    query = TAGGED_ROWS.where(tags.c.case_id == case, tags.c.tag == tag)
    row = connection.execute(query).one_or_none()
    return None if row is None else version_of(row)


def newest_note(connection: Connection, case: str, number: int) -> Note | None:
    """The newest note on a version."""
    query = select(notes).where(notes.c.case_id == case, notes.c.version == number)
    row = connection.execute(query.order_by(notes.c.number.desc()).limit(1)).one_or_none()
    return None if row is None else note_of(row)


def current_notes(connection: Connection, case: str | None) -> Mapping[str, dict[str, Note]]:
    """The newest note of each version that a tag points at: by case, then by tag.

    Args:
        connection: a transaction.
        case: its id; None: all cases.
    """
    query: Select[Any] = (
        select(notes, tags.c.tag)
        .join(tags, (tags.c.case_id == notes.c.case_id) & (tags.c.number == notes.c.version))
        .order_by(notes.c.case_id, notes.c.number)
    )
    if case is not None:
        query = query.where(notes.c.case_id == case)
    found: dict[str, dict[str, Note]] = {}
    for row in connection.execute(query):
        found.setdefault(row.case_id, {})[row.tag] = note_of(row)  # the newest comes last
    return found


def last_served(connection: Connection, case: str, tag: str, reader: str) -> int | None:
    """Number of the version that a reader saw last under a tag."""
    here = (servings.c.case_id == case) & (servings.c.tag == tag) & (servings.c.reader == reader)
    return connection.execute(select(servings.c.number).where(here)).scalar()
