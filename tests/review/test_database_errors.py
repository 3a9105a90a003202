import errno
import sqlite3

import pytest
from sqlalchemy import exc

from parotid_brachy.lib.errors import StoreError, StoreFullError, UsageError
from parotid_brachy.lib.review.database_errors import database_errors, disk_errors, is_busy


def _raised(cause, kind=exc.OperationalError):
    return kind("SELECT secret", {"name": "secret"}, cause, hide_parameters=True)


class _FromPostgresError(Exception):
    def __init__(self, sqlstate):
        super().__init__("the server's words\nDETAIL: secret")
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("cause", "meaning"),
    [
        (sqlite3.OperationalError("database or disk is full"), StoreFullError),
        (sqlite3.OperationalError("disk I/O error"), StoreFullError),
        (sqlite3.OperationalError("attempt to write a readonly database"), StoreFullError),
        (sqlite3.OperationalError("unable to open database file"), StoreFullError),
        (sqlite3.OperationalError("database is locked"), StoreError),
        (sqlite3.DatabaseError("database disk image is malformed"), StoreError),
        (_FromPostgresError("53100"), StoreFullError),
        (_FromPostgresError("25006"), StoreFullError),
        (_FromPostgresError("40P01"), StoreError),
        (_FromPostgresError("57P01"), StoreError),
    ],
)
def test_the_databases_words_get_their_meaning(cause, meaning):
    with pytest.raises(meaning) as caught, database_errors():
        raise _raised(cause)
    assert "secret" not in str(caught.value)


def test_who_waits_for_others_is_busy_and_nobody_else():
    assert is_busy(_raised(sqlite3.OperationalError("database is locked")))
    assert is_busy(_raised(_FromPostgresError("55P03")))
    assert not is_busy(_raised(sqlite3.OperationalError("no such table: cases")))
    assert not is_busy(exc.TimeoutError("no connection"))


@pytest.mark.parametrize(
    "error",
    [
        _raised(Exception("NUL"), exc.DataError),
        UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"),
        OverflowError("int too large"),
    ],
)
def test_a_value_that_cannot_be_held_is_the_callers_fault(error):
    with pytest.raises(UsageError), database_errors():
        raise error


@pytest.mark.parametrize(
    ("reason", "meaning"),
    [
        (errno.ENOSPC, StoreFullError),
        (errno.EDQUOT, StoreFullError),
        (errno.EROFS, StoreFullError),
        (errno.EIO, StoreError),
    ],
)
def test_the_disks_words_get_their_meaning(reason, meaning):
    with pytest.raises(meaning, match="labels cannot be written"), disk_errors("labels"):
        raise OSError(reason, "words")
