"""A small head for tests: a formula in space, so that it can be drawn on any grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from parotid_brachy.lib.imaging.volume import Grid, Volume

STRAIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def grid_of(
    size_ijk: tuple[int, int, int] = (44, 52, 40),
    spacing_mm: tuple[float, float, float] = (4.0, 4.0, 5.0),
    direction: tuple[float, ...] = STRAIGHT,
    centre_lps_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Grid:
    """A grid round a centre."""
    corner = Grid(size_ijk, spacing_mm, (0.0, 0.0, 0.0), direction)
    middle = corner.to_lps_mm((np.asarray(size_ijk) - 1) / 2)
    origin = np.asarray(centre_lps_mm) - middle
    return Grid(size_ijk, spacing_mm, (origin[0], origin[1], origin[2]), direction)


def positions_of(grid: Grid) -> NDArray[np.float64]:
    """LPS millimetres of every voxel, shape (k, j, i, 3)."""
    k, j, i = np.meshgrid(*(np.arange(n) for n in grid.shape_kji), indexing="ij")
    return grid.to_lps_mm(np.stack([i, j, k], axis=-1))


def head_hu(lps_mm: NDArray[np.float64], *, midline_mm: float = 0.0) -> NDArray[np.int16]:
    """CT numbers of a head: symmetrical but for a small left mass, different along every axis."""
    x, y, z = lps_mm[..., 0] - midline_mm, lps_mm[..., 1], lps_mm[..., 2]
    radius = np.sqrt((x / 70) ** 2 + (y / 88) ** 2 + (z / 85) ** 2)
    hu = np.full(x.shape, -1000.0)
    hu[radius < 1] = 40
    hu[(radius > 0.8) & (radius < 0.92) & (z > -10)] = 800
    nose = (np.abs(x) < 12) & (y < -70) & (y > -100) & (np.abs(z + 5) < 20)
    hu[nose] = 30
    hu[x**2 + (y + 20) ** 2 < 12**2] = -1000
    for side in (-1, 1):
        ear = ((x - side * 72) / 8) ** 2 + ((y - 10) / 18) ** 2 + (z / 25) ** 2 < 1
        hu[ear] = 20
        hu[(np.abs(x - side * 45) < 22) & (y**2 + z**2 < 7**2)] = -1000
    hu[(x - 40) ** 2 + (y + 10) ** 2 + (z + 40) ** 2 < 14**2] = 70
    return hu.astype(np.int16)


def head(grid: Grid | None = None, *, midline_mm: float = 0.0, case: str = "head") -> Volume:
    """The head on a grid."""
    where = grid_of() if grid is None else grid
    return Volume(where, head_hu(positions_of(where), midline_mm=midline_mm), case)
