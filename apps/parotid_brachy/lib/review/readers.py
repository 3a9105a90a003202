"""The readers file: who works here, with which role, and the hashes of their passwords.

A JSON file that ``parotid readers`` writes and the server reads again whenever it has changed::

    {"format": 1, "next_generation": 3, "readers": [
        {"name": "ana", "role": "reviewer", "password_hash": "$2b$12$...", "generation": 2}]}

Each change of a reader takes the next generation number, and tokens carry the number that they
were issued for: a new password, another role or a removal ends them all.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
import threading
import unicodedata
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, NoReturn

import bcrypt
from filelock import FileLock

from parotid_brachy.lib.errors import (
    ConflictError,
    InputRefusedError,
    NotFoundError,
    UsageError,
)
from parotid_brachy.lib.imaging.atomic import write_atomically
from parotid_brachy.lib.review.records import STORE_FOLDER
from parotid_brachy.lib.review.roles import Reader, Role, checked_reader_name

SHORTEST_PASSWORD: Final = 12
"""Characters."""
LONGEST_PASSWORD: Final = 72
"""Bytes in UTF-8: bcrypt takes no more."""

_NAME: Final = "readers.json"
_FORMAT: Final = 1
_LARGEST_FILE: Final = 2**20
_COST: Final = 12
# A cost above 14 would make one login take seconds: such a file is not ours.
_HASH: Final = re.compile(r"\$2[aby]\$(?:0[4-9]|1[0-4])\$[./A-Za-z0-9]{53}")
_NOBODYS_HASH: Final = b"$2b$12$U2zMGmISUB91jHJRUTnvoOWoYQE5YY5QQqRJ0Gjxt3TbB6BDKUoAO"
"""Of a random password that nobody has kept: unknown names cost what known ones do."""
_PRIVATE: Final = 0o600
_WRITABLE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH
_LOCK_TIMEOUT_S: Final = 30


def readers_file_of(studies: Path) -> Path:
    """Where a folder of studies has its readers, if nobody says otherwise."""
    return studies / STORE_FOLDER / _NAME


@dataclass(frozen=True)
class ReaderRecord:
    """A reader as the file has him or her.

    Attributes:
        name: unique in the file, whatever the case of its letters.
        role: what he or she may do.
        password_hash: by bcrypt; None: known by name only, and cannot log in.
        generation: of the tokens that are valid now.
    """

    name: str
    role: Role
    password_hash: str | None
    generation: int

    @property
    def reader(self) -> Reader:
        """The reader as the review knows him or her."""
        return Reader(self.name, self.role)


@dataclass(frozen=True)
class _Content:
    readers: tuple[ReaderRecord, ...] = ()
    next_generation: int = 1

    def find(self, name: str) -> ReaderRecord | None:
        wanted = name.casefold()
        return next((r for r in self.readers if r.name.casefold() == wanted), None)


class ReadersFile:
    """The readers of a folder of studies; for threads, and beside other processes.

    Args:
        path: of the file; where there is none, there are no readers.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._guard = threading.Lock()
        self._seen: tuple[int, ...] = ()
        self._content = _Content()

    def all(self) -> tuple[ReaderRecord, ...]:
        """All readers, in the order in which they were added.

        Raises:
            InputRefusedError: the file is damaged, or open to others' changes.
        """
        return self._read().readers

    def find(self, name: str) -> ReaderRecord | None:
        """The reader of that name, whatever the case of its letters; None: unknown.

        Raises:
            InputRefusedError: as :meth:`all`.
        """
        return self._read().find(name)

    def with_password(self, name: str, password: str) -> ReaderRecord | None:
        """The reader, if this is the password; unknown names take as long as known ones.

        Raises:
            InputRefusedError: as :meth:`all`.
        """
        record = self.find(name)
        known = record.password_hash if record is not None else None
        given = _normalised(password)
        fits = len(given) <= LONGEST_PASSWORD and b"\0" not in given
        expected = known.encode() if known is not None else _NOBODYS_HASH
        is_right = bcrypt.checkpw(given if fits else b"-", expected)
        return record if is_right and fits and known is not None else None

    def add(self, name: str, role: Role, password: str | None) -> ReaderRecord:
        """Adds a reader; without a password, he or she is known by name only.

        Raises:
            UsageError: the name or the password cannot be used.
            ConflictError: there is a reader of that name.
        """
        checked_reader_name(name)
        hashed = None if password is None else _hashed(password)
        with self._changing() as content:
            if (other := content.find(name)) is not None:
                message = f"{self.path}: there is a reader {other.name!r} already"
                raise ConflictError(message)
            record = ReaderRecord(name, role, hashed, content.next_generation)
            self._write((*content.readers, record), content)
        return record

    def set_password(self, name: str, password: str | None) -> ReaderRecord:
        """Gives a reader another password, or none; ends the tokens that he or she has.

        Raises:
            UsageError: the password cannot be used.
            NotFoundError: no such reader.
        """
        hashed = None if password is None else _hashed(password)
        return self._replace(name, password_hash=hashed)

    def set_role(self, name: str, role: Role) -> ReaderRecord:
        """Gives a reader another role; ends the tokens that he or she has.

        Raises:
            NotFoundError: no such reader.
        """
        return self._replace(name, role=role)

    def remove(self, name: str) -> None:
        """Removes a reader; what he or she did stays as it is, with the name.

        Raises:
            NotFoundError: no such reader.
        """
        with self._changing() as content:
            gone = self._require(content, name)
            self._write(tuple(r for r in content.readers if r is not gone), content)

    def _replace(self, name: str, **changes: Any) -> ReaderRecord:
        with self._changing() as content:
            old = self._require(content, name)
            new = replace(old, generation=content.next_generation, **changes)
            self._write(tuple(new if r is old else r for r in content.readers), content)
        return new

    def _require(self, content: _Content, name: str) -> ReaderRecord:
        record = content.find(name)
        if record is None:
            known = ", ".join(r.name for r in content.readers) or "nobody"
            message = f"{self.path}: no reader {name[:60]!r}; there is: {known}"
            raise NotFoundError(message)
        return record

    @contextlib.contextmanager
    def _changing(self) -> Iterator[_Content]:
        try:
            self.path.parent.mkdir(mode=0o700, exist_ok=True)
            lock = FileLock(f"{self.path}.lock", timeout=_LOCK_TIMEOUT_S, mode=_PRIVATE)
            with lock:
                yield self._read()
        except OSError as error:
            message = f"{self.path}: cannot be written ({error.strerror or error})"
            raise InputRefusedError(message) from error

    def _write(self, readers: tuple[ReaderRecord, ...], old: _Content) -> None:
        stored = {
            "format": _FORMAT,
            "next_generation": old.next_generation + 1,
            "readers": [{**asdict(r), "role": r.role.value} for r in readers],
        }
        content = json.dumps(stored, indent=2).encode() + b"\n"
        write_atomically(self.path, content, mode=_PRIVATE)

    def _read(self) -> _Content:
        with self._guard:
            try:
                seen = self._state(self.path.stat())
                if seen != self._seen:
                    self._content, self._seen = self._load()
            except FileNotFoundError:
                self._content, self._seen = _Content(), ()
            except OSError as error:
                message = f"readers file {self.path}: cannot be read ({error.strerror or error})"
                raise InputRefusedError(message) from error
            return self._content

    def _load(self) -> tuple[_Content, tuple[int, ...]]:
        # Not blocking: a named pipe in the file's place must not hold up the server.
        descriptor = os.open(self.path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                self._refuse("it is no file")
            if os.name == "posix" and status.st_mode & _WRITABLE_BY_OTHERS:
                self._refuse(f"others may change it; chmod 600 {self.path}")
            content = file.read(_LARGEST_FILE + 1)
        if len(content) > _LARGEST_FILE:
            self._refuse(f"it is larger than {_LARGEST_FILE} bytes")
        return self._parsed(content), self._state(status)

    @staticmethod
    def _state(status: os.stat_result) -> tuple[int, ...]:
        return (status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size)

    def _parsed(self, content: bytes) -> _Content:
        try:
            stored = json.loads(content)
        except (ValueError, RecursionError) as error:
            self._refuse(f"it is not JSON ({error})")
        if not isinstance(stored, dict) or stored.get("format") != _FORMAT:
            self._refuse(f"it is not of format {_FORMAT}")
        if set(stored) != {"format", "next_generation", "readers"}:
            self._refuse("it has other fields than format, next_generation and readers")
        following, rows = stored["next_generation"], stored["readers"]
        if type(following) is not int or not isinstance(rows, list):
            self._refuse("next_generation must be a number, and readers a list")
        readers = tuple(self._record(row, following) for row in rows)
        if len({r.name.casefold() for r in readers}) != len(readers):
            self._refuse("two readers have the same name")
        return _Content(readers, following)

    def _record(self, row: object, following: int) -> ReaderRecord:
        if not isinstance(row, dict) or set(row) != set(ReaderRecord.__dataclass_fields__):
            self._refuse("a reader has name, role, password_hash and generation, and no more")
        name, hashed, generation = row["name"], row["password_hash"], row["generation"]
        try:
            checked_reader_name(name if isinstance(name, str) else "")
            role = Role(row["role"])
        except (UsageError, ValueError) as error:
            self._refuse(str(error))
        if hashed is not None and not (isinstance(hashed, str) and _HASH.fullmatch(hashed)):
            self._refuse(f"{name}: the password's hash is none of bcrypt's")
        if type(generation) is not int or not 0 < generation < following:
            self._refuse(f"{name}: generation {str(generation)[:20]} is not below {following}")
        return ReaderRecord(name, role, hashed, generation)

    def _refuse(self, why: str) -> NoReturn:
        message = (
            f"readers file {self.path}: {why}. Nobody can log in until it is put right; "
            "'parotid readers' writes it"
        )
        raise InputRefusedError(message)


def _hashed(password: str) -> str:
    content = _normalised(password)
    if len(password) < SHORTEST_PASSWORD:
        message = f"the password is shorter than {SHORTEST_PASSWORD} characters; take a longer one"
        raise UsageError(message)
    if len(content) > LONGEST_PASSWORD:
        message = f"the password is longer than {LONGEST_PASSWORD} bytes; take a shorter one"
        raise UsageError(message)
    if any(unicodedata.category(character) == "Cc" for character in password):
        message = "the password has control characters, which not every client can send"
        raise UsageError(message)
    return bcrypt.hashpw(content, bcrypt.gensalt(_COST)).decode()


def _normalised(password: str) -> bytes:
    """One spelling, as keyboards differ in how they send a letter with an accent."""
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
