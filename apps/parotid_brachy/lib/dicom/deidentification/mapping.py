"""Pseudonyms and whom they stand for: a file beside the key, which stays in the hospital.

An SQLite database: several processes write at once, each object as a whole or not at all.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from parotid_brachy.lib.dicom.deidentification.identity import Originals
from parotid_brachy.lib.dicom.deidentification.key import PseudonymKey, require_private
from parotid_brachy.lib.errors import ConflictError, InputRefusedError, StoreError, StoreFullError

_WAIT_S: Final = 60.0
_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS key (fingerprint TEXT PRIMARY KEY)",
    (
        "CREATE TABLE IF NOT EXISTS patient (pseudonym TEXT PRIMARY KEY, "
        "patient_id TEXT NOT NULL, issuer TEXT NOT NULL, name TEXT NOT NULL, "
        "birth_date TEXT NOT NULL, sex TEXT NOT NULL, shift_days INTEGER NOT NULL)"
    ),
    "CREATE TABLE IF NOT EXISTS study (uid TEXT PRIMARY KEY, facts TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS uid (new TEXT PRIMARY KEY, original TEXT NOT NULL)",
)
# A later object may know what the first one left empty; what is known is not overwritten.
_ADD_PATIENT: Final = (
    "INSERT INTO patient VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (pseudonym) DO UPDATE SET "
    "name = CASE name WHEN '' THEN excluded.name ELSE name END, "
    "birth_date = CASE birth_date WHEN '' THEN excluded.birth_date ELSE birth_date END, "
    "sex = CASE sex WHEN '' THEN excluded.sex ELSE sex END"
)


@dataclass(frozen=True)
class OriginalPatient:
    """Whom a pseudonym stands for.

    Attributes:
        patient_id: original.
        issuer: of the id.
        name: original.
        birth_date: original (DA).
        sex: original.
        shift_days: by how many days dates were moved.
    """

    patient_id: str = field(repr=False)
    issuer: str = field(repr=False)
    name: str = field(repr=False)
    birth_date: str = field(repr=False)
    sex: str = field(repr=False)
    shift_days: int = field(repr=False)


class PseudonymMapping:
    """The way back from pseudonyms, for one key. Safe for processes and threads.

    Args:
        path: the file; made, for its owner only, where there is none.
        key: whose pseudonyms it holds.

    Raises:
        InputRefusedError: others may read the file, or it is damaged.
        ConflictError: it belongs to another key.
    """

    def __init__(self, path: Path, key: PseudonymKey) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Made here, so that it is private before there is anything in it; SQLite's journal takes
        # over the permissions.
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
        try:
            descriptor = os.open(path, flags, 0o600)
        except OSError as error:
            message = f"{path.name}: cannot be opened ({error.strerror})."
            raise InputRefusedError(message) from error
        try:
            require_private(os.fstat(descriptor), path)
        finally:
            os.close(descriptor)
        with self._writing() as connection:
            for statement in _SCHEMA:
                connection.execute(statement)
            connection.execute(
                "INSERT INTO key SELECT ? WHERE NOT EXISTS (SELECT 1 FROM key)", (key.fingerprint,)
            )
            (owner,) = connection.execute("SELECT fingerprint FROM key").fetchone()
        if owner != key.fingerprint:
            message = (
                f"{path.name}: it holds the pseudonyms of another key ({owner}, not "
                f"{key.fingerprint}). Give the key that it was begun with, or a new file."
            )
            raise ConflictError(message)

    def keep(self, objects: Iterable[Originals]) -> None:
        """Keeps what objects said before, all of them or none.

        Raises:
            StoreFullError: the disk is full; nothing was kept.
            StoreError: the file cannot be written.
        """
        with self._writing() as connection:
            for one in objects:
                connection.execute(
                    _ADD_PATIENT,
                    (
                        one.pseudonym,
                        one.patient_id,
                        one.issuer,
                        one.name,
                        one.birth_date,
                        one.sex,
                        one.shift_days,
                    ),
                )
                if one.study_uid:
                    connection.execute(
                        "INSERT OR IGNORE INTO study VALUES (?, ?)",
                        (one.study_uid, json.dumps(one.study)),
                    )
                connection.executemany("INSERT OR IGNORE INTO uid VALUES (?, ?)", one.uids.items())

    def patient(self, pseudonym: str) -> OriginalPatient | None:
        """Whom a pseudonym stands for."""
        with self._reading() as connection:
            row = connection.execute(
                "SELECT patient_id, issuer, name, birth_date, sex, shift_days FROM patient "
                "WHERE pseudonym = ?",
                (pseudonym,),
            ).fetchone()
        return OriginalPatient(*row) if row is not None else None

    def study(self, uid: str) -> dict[str, str]:
        """Original values of a study, ``{keyword: value}``, by its new UID."""
        with self._reading() as connection:
            row = connection.execute("SELECT facts FROM study WHERE uid = ?", (uid,)).fetchone()
        return {str(k): str(v) for k, v in json.loads(row[0]).items()} if row is not None else {}

    def original_uid(self, new: str) -> str | None:
        """The UID that another one stands for."""
        return self.original_uids([new]).get(new)

    def original_uids(self, new: Iterable[str]) -> dict[str, str]:
        """``{new: original}`` of those that are known."""
        with self._reading() as connection:
            query = "SELECT original FROM uid WHERE new = ?"
            found = {uid: connection.execute(query, (uid,)).fetchone() for uid in new}
        return {uid: row[0] for uid, row in found.items() if row is not None}

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._reading() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        try:
            with contextlib.closing(
                sqlite3.connect(self._path, timeout=_WAIT_S, isolation_level=None)
            ) as connection:
                connection.execute("PRAGMA synchronous = FULL")
                yield connection
        except sqlite3.Error as error:
            raise self._refusal(error) from error

    def _refusal(self, error: sqlite3.Error) -> InputRefusedError | StoreError | StoreFullError:
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith("SQLITE_FULL"):
            return StoreFullError(f"{self._path.name}: the disk is full; nothing was kept.")
        if name in ("SQLITE_NOTADB", "SQLITE_CORRUPT"):
            return InputRefusedError(f"{self._path.name}: damaged. Restore it from a copy.")
        return StoreError(f"{self._path.name}: {error}. Try again.")
