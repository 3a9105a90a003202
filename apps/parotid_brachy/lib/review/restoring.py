"""Brings an archive's store back into an empty one; everything is checked before it is kept."""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from sqlalchemy import Connection, exc, exists, select, update

from parotid_brachy.lib.errors import InputRefusedError, UsageError
from parotid_brachy.lib.review import journal, queries, rows
from parotid_brachy.lib.review.archive import FORMAT, MANIFEST, file_name, rows_name
from parotid_brachy.lib.review.archive_file import Member, members
from parotid_brachy.lib.review.archive_rows import insert_lines, rows_of, tables_of
from parotid_brachy.lib.review.migrating import known_revisions
from parotid_brachy.lib.review.objects import checked_file
from parotid_brachy.lib.review.records import StoredFile
from parotid_brachy.lib.review.schema import cases, journal_head, notes, objects
from parotid_brachy.lib.review.schema import journal as journal_rows
from parotid_brachy.lib.review.store import VersionStore
from parotid_brachy.lib.review.writing import Writing

_MANIFEST_BYTES: Final = 1024**2
_FILE_BYTES: Final = 2 * 1024**3


@dataclass(frozen=True)
class Restored:
    """What came out of an archive.

    Attributes:
        files: number of label maps and received files.
        entries: of the journal.
    """

    files: int
    entries: int


def restore(store: VersionStore, archive: Path) -> Restored:
    """Fills an empty store from an archive, wholly or not at all.

    Args:
        store: without any case or journal entry.
        archive: of :func:`.archive.export`.

    Raises:
        UsageError: the store is not empty, or there is no such file.
        InputRefusedError: the archive is damaged, or none of ours.
        StoreFullError, StoreError: nothing was restored.
    """
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(archive.open("rb"))
        except OSError as error:
            message = f"{archive}: cannot be read ({error.strerror})"
            raise UsageError(message) from error
        with store.database.reading() as connection:
            _require_empty(connection, store)
        writing = stack.enter_context(store.writing())
        done = _restore(store, writing, members(file))
    store.published.repair()
    return done


def _restore(store: VersionStore, writing: Writing, found: Iterator[Member]) -> Restored:
    manifest = _manifest(found)
    with contextlib.ExitStack() as stack:
        spools = {}
        for table in tables_of(manifest["schema"]):
            spool = stack.enter_context(tempfile.TemporaryFile(dir=store.folder))
            name = rows_name(table.name)
            _spool(_next(found, name), manifest["members"].get(name), spool)
            spools[table.name] = spool
        expected = {
            file_name(row["name"]): checked_file(row["sha256"], row["size_bytes"], row["ending"])
            for row in rows_of(objects, spools[objects.name])
        }
        _put_files(writing, found, dict(expected))
        with store.database.writing() as connection:
            _require_empty(connection, store)
            _fill(connection, spools, manifest)
        writing.unclaimed.clear()
    return Restored(len(expected), manifest["journal"]["sequence"])


def _require_empty(connection: Connection, store: VersionStore) -> None:
    for table in (cases, journal_rows, objects):
        if connection.execute(select(exists(select(*table.primary_key)))).scalar_one():
            message = (
                f"{store.folder}: the store is not empty; restore into a folder whose server has "
                "not been started yet"
            )
            raise UsageError(message)


def _next(found: Iterator[Member], name: str) -> Member:
    member = next(found, None)
    if member is None or member.name != name:
        there = "nothing" if member is None else repr(member.name[:100])
        message = f"no archive of a store: {name!r} is expected, there is {there}"
        raise InputRefusedError(message)
    return member


def _manifest(found: Iterator[Member]) -> dict[str, Any]:
    content = _next(found, MANIFEST).read(at_most=_MANIFEST_BYTES)
    try:
        manifest = json.loads(content)
        made_by = (manifest["format"], manifest["schema"])
        head = manifest["journal"]
        is_plain = (
            isinstance(manifest["schema"], str)
            and isinstance(manifest["members"], dict)
            and type(head["sequence"]) is int
            and isinstance(head["hash"], str)
        )
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        message = f"the archive's {MANIFEST}: cannot be read ({type(error).__name__})"
        raise InputRefusedError(message) from error
    if not (is_plain and made_by[0] == FORMAT and made_by[1] in known_revisions()):
        message = (
            f"the archive was written as {str(made_by)[:100]} by version "
            f"{str(manifest.get('program'))[:40]} of this program; restore it with that version"
        )
        raise InputRefusedError(message)
    return dict(manifest)


def _spool(member: Member, told: Any, spool: IO[bytes]) -> None:
    """Copies a table's rows and compares them with the manifest."""
    digest = hashlib.sha256()
    for part in member.chunks():
        digest.update(part)
        spool.write(part)
    if told != {"sha256": digest.hexdigest(), "size_bytes": member.size_bytes}:
        message = f"the archive's {member.name!r}: damaged, it is not what the manifest says"
        raise InputRefusedError(message)
    spool.seek(0)


def _put_files(writing: Writing, found: Iterator[Member], missing: dict[str, StoredFile]) -> None:
    for member in found:
        file = missing.pop(member.name, None)
        if file is None or file.size_bytes != member.size_bytes:
            message = f"the archive's {member.name[:100]!r}: no file that its rows name"
            raise InputRefusedError(message)
        content = member.read(at_most=_FILE_BYTES)
        if hashlib.sha256(content).hexdigest() != file.sha256:
            message = f"the archive's {member.name!r}: damaged"
            raise InputRefusedError(message)
        writing.put(content, file.ending)
    if missing:
        message = f"the archive lacks {len(missing)} files, among them {min(missing)!r}"
        raise InputRefusedError(message)


def _fill(
    connection: Connection, spools: Mapping[str, IO[bytes]], manifest: Mapping[str, Any]
) -> None:
    """Puts all rows in and reads them back as what they stand for.

    Raises:
        InputRefusedError: they make no whole store.
    """
    head = manifest["journal"]
    try:
        for table in tables_of(manifest["schema"]):
            spools[table.name].seek(0)
            insert_lines(connection, table, spools[table.name])
        connection.execute(
            update(journal_head).values(sequence=head["sequence"], hash=head["hash"])
        )
        for fault in journal.faults(connection):
            raise InputRefusedError(fault)
        for _ in queries.overviews(connection, None):
            pass
        for row in connection.execute(rows.VERSION_ROWS):
            rows.version_of(row)
        for row in connection.execute(select(notes)):
            rows.note_of(row)
    except (ValueError, exc.IntegrityError) as error:
        message = f"the archive's rows make no store ({type(error).__name__})"
        raise InputRefusedError(message) from error
