"""Strategies that offer the cases that wait for a reader by what scoring found out about them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from monailabel.interfaces.tasks.strategy import Strategy

from parotid_brachy.lib.active_learning.next_scored import ScoredOrder, next_scored
from parotid_brachy.lib.datastore.studies import Studies

_DESCRIPTIONS: Final[Mapping[ScoredOrder, str]] = {
    ScoredOrder.LARGEST_EXPECTED_EDIT: "Case of which most will have to be changed (ensemble)",
    ScoredOrder.MOST_DIFFERENT: "Case that looks least like the approved ones",
    ScoredOrder.LEAST_CERTAIN_SUBMISSION: (
        "For seniors: the submission that differs most from the models' ensemble"
    ),
}


class ScoredStrategy(Strategy):
    """The next case of an order; the same one until it is contoured, reviewed or scored anew.

    Args:
        order: which case comes first.
    """

    def __init__(self, order: ScoredOrder) -> None:
        super().__init__(_DESCRIPTIONS[order])
        self._order = order

    def __call__(self, request: Mapping[str, Any], datastore: Studies) -> dict[str, Any] | None:
        """The next case's id and why it comes now, or None if none waits."""
        del request
        datastore.refresh()
        scores = datastore.scores.all_of(self._order.method)
        offer = next_scored(datastore.store.overview(), self._order, scores)
        return None if offer is None else {"id": offer.case, "reason": offer.reason}


def scored_strategies() -> dict[str, Strategy]:
    """All orders, by the names that clients show."""
    return {order.value: ScoredStrategy(order) for order in ScoredOrder}
