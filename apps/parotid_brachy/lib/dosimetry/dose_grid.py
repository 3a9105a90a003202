"""The dose of a whole implant on a grid, fast.

The seeds' tables of :mod:`parotid_brachy.lib.dosimetry.dose_table` are looked up for every voxel;
voxels near a seed get the exact value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from parotid_brachy.lib.dosimetry.dose_table import (
    EXACT_WITHIN_MM,
    Away,
    DoseTable,
    exact_gy,
    farthest_mm,
    looked_up_gy,
    tables_of,
)
from parotid_brachy.lib.dosimetry.plan import Seed, SeedPlan
from parotid_brachy.lib.dosimetry.seed_model import SeedModel
from parotid_brachy.lib.errors import InputRefusedError
from parotid_brachy.lib.imaging.volume import FloatArray, Grid, Vector

DEFAULT_MARGIN_MM: Final = 40.0
"""Round the seeds: 17 mm of reach, and the organs that lie within it."""
MOST_VOXELS: Final = 200_000_000
"""Of a grid: 0.8 GB in float32."""
_SPACINGS_MM: Final = (0.1, 20.0)
_SLAB_VOXELS: Final = 1_000_000
"""Worked on at once. Smaller slabs gain little from the cache, and lose a wait for the other
threads at each step, which is long on a busy machine."""


@dataclass(frozen=True, eq=False)
class DoseGrid:
    """Total dose in Gy on an axis-aligned lattice.

    Attributes:
        gy: float32, shape (z, y, x) of ``grid``; read only.
        grid: of the voxels' centres, LPS millimetres.

    Raises:
        InputRefusedError: the array is not on the grid, or holds what no dose is.
    """

    gy: NDArray[np.float32]
    grid: Grid

    def __post_init__(self) -> None:
        """Refuses what is no dose."""
        if self.gy.shape != self.grid.shape_kji:
            message = f"dose of shape {self.gy.shape} on a grid of {self.grid.shape_kji}."
            raise InputRefusedError(message)
        if not np.isfinite(self.gy).all() or float(self.gy.min()) < 0.0:
            message = "the dose holds values that are not finite or below 0 Gy."
            raise InputRefusedError(message)
        self.gy.setflags(write=False)


@dataclass(frozen=True)
class LpsBox:
    """A box along the patient's axes.

    Attributes:
        low_lps_mm: its right, anterior, inferior corner.
        high_lps_mm: its left, posterior, superior corner.
    """

    low_lps_mm: Vector
    high_lps_mm: Vector

    @classmethod
    def of_grid(cls, grid: Grid) -> LpsBox:
        """The smallest box that holds a grid's voxels."""
        corners = grid.corners_lps_mm()
        low, high = corners.min(axis=0), corners.max(axis=0)
        return cls(
            (float(low[0]), float(low[1]), float(low[2])),
            (float(high[0]), float(high[1]), float(high[2])),
        )


def grid_around(box: LpsBox, *, spacing_mm: float) -> Grid:
    """A lattice along LPS whose voxels' centres span a box; its origin is a multiple of spacing.

    Raises:
        InputRefusedError: the spacing is impossible, or the grid would be too large.
    """
    if not _SPACINGS_MM[0] <= spacing_mm <= _SPACINGS_MM[1]:
        message = (
            f"dose grid spacing of {spacing_mm} mm; {_SPACINGS_MM[0]:g} to {_SPACINGS_MM[1]:g} mm "
            "is possible."
        )
        raise InputRefusedError(message)
    first = [math.floor(value / spacing_mm + 1e-9) for value in box.low_lps_mm]
    last = [math.ceil(value / spacing_mm - 1e-9) for value in box.high_lps_mm]
    size = [b - a + 1 for a, b in zip(first, last, strict=True)]
    if min(size) < 1 or math.prod(size) > MOST_VOXELS:
        message = (
            f"a dose grid of {size[0]} x {size[1]} x {size[2]} voxels of {spacing_mm:g} mm; at "
            f"most {MOST_VOXELS} voxels are possible. Give a larger spacing, or check the seeds' "
            "positions."
        )
        raise InputRefusedError(message)
    return Grid(
        (size[0], size[1], size[2]),
        (spacing_mm, spacing_mm, spacing_mm),
        (first[0] * spacing_mm, first[1] * spacing_mm, first[2] * spacing_mm),
        (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
    )


def dose_grid(
    plan: SeedPlan,
    model: SeedModel,
    *,
    spacing_mm: float = 1.0,
    margin_mm: float = DEFAULT_MARGIN_MM,
    around: LpsBox | None = None,
) -> DoseGrid:
    """The total dose of a permanent implant, in water, without attenuation between seeds.

    Args:
        plan: its seeds.
        model: of all its seeds; the caller has chosen it by ``plan.model``.
        spacing_mm: of the lattice, the same along x, y and z.
        margin_mm: how far the lattice goes beyond the seeds, on every side.
        around: the lattice's box, where it is not to be laid round the seeds.

    Raises:
        InputRefusedError: the lattice would be impossible.
    """
    grid = grid_around(around or _box_of(plan, margin_mm), spacing_mm=spacing_mm)
    return DoseGrid(_on_grid(plan, model, grid), grid)


def dose_at_gy(plan: SeedPlan, model: SeedModel, points_lps_mm: FloatArray) -> FloatArray:
    """The exact total dose at points of shape ``(..., 3)``, seed by seed in double precision."""
    points = np.asarray(points_lps_mm, dtype=np.float64)
    total = np.zeros(points.shape[:-1])
    for seed in plan.seeds:
        away = points - np.asarray(seed.position_lps_mm)
        total += exact_gy(model, seed, away)
    return total


def _box_of(plan: SeedPlan, margin_mm: float) -> LpsBox:
    if not 0.0 <= margin_mm <= 1000.0:
        message = f"dose grid margin of {margin_mm} mm; 0 to 1000 mm is possible."
        raise InputRefusedError(message)
    positions = np.asarray([seed.position_lps_mm for seed in plan.seeds])
    low, high = positions.min(axis=0) - margin_mm, positions.max(axis=0) + margin_mm
    return LpsBox(
        (float(low[0]), float(low[1]), float(low[2])),
        (float(high[0]), float(high[1]), float(high[2])),
    )


def _on_grid(plan: SeedPlan, model: SeedModel, grid: Grid) -> NDArray[np.float32]:
    """Sums the seeds' dose in slabs along z, so that memory does not grow with the grid."""
    axes = [
        grid.origin_lps_mm[axis] + np.arange(grid.size_ijk[axis]) * grid.spacing_mm[axis]
        for axis in range(3)
    ]
    tables = tables_of(plan, model, farthest_mm(plan, grid.corners_lps_mm()))
    total = torch.zeros(grid.shape_kji, dtype=torch.float32)
    per_slab = max(1, _SLAB_VOXELS // (grid.size_ijk[0] * grid.size_ijk[1]))
    with torch.inference_mode():
        for start in range(0, grid.size_ijk[2], per_slab):
            slab = slice(start, start + per_slab)
            for seed in plan.seeds:
                away = _away(seed, axes, slab)
                table = tables[seed.direction_lps is not None]
                total[slab] += looked_up_gy(seed, away, table)
        for seed in plan.seeds:
            table = tables[seed.direction_lps is not None]
            _put_exact_near(seed, model, grid, table, total)
    return total.clamp_(min=0.0).numpy()


def _away(seed: Seed, axes: Sequence[FloatArray], slab: slice) -> Away:
    """Distances from a seed along x, y and z, as arrays that broadcast to (z, y, x)."""
    x, y, z = (
        # Differences in double precision first: positions are large, distances small.
        torch.from_numpy((axis - position).astype(np.float32))
        for axis, position in zip(axes, seed.position_lps_mm, strict=True)
    )
    return x[None, None, :], y[None, :, None], z[slab][:, None, None]


def _put_exact_near(
    seed: Seed, model: SeedModel, grid: Grid, table: DoseTable, total: torch.Tensor
) -> None:
    """Exchanges a seed's values from the table for exact ones, where voxels lie near it."""
    centre = np.asarray(seed.position_lps_mm)
    at = (centre - np.asarray(grid.origin_lps_mm)) / np.asarray(grid.spacing_mm)
    reach = EXACT_WITHIN_MM / np.asarray(grid.spacing_mm)
    low = np.maximum(np.ceil(at - reach), 0).astype(int)
    high = np.minimum(np.floor(at + reach) + 1, grid.size_ijk).astype(int)
    if np.any(low >= high):
        return
    axes = [
        grid.origin_lps_mm[axis] + np.arange(low[axis], high[axis]) * grid.spacing_mm[axis]
        for axis in range(3)
    ]
    away = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).transpose(2, 1, 0, 3) - centre
    is_near = (away**2).sum(axis=-1) <= EXACT_WITHIN_MM**2
    exact = np.zeros(is_near.shape)
    exact[is_near] = exact_gy(model, seed, away[is_near])
    from_table = looked_up_gy(seed, _away(seed, axes, slice(None)), table).numpy()
    change = np.where(is_near, exact - from_table, 0.0).astype(np.float32)
    box = tuple(slice(low[axis], high[axis]) for axis in (2, 1, 0))
    total[box] += torch.from_numpy(change)
