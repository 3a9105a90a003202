"""Strategies that offer the cases that wait for a reader in a stated order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from monailabel.interfaces.tasks.strategy import Strategy

from parotid_brachy.lib.datastore.studies import Studies
from parotid_brachy.lib.review.next_case import CaseOrder

_DESCRIPTIONS: Final[Mapping[CaseOrder, str]] = {
    CaseOrder.FIRST: "First case without contours: returned ones, then by id",
    CaseOrder.SMALLEST_GLAND: "Case without contours whose draft has the smallest gland",
    CaseOrder.OLDEST_SUBMISSION: "For seniors: the case that was submitted longest ago",
}


class OrderedStrategy(Strategy):
    """The next case of an order; the same one until it is contoured or reviewed.

    Args:
        order: which case comes first.
    """

    def __init__(self, order: CaseOrder) -> None:
        super().__init__(_DESCRIPTIONS[order])
        self._order = order

    def __call__(self, request: Mapping[str, Any], datastore: Studies) -> dict[str, Any] | None:
        """The next case's id and why it comes now, or None if none waits."""
        del request
        offer = datastore.next_in_order(self._order)
        return None if offer is None else {"id": offer.case, "reason": offer.reason}


def ordered_strategies() -> dict[str, Strategy]:
    """All orders, by the names that clients show."""
    return {order.value: OrderedStrategy(order) for order in CaseOrder}
