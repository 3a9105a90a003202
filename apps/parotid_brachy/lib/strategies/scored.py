"""Strategies that offer the cases that wait for a reader by what scoring found out about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
        made_by: what scores of a method by the models that serve are made by; None: none serve.
    """

    def __init__(self, order: ScoredOrder, made_by: Callable[[str], str | None]) -> None:
        super().__init__(_DESCRIPTIONS[order])
        self._order = order
        self._made_by = made_by

    def __call__(self, request: Mapping[str, Any], datastore: Studies) -> dict[str, Any] | None:
        """The next case's id and why it comes now, or None if none waits."""
        del request
        datastore.refresh()
        scores = datastore.scores.all_of(self._order.method)
        serving = self._made_by(self._order.method)
        offer = next_scored(datastore.store.overview(), self._order, scores, serving)
        return None if offer is None else {"id": offer.case, "reason": offer.reason}


def scored_strategies(made_by: Callable[[str], str | None]) -> dict[str, Strategy]:
    """All orders, by the names that clients show.

    Args:
        made_by: what scores of a method by the models that serve are made by; None: none serve.
    """
    return {order.value: ScoredStrategy(order, made_by) for order in ScoredOrder}
