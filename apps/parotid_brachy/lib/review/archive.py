"""A whole store in one file: a plain tar archive of JSON lines and label maps.

``manifest.json`` comes first and has the hashes of ``rows/<table>.jsonl``, which come next; among
them are the names, and so the hashes, of all ``objects/<shelf>/<name>``. Readers' passwords and the
server's key are no part of it, nor are images.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import secrets
import tarfile
import tempfile
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any, Final

from sqlalchemy import Connection, select

from parotid_brachy.lib.errors import StoreError, UsageError
from parotid_brachy.lib.imaging.atomic import TEMPORARY_ENDING, synchronise_folder
from parotid_brachy.lib.review import journal
from parotid_brachy.lib.review.archive_rows import TABLES, lines_of
from parotid_brachy.lib.review.database_errors import disk_errors
from parotid_brachy.lib.review.migrating import newest_revision
from parotid_brachy.lib.review.objects import object_name
from parotid_brachy.lib.review.records import StoredFile
from parotid_brachy.lib.review.schema import objects
from parotid_brachy.lib.review.store import VersionStore
from parotid_brachy.lib.version import project_version

MANIFEST: Final = "manifest.json"
FORMAT: Final = "parotid-brachy store 1"


@dataclass(frozen=True)
class Exported:
    """What went into an archive.

    Attributes:
        files: number of label maps and received files.
        entries: of the journal.
        size_bytes: of the archive.
    """

    files: int
    entries: int
    size_bytes: int


def rows_name(table: str) -> str:
    """A table's place in an archive."""
    return f"rows/{table}.jsonl"


def file_name(name: str) -> str:
    """A durable file's place in an archive."""
    return f"objects/{name[:2]}/{name}"


def export(store: VersionStore, target: Path) -> Exported:
    """Writes a store, as it is at this moment, into a new archive.

    Args:
        store: may be in use meanwhile.
        target: must not exist; whole or not there afterwards.

    Raises:
        UsageError: it exists, or its folder does not.
        StoreError: the store is damaged.
        StoreFullError: the archive cannot be written.
    """
    if os.path.lexists(target):
        message = f"{target}: there is a file already; name a new one"
        raise UsageError(message)
    if not target.parent.is_dir():
        message = f"{target.parent}: no such folder"
        raise UsageError(message)
    temporary = target.with_name(f".{target.name[:80]}.{secrets.token_hex(8)}{TEMPORARY_ENDING}")
    try:
        with disk_errors(target.name), temporary.open("xb") as out:
            done = _write(store, out, target.parent)
            out.flush()
            os.fsync(out.fileno())
            temporary.replace(target)
            synchronise_folder(target.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    return done


def _write(store: VersionStore, out: IO[bytes], folder: Path) -> Exported:
    with (
        tempfile.TemporaryFile(dir=folder) as spool,
        tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        with store.database.reading() as connection:
            manifest = _spool_rows(connection, spool)
            query = select(objects.c.sha256, objects.c.size_bytes, objects.c.ending)
            files = [StoredFile(*row) for row in connection.execute(query.order_by(objects.c.name))]
        content = json.dumps(manifest, indent=2).encode()
        _add(tar, MANIFEST, len(content), io.BytesIO(content))
        spool.seek(0)
        for name, told in manifest["members"].items():
            _add(tar, name, told["size_bytes"], spool)
        # Durable files never change or go, so that the transaction need not last so long.
        for file in files:
            content = store.objects.read(file)
            _add(tar, file_name(object_name(file)), len(content), io.BytesIO(content))
        tar.close()
        return Exported(len(files), manifest["journal"]["sequence"], out.tell())


def _spool_rows(connection: Connection, spool: IO[bytes]) -> dict[str, Any]:
    """Writes all rows one after the other, and tells of them in a manifest."""
    for fault in journal.faults(connection):
        message = f"a damaged store is not exported ({fault}); see parotid store verify"
        raise StoreError(message)
    members = {}
    for table in TABLES:
        digest, start = hashlib.sha256(), spool.tell()
        for line in lines_of(connection, table):
            digest.update(line)
            spool.write(line)
        told = {"sha256": digest.hexdigest(), "size_bytes": spool.tell() - start}
        members[rows_name(table.name)] = told
    sequence, hash_ = journal.head(connection)
    return {
        "format": FORMAT,
        "program": project_version(),
        "schema": newest_revision(),
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "journal": {"sequence": sequence, "hash": hash_},
        "members": members,
    }


def _add(tar: tarfile.TarFile, name: str, size_bytes: int, content: IO[bytes]) -> None:
    info = tarfile.TarInfo(name)
    info.size = size_bytes
    tar.addfile(info, content)
