"""Questions about many cases at once, each in one or few queries."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, and_, false, func, select, true

from parotid_brachy.lib.review import rows
from parotid_brachy.lib.review.records import (
    Case,
    CaseFilter,
    CaseOverview,
    Counts,
    Page,
    Version,
)
from parotid_brachy.lib.review.schema import RANDOM_KEYS, cases, tags
from parotid_brachy.lib.review.states import CaseState
from parotid_brachy.lib.review.tag_names import order_of

_LONGEST_ID: Final = 200
_NEIGHBOURS: Final = 16
"""A case is drawn among so many neighbours of a random place; up to so many cases, all have the
same chance."""


def page_of_cases(
    connection: Connection, only: CaseFilter, *, offset: int, limit: int | None
) -> Page[Case]:
    """Cases by id."""
    wanted = _condition(only)
    query = select(cases).where(wanted).order_by(cases.c.id).offset(offset).limit(limit)
    items = [rows.case_of(row) for row in connection.execute(query)]
    total = connection.execute(select(func.count()).select_from(cases).where(wanted)).scalar_one()
    return Page(items, total, offset)


def overviews(connection: Connection, case: str | None) -> Iterator[CaseOverview]:
    """Present cases with the versions that tags point at, by id; or one case, present or not."""
    is_wanted = cases.c.is_present if case is None else cases.c.id == case
    found = [
        rows.case_of(row)
        for row in connection.execute(select(cases).where(is_wanted).order_by(cases.c.id))
    ]
    tagged: dict[str, dict[str, Version]] = {}
    query = rows.TAGGED_ROWS if case is None else rows.TAGGED_ROWS.where(tags.c.case_id == case)
    for row in connection.execute(query):
        tagged.setdefault(row.case_id, {})[row.points] = rows.version_of(row)
    notes = rows.current_notes(connection, case)
    for one in found:
        ordered = sorted(tagged.get(one.id, {}).items(), key=lambda item: order_of(item[0]))
        yield CaseOverview(one, dict(ordered), notes.get(one.id, {}))


def counts(connection: Connection) -> Counts:
    """How far the present cases are."""
    in_state = select(cases.c.state, func.count()).where(cases.c.is_present)
    states = _numbers(connection, in_state.group_by(cases.c.state))
    under_tag = (
        select(tags.c.tag, func.count())
        .join(cases, cases.c.id == tags.c.case_id)
        .where(cases.c.is_present, tags.c.number.is_not(None))
        .group_by(tags.c.tag)
        .order_by(tags.c.tag)
    )
    return Counts(
        {state: states.get(state.value, 0) for state in CaseState},
        _numbers(connection, under_tag),
    )


def _numbers(connection: Connection, query: Select[Any]) -> dict[str, int]:
    return {name: int(number) for name, number in connection.execute(query)}


def random_case(
    connection: Connection, states: Sequence[CaseState], *, is_consensus: bool | None
) -> str | None:
    """A present case in one of some states by chance; None: there is none.

    Each case has a random key; the index finds the next ones after a random place, however many
    cases there are.
    """
    place = random.randrange(RANDOM_KEYS)  # noqa: S311
    kinds = (False, True) if is_consensus is None else (is_consensus,)
    near: list[tuple[int, str]] = []
    for state in states:
        for kind in kinds:
            here = and_(
                cases.c.is_present == true(),
                cases.c.is_consensus == kind,
                cases.c.state == state.value,
            )
            near += _neighbours(connection, here, place)
    return random.choice(sorted(near)[:_NEIGHBOURS])[1] if near else None  # noqa: S311


def _neighbours(
    connection: Connection, here: ColumnElement[bool], place: int
) -> list[tuple[int, str]]:
    """Distance and id of the next cases after a place; after the last key comes the first."""
    key = cases.c.random_key
    found: list[tuple[int, str]] = []
    for part in (key >= place, key < place):
        query = select(key, cases.c.id).where(here, part).order_by(key)
        following: Any = connection.execute(query.limit(_NEIGHBOURS - len(found)))
        found += [((number - place) % RANDOM_KEYS, case) for number, case in following]
        if len(found) == _NEIGHBOURS:
            break
    return found


def _condition(only: CaseFilter) -> ColumnElement[bool]:
    conditions: list[ColumnElement[bool]] = [true()]
    if only.states:
        conditions.append(cases.c.state.in_([state.value for state in only.states]))
    if only.is_consensus is not None:
        conditions.append(cases.c.is_consensus == only.is_consensus)
    if only.initial_author is not None:
        conditions.append(cases.c.initial_author == only.initial_author)
    if len(only.contains) > _LONGEST_ID or "\0" in only.contains:
        conditions.append(false())  # SQLite reads such patterns otherwise, or not at all
    elif only.contains:
        conditions.append(cases.c.id.icontains(only.contains, autoescape=True))
    if only.is_present is not None:
        conditions.append(cases.c.is_present == only.is_present)
    return and_(*conditions)
