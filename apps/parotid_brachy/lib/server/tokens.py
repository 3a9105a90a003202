"""Tokens that this server issues to readers who have logged in: signed, short-lived, revocable."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final

import jwt

from parotid_brachy.lib.errors import NotAuthenticatedError, StoreError
from parotid_brachy.lib.review.readers import ReaderRecord, ReadersFile

ISSUER: Final = "parotid-brachy"
AUDIENCE: Final = "parotid-brachy"
ALGORITHM: Final = "HS256"
_KEY_BYTES: Final = 32
_CLAIMS: Final = ("iss", "aud", "exp", "iat", "sub", "generation")
_OPEN_TO_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class Tokens:
    """Issues and checks the tokens of a readers file.

    Args:
        readers: whose tokens; role and generation are looked up at each check.
        key_file: made if missing, with a random key that only this user may read.
        lifetime: of a token.

    Raises:
        StoreError: the key's file is damaged, open to others, or cannot be made.
    """

    def __init__(self, readers: ReadersFile, *, key_file: Path, lifetime: timedelta) -> None:
        self._readers = readers
        self._lifetime = lifetime
        self._key = _key_in(key_file)

    def issue(self, record: ReaderRecord) -> str:
        """A token for a reader, until the lifetime is over or the reader is changed."""
        now = datetime.now(timezone.utc)
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "iat": now,
            "exp": now + self._lifetime,
            "sub": record.name,
            "generation": record.generation,
        }
        return jwt.encode(claims, self._key, algorithm=ALGORITHM)

    def reader_of(self, token: str) -> ReaderRecord:
        """The reader whose token it is, as the readers file has him or her now.

        Raises:
            NotAuthenticatedError: not ours, expired, or issued before the reader was changed.
            InputRefusedError: the readers file is damaged.
        """
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._key,
                algorithms=[ALGORITHM],
                issuer=ISSUER,
                audience=AUDIENCE,
                options={"require": list(_CLAIMS)},
            )
        except jwt.ExpiredSignatureError as error:
            message = "the login has expired: log in again"
            raise NotAuthenticatedError(message) from error
        except jwt.PyJWTError as error:
            message = "the token is not valid here: log in again"
            raise NotAuthenticatedError(message) from error
        record = self._readers.find(str(claims["sub"]))
        if record is None or record.generation != claims["generation"]:
            message = "password, role or name have changed since the login: log in again"
            raise NotAuthenticatedError(message)
        return record


def _key_in(path: Path) -> bytes:
    try:
        if not path.exists():
            _make_key(path)
        return _read_key(path)
    except OSError as error:
        message = f"{path}: the tokens' key cannot be read or made ({error.strerror or error})"
        raise StoreError(message) from error


def _make_key(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        # A link fails where another server was first, whose key both then use.
        with contextlib.suppress(FileExistsError):
            try:
                os.link(partial, path)
            except (PermissionError, NotImplementedError):  # a file system without links
                partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _read_key(path: Path) -> bytes:
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        if os.name == "posix" and status.st_mode & _OPEN_TO_OTHERS:
            message = f"{path}: others may read the tokens' key; delete it, a new one is made"
            raise StoreError(message)
        key = file.read(_KEY_BYTES + 1)
    if len(key) != _KEY_BYTES:
        message = f"{path}: the tokens' key is damaged; delete it, a new one is made"
        raise StoreError(message)
    return key
