"""``random``: an unlabelled case by chance, rather one that was not offered lately."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from typing import Any

from monailabel.interfaces.tasks.strategy import Strategy

from parotid_brachy.lib.datastore.studies import Studies


class RandomStrategy(Strategy):
    """A case that waits for reader 1.

    In a folder of studies the store draws a few by chance, at a cost that does not grow with the
    number of cases, and the one offered longest ago is taken. In an archive, chance is in
    proportion to the seconds since a case was last offered (the framework's own strategy fails when
    all were offered within the same second).
    """

    def __init__(self) -> None:
        super().__init__("Random case without a label; those not offered lately come first")

    def __call__(self, request: Mapping[str, Any], datastore: Any) -> dict[str, Any] | None:
        """The next case's id, or None if every case is labelled."""
        name = request["strategy"]
        if isinstance(datastore, Studies):
            case = datastore.next_to_contour(name)
            return None if case is None else {"id": case}
        cases = datastore.get_unlabeled_images()
        if not cases:
            return None
        now = int(time.time())
        seconds = [now - _last_offered(datastore.get_image_info(case), name) for case in cases]
        weights = [max(1, age) for age in seconds]
        chosen = random.choices(range(len(cases)), weights=weights)[0]  # noqa: S311 (no secret)
        return {"id": cases[chosen], "weight": weights[chosen]}


def _last_offered(info: Mapping[str, Any], strategy: str) -> int:
    return int(info.get("strategy", {}).get(strategy, {}).get("ts", 0))
