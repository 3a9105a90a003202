"""The journal: what was done, by whom, when; each entry's hash covers the entry before.

Whoever changes, removes or inserts an entry breaks the chain from there on; the head, kept apart,
tells if the end was cut off. Somebody who can write the database can make a whole new chain: note
down the head (sequence and hash) now and then, somewhere else, and verify against it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, Final

from sqlalchemy import Connection, Row, func, insert, select, update

from parotid_brachy.lib.review.canonical_json import canonical_json
from parotid_brachy.lib.review.records import JournalEntry
from parotid_brachy.lib.review.schema import FIRST_HASH, journal, journal_head

_CHUNK: Final = 1000


def append(
    connection: Connection,
    *,
    at: datetime,
    actor: str,
    action: str,
    case: str | None,
    details: Mapping[str, Any],
) -> JournalEntry:
    """Adds an entry within a writing transaction, which holds the head.

    Raises:
        UsageError: the details are no JSON values.
    """
    text = canonical_json(dict(details), what=f"journal entry {action!r}")
    head = connection.execute(
        select(journal_head.c.sequence, journal_head.c.hash).with_for_update()
    ).one()
    at = at.astimezone(timezone.utc)
    fields = (head.sequence + 1, at, actor, action, case, text, head.hash)
    digest = _hash(fields)
    names = ("sequence", "at", "actor", "action", "case_id", "details", "previous_hash")
    connection.execute(insert(journal).values(**dict(zip(names, fields, strict=True)), hash=digest))
    connection.execute(update(journal_head).values(sequence=fields[0], hash=digest))
    return JournalEntry(fields[0], at, actor, action, case, json.loads(text), head.hash, digest)


def entries(
    connection: Connection,
    *,
    case: str | None = None,
    after: int = 0,
    offset: int = 0,
    limit: int = 100,
) -> list[JournalEntry]:
    """Entries after a sequence, in the order of their sequence."""
    query = select(journal).where(journal.c.sequence > after)
    if case is not None:
        query = query.where(journal.c.case_id == case)
    rows = connection.execute(query.order_by(journal.c.sequence).offset(offset).limit(limit))
    return [_entry(row) for row in rows]


def newest(connection: Connection, actions: Sequence[str], *, limit: int) -> list[JournalEntry]:
    """The last entries on some actions, the newest first."""
    query = select(journal).where(journal.c.action.in_(actions))
    rows = connection.execute(query.order_by(journal.c.sequence.desc()).limit(limit))
    return [_entry(row) for row in rows]


def length(connection: Connection, *, case: str | None = None) -> int:
    """How many entries there are."""
    if case is None:
        return head(connection)[0]
    query = select(func.count()).select_from(journal).where(journal.c.case_id == case)
    return int(connection.execute(query).scalar_one())


def head(connection: Connection) -> tuple[int, str]:
    """Sequence and hash of the last entry, as they were noted when it was written."""
    row = connection.execute(select(journal_head.c.sequence, journal_head.c.hash)).one()
    return row.sequence, row.hash


def faults(connection: Connection, *, noted: Sequence[tuple[int, str]] = ()) -> Iterator[str]:
    """What is wrong with the journal, in words; nothing, where it is whole.

    Args:
        connection: a transaction that sees one moment.
        noted: sequences and hashes that somebody has noted down outside.
    """
    expected, previous = 1, FIRST_HASH
    outside = dict(noted)
    query = select(journal).order_by(journal.c.sequence)
    for row in connection.execution_options(yield_per=_CHUNK).execute(query):
        if row.sequence != expected:
            yield f"journal: entries {expected} to {row.sequence - 1} are missing"
        elif row.previous_hash != previous:
            yield f"journal: entry {row.sequence} does not follow the entry before it"
        if _hash(tuple(row)[:-1]) != row.hash:
            yield f"journal: entry {row.sequence} was changed"
        if outside.pop(row.sequence, row.hash) != row.hash:
            yield f"journal: entry {row.sequence} is not the one that was noted down"
        expected, previous = row.sequence + 1, row.hash
    last = head(connection)
    if last != (expected - 1, previous):
        yield f"journal: it ends with entry {expected - 1}, but {last[0]} were written"
    for sequence in sorted(outside):
        yield f"journal: entry {sequence}, which was noted down, is missing"


def _hash(fields: Sequence[Any]) -> str:
    sequence, at, actor, action, case, details, previous = fields
    told = [sequence, at.isoformat(timespec="microseconds"), actor, action, case, details, previous]
    return hashlib.sha256(canonical_json(told).encode()).hexdigest()


def _entry(row: Row[Any]) -> JournalEntry:
    sequence, at, actor, action, case, details, previous, digest = tuple(row)
    return JournalEntry(sequence, at, actor, action, case, json.loads(details), previous, digest)
