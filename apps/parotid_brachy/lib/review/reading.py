"""Reading the version store; each question sees one moment, and durable rows only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from sqlalchemy import select

from parotid_brachy.lib.review import handovers, journal, queries, rows, seed_plans, splits
from parotid_brachy.lib.review.database import Database
from parotid_brachy.lib.review.objects import ObjectFolder
from parotid_brachy.lib.review.records import (
    Case,
    CaseFilter,
    CaseOverview,
    Counts,
    HandOver,
    JournalEntry,
    KeptAgreement,
    Note,
    Page,
    StoredFile,
    Version,
)
from parotid_brachy.lib.review.schema import notes, versions
from parotid_brachy.lib.review.seed_plans import KeptSeedPlan
from parotid_brachy.lib.review.splits import Placed
from parotid_brachy.lib.review.states import CaseFacts, CaseState

_PRESENT: Final = CaseFilter()


class StoreReading:
    """What can be asked of a store.

    Attributes:
        database: the rows.
        objects: the durable files.
    """

    def __init__(self, database: Database, objects: ObjectFolder) -> None:
        self.database = database
        self.objects = objects

    def cases(
        self, only: CaseFilter = _PRESENT, *, offset: int = 0, limit: int | None = None
    ) -> Page[Case]:
        """Cases by id."""
        with self.database.reading() as connection:
            return queries.page_of_cases(connection, only, offset=offset, limit=limit)

    def case(self, case: str) -> Case:
        """One case.

        Raises:
            NotFoundError: no such case.
        """
        with self.database.reading() as connection:
            return rows.case_of(rows.case_row(connection, case))

    def facts(self, case: str) -> CaseFacts:
        """What the state table has to know of a case, as it is now.

        Raises:
            NotFoundError: no such case.
        """
        with self.database.reading() as connection:
            return rows.case_of(rows.case_row(connection, case)).facts

    def counts(self) -> Counts:
        """How far the present cases are."""
        with self.database.reading() as connection:
            return queries.counts(connection)

    def overview(self, case: str | None = None) -> Iterator[CaseOverview]:
        """Cases by id with what clients see of them: all present ones, or one."""
        with self.database.reading() as connection:
            found = list(queries.overviews(connection, case))
        yield from found

    def versions(self, case: str) -> list[Version]:
        """A case's versions by number, withdrawn ones too.

        Raises:
            NotFoundError: no such case.
        """
        query = rows.VERSION_ROWS.where(versions.c.case_id == case).order_by(versions.c.number)
        with self.database.reading() as connection:
            rows.case_row(connection, case)
            return [rows.version_of(row) for row in connection.execute(query)]

    def version(self, case: str, number: int) -> Version:
        """One version, withdrawn or not.

        Raises:
            NotFoundError: no such case, or no such version.
        """
        with self.database.reading() as connection:
            return rows.version(connection, case, number)

    def tagged(self, case: str, tag: str) -> Version | None:
        """The version that a tag points at now."""
        with self.database.reading() as connection:
            return rows.tagged_version(connection, case, tag)

    def notes(self, case: str) -> list[Note]:
        """A case's notes, the oldest first.

        Raises:
            NotFoundError: no such case.
        """
        query = select(notes).where(notes.c.case_id == case).order_by(notes.c.number)
        with self.database.reading() as connection:
            rows.case_row(connection, case)
            return [rows.note_of(row) for row in connection.execute(query)]

    def path_of(self, file: StoredFile) -> Path:
        """Where a durable file is, after its content was compared with its hash.

        Raises:
            StoreError: it is missing or damaged.
        """
        return self.objects.path_of(file)

    def journal(
        self, *, case: str | None = None, after: int = 0, offset: int = 0, limit: int = 100
    ) -> list[JournalEntry]:
        """Entries of the journal, the oldest first.

        Args:
            case: of this case only.
            after: only those after this sequence.
            offset: leaves so many out first.
            limit: so many at most.
        """
        with self.database.reading() as connection:
            return journal.entries(connection, case=case, after=after, offset=offset, limit=limit)

    def journal_length(self, case: str | None = None) -> int:
        """How many entries the journal has, or has on a case."""
        with self.database.reading() as connection:
            return journal.length(connection, case=case)

    def random_case(
        self, states: Sequence[CaseState], *, is_consensus: bool | None = False
    ) -> str | None:
        """A present case in one of these states by chance; None: there is none."""
        with self.database.reading() as connection:
            return queries.random_case(connection, states, is_consensus=is_consensus)

    def last_served(self, case: str, tag: str, reader: str) -> int | None:
        """Number of the version that a reader saw last under a tag."""
        with self.database.reading() as connection:
            return rows.last_served(connection, case, tag, reader)

    def handovers_without_agreement(self, limit: int = 100) -> list[HandOver]:
        """Hand-overs whose agreement is still to be computed, the oldest first."""
        with self.database.reading() as connection:
            return handovers.without_agreement(connection, limit)

    def agreements(
        self, case: str | None = None, offset: int = 0, limit: int | None = None
    ) -> Page[KeptAgreement]:
        """What was computed for hand-overs, by case and version."""
        with self.database.reading() as connection:
            return handovers.with_agreement(connection, case, offset, limit)

    def placed(self) -> dict[str, Placed]:
        """Which cases take part in trainings, by case."""
        with self.database.reading() as connection:
            return splits.placed(connection)

    def seed_plans(self, case: str) -> list[KeptSeedPlan]:
        """The seed plans that readers have given a case, by number; the last one counts.

        Raises:
            NotFoundError: no such case.
        """
        with self.database.reading() as connection:
            return seed_plans.of_case(connection, case)

    def seed_plan(self, case: str, number: int) -> KeptSeedPlan:
        """One of them.

        Raises:
            NotFoundError: no such case, or no such plan.
        """
        with self.database.reading() as connection:
            return seed_plans.numbered(connection, case, number)

    def newest_entries(self, actions: Sequence[str], *, limit: int = 1) -> list[JournalEntry]:
        """The journal's newest entries on some actions, the newest first."""
        with self.database.reading() as connection:
            return journal.newest(connection, actions, limit=limit)
