"""The three anatomical planes through a point, in the readers' convention.

Axial and coronal planes are seen from the feet and from the front, so that the patient's right is
on the left of the picture; the sagittal plane is seen from the patient's left, with anterior on
the left of the picture.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from parotid_brachy.lib.anatomy import GLAND
from parotid_brachy.lib.imaging.roi import Box
from parotid_brachy.lib.imaging.sampling import sample_ct, sample_labels
from parotid_brachy.lib.imaging.volume import Grid, Vector, Volume

_RIGHTWARDS_LPS = {
    "axial": (1.0, 0.0, 0.0),
    "coronal": (1.0, 0.0, 0.0),
    "sagittal": (0.0, 1.0, 0.0),
}
_DOWNWARDS_LPS = {
    "axial": (0.0, 1.0, 0.0),
    "coronal": (0.0, 0.0, -1.0),
    "sagittal": (0.0, 0.0, -1.0),
}
_LETTERS = {
    (1.0, 0.0, 0.0): ("R", "L"),
    (0.0, 1.0, 0.0): ("A", "P"),
    (0.0, 0.0, -1.0): ("S", "I"),
}
_LEAST_PIXEL_MM = 0.3


class Plane(enum.Enum):
    """An anatomical plane."""

    AXIAL = "axial"
    CORONAL = "coronal"
    SAGITTAL = "sagittal"

    @property
    def letters(self) -> tuple[str, str, str, str]:
        """Patient directions at the picture's left, right, top and bottom."""
        left, right = _LETTERS[_RIGHTWARDS_LPS[self.value]]
        top, bottom = _LETTERS[_DOWNWARDS_LPS[self.value]]
        return left, right, top, bottom


@dataclass(frozen=True)
class PlaneImage:
    """One plane, cut out of a volume and its label map.

    Attributes:
        plane: which.
        hu: CT numbers, row 0 at the top of the picture.
        labels: the label map on the same pixels.
        pixel_mm: edge of a (square) pixel.
    """

    plane: Plane
    hu: NDArray[np.float32]
    labels: NDArray[np.uint8]
    pixel_mm: float


def centre_lps_mm(volume: Volume, labels: NDArray[np.uint8]) -> Vector:
    """Where to look: the gland's centre, else that of whatever is labelled, else the volume's."""
    mask = labels == GLAND.value
    if not mask.any():
        mask = labels > 0
    if mask.any():
        where = [np.flatnonzero(mask.any(axis=other)) for other in ((1, 2), (0, 2), (0, 1))]
        # The middle of the box: for a gland wrapped round the ramus the mean may lie beside it,
        # but every structure round it is then in the picture.
        index = np.asarray([(w[0] + w[-1]) / 2 for w in where[::-1]])
    else:
        index = (np.asarray(volume.grid.size_ijk) - 1) / 2
    centre = volume.grid.to_lps_mm(index)
    return (float(centre[0]), float(centre[1]), float(centre[2]))


def cut_plane(
    volume: Volume,
    labels: NDArray[np.uint8],
    plane: Plane,
    centre: Vector,
    *,
    field_mm: float,
) -> PlaneImage:
    """Cuts a square out of a volume of any orientation and spacing.

    Args:
        volume: the CT.
        labels: on the volume's grid.
        plane: which.
        centre: middle of the square, LPS millimetres.
        field_mm: its edge; the square is kept within the volume as far as it fits.
    """
    rightwards = np.asarray(_RIGHTWARDS_LPS[plane.value])
    downwards = np.asarray(_DOWNWARDS_LPS[plane.value])
    through = np.cross(rightwards, downwards)
    whole = Box.of_grid(volume.grid)
    low, high = np.asarray(whole.low_lps_mm), np.asarray(whole.high_lps_mm)
    middle = np.asarray(centre)
    in_plane = np.abs(rightwards) + np.abs(downwards) > 0
    held = np.clip(
        middle,
        np.minimum(low + field_mm / 2, (low + high) / 2),
        np.maximum(high - field_mm / 2, (low + high) / 2),
    )
    middle = np.where(in_plane, held, middle)
    pixel_mm = max(_LEAST_PIXEL_MM, min(volume.grid.spacing_mm), field_mm / 512)
    count = max(int(field_mm / pixel_mm), 1)
    first = middle - (count - 1) / 2 * pixel_mm * (rightwards + downwards)
    grid = Grid(
        (count, count, 1),
        (pixel_mm, pixel_mm, pixel_mm),
        (float(first[0]), float(first[1]), float(first[2])),
        tuple(float(v) for v in np.stack([rightwards, downwards, through], axis=1).ravel()),
    )
    return PlaneImage(
        plane,
        sample_ct(volume, grid)[0],
        sample_labels(labels, volume.grid, grid)[0],
        pixel_mm,
    )
