"""Volumes turned so that their axes run along the patient's, however they were stored.

The same voxels stored in another axis order must get the same labels. Averaging of fine voxels
begins at an array's first one, so networks would see another picture of a flipped array; turned
first, they see the same one to the last bit.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parotid_brachy.lib.imaging.volume import Grid, Volume

_ROUNDED_MM = 9
"""Decimals of an origin: what a flip adds in the last bits is taken out again."""


@dataclass(frozen=True)
class Turn:
    """Another order and direction of an array's axes; no voxel changes.

    Attributes:
        axes_kji: which axis of the array as stored each axis of the turned one is.
        flipped_kji: whether it then runs the other way.
    """

    axes_kji: tuple[int, int, int]
    flipped_kji: tuple[bool, bool, bool]

    def turned(self, array: NDArray[Any]) -> NDArray[Any]:
        """A view of an array of the grid as stored, k, j, i."""
        flipped = tuple(axis for axis, is_flipped in enumerate(self.flipped_kji) if is_flipped)
        return np.asarray(np.flip(array.transpose(self.axes_kji), flipped))

    def back(self, array: NDArray[Any]) -> NDArray[Any]:
        """An array of the turned grid, as the stored one has it; contiguous."""
        flipped = tuple(axis for axis, is_flipped in enumerate(self.flipped_kji) if is_flipped)
        back = np.argsort(self.axes_kji)
        return np.ascontiguousarray(np.flip(array, flipped).transpose(tuple(back)))


def along_patient(volume: Volume) -> tuple[Volume, Turn]:
    """The volume with i, j, k along the patient's x, y, z (LPS) as closely as its axes allow.

    Returns:
        A volume of the same voxels at the same places, and how it was turned.
    """
    grid = volume.grid
    axes = np.asarray(grid.direction, dtype=np.float64).reshape(3, 3)
    # Of the six orders the one whose axes run along the patient's most; oblique ones are told
    # apart that way where each axis for itself would choose the same one twice.
    order = max(
        itertools.permutations(range(3)),
        key=lambda ijk: sum(abs(axes[lps, axis]) for lps, axis in enumerate(ijk)),
    )
    flipped = tuple(bool(axes[lps, axis] < 0) for lps, axis in enumerate(order))
    signs = np.where(flipped, -1.0, 1.0)
    first = np.zeros(3)
    for axis, is_flipped in zip(order, flipped, strict=True):
        first[axis] = grid.size_ijk[axis] - 1 if is_flipped else 0
    origin = np.round(grid.to_lps_mm(first), _ROUNDED_MM)
    i, j, k = order
    turned = Grid(
        (grid.size_ijk[i], grid.size_ijk[j], grid.size_ijk[k]),
        (grid.spacing_mm[i], grid.spacing_mm[j], grid.spacing_mm[k]),
        (float(origin[0]), float(origin[1]), float(origin[2])),
        tuple(float(value) for value in (axes[:, list(order)] * signs).ravel()),
    )
    turn = Turn((2 - k, 2 - j, 2 - i), (flipped[2], flipped[1], flipped[0]))
    voxels = np.ascontiguousarray(turn.turned(volume.voxels))
    return Volume(turned, voxels, volume.case), turn
