"""Whether a store is as it was written: database, files, journal, and all three together."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, func, select, text

from parotid_brachy.lib.review import journal, seed_plans, splits
from parotid_brachy.lib.review.records import StoredFile
from parotid_brachy.lib.review.replaying import replayed_faults
from parotid_brachy.lib.review.schema import cases, objects, tags, versions
from parotid_brachy.lib.review.schema import journal as journal_rows
from parotid_brachy.lib.review.states import CaseState
from parotid_brachy.lib.review.store import VersionStore

_CHUNK: Final = 1000


@dataclass(frozen=True)
class Verified:
    """What was looked at, and what was found.

    Attributes:
        cases: how many there are.
        versions: likewise.
        files: likewise.
        head: sequence and hash of the journal's last entry.
        faults: what is wrong, in words.
    """

    cases: int
    versions: int
    files: int
    head: tuple[int, str]
    faults: tuple[str, ...]


def verify(store: VersionStore, *, noted: Sequence[tuple[int, str]] = ()) -> Verified:
    """Compares everything with everything; reads every file of the store.

    Args:
        store: may be in use meanwhile.
        noted: journal entries' sequences and hashes that somebody has noted down outside.

    Raises:
        StoreError: the database cannot be read at all.
    """
    with store.database.reading() as connection:
        faults = [
            *(_sqlite_faults(connection) if store.database.is_sqlite else ()),
            *journal.faults(connection, noted=noted),
            *_pointer_faults(connection),
            *_journalled_faults(connection),
            *replayed_faults(connection),
            *_split_faults(connection),
            *seed_plans.faults(connection),
        ]
        numbers = [
            int(connection.execute(select(func.count()).select_from(table)).scalar_one())
            for table in (cases, versions)
        ]
        head = journal.head(connection)
        query = select(objects.c.sha256, objects.c.size_bytes, objects.c.ending)
        files = [StoredFile(*row) for row in connection.execute(query.order_by(objects.c.name))]
    damages = (store.objects.damage(file) for file in files)
    faults += [damage for damage in damages if damage is not None]
    return Verified(numbers[0], numbers[1], len(files), head, tuple(faults))


def _sqlite_faults(connection: Connection) -> Iterator[str]:
    for (found,) in connection.execute(text("PRAGMA integrity_check")):
        if found != "ok":
            yield f"database: {found}"
    for table, row, parent, _ in connection.execute(text("PRAGMA foreign_key_check")):
        yield f"database: row {row} of {table} names something that is not in {parent}"


def _pointer_faults(connection: Connection) -> Iterator[str]:
    """Tags and approvals that point at what clients must not see."""
    same = (versions.c.case_id == tags.c.case_id) & (versions.c.number == tags.c.number)
    query = select(tags.c.case_id, tags.c.tag).join(versions, same).where(versions.c.is_withdrawn)
    for case, tag in connection.execute(query):
        yield f"{case}: {tag} points at a version that was withdrawn"
    approved = (versions.c.case_id == cases.c.id) & (versions.c.number == cases.c.approved_version)
    without = (
        select(cases.c.id)
        .outerjoin(versions, approved)
        .where(cases.c.state == CaseState.APPROVED.value, versions.c.number.is_(None))
    )
    for case in connection.execute(without).scalars():
        yield f"{case}: approved, but the version is not there"


def _journalled_faults(connection: Connection) -> Iterator[str]:
    """Versions that are not what the journal says that was saved."""
    query = select(versions.c.case_id, versions.c.number, objects.c.sha256).join(
        objects, objects.c.name == versions.c.file
    )
    kept = {(case, number): sha256 for case, number, sha256 in connection.execute(query)}
    lines = select(journal_rows.c.sequence, journal_rows.c.case_id, journal_rows.c.details)
    told = connection.execution_options(yield_per=_CHUNK).execute(
        lines.where(journal_rows.c.case_id.is_not(None)).order_by(journal_rows.c.sequence)
    )
    for sequence, case, details in told:
        number, sha256 = _told(details)
        if number is not None and kept.get((case, number)) != sha256:
            yield f"{case}: version {number} is not the one that journal entry {sequence} tells of"


def _split_faults(connection: Connection) -> Iterator[str]:
    """Cases whose part in the trainings is not the one that the journal tells of."""
    query = select(journal_rows.c.case_id, journal_rows.c.details)
    found = connection.execute(query.where(journal_rows.c.action == splits.ACTION))
    told = {row.case_id: row.details for row in found}
    for case, one in splits.placed(connection).items():
        if told.pop(case, None) != splits.details_of(one):
            yield f"{case}: in {one.part.value}, but the journal does not say so"
    for case in told:
        yield f"{case}: the part of the trainings that the journal tells of is missing"


def _told(details: str) -> tuple[Any, Any]:
    """Version and hash that an entry names; None twice, where it does not name both."""
    try:
        values = json.loads(details)
        return (values["version"], values["sha256"])
    except (ValueError, TypeError, LookupError, RecursionError):
        return (None, None)
