"""The dose of a whole implant on a grid, fast.

A seed's dose times its distance squared is smooth; it is tabulated once, on a fine lattice of
distance and angle, and looked up bilinearly for every voxel and seed. Voxels that lie nearer to a
seed than :data:`EXACT_WITHIN_MM`, where the geometry function is steep, get the exact value of
:mod:`parotid_brachy.lib.dosimetry.tg43`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from parotid_brachy.lib.dosimetry.plan import Seed, SeedPlan
from parotid_brachy.lib.dosimetry.seed_model import SeedModel
from parotid_brachy.lib.dosimetry.tg43 import dose_rate_cgy_per_h_per_u, total_dose_gy
from parotid_brachy.lib.errors import InputRefusedError
from parotid_brachy.lib.imaging.volume import FloatArray, Grid, Vector

EXACT_WITHIN_MM: Final = 5.0
"""Nearer to a seed than this, no table is used: L is 3 mm, and the line's ends are steep."""
DEFAULT_MARGIN_MM: Final = 40.0
"""Round the seeds: 17 mm of reach, and the organs that lie within it."""
MOST_VOXELS: Final = 200_000_000
"""Of a grid: 0.8 GB in float32."""
_SPACINGS_MM: Final = (0.1, 20.0)
_R_STEP_MM: Final = 0.2
_ANGLES: Final = 385
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
        total += _exact_gy(model, seed, away)
    return total


def _exact_gy(model: SeedModel, seed: Seed, away_mm: FloatArray) -> FloatArray:
    r_mm = np.sqrt((away_mm**2).sum(axis=-1))
    cosine = None
    if seed.direction_lps is not None:
        along = away_mm @ np.asarray(seed.direction_lps)
        cosine = np.divide(along, r_mm, out=np.zeros_like(r_mm), where=r_mm > 0.0)
    rate = dose_rate_cgy_per_h_per_u(model, r_mm, cosine)
    return total_dose_gy(model, rate, seed.air_kerma_strength_u)


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


@dataclass(frozen=True, eq=False)
class _Table:
    """Dose rate x r^2 of a seed of 1 U in Gy mm^2, over distance and angle: smooth in both.

    Rows are distances, :data:`_R_STEP_MM` apart. Columns are values of sqrt(1 - |cosine|) from 0,
    on the axis, to 1, beside the seed: nearly the angle itself, so that the anisotropy's steep
    rise near the axis is sampled as finely as the rest. A seed without orientation has one value
    for all angles.

    Attributes:
        values: float32, shape (1, 1, distances, angles).
    """

    values: torch.Tensor

    @classmethod
    def of(cls, model: SeedModel, farthest_mm: float, *, is_oriented: bool) -> _Table:
        # Nearer than EXACT_WITHIN_MM no table is used; it only has to be finite there.
        r_mm = np.arange(math.ceil(farthest_mm / _R_STEP_MM) + 2) * _R_STEP_MM
        r_mm = np.maximum(r_mm, EXACT_WITHIN_MM / 2)[:, None]
        root = np.linspace(0.0, 1.0, _ANGLES)[None]
        rate = dose_rate_cgy_per_h_per_u(model, r_mm, 1.0 - root**2 if is_oriented else None)
        values = np.broadcast_to(total_dose_gy(model, rate, 1.0) * r_mm**2, (r_mm.size, _ANGLES))
        return cls(torch.from_numpy(values.astype(np.float32))[None, None])

    def at(self, places: torch.Tensor) -> torch.Tensor:
        """Bilinear values; ``places`` are (angle, distance), of -1 to 1, in the last axis."""
        return functional.grid_sample(
            self.values, places, mode="bilinear", padding_mode="border", align_corners=True
        )

    def scaled_distance(self, r_mm: torch.Tensor) -> torch.Tensor:
        """Distances as :meth:`at` takes them; overwrites its argument."""
        return r_mm.mul_(2.0 / (_R_STEP_MM * (self.values.shape[2] - 1))).sub_(1.0)


def _on_grid(plan: SeedPlan, model: SeedModel, grid: Grid) -> NDArray[np.float32]:
    """Sums the seeds' dose in slabs along z, so that memory does not grow with the grid."""
    axes = [
        grid.origin_lps_mm[axis] + np.arange(grid.size_ijk[axis]) * grid.spacing_mm[axis]
        for axis in range(3)
    ]
    farthest = _farthest_mm(plan, grid)
    tables = {
        is_oriented: _Table.of(model, farthest, is_oriented=is_oriented)
        for is_oriented in {seed.direction_lps is not None for seed in plan.seeds}
    }
    total = torch.zeros(grid.shape_kji, dtype=torch.float32)
    per_slab = max(1, _SLAB_VOXELS // (grid.size_ijk[0] * grid.size_ijk[1]))
    with torch.inference_mode():
        for start in range(0, grid.size_ijk[2], per_slab):
            slab = slice(start, start + per_slab)
            for seed in plan.seeds:
                away = _away(seed, axes, slab)
                table = tables[seed.direction_lps is not None]
                total[slab] += _of_seed(seed, away, table)
        for seed in plan.seeds:
            table = tables[seed.direction_lps is not None]
            _put_exact_near(seed, model, grid, table, total)
    return total.clamp_(min=0.0).numpy()


_Away = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def _away(seed: Seed, axes: Sequence[FloatArray], slab: slice) -> _Away:
    """Distances from a seed along x, y and z, as arrays that broadcast to (z, y, x)."""
    x, y, z = (
        # Differences in double precision first: positions are large, distances small.
        torch.from_numpy((axis - position).astype(np.float32))
        for axis, position in zip(axes, seed.position_lps_mm, strict=True)
    )
    return x[None, None, :], y[None, :, None], z[slab][:, None, None]


def _of_seed(seed: Seed, away: _Away, table: _Table) -> torch.Tensor:
    x, y, z = away
    square = (x * x + y * y) + z * z
    # Only voxels that get the exact value afterwards lie nearer.
    square.clamp_(min=(EXACT_WITHIN_MM / 2) ** 2)
    inverse = square.rsqrt()
    places = torch.zeros((1, square.shape[0] * square.shape[1], square.shape[2], 2))
    angle, distance = places.view(*square.shape, 2).unbind(-1)
    if seed.direction_lps is not None:
        across, behind, up = seed.direction_lps
        along = (x * across + y * behind) + z * up
        cosine = along.mul_(inverse).abs_()
        torch.mul(cosine.neg_().add_(1.0).clamp_(min=0.0).sqrt_(), 2.0, out=cosine)
        angle.copy_(cosine.sub_(1.0))
    distance.copy_(table.scaled_distance(square.mul_(inverse)))
    values = table.at(places).view(square.shape)
    return values.mul_(inverse).mul_(inverse).mul_(seed.air_kerma_strength_u)


def _farthest_mm(plan: SeedPlan, grid: Grid) -> float:
    corners = grid.corners_lps_mm()
    positions = np.asarray([seed.position_lps_mm for seed in plan.seeds])
    away = np.sqrt(((corners[:, None] - positions[None]) ** 2).sum(axis=-1))
    return float(away.max())


def _put_exact_near(
    seed: Seed, model: SeedModel, grid: Grid, table: _Table, total: torch.Tensor
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
    exact[is_near] = _exact_gy(model, seed, away[is_near])
    from_table = _of_seed(seed, _away(seed, axes, slice(None)), table).numpy()
    change = np.where(is_near, exact - from_table, 0.0).astype(np.float32)
    box = tuple(slice(low[axis], high[axis]) for axis in (2, 1, 0))
    total[box] += torch.from_numpy(change)
