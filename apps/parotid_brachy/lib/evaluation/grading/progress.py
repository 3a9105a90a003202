"""How far a grader has come."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from parotid_brachy.lib.evaluation.grading.ledger import Ledger
from parotid_brachy.lib.evaluation.grading.study import Study


@dataclass(frozen=True)
class Progress:
    """How far a grader has come.

    Attributes:
        grader: who.
        items: how many there are.
        items_done: how many have every structure graded, or stated to be not gradable.
        grades: how many have been given.
        grades_wanted: how many there must be.
        open_items: those that are not done, in the grader's order.
    """

    grader: str
    items: int
    items_done: int
    grades: int
    grades_wanted: int
    open_items: tuple[str, ...]

    @property
    def next_item(self) -> str | None:
        """The first item that is not done; None: all are."""
        return self.open_items[0] if self.open_items else None


def progress_of(study: Study, grader: str) -> Progress:
    """How far a grader has come.

    Raises:
        UsageError: nobody of that name grades here.
        StoreError: the grades cannot be read.
    """
    given: Collection[tuple[str, str]] = Ledger(study).current(grader).keys()
    open_items = tuple(
        item
        for item in study.order_of(grader)
        if any((item, structure.name) not in given for structure in study.structures)
    )
    return Progress(
        grader,
        len(study.items),
        len(study.items) - len(open_items),
        len(given),
        len(study.items) * len(study.structures),
        open_items,
    )
