"""Which part of the trainings each patient is in; written down once, never changed."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, insert, select

from parotid_brachy.lib.errors import ConflictError
from parotid_brachy.lib.review import journal, rows
from parotid_brachy.lib.review.canonical_json import canonical_json
from parotid_brachy.lib.review.schema import split_patients

ACTION: Final = "assign_patient"
"""What the journal calls it."""


class Part(enum.Enum):
    """What a patient's cases are for."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True)
class Placing:
    """A case that is to take part.

    Attributes:
        case: its id.
        patient: whose it is.
        part: the patient's part.
    """

    case: str
    patient: str
    part: Part


@dataclass(frozen=True)
class Placed:
    """A case that takes part.

    Attributes:
        case: its id.
        patient: whose it was taken for when it was written down.
        part: the patient's part.
        assigned: when, in UTC.
    """

    case: str
    patient: str
    part: Part
    assigned: datetime


def placed(connection: Connection) -> dict[str, Placed]:
    """What is written down, by case."""
    query = select(split_patients).order_by(split_patients.c.case_id)
    return {
        row.case_id: Placed(row.case_id, row.patient, Part(row.part), row.assigned)
        for row in connection.execute(query)
    }


def add(
    connection: Connection, placings: Iterable[Placing], actor: str, now: datetime
) -> list[Placed]:
    """Writes placings down, each with its entry in the journal.

    Raises:
        ConflictError: a case is written down already, or its patient in another part.
        NotFoundError: no such case.
    """
    known = placed(connection)
    parts = {one.patient: one.part for one in known.values()}
    added = []
    for placing in placings:
        rows.case_row(connection, placing.case)
        part = parts.setdefault(placing.patient, placing.part)
        if placing.case in known or part is not placing.part:
            message = (
                f"{placing.case}: patient {placing.patient!r} is in {part.value} for ever; "
                f"nobody is moved to {placing.part.value}"
            )
            raise ConflictError(message)
        one = Placed(placing.case, placing.patient, placing.part, now)
        values = {"patient": one.patient, "part": one.part.value}
        connection.execute(insert(split_patients).values(case_id=one.case, assigned=now, **values))
        journal.append(
            connection,
            at=now,
            actor=actor,
            action=ACTION,
            case=one.case,
            details=values,
        )
        known[one.case] = one
        added.append(one)
    return added


def details_of(one: Placed) -> str:
    """What the journal's entry on a case says of it, as it is kept there."""
    return canonical_json({"patient": one.patient, "part": one.part.value})
