"""The database of the version store: SQLite in the studies folder, or PostgreSQL by its address.

Reading sees one moment. Writing is one transaction at a time, over all processes: SQLite allows
no more, and the journal is one chain.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, exc, select
from sqlalchemy.engine import URL, make_url

from parotid_brachy.lib.errors import StoreError, UsageError
from parotid_brachy.lib.review.database_errors import database_errors, is_busy
from parotid_brachy.lib.review.schema import journal_head

Result = TypeVar("Result")

_WAIT_S: Final = 30.0
"""How long a writer waits for the ones before it."""
_POSTGRES: Final = "postgresql+psycopg"


def postgres_url(text: str) -> URL:
    """The address of a PostgreSQL database.

    Raises:
        UsageError: no address, or of another kind of database.
    """
    try:
        url = make_url(text)
    except exc.ArgumentError as error:
        message = "the database's address cannot be read; write postgresql://user@host/database"
        raise UsageError(message) from error
    if url.drivername not in ("postgres", "postgresql", _POSTGRES):
        message = (
            f"databases of kind {url.drivername!r} are not supported: give "
            "postgresql://user@host/database, or none for SQLite in the studies folder"
        )
        raise UsageError(message)
    return url.set(drivername=_POSTGRES)


def sqlite_url(path: Path) -> URL:
    """The address of an SQLite file."""
    return URL.create("sqlite", database=str(path))


class Database:
    """Connections and transactions; safe for threads.

    Args:
        url: of :func:`postgres_url` or :func:`sqlite_url`.

    Raises:
        StoreError: it cannot be reached or is damaged.
    """

    def __init__(self, url: URL) -> None:
        self.name = url.render_as_string(hide_password=True)
        self.is_sqlite = url.get_backend_name() == "sqlite"
        # A thread that writes holds a connection while it waits; taking turns before that keeps
        # connections for those who read.
        self._turn = threading.Lock()
        self._engine = _engine(url, is_sqlite=self.is_sqlite)
        options: dict[str, Any] = (
            {}
            if self.is_sqlite
            else {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        )
        self._reading = self._engine.execution_options(**options)
        self._writing = self._engine.execution_options(is_writing=True)
        if self.is_sqlite:
            self._use_write_ahead_log()

    def close(self) -> None:
        """Closes all connections."""
        self._engine.dispose()

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees the database as it is at its first look.

        Raises:
            StoreError, UsageError: see :func:`database_errors`.
        """
        with database_errors(), self._reading.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self, *, is_empty: bool = False) -> Iterator[Connection]:
        """The only writing transaction of all; commits at the end, rolls back on any exception.

        Never one within another: the inner one would wait for the outer one to end.

        Args:
            is_empty: there is no schema yet.

        Raises:
            StoreFullError, StoreError, UsageError: see :func:`database_errors`; nothing was
                changed, unless the connection broke while committing.
        """
        if not self._turn.acquire(timeout=_WAIT_S):
            message = f"the version store is busy: no turn to write within {_WAIT_S:.0f} s"
            raise StoreError(message)
        try:
            with database_errors(), self._begun(is_empty=is_empty) as connection:
                yield connection
        finally:
            self._turn.release()

    def write(self, work: Callable[[Connection], Result]) -> Result:
        """Does work in one writing transaction."""
        with self.writing() as connection:
            return work(connection)

    @contextlib.contextmanager
    def _begun(self, *, is_empty: bool) -> Iterator[Connection]:
        with self._writing.connect() as connection:
            _until_free(lambda: self._begin(connection, is_empty=is_empty))
            try:
                yield connection
                connection.commit()
            except BaseException:
                connection.rollback()
                raise

    def _begin(self, connection: Connection, *, is_empty: bool) -> None:
        try:
            connection.begin()
            if not self.is_sqlite and not is_empty:
                connection.execute(select(journal_head.c.sequence).with_for_update())
        except BaseException:
            connection.rollback()
            raise

    def _use_write_ahead_log(self) -> None:
        def use() -> None:
            with contextlib.closing(self._engine.raw_connection()) as connection:
                connection.cursor().execute("PRAGMA journal_mode=WAL")

        # SQLite does not wait by itself here, where two processes make the file at once.
        with database_errors():
            try:
                _until_free(use)
            except sqlite3.Error as error:
                message = f"{self.name}: no SQLite database that can be opened ({error})"
                raise StoreError(message) from error


def _until_free(work: Callable[[], None]) -> None:
    """Does work that changes nothing unless it succeeds, until nobody is in the way."""
    until = time.monotonic() + _WAIT_S
    while True:
        try:
            return work()
        except exc.DBAPIError as error:
            if not is_busy(error) or time.monotonic() > until:
                raise
        except sqlite3.OperationalError as error:
            if "is locked" not in str(error) or time.monotonic() > until:
                raise
        time.sleep(0.01)


def _engine(url: URL, *, is_sqlite: bool) -> Engine:
    # Values of rows are patients' and readers'; they belong into no log.
    options: dict[str, Any]
    shared: dict[str, Any] = {"hide_parameters": True, "pool_size": 10, "max_overflow": 40}
    if is_sqlite:
        # SQLAlchemy starts the transactions; sqlite3 by itself would start them too late.
        options = {"timeout": _WAIT_S, "isolation_level": None, "check_same_thread": False}
        engine = create_engine(url, connect_args=options, **shared)
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    options = {"connect_timeout": 10, "options": f"-c lock_timeout={_WAIT_S:.0f}s"}
    try:
        engine = create_engine(url, connect_args=options, pool_pre_ping=True, **shared)
    except ImportError as error:
        message = "for PostgreSQL, psycopg is needed: pip install 'psycopg[binary]'"
        raise UsageError(message) from error
    event.listen(engine, "connect", _set_up_postgres)
    return engine


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    # FULL: a commit is on the disk when it returns, also in a write-ahead log.
    for pragma in ("synchronous=FULL", "foreign_keys=ON", "trusted_schema=OFF"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    is_writing = connection.get_execution_options().get("is_writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN")


def _set_up_postgres(connection: Any, _record: Any) -> None:
    with connection.cursor() as cursor:
        # Where commits do not wait for the disk, ours do.
        cursor.execute(
            "SELECT set_config('synchronous_commit', 'on', false) "
            "WHERE current_setting('synchronous_commit') = 'off'"
        )
    connection.commit()
