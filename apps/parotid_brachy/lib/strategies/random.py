"""``random``: an unlabelled case by chance, rather one that was not offered lately."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from typing import Any

from monailabel.interfaces.tasks.strategy import Strategy


class RandomStrategy(Strategy):
    """Chance in proportion to the seconds since a case was last offered.

    The framework's own fails when all were offered within the same second.
    """

    def __init__(self) -> None:
        super().__init__("Random case without a label; those not offered lately come first")

    def __call__(self, request: Mapping[str, Any], datastore: Any) -> dict[str, Any] | None:
        """The next case's id, or None if every case is labelled."""
        cases = datastore.get_unlabeled_images()
        if not cases:
            return None
        name, now = request["strategy"], int(time.time())
        seconds = [now - _last_offered(datastore.get_image_info(case), name) for case in cases]
        weights = [max(1, age) for age in seconds]
        chosen = random.choices(range(len(cases)), weights=weights)[0]  # noqa: S311 (no secret)
        return {"id": cases[chosen], "weight": weights[chosen]}


def _last_offered(info: Mapping[str, Any], strategy: str) -> int:
    return int(info.get("strategy", {}).get(strategy, {}).get("ts", 0))
