"""Doses at single points against the exact sum."""

from __future__ import annotations

import numpy as np
import pytest
from tests.dosimetry.implants import random_plan

from parotid_brachy.lib.dosimetry import voxel_dose
from parotid_brachy.lib.dosimetry.dose_grid import dose_at_gy, dose_grid
from parotid_brachy.lib.dosimetry.plan import SeedPlan
from parotid_brachy.lib.dosimetry.seed_model import load_seed_model
from parotid_brachy.lib.dosimetry.voxel_dose import dose_at_voxels_gy
from parotid_brachy.lib.errors import InputRefusedError

MODEL = load_seed_model("6711")


@pytest.mark.parametrize("oriented", [True, False])
def test_points_near_and_far_have_the_exact_dose(oriented: bool, monkeypatch) -> None:
    monkeypatch.setattr(voxel_dose, "_CHUNK", 700)
    plan = random_plan(15, seed=1, oriented=oriented)
    points = np.random.default_rng(2).uniform(-60.0, 60.0, (2000, 3))
    points = np.concatenate([points, [seed.position_lps_mm for seed in plan.seeds]])
    found = dose_at_voxels_gy(plan, MODEL, points)
    assert np.abs(found / dose_at_gy(plan, MODEL, points) - 1.0).max() < 5e-4


def test_it_is_the_dose_grid_at_its_voxels() -> None:
    plan = SeedPlan(
        "both",
        "6711",
        random_plan(4, seed=3, oriented=True).seeds + random_plan(4, seed=4, oriented=False).seeds,
    )
    dose = dose_grid(plan, MODEL, spacing_mm=4.0, margin_mm=20.0)
    k, j, i = np.indices(dose.gy.shape)
    points = dose.grid.to_lps_mm(np.stack([i, j, k], axis=-1).reshape(-1, 3).astype(float))
    np.testing.assert_allclose(
        dose_at_voxels_gy(plan, MODEL, points), dose.gy.reshape(-1), rtol=2e-4
    )


def test_no_points_have_no_dose_and_too_many_are_refused(monkeypatch) -> None:
    plan = random_plan(2, seed=5, oriented=True)
    assert dose_at_voxels_gy(plan, MODEL, np.zeros((0, 3))).shape == (0,)
    monkeypatch.setattr(voxel_dose, "MOST_VALUES", 10)
    with pytest.raises(InputRefusedError, match="6 voxels of organs under 2 seeds; at most 5"):
        dose_at_voxels_gy(plan, MODEL, np.zeros((6, 3)))
