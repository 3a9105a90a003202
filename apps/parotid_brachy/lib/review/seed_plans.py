"""The seed plans that readers have given cases; each is kept for ever, the newest counts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, func, insert, select

from parotid_brachy.lib.errors import NotFoundError
from parotid_brachy.lib.review import journal, rows
from parotid_brachy.lib.review.objects import object_name
from parotid_brachy.lib.review.records import StoredFile
from parotid_brachy.lib.review.schema import journal as journal_rows
from parotid_brachy.lib.review.schema import objects, seed_plans

ACTION: Final = "set_seed_plan"
"""What the journal calls it."""

_ROWS: Final = select(seed_plans, objects.c.sha256, objects.c.size_bytes, objects.c.ending).join(
    objects, objects.c.name == seed_plans.c.file
)


@dataclass(frozen=True)
class NewSeedPlan:
    """A plan that is to be kept.

    Attributes:
        file: the table of its seeds, kept by :meth:`.writing.Writing.put`.
        received_as: what came: ``.csv`` or ``.dcm``.
        received_sha256: of what came.
        model: of the seeds, such as ``6711``.
        seeds: how many.
    """

    file: StoredFile
    received_as: str
    received_sha256: str
    model: str
    seeds: int


@dataclass(frozen=True)
class KeptSeedPlan:
    """A plan that is kept.

    Attributes:
        case: the case's id.
        number: 1, 2, ... within the case.
        author: who gave it.
        created: when, in UTC.
        plan: what it is.
    """

    case: str
    number: int
    author: str
    created: datetime
    plan: NewSeedPlan


def of_case(connection: Connection, case: str) -> list[KeptSeedPlan]:
    """A case's plans by number; the last one counts.

    Raises:
        NotFoundError: no such case.
    """
    rows.case_row(connection, case)
    query = _ROWS.where(seed_plans.c.case_id == case).order_by(seed_plans.c.number)
    return [_kept(row) for row in connection.execute(query)]


def numbered(connection: Connection, case: str, number: int) -> KeptSeedPlan:
    """One plan.

    Raises:
        NotFoundError: no such case, or no such plan.
    """
    for one in of_case(connection, case):
        if one.number == number:
            return one
    message = f"{case}: there is no seed plan {number}"
    raise NotFoundError(message)


def add(
    connection: Connection, case: str, plan: NewSeedPlan, *, author: str, now: datetime
) -> KeptSeedPlan:
    """Adds a plan with the case's next number, with its entry in the journal."""
    newest = select(func.max(seed_plans.c.number)).where(seed_plans.c.case_id == case)
    number = (connection.execute(newest).scalar() or 0) + 1
    connection.execute(
        insert(seed_plans).values(
            case_id=case,
            number=number,
            author=author,
            created=now,
            file=object_name(plan.file),
            received_as=plan.received_as,
            received_sha256=plan.received_sha256,
            model=plan.model,
            seeds=plan.seeds,
        )
    )
    kept = KeptSeedPlan(case, number, author, now, plan)
    journal.append(
        connection, at=now, actor=author, action=ACTION, case=case, details=_details(kept)
    )
    return kept


def faults(connection: Connection) -> Iterator[str]:
    """Plans that are not what the journal tells of, in words."""
    columns = (journal_rows.c.case_id, journal_rows.c.actor, journal_rows.c.details)
    entries = connection.execute(select(*columns).where(journal_rows.c.action == ACTION))
    told = {(case, *_number_of(details)): (actor, details) for case, actor, details in entries}
    for row in connection.execute(_ROWS.order_by(seed_plans.c.case_id, seed_plans.c.number)):
        one = _kept(row)
        actor, details = told.pop((one.case, one.number), (None, "{}"))
        if actor != one.author or _read(details) != _details(one):
            yield f"{one.case}: seed plan {one.number} is not the one that the journal tells of"
    for case, *number in told:
        yield f"{case}: seed plan {number[0] if number else '?'} is missing"


def _details(one: KeptSeedPlan) -> dict[str, Any]:
    return {
        "seed_plan": one.number,
        "sha256": one.plan.file.sha256,
        "received_as": one.plan.received_as,
        "received_sha256": one.plan.received_sha256,
        "model": one.plan.model,
        "seeds": one.plan.seeds,
    }


def _read(details: str) -> Any:
    try:
        return json.loads(details)
    except (ValueError, RecursionError):
        return None


def _number_of(details: str) -> tuple[int, ...]:
    """The number that an entry names; empty, where it was damaged."""
    read = _read(details)
    number = read.get("seed_plan") if isinstance(read, dict) else None
    return (number,) if isinstance(number, int) else ()


def _kept(row: Any) -> KeptSeedPlan:
    return KeptSeedPlan(
        case=row.case_id,
        number=row.number,
        author=row.author,
        created=row.created,
        plan=NewSeedPlan(
            file=StoredFile(row.sha256, row.size_bytes, row.ending),
            received_as=row.received_as,
            received_sha256=row.received_sha256,
            model=row.model,
            seeds=row.seeds,
        ),
    )
