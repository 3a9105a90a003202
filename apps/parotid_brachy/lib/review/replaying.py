"""Whether the cases are where the journal says that they were put, by whom.

Each entry tells what was done with a case; one after the other they give its state, its approval,
where its tags point, and whose its versions are. Rows that say something else were changed by
something else than the program.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, select

from parotid_brachy.lib.review.records import INITIAL_TAG
from parotid_brachy.lib.review.schema import cases, tags, versions
from parotid_brachy.lib.review.schema import journal as journal_rows
from parotid_brachy.lib.review.states import Action, CaseState

_CHUNK: Final = 1000
_IMPORT: Final = "import"
_CONSENSUS: Final = "set_consensus"
_SAVES: Final = tuple(action.value for action in (Action.DRAFT, Action.SUBMIT, Action.CORRECT))
_WITHDRAWALS: Final = (Action.WITHDRAW.value, Action.WITHDRAW_CORRECTION.value)
_MEANT: Final = frozenset({*(action.value for action in Action), _IMPORT, _CONSENSUS})


@dataclass
class _Told:
    """What the journal tells of one case."""

    state: str = CaseState.NEW.value
    is_consensus: bool = False
    approval: tuple[int, str] | None = None
    authors: dict[int, str] = field(default_factory=dict)
    tags: dict[str, int | None] = field(default_factory=dict)
    withdrawn: set[int] = field(default_factory=set)

    def follow(self, actor: str, action: str, details: Mapping[str, Any]) -> None:
        """Does what an entry tells of.

        Raises:
            LookupError: the entry does not say what it should.
        """
        if action == _CONSENSUS:
            self.is_consensus = details["is_consensus"]
            return
        if action in _SAVES or (action == _IMPORT and "version" in details):
            self.authors[details["version"]] = details.get("author", actor)
            self.tags[details["tag"]] = details["version"]
        elif action in _WITHDRAWALS:
            self.withdrawn.add(details["version"])
            self.tags[details["tag"]] = None
        self.state = details.get("to", self.state)
        if action == Action.APPROVE.value:
            self.approval = (details["version"], actor)
        elif action == _IMPORT and "approved_version" in details:
            self.approval = (details["approved_version"], details["approved_by"])
        elif self.state != CaseState.APPROVED.value:
            self.approval = None


def replayed_faults(connection: Connection) -> Iterator[str]:
    """What differs from the journal, in words.

    Args:
        connection: a transaction that sees one moment.
    """
    told = _told(connection)
    yield from _case_faults(connection, told)
    yield from _version_faults(connection, told)
    yield from _tag_faults(connection, told)


def _told(connection: Connection) -> dict[str, _Told | None]:
    """By case; None, where an entry cannot be followed: it was damaged, and is found as such."""
    found: dict[str, _Told | None] = {}
    columns = (journal_rows.c.case_id, journal_rows.c.actor, journal_rows.c.action)
    query = select(*columns, journal_rows.c.details).where(
        journal_rows.c.case_id.is_not(None), journal_rows.c.action.in_(_MEANT)
    )
    rows = connection.execution_options(yield_per=_CHUNK).execute(
        query.order_by(journal_rows.c.sequence)
    )
    for case, actor, action, details in rows:
        told = found.setdefault(case, _Told())
        try:
            if told is not None:
                told.follow(actor, action, json.loads(details))
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
            found[case] = None
    return found


def _case_faults(connection: Connection, all_told: Mapping[str, _Told | None]) -> Iterator[str]:
    query = select(
        cases.c.id,
        cases.c.state,
        cases.c.is_consensus,
        cases.c.approved_version,
        cases.c.approved_by,
        cases.c.initial_author,
    )
    for case, state, is_consensus, version, by, author in connection.execute(query):
        told = all_told.get(case, _Told())
        if told is None:
            continue
        if state != told.state:
            yield f"{case}: it is {state}, but {told.state} by the journal"
        if is_consensus != told.is_consensus:
            yield f"{case}: whether it is a consensus case is not as the journal has it"
        approval = None if version is None and by is None else (version, by)
        if approval != told.approval:
            yield (
                f"{case}: approved is {_in_words(approval)}, but {_in_words(told.approval)} "
                "by the journal"
            )
        initial = told.tags.get(INITIAL_TAG)
        expected = None if initial is None else told.authors.get(initial)
        if author != expected and not told.is_consensus:
            yield f"{case}: the initial contours are {author}'s, but {expected}'s by the journal"


def _in_words(approval: tuple[int | None, str | None] | None) -> str:
    return "nothing" if approval is None else f"version {approval[0]} by {approval[1]}"


def _version_faults(connection: Connection, all_told: Mapping[str, _Told | None]) -> Iterator[str]:
    columns = (versions.c.case_id, versions.c.number, versions.c.author, versions.c.is_withdrawn)
    for case, number, author, is_withdrawn in connection.execute(select(*columns)):
        told = all_told.get(case, _Told())
        if told is None:
            continue
        expected = told.authors.get(number)
        if author != expected:
            yield f"{case}: version {number} is {author}'s, but {expected}'s by the journal"
        if is_withdrawn != (number in told.withdrawn):
            yield f"{case}: whether version {number} is withdrawn is not as the journal has it"


def _tag_faults(connection: Connection, all_told: Mapping[str, _Told | None]) -> Iterator[str]:
    query = select(tags.c.case_id, tags.c.tag, tags.c.number)
    pointers = {(case, tag): number for case, tag, number in connection.execute(query)}
    expected = {
        (case, tag): number
        for case, told in all_told.items()
        if told is not None
        for tag, number in told.tags.items()
    }
    for case, tag in sorted(pointers.keys() | expected.keys()):
        if all_told.get(case, _Told()) is None:
            continue
        number, other = pointers.get((case, tag)), expected.get((case, tag))
        if number != other:
            yield f"{case}: {tag} points at {number}, but at {other} by the journal"
