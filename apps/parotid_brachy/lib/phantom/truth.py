"""The truth of a phantom: which label map is which, and the cut at the seeds' reach."""

from __future__ import annotations

import enum

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from parotid_brachy.lib.anatomy import GLAND, REACH_MM
from parotid_brachy.lib.imaging.volume import Grid


class Extent(enum.Enum):
    """How far from the gland the organs at risk are labelled."""

    FULL = "full"
    ROI17 = "roi17"


def within_reach(
    labels: NDArray[np.uint8], grid: Grid, *, reach_mm: float = REACH_MM
) -> NDArray[np.uint8]:
    """The map without the organs at risk beyond reach of its gland; the gland stays whole.

    Distance is Euclidean between voxel centres. A map without gland loses every organ.

    Args:
        labels: one side's map, shape ``grid.shape_kji``.
        grid: for the spacing.
        reach_mm: greatest distance that stays.
    """
    gland = labels == GLAND.value
    near = np.zeros(labels.shape, dtype=bool)
    box = []
    spacing = grid.spacing_kji_mm
    for axis in range(3):
        hit = np.flatnonzero(gland.any(axis=tuple(n for n in range(3) if n != axis)))
        if hit.size == 0:
            return np.zeros_like(labels)
        margin = int(np.ceil(reach_mm / spacing[axis])) + 1
        box.append(slice(max(0, int(hit[0]) - margin), int(hit[-1]) + margin + 1))
    cut = (box[0], box[1], box[2])
    distance = distance_transform_edt(~gland[cut], sampling=spacing)
    near[cut] = distance <= reach_mm
    return np.where(near, labels, 0).astype(np.uint8)
