"""On which of the patient's sides a contoured gland lies."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from parotid_brachy.lib.anatomy import GLAND, Side
from parotid_brachy.lib.errors import InputRefusedError
from parotid_brachy.lib.imaging.half_head import find_midplane
from parotid_brachy.lib.imaging.volume import Volume

_CLEAR_SHARE: Final = 0.9
"""Share of the gland's voxels that must lie on one side of the midplane."""


def side_of_gland(labels: NDArray[np.uint8], volume: Volume) -> Side:
    """The side of the midplane on which the gland of a label map lies.

    Args:
        labels: values of ``anatomy`` on the volume's grid.
        volume: the CT, in which the midplane is found by symmetry.

    Raises:
        InputRefusedError: no gland, no midplane to be found, or a gland on both sides of it.
    """
    index = np.argwhere(labels == GLAND.value)
    if not len(index):
        message = f"{volume.case}: no gland in the label map, which would tell the side. State it."
        raise InputRefusedError(message)
    midplane = find_midplane(volume)
    if not midplane.is_believed:
        message = (
            f"{volume.case}: no sagittal midplane found (symmetry {midplane.symmetry:.2f}), which "
            "would tell the gland's side. State it."
        )
        raise InputRefusedError(message)
    x = volume.grid.to_lps_mm(index[:, ::-1].astype(np.float64))[:, 0]
    left = float(np.mean(x > midplane.x_lps_mm))
    if max(left, 1.0 - left) < _CLEAR_SHARE:
        message = (
            f"{volume.case}: {left:.0%} of the gland lie left of the midplane, the others right. "
            "State the side, and export one side's structures only."
        )
        raise InputRefusedError(message)
    return Side.LEFT if left > 0.5 else Side.RIGHT
