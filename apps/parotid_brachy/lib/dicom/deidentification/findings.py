"""What was done to an object, without any value of it."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass


class Outcome(enum.Enum):
    """What became of an attribute."""

    REMOVED = "removed"
    EMPTIED = "emptied"
    REPLACED = "replaced"
    SHIFTED = "date shifted"
    NEW_UID = "UID replaced"
    KEPT = "kept by option"
    FLAGGED = "flagged"


@dataclass(frozen=True)
class Finding:
    """One kind of thing that was done.

    Attributes:
        outcome: what.
        attribute: its place, as keywords parted by slashes; never a value.
        reason: why, in words of ours.
    """

    outcome: Outcome
    attribute: str
    reason: str

    @property
    def order(self) -> tuple[str, str, str]:
        """What reports sort by."""
        return (self.outcome.value, self.attribute, self.reason)


class Findings:
    """Findings and how often each was made; of one object, or of many."""

    def __init__(self) -> None:
        self._counts: Counter[Finding] = Counter()

    def note(self, outcome: Outcome, attribute: str, reason: str) -> None:
        """Counts one more."""
        self._counts[Finding(outcome, attribute, reason)] += 1

    def add(self, other: Findings) -> None:
        """Counts what another object's findings counted."""
        self._counts.update(other._counts)

    def __iter__(self) -> Iterator[tuple[Finding, int]]:
        """In the reports' order."""
        return iter(sorted(self._counts.items(), key=lambda pair: pair[0].order))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Findings) and self._counts == other._counts

    __hash__ = None  # type: ignore[assignment]  # it changes

    def with_outcome(self, outcome: Outcome) -> list[tuple[Finding, int]]:
        """Those of one kind."""
        return [(finding, count) for finding, count in self if finding.outcome is outcome]
