"""A seed's dose, looked up in a table.

A seed's dose times its distance squared is smooth; it is tabulated once, on a fine lattice of
distance and angle, and looked up bilinearly for every point and seed. Points that lie nearer to a
seed than :data:`EXACT_WITHIN_MM`, where the geometry function is steep, get the exact value of
:mod:`parotid_brachy.lib.dosimetry.tg43`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch.nn import functional

from parotid_brachy.lib.dosimetry.plan import Seed, SeedPlan
from parotid_brachy.lib.dosimetry.seed_model import SeedModel
from parotid_brachy.lib.dosimetry.tg43 import dose_rate_cgy_per_h_per_u, total_dose_gy
from parotid_brachy.lib.imaging.volume import FloatArray

EXACT_WITHIN_MM: Final = 5.0
"""Nearer to a seed than this, no table is used: L is 3 mm, and the line's ends are steep."""
_R_STEP_MM: Final = 0.2
_ANGLES: Final = 385

Away = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Distances from a seed along x, y and z, float32; they broadcast to three axes."""


@dataclass(frozen=True, eq=False)
class DoseTable:
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
    def of(cls, model: SeedModel, farthest_mm: float, *, is_oriented: bool) -> DoseTable:
        """The table of a seed model's seeds as far as is asked."""
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


def tables_of(plan: SeedPlan, model: SeedModel, farthest_mm: float) -> dict[bool, DoseTable]:
    """The tables that a plan needs, by whether a seed has an orientation."""
    return {
        is_oriented: DoseTable.of(model, farthest_mm, is_oriented=is_oriented)
        for is_oriented in {seed.direction_lps is not None for seed in plan.seeds}
    }


def farthest_mm(plan: SeedPlan, points_lps_mm: FloatArray) -> float:
    """The largest distance of a point from a seed; points of shape (n, 3)."""
    positions = np.asarray([seed.position_lps_mm for seed in plan.seeds])
    away = np.sqrt(((points_lps_mm[:, None] - positions[None]) ** 2).sum(axis=-1))
    return float(away.max())


def looked_up_gy(seed: Seed, away: Away, table: DoseTable) -> torch.Tensor:
    """A seed's total dose by its table, in Gy; meaningless nearer than :data:`EXACT_WITHIN_MM`.

    Args:
        seed: whose strength and axis count.
        away: from its centre.
        table: of its kind, with or without orientation.
    """
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


def exact_gy(model: SeedModel, seed: Seed, away_mm: FloatArray) -> FloatArray:
    """A seed's total dose in Gy at distances from its centre, shape ``(..., 3)``, exactly."""
    r_mm = np.sqrt((away_mm**2).sum(axis=-1))
    cosine = None
    if seed.direction_lps is not None:
        along = away_mm @ np.asarray(seed.direction_lps)
        cosine = np.divide(along, r_mm, out=np.zeros_like(r_mm), where=r_mm > 0.0)
    rate = dose_rate_cgy_per_h_per_u(model, r_mm, cosine)
    return total_dose_gy(model, rate, seed.air_kerma_strength_u)
