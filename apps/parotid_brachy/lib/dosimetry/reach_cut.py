"""Which parts of the organs at risk count where sets of contours are compared."""

from __future__ import annotations

import enum
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from parotid_brachy.lib.anatomy import GLAND, ORGANS_AT_RISK
from parotid_brachy.lib.imaging.roi import cut_at_reach, within_reach
from parotid_brachy.lib.imaging.volume import Grid


class DoseCut(enum.Enum):
    """At whose glands' reach (17 mm) the organs at risk of every set are cut.

    ``two_step`` ends its organs at its own gland's reach. Cut at the reference's gland only, its
    organs lack the far, cold ends that the reference's have; cut at both, both lack the same.
    """

    REFERENCE = "reference"
    BOTH = "both"
    NONE = "none"


def cut_maps(
    maps: Mapping[str, NDArray[np.uint8]], reference: str, grid: Grid, cut: DoseCut
) -> dict[str, NDArray[np.uint8]]:
    """The maps of all sets of one case, each cut at the same place; glands stay as they are.

    Args:
        maps: values of ``anatomy`` by set, shape ``grid.shape_kji``.
        reference: which set's gland counts with :attr:`DoseCut.REFERENCE`.
        grid: where they lie.
        cut: where. With :attr:`DoseCut.BOTH` an organ counts within reach of every set's gland; a
            set without a gland cuts nothing.
    """
    if cut is DoseCut.NONE:
        return dict(maps)
    by = [maps[reference]] if cut is DoseCut.REFERENCE else list(maps.values())
    glands = [gland for labels in by if (gland := labels == GLAND.value).any()]
    if not glands:
        return dict(maps)
    if len(glands) == 1:
        return {name: cut_at_reach(labels, glands[0], grid) for name, labels in maps.items()}
    beyond = ~np.logical_and.reduce([within_reach(gland, grid) for gland in glands])
    values = [structure.value for structure in ORGANS_AT_RISK]
    return {
        name: np.where(beyond & np.isin(labels, values), np.uint8(0), labels)
        for name, labels in maps.items()
    }
