"""The truth of the skin: the layer over the region that is treated."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.ndimage import distance_transform_edt

from parotid_brachy.lib.anatomy import SKIN
from parotid_brachy.lib.phantom.gland import Gland
from parotid_brachy.lib.phantom.lattice import Lattice, resampled
from parotid_brachy.lib.phantom.scene import Scene, SidePoints

SKIN_REACH_MM: Final = 50.0
"""The full maps hold the skin this near to where the whole gland was, as readers draw it."""

_SPARSE: Final = 3


def mark_skin(scene: Scene, points: SidePoints, gland: Gland) -> None:
    """Marks the skin of one side within reach of where the whole gland was."""
    lattice = points.p.lattice
    part = gland.points.p.lattice
    whole = np.zeros(lattice.shape, dtype=bool)
    where = tuple(
        slice((a - b) // n, (a - b) // n + count)
        for a, b, n, count in zip(
            part.start_kji, lattice.start_kji, part.step_kji, part.shape, strict=True
        )
    )
    whole[where] = gland.whole < 0
    # The far border of the skin needs no precision: every third point in plane is enough.
    sparse = whole[:, ::_SPARSE, ::_SPARSE]
    coarse = Lattice(
        lattice.grid,
        lattice.start_kji,
        (lattice.step_kji[0], lattice.step_kji[1] * _SPARSE, lattice.step_kji[2] * _SPARSE),
        (sparse.shape[0], sparse.shape[1], sparse.shape[2]),
    )
    distance = distance_transform_edt(~sparse, sampling=coarse.spacing_kji_mm).astype(np.float32)
    beyond = resampled(distance, coarse, lattice) - np.float32(SKIN_REACH_MM)
    layer = np.maximum(points.skin, -points.under)
    scene.mark(points.p, np.maximum(layer, beyond), (points.side, SKIN.value))
