"""One change of the version store: rows that become visible together, or not at all."""

from __future__ import annotations

import enum
import random
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, func, insert, select, update

from parotid_brachy.lib.errors import NotFoundError, StoreError
from parotid_brachy.lib.review import handovers, journal, rows, seed_plans
from parotid_brachy.lib.review.canonical_json import json_object
from parotid_brachy.lib.review.objects import object_name
from parotid_brachy.lib.review.records import (
    Case,
    JournalEntry,
    Kind,
    Note,
    StoredFile,
    Version,
)
from parotid_brachy.lib.review.roles import Reader
from parotid_brachy.lib.review.schema import RANDOM_KEYS, cases, notes, objects, tags, versions
from parotid_brachy.lib.review.seed_plans import KeptSeedPlan, NewSeedPlan
from parotid_brachy.lib.review.states import CaseFacts, CaseState
from parotid_brachy.lib.review.tag_names import following_correction, require_tag


class Unchanged(enum.Enum):
    """Stands for a value that is left as it is, where None says that there is none."""

    UNCHANGED = enum.auto()


UNCHANGED: Final = Unchanged.UNCHANGED


class Change:
    """The rows of one transaction; made by :meth:`.writing.Writing.change`.

    Args:
        connection: the writing transaction.
        actor: who makes the change.
        is_durable: whether a file was kept before.
        now: in UTC; for the whole change.
    """

    def __init__(
        self,
        connection: Connection,
        actor: Reader,
        *,
        is_durable: Callable[[StoredFile], bool],
        now: datetime,
    ) -> None:
        self.moved: list[tuple[str, str]] = []
        """Case and tag of each pointer that was moved."""
        self.claimed: set[StoredFile] = set()
        """The files that a row names."""
        self._connection = connection
        self._actor = actor
        self._is_durable = is_durable
        self._now = now

    def facts(self, case: str) -> CaseFacts:
        """What :func:`.states.decide` has to know; it stays true until the change is over.

        Raises:
            NotFoundError: no such case.
        """
        return self.case(case).facts

    def case(self, case: str) -> Case:
        """A case, as this change has left it.

        Raises:
            NotFoundError: no such case.
        """
        return rows.case_of(rows.case_row(self._connection, case, is_held=True))

    def tagged(self, case: str, tag: str) -> Version | None:
        """The version that a tag points at."""
        return rows.tagged_version(self._connection, case, tag)

    def newest_note(self, version: Version) -> Note | None:
        """The newest note on a version."""
        return rows.newest_note(self._connection, version.case, version.number)

    def current_notes(self, case: str) -> dict[str, Note]:
        """The newest note of each version that a tag points at, by tag."""
        return rows.current_notes(self._connection, case).get(case, {})

    def last_served(self, case: str, tag: str, reader: str) -> int | None:
        """Number of the version that a reader saw last under a tag."""
        return rows.last_served(self._connection, case, tag, reader)

    def add_version(  # noqa: PLR0913 - a version is made of so much
        self,
        case: str,
        *,
        tag: str,
        kind: Kind,
        author: str,
        file: StoredFile,
        received: StoredFile | None,
        volumes_ml: Mapping[str, float],
        parent: int | None = None,
        info: Mapping[str, Any] | None = None,
        created: datetime | None = None,
    ) -> Version:
        """Adds a version with the case's next number, and points its tag at it.

        Args:
            case: its id.
            tag: under which clients will find it.
            kind: draft, initial contours or correction.
            author: who made it.
            file: the label map, kept by :meth:`.writing.Writing.put`.
            received: what the client sent, kept likewise.
            volumes_ml: of each contoured structure.
            parent: number of the version that it was made from.
            info: JSON values.
            created: for what is brought in from elsewhere; else now.

        Raises:
            NotFoundError: no such case.
            UsageError: no such tag can be, or the information is no JSON.
            StoreError: a file was not kept before.
        """
        rows.case_row(self._connection, case, is_held=True)
        require_tag(case, tag)
        for kept in (file, received):
            if kept is not None:
                self._know(kept)
        newest = select(func.max(versions.c.number)).where(versions.c.case_id == case)
        version = Version(
            case=case,
            number=(self._connection.execute(newest).scalar() or 0) + 1,
            tag=tag,
            kind=kind,
            author=author,
            created=created or self._now,
            file=file,
            received=received,
            volumes_ml={name: float(volume) for name, volume in volumes_ml.items()},
            parent=parent,
            info=json_object(info or {}, what=f"{case}: what was said of it"),
        )
        self._connection.execute(insert(versions).values(**rows.version_values(version)))
        self._point(case, tag, version.number)
        self._update_case(case)
        if kind is Kind.INITIAL:
            handovers.open_draft_to_initial(self._connection, version, self._now)
        return version

    def next_correction_tag(self, case: str) -> str:
        """``version_1``, or one above the highest that the case has ever had."""
        used = self._connection.execute(select(tags.c.tag).where(tags.c.case_id == case))
        return following_correction(used.scalars())

    def withdraw(self, case: str, tag: str) -> Version:
        """Takes the version under a tag out of sight: the tag points at nothing from now on.

        Raises:
            NotFoundError: no such case, or nothing under the tag.
        """
        rows.case_row(self._connection, case, is_held=True)
        version = self.tagged(case, tag)
        if version is None:
            message = f"{case}: there is no label map under {tag[:70]!r}"
            raise NotFoundError(message)
        self._connection.execute(
            update(versions)
            .where(versions.c.case_id == case, versions.c.number == version.number)
            .values(is_withdrawn=True)
        )
        self._point(case, tag, None)
        self._update_case(case)
        return rows.version(self._connection, case, version.number)

    def set_state(
        self,
        case: str,
        state: CaseState,
        *,
        initial_author: str | Unchanged | None = UNCHANGED,
        reviewer: str | Unchanged | None = UNCHANGED,
        approved_version: int | None = None,
        approved_at: datetime | None = None,
        approved_by: str | None = None,
    ) -> None:
        """Puts a case into a state; leaving the approved state ends the approval.

        Args:
            case: its id.
            state: the new state.
            initial_author: who made the initial contours that clients see.
            reviewer: the senior who did something with it last.
            approved_version: number of the version that the actor approves now; None keeps the
                approval that there is.
            approved_at: for what is brought in from elsewhere; else now.
            approved_by: likewise; else the actor.

        Raises:
            NotFoundError: no such case, or no such version.
            StoreError: approved, but nothing says which version.
        """
        before = rows.case_row(self._connection, case, is_held=True)
        values: dict[str, Any] = {"state": state.value}
        if initial_author is not UNCHANGED:
            values["initial_author"] = initial_author
        if reviewer is not UNCHANGED:
            values["reviewer"] = reviewer
        if state is not CaseState.APPROVED:
            values |= {"approved_by": None, "approved_at": None, "approved_version": None}
        elif approved_version is not None:
            approved = rows.version(self._connection, case, approved_version)
            values["approved_by"] = approved_by or self._actor.name
            values["approved_at"] = approved_at or self._now
            values["approved_version"] = approved_version
            handovers.open_initial_to_approved(self._connection, approved, self._now)
        elif before.approved_version is None:
            message = f"{case}: approved, but no version is named"
            raise StoreError(message)
        if state.value != before.state:
            values["random_key"] = random.randrange(RANDOM_KEYS)  # noqa: S311
        self._update_case(case, **values)

    def set_consensus(self, case: str, is_consensus: bool) -> None:
        """Puts a case into the consensus set or takes it out.

        Raises:
            NotFoundError: no such case.
        """
        rows.case_row(self._connection, case, is_held=True)
        self._update_case(case, is_consensus=is_consensus)

    def add_note(self, note: Note) -> None:
        """Adds a note to a version.

        Raises:
            NotFoundError: no such case, or no such version.
        """
        rows.case_row(self._connection, note.case, is_held=True)
        rows.version(self._connection, note.case, note.version)
        newest = select(func.max(notes.c.number)).where(notes.c.case_id == note.case)
        number = (self._connection.execute(newest).scalar() or 0) + 1
        self._connection.execute(insert(notes).values(number=number, **rows.note_values(note)))
        self._update_case(note.case)

    def add_seed_plan(self, case: str, plan: NewSeedPlan) -> KeptSeedPlan:
        """Gives a case a seed plan, and journals it; those before stay.

        Raises:
            NotFoundError: no such case.
            StoreError: the file was not kept before.
        """
        rows.case_row(self._connection, case, is_held=True)
        self._know(plan.file)
        return seed_plans.add(self._connection, case, plan, author=self._actor.name, now=self._now)

    def record(self, action: str, case: str | None, details: Mapping[str, Any]) -> JournalEntry:
        """Adds an entry by the actor to the journal.

        Raises:
            UsageError: the details are no JSON values.
        """
        return journal.append(
            self._connection,
            at=self._now,
            actor=self._actor.name,
            action=action,
            case=case,
            details=details,
        )

    def _know(self, file: StoredFile) -> None:
        name = object_name(file)
        self.claimed.add(file)
        known = select(objects.c.name).where(objects.c.name == name)
        if self._connection.execute(known).scalar() is not None:
            return
        if not self._is_durable(file):
            message = f"{name}: no row without a durable file; put it first"
            raise StoreError(message)
        self._connection.execute(
            insert(objects).values(
                name=name,
                sha256=file.sha256,
                ending=file.ending,
                size_bytes=file.size_bytes,
                created=self._now,
            )
        )

    def _point(self, case: str, tag: str, number: int | None) -> None:
        here = (tags.c.case_id == case) & (tags.c.tag == tag)
        moved = self._connection.execute(update(tags).where(here).values(number=number))
        if moved.rowcount == 0:
            self._connection.execute(insert(tags).values(case_id=case, tag=tag, number=number))
        self.moved.append((case, tag))

    def _update_case(self, case: str, **values: Any) -> None:
        changed = update(cases).where(cases.c.id == case).values(changed=self._now, **values)
        self._connection.execute(changed)
