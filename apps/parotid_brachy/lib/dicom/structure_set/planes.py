"""Between a slice's pixels and the patient: each slice by its own position and orientation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from parotid_brachy.lib.imaging.dicom_slice import CtSlice
from parotid_brachy.lib.imaging.volume import FloatArray


def to_lps_mm(ij: FloatArray, one: CtSlice) -> FloatArray:
    """Positions in LPS millimetres of continuous pixel indices (i, j) of shape (n, 2).

    PS3.3, section C.7.6.2.1.1, equation C.7.6.2.1-1.
    """
    axes = np.asarray(one.orientation).reshape(2, 3)
    steps = ij * np.asarray(one.spacing_ij_mm)
    return np.asarray(steps @ axes + np.asarray(one.position_lps_mm), dtype=np.float64)


def to_pixels(lps_mm: FloatArray, one: CtSlice) -> FloatArray:
    """Continuous pixel indices (i, j) of positions of shape (n, 3), seen along the normal."""
    axes = np.asarray(one.orientation).reshape(2, 3)
    offset = lps_mm - np.asarray(one.position_lps_mm)
    return np.asarray(offset @ np.linalg.pinv(axes) / np.asarray(one.spacing_ij_mm))


def heights_mm(slices: Sequence[CtSlice]) -> FloatArray:
    """Where slices lie along the first one's normal; rises with k."""
    positions = np.asarray([one.position_lps_mm for one in slices])
    return np.asarray(positions @ slices[0].normal, dtype=np.float64)
