"""Boxes in space, and what lies within reach of the gland."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from parotid_brachy.lib.anatomy import ORGANS_AT_RISK, REACH_MM, Side
from parotid_brachy.lib.imaging.volume import Grid


@dataclass(frozen=True)
class Box:
    """An axis-parallel box in LPS millimetres, its outer faces."""

    low_lps_mm: tuple[float, float, float]
    high_lps_mm: tuple[float, float, float]

    def grown(self, margin_mm: float) -> Box:
        """The box with every face moved outwards."""
        low, high = np.asarray(self.low_lps_mm), np.asarray(self.high_lps_mm)
        return Box.of(low - margin_mm, high + margin_mm)

    def clipped(self, other: Box) -> Box:
        """The common part of two boxes."""
        return Box.of(
            np.maximum(self.low_lps_mm, other.low_lps_mm),
            np.minimum(self.high_lps_mm, other.high_lps_mm),
        )

    @classmethod
    def of(cls, low: NDArray[Any], high: NDArray[Any]) -> Box:
        """From two arrays of three."""
        return cls(
            (float(low[0]), float(low[1]), float(low[2])),
            (float(high[0]), float(high[1]), float(high[2])),
        )

    @classmethod
    def of_grid(cls, grid: Grid) -> Box:
        """The smallest box that holds every voxel of a grid, oblique ones too."""
        corners = grid.corners_lps_mm()
        return cls.of(corners.min(axis=0), corners.max(axis=0))

    @classmethod
    def of_mask(cls, mask: NDArray[np.bool_], grid: Grid) -> Box:
        """The smallest box that holds every voxel of a mask that is not empty."""
        index = np.argwhere(mask)[:, ::-1].astype(np.float64)
        # A voxel reaches half an edge beyond its centre, along each of its three edges.
        half = np.abs(grid.matrix).sum(axis=1) / 2
        positions = grid.to_lps_mm(index)
        return cls.of(positions.min(axis=0) - half, positions.max(axis=0) + half)


def canonical_grid(box: Box, *, side: Side, spacing_mm: tuple[float, float, float]) -> Grid:
    """The working grid of one side of the head.

    Its axes are patient axes whatever the native grid's are: i runs from medial to lateral, j to
    posterior, k to superior. A right side is thereby mirrored onto the left, so that the networks
    know one side only.

    Args:
        box: the part of space to cover; grown to whole voxels.
        side: the patient's side.
        spacing_mm: along i, j, k.
    """
    low, high = np.asarray(box.low_lps_mm), np.asarray(box.high_lps_mm)
    spacing = np.asarray(spacing_mm)
    size = np.maximum(np.ceil((high - low) / spacing - 1e-6).astype(int), 1)
    first = low + spacing / 2
    sign = 1.0
    if side is Side.RIGHT:
        sign = -1.0
        first[0] = high[0] - spacing[0] / 2
    return Grid(
        (int(size[0]), int(size[1]), int(size[2])),
        spacing_mm,
        (float(first[0]), float(first[1]), float(first[2])),
        (sign, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
    )


def within_reach(
    gland: NDArray[np.bool_], grid: Grid, *, reach_mm: float = REACH_MM
) -> NDArray[np.bool_]:
    """Voxels whose centre is at most ``reach_mm`` from the nearest voxel centre of the gland.

    Euclidean distance in the grid's millimetres; exact, on the gland's box grown by the reach.
    """
    reached = np.zeros(gland.shape, dtype=bool)
    if not gland.any():
        return reached
    spacing = np.asarray(grid.spacing_kji_mm)
    grow = np.ceil(reach_mm / spacing).astype(int) + 1
    boxes = []
    for axis in range(3):
        other = tuple(a for a in range(3) if a != axis)
        where = np.flatnonzero(gland.any(axis=other))
        start = max(int(where[0]) - int(grow[axis]), 0)
        boxes.append(slice(start, int(where[-1]) + int(grow[axis]) + 1))
    box = (boxes[0], boxes[1], boxes[2])
    distance = ndimage.distance_transform_edt(~gland[box], sampling=tuple(spacing))
    reached[box] = distance <= reach_mm
    return reached


def cut_at_reach(
    labels: NDArray[np.uint8],
    gland: NDArray[np.bool_],
    grid: Grid,
    *,
    reach_mm: float = REACH_MM,
) -> NDArray[np.uint8]:
    """The map without organs at risk farther from the gland than the seeds reach.

    Args:
        labels: values 0-7; a gland in the map is left as it is.
        gland: the gland whose distance counts.
        grid: where both lie.
        reach_mm: the seeds' reach in tissue (protocol: 17 mm).

    Returns:
        A new map.
    """
    organ = np.isin(labels, [structure.value for structure in ORGANS_AT_RISK])
    result = labels.copy()
    result[organ & ~within_reach(gland, grid, reach_mm=reach_mm)] = 0
    return result
