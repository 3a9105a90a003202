"""Stands in for the models that serve: proposes whatever a function makes of a volume."""

from __future__ import annotations

import numpy as np

from parotid_brachy.lib.anatomy import Side
from parotid_brachy.lib.segmentation.findings import PreLabel, Report


def proposal(labels, grid, side=Side.LEFT, case="case_a"):
    """A pre-label with that map."""
    report = Report(
        case=case,
        task="two_step",
        side=None if side is None else side.value,
        side_source="guessed",
        gland_ml_by_side={},
        models={},
        seconds={},
        structures={},
        kept_beyond_reach=False,
    )
    return PreLabel(np.asarray(labels, np.uint8), grid, report)


class Proposing:
    """Proposes one map for each volume, and remembers what it was asked.

    Args:
        make: the map of a volume; called with the volume and the number of the call, from 0.
        side: the side that is proposed where none is given.
    """

    def __init__(self, make, side=Side.LEFT):
        self._make = make
        self._side = side
        self.asked = []

    def __call__(self, volume, options):
        self.asked.append((volume, options))
        labels = self._make(volume, len(self.asked) - 1)
        return proposal(labels, volume.grid, options.side or self._side, volume.case)
