"""The dose of a whole implant at single points: those voxels of a CT that organs have.

Faster than a grid where organs are small beside the box that holds them, and without a grid's
interpolation between the seeds' steep doses.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch

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
from parotid_brachy.lib.imaging.volume import FloatArray

MOST_VALUES: Final = 500_000_000
"""Points times seeds: some seconds. Organs within the seeds' reach have a thousandth of it."""
_CHUNK: Final = 500_000


def dose_at_voxels_gy(plan: SeedPlan, model: SeedModel, points_lps_mm: FloatArray) -> FloatArray:
    """The total dose of a permanent implant at points, as the dose grid has it at its voxels.

    Args:
        plan: its seeds.
        model: of all of them.
        points_lps_mm: shape (n, 3).

    Returns:
        Gy, shape (n,), single precision in the seeds' sum.

    Raises:
        InputRefusedError: so many points and seeds that nobody would wait for them.
    """
    if len(points_lps_mm) * len(plan.seeds) > MOST_VALUES:
        message = (
            f"{len(points_lps_mm)} voxels of organs under {len(plan.seeds)} seeds; at most "
            f"{MOST_VALUES // len(plan.seeds)} can be calculated. Contour organs within the seeds' "
            "reach only."
        )
        raise InputRefusedError(message)
    total = np.zeros(len(points_lps_mm))
    if not len(points_lps_mm):
        return total
    corners = np.stack([points_lps_mm.min(axis=0), points_lps_mm.max(axis=0)])
    box = np.stack(np.meshgrid(*corners.T, indexing="ij"), axis=-1).reshape(-1, 3)
    tables = tables_of(plan, model, farthest_mm(plan, box))
    with torch.inference_mode():
        for start in range(0, len(points_lps_mm), _CHUNK):
            points = points_lps_mm[start : start + _CHUNK]
            part = torch.zeros(len(points), dtype=torch.float32)
            for seed in plan.seeds:
                away = points - np.asarray(seed.position_lps_mm)
                dose = looked_up_gy(seed, _as_axes(away), tables[seed.direction_lps is not None])
                part += _with_exact(dose.view(-1), seed, model, away)
            total[start : start + _CHUNK] = part.clamp_(min=0.0).numpy()
    return total


def dose_by_place_gy(
    seed: Seed, model: SeedModel, places_lps_mm: FloatArray, points_lps_mm: FloatArray
) -> FloatArray:
    """What a seed would give to points from each of many places.

    Args:
        seed: its strength and axis; where it is does not count.
        model: of the seed.
        places_lps_mm: where it might be, shape (m, 3).
        points_lps_mm: shape (n, 3).

    Returns:
        Gy, shape (m, n), single precision in the table.
    """
    result = np.zeros((len(places_lps_mm), len(points_lps_mm)))
    if not result.size:
        return result
    both = np.concatenate([places_lps_mm, points_lps_mm])
    span = float(np.linalg.norm(both.max(axis=0) - both.min(axis=0)))
    table = DoseTable.of(model, span, is_oriented=seed.direction_lps is not None)
    at_once = max(1, _CHUNK // len(points_lps_mm))
    with torch.inference_mode():
        for start in range(0, len(places_lps_mm), at_once):
            rows = slice(start, start + at_once)
            away = (points_lps_mm[None] - places_lps_mm[rows, None]).reshape(-1, 3)
            dose = looked_up_gy(seed, _as_axes(away), table).view(-1)
            part = _with_exact(dose, seed, model, away).numpy()
            result[rows] = part.reshape(-1, len(points_lps_mm))
    return result


def _as_axes(away_mm: FloatArray) -> Away:
    x, y, z = torch.from_numpy(away_mm.astype(np.float32).T.copy())[:, None, None, :]
    return x, y, z


def _with_exact(
    looked_up: torch.Tensor, seed: Seed, model: SeedModel, away_mm: FloatArray
) -> torch.Tensor:
    """The values of a table, exact ones in their place where points lie near the seed."""
    near = np.flatnonzero((away_mm**2).sum(axis=-1) <= EXACT_WITHIN_MM**2)
    if near.size:
        exact = exact_gy(model, seed, away_mm[near]).astype(np.float32)
        looked_up[torch.from_numpy(near)] = torch.from_numpy(exact)
    return looked_up
