"""Where grades are kept: rows that are added and never changed, in SQLite.

SQLite, not lines of a file: a grade is refused once the study is closed, and both are one
transaction; half a line after a loss of power cannot happen.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

from parotid_brachy.lib.errors import ConflictError, StoreError, StoreFullError, UsageError
from parotid_brachy.lib.evaluation.grading.grades import Grade, KeptGrade
from parotid_brachy.lib.evaluation.grading.study import GRADES_FILE, Study

_WAIT_S: Final = 30.0
_SCHEMA: Final = """
CREATE TABLE grades (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    grader TEXT NOT NULL, item TEXT NOT NULL, structure TEXT NOT NULL,
    grade INTEGER CHECK (grade BETWEEN 0 AND 3),
    reason TEXT NOT NULL, comment TEXT NOT NULL, at TEXT NOT NULL
);
CREATE TABLE closing (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    by TEXT NOT NULL, at TEXT NOT NULL, is_incomplete INTEGER NOT NULL
);
CREATE TRIGGER grades_stay BEFORE UPDATE ON grades BEGIN SELECT RAISE(ABORT, 'rows stay'); END;
CREATE TRIGGER grades_last BEFORE DELETE ON grades BEGIN SELECT RAISE(ABORT, 'rows stay'); END;
CREATE TRIGGER closing_stays BEFORE UPDATE ON closing BEGIN SELECT RAISE(ABORT, 'rows stay'); END;
CREATE TRIGGER closing_lasts BEFORE DELETE ON closing BEGIN SELECT RAISE(ABORT, 'rows stay'); END;
CREATE TRIGGER closed BEFORE INSERT ON grades WHEN EXISTS (SELECT 1 FROM closing)
    BEGIN SELECT RAISE(ABORT, 'the study is closed'); END;
"""


@dataclass(frozen=True)
class Closing:
    """When a study was closed.

    Attributes:
        by: who closed it.
        at: when, ISO 8601, UTC.
        is_incomplete: grades were missing.
    """

    by: str
    at: str
    is_incomplete: bool


def make_ledger(folder: Path) -> None:
    """Makes the file for a new study.

    Raises:
        StoreFullError, StoreError: it cannot be made, or is there already.
    """
    path = folder / GRADES_FILE
    with _connected(path, mode="rwc") as connection:
        connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")


class Ledger:
    """The grades of a study; safe for threads and processes.

    Args:
        study: whose.
    """

    def __init__(self, study: Study) -> None:
        self._study = study
        self._path = study.folder / GRADES_FILE

    def add(self, grader: str, grades: Sequence[Grade]) -> int:
        """Keeps grades, all or none; of an item's structure the newest counts.

        What stands so already is not kept again, so that saving twice is no change.

        Returns:
            How many were kept.

        Raises:
            UsageError: nobody of that name grades here, a structure is not graded here, or is
                graded twice in one call.
            NotFoundError: an item is not of this study.
            ConflictError: the study is closed.
            StoreFullError, StoreError: nothing could be kept.
        """
        self._study.order_of(grader)
        for grade in grades:
            self._study.item(grade.item)
            self._study.structure(grade.structure)
        if len({(grade.item, grade.structure) for grade in grades}) < len(grades):
            message = "a structure is graded twice in one call"
            raise UsageError(message)
        with self._writing() as connection:
            closing = _closing(connection)
            if closing is not None:
                message = (
                    f"the study was closed by {closing.by} at {closing.at}; "
                    "no further grade is taken"
                )
                raise ConflictError(message)
            current = _current(_history(connection, grader))
            given = {key: kept.grade for key, kept in current.items()}
            new = [g for g in grades if given.get((g.item, g.structure)) != g]
            at = _now()
            connection.executemany(
                "INSERT INTO grades (grader, item, structure, grade, reason, comment, at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(grader, g.item, g.structure, g.grade, g.reason, g.comment, at) for g in new],
            )
        return len(new)

    def history(self) -> list[KeptGrade]:
        """Every grade that was ever given, the oldest first.

        Raises:
            StoreError: the file is missing or damaged.
        """
        with _connected(self._path) as connection:
            return _history(connection)

    def current(self, grader: str) -> dict[tuple[str, str], KeptGrade]:
        """A grader's grades that count, by item and structure.

        Raises:
            UsageError: nobody of that name grades here.
            StoreError: the file is missing or damaged.
        """
        self._study.order_of(grader)
        with _connected(self._path) as connection:
            return _current(_history(connection, grader))

    def closing(self) -> Closing | None:
        """When the study was closed; None while it is open."""
        with _connected(self._path) as connection:
            return _closing(connection)

    def close(self, by: str, *, incomplete: bool) -> Closing:
        """Closes the study for good.

        Args:
            by: who closes it.
            incomplete: whether it may be closed although grades are missing.

        Raises:
            ConflictError: grades are missing, or it is closed already.
            StoreFullError, StoreError: it could not be kept.
        """
        with self._writing() as connection:
            closing = _closing(connection)
            if closing is not None:
                message = f"the study was closed by {closing.by} at {closing.at} already"
                raise ConflictError(message)
            wanted = len(self._study.items) * len(self._study.structures)
            missing = {
                grader: wanted - len(_current(_history(connection, grader)))
                for grader in self._study.graders
            }
            told = ", ".join(f"{grader}: {count}" for grader, count in missing.items() if count)
            if told and not incomplete:
                message = f"grades are missing ({told}). Have them given, or close as incomplete"
                raise ConflictError(message)
            closing = Closing(by, _now(), bool(told))
            connection.execute(
                "INSERT INTO closing VALUES (1, ?, ?, ?)",
                (closing.by, closing.at, closing.is_incomplete),
            )
            return closing

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with _connected(self._path) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise


@contextlib.contextmanager
def _connected(path: Path, *, mode: str = "rw") -> Iterator[sqlite3.Connection]:
    name = f"{path.parent.name}/{path.name}"
    try:
        address = f"{path.resolve().as_uri()}?mode={mode}"
        connection = sqlite3.connect(address, uri=True, timeout=_WAIT_S, isolation_level=None)
        with contextlib.closing(connection):
            connection.execute("PRAGMA synchronous=FULL")
            yield connection
    except sqlite3.OperationalError as error:
        if any(word in str(error) for word in ("full", "readonly", "I/O")):
            message = f"{name}: nothing was kept ({error}). Make room, then try again"
            raise StoreFullError(message) from error
        message = f"{name}: cannot be used ({error})"
        raise StoreError(message) from error
    except sqlite3.Error as error:
        message = f"{name}: damaged ({error}). Restore it"
        raise StoreError(message) from error


def _history(connection: sqlite3.Connection, grader: str | None = None) -> list[KeptGrade]:
    rows = connection.execute(
        "SELECT number, grader, at, item, structure, grade, reason, comment FROM grades "
        "WHERE ?1 IS NULL OR grader = ?1 ORDER BY number",
        (grader,),
    )
    return [
        KeptGrade(
            number=number,
            grader=name,
            at=at,
            grade=Grade(
                item=item, structure=structure, grade=grade, reason=reason, comment=comment
            ),
        )
        for number, name, at, item, structure, grade, reason, comment in rows
    ]


def _current(history: Sequence[KeptGrade]) -> dict[tuple[str, str], KeptGrade]:
    return {(kept.grade.item, kept.grade.structure): kept for kept in history}


def _closing(connection: sqlite3.Connection) -> Closing | None:
    row = connection.execute("SELECT by, at, is_incomplete FROM closing").fetchone()
    return None if row is None else Closing(row[0], row[1], bool(row[2]))


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
