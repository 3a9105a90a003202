"""Which images a folder of studies has: the store's cases follow it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, bindparam, insert, select, update

from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.review import journal
from parotid_brachy.lib.review.case_ids import is_case_id
from parotid_brachy.lib.review.schema import RANDOM_KEYS, cases
from parotid_brachy.lib.review.states import CaseState

SERVER: Final = "server"
"""Who did what nobody asked for."""


@dataclass(frozen=True)
class Difference:
    """How a folder differs from the store's cases, by case.

    Attributes:
        new: image file names of cases that the store does not know.
        back: of those that were absent, or whose file is called otherwise now.
        gone: cases whose image is not there.
    """

    new: Mapping[str, str]
    back: Mapping[str, str]
    gone: tuple[str, ...]

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.new or self.back or self.gone)


def require_case_ids(images: Mapping[str, str]) -> None:
    """Refuses what no case can be called.

    Raises:
        UsageError: names the first.
    """
    for case in images:
        if not is_case_id(case):
            message = f"{case[:60]!r}: no case can be called so; rename the image"
            raise UsageError(message)


def difference(connection: Connection, images: Mapping[str, str]) -> Difference:
    """Compares a folder's images with the store's cases."""
    known: dict[str, str] = {}
    present: set[str] = set()
    query = select(cases.c.id, cases.c.image_name, cases.c.is_present)
    for case, name, is_present in connection.execute(query):
        known[case] = name
        if is_present:
            present.add(case)
    return Difference(
        new={case: name for case, name in sorted(images.items()) if case not in known},
        back={
            case: name
            for case, name in sorted(images.items())
            if case in known and (known[case] != name or case not in present)
        },
        gone=tuple(sorted(present - images.keys())),
    )


def follow(
    connection: Connection,
    found: Difference,
    now: datetime,
    *,
    notes: Mapping[str, Mapping[str, str]],
) -> None:
    """Makes the store's cases those of the folder, with one entry in the journal.

    Args:
        connection: within a transaction.
        found: how they differ.
        now: when.
        notes: what is noted about the images of new cases, by case.
    """
    if found.new:
        new = [_new(case, name, now, notes.get(case, {})) for case, name in found.new.items()]
        connection.execute(insert(cases), new)
    there = update(cases).where(cases.c.id == bindparam("case"))
    if found.back:
        connection.execute(
            there.values(is_present=True, image_name=bindparam("name")),
            [{"case": case, "name": name} for case, name in found.back.items()],
        )
    if found.gone:
        connection.execute(there.values(is_present=False), [{"case": case} for case in found.gone])
    details = {"new": list(found.new), "back": list(found.back), "gone": list(found.gone)}
    journal.append(
        connection,
        at=now,
        actor=SERVER,
        action="register",
        case=None,
        details={name: those for name, those in details.items() if those},
    )


def _new(case: str, name: str, now: datetime, notes: Mapping[str, str]) -> dict[str, object]:
    return {
        "id": case,
        "image_name": name,
        "state": CaseState.NEW.value,
        "is_consensus": False,
        "is_present": True,
        "created": now,
        "changed": now,
        "image_info": dict(notes),
        "random_key": random.randrange(RANDOM_KEYS),  # noqa: S311
    }
