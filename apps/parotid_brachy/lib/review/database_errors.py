"""What a database's errors mean to us: full, busy, damaged, or a value it cannot hold."""

from __future__ import annotations

import contextlib
import errno
import sqlite3
from collections.abc import Iterator
from typing import Final

from sqlalchemy import exc

from parotid_brachy.lib.errors import (
    ParotidBrachyError,
    StoreError,
    StoreFullError,
    UsageError,
)

_UNWRITABLE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG})
# SQLite's primary result codes; Python 3.10 gives the messages only.
_SQLITE_BUSY: Final = frozenset({5, 6})
_SQLITE_BUSY_WORDS: Final = ("is locked",)
_SQLITE_FULL: Final = frozenset({8, 10, 13, 14})
_SQLITE_FULL_WORDS: Final = ("is full", "disk I/O error", "readonly database", "unable to open")
# PostgreSQL's SQLSTATE: serialisation failure, deadlock, lock not available.
_POSTGRES_BUSY: Final = frozenset({"40001", "40P01", "55P03"})
_POSTGRES_FULL: Final = frozenset({"53100", "25006"})


@contextlib.contextmanager
def database_errors() -> Iterator[None]:
    """Raises this project's errors for the database's.

    Raises:
        StoreFullError: the disk is full, or cannot be written.
        UsageError: the database cannot hold or compare a value that it was given.
        StoreError: anything else; the message has no values of rows in it.
    """
    try:
        yield
    except (exc.DataError, UnicodeEncodeError, OverflowError) as error:
        message = "a name, text or number that the database cannot hold; use plain text"
        raise UsageError(message) from error
    except exc.SQLAlchemyError as error:
        raise _meaning(error) from error


def _meaning(error: exc.SQLAlchemyError) -> ParotidBrachyError:
    cause = error.orig if isinstance(error, exc.DBAPIError) else error
    told = str(cause).strip().splitlines()
    reason = told[0] if told else type(cause).__name__
    if is_full(error):
        return StoreFullError(
            f"nothing was kept: the version store cannot be written ({reason}). Make room on its "
            "disk, then try again."
        )
    if is_busy(error):
        return StoreError(f"the version store is busy ({reason}). Try again.")
    return StoreError(f"the version store's database has failed: {reason}")


def is_busy(error: exc.SQLAlchemyError) -> bool:
    """Whether somebody else was in the way, and nothing was done."""
    return _is(error, _SQLITE_BUSY, _SQLITE_BUSY_WORDS, _POSTGRES_BUSY)


def is_full(error: exc.SQLAlchemyError) -> bool:
    """Whether the database could not write."""
    return _is(error, _SQLITE_FULL, _SQLITE_FULL_WORDS, _POSTGRES_FULL)


def _is(
    error: exc.SQLAlchemyError,
    codes: frozenset[int],
    words: tuple[str, ...],
    states: frozenset[str],
) -> bool:
    cause = error.orig if isinstance(error, exc.DBAPIError) else None
    if isinstance(cause, sqlite3.Error):
        code = getattr(cause, "sqlite_errorcode", None)
        if code is not None:
            return code & 0xFF in codes
        return any(word in str(cause) for word in words)
    return getattr(cause, "sqlstate", None) in states


@contextlib.contextmanager
def disk_errors(what: str) -> Iterator[None]:
    """Raises this project's errors for the disk's.

    Args:
        what: was to be written.

    Raises:
        StoreFullError: the disk is full, or cannot be written.
        StoreError: anything else, such as a folder that is gone.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        if error.errno in _UNWRITABLE:
            message = (
                f"nothing was kept: {what} cannot be written ({reason}). Make room on the disk of "
                "the studies folder, then try again."
            )
            raise StoreFullError(message) from error
        message = f"nothing was kept: {what} cannot be written ({reason})"
        raise StoreError(message) from error
