"""The fast dose grid against the exact sum, point by point."""

from __future__ import annotations

import numpy as np
import pytest
from tests.dosimetry.implants import plain_dose_gy, random_plan

from parotid_brachy.lib.dosimetry.dose_grid import (
    DoseGrid,
    LpsBox,
    dose_at_gy,
    dose_grid,
    grid_around,
)
from parotid_brachy.lib.dosimetry.plan import Seed, SeedPlan
from parotid_brachy.lib.dosimetry.seed_model import load_seed_model
from parotid_brachy.lib.errors import InputRefusedError
from parotid_brachy.lib.imaging.volume import Grid

MODEL = load_seed_model("6711")
LARGEST_ERROR = 5e-4


def _points(dose: DoseGrid) -> np.ndarray:
    k, j, i = np.indices(dose.gy.shape)
    return dose.grid.to_lps_mm(np.stack([i, j, k], axis=-1).astype(np.float64))


@pytest.mark.parametrize("oriented", [True, False])
def test_every_voxel_has_the_dose_of_a_plain_second_implementation(oriented: bool) -> None:
    plan = random_plan(12, seed=3, oriented=oriented)
    dose = dose_grid(plan, MODEL, spacing_mm=1.7, margin_mm=35.0)
    points = _points(dose).reshape(-1, 3)
    away = points[:, None] - np.asarray([seed.position_lps_mm for seed in plan.seeds])
    outside = (away**2).sum(axis=-1).min(axis=1) > 2.5**2  # off every seed's surface
    chosen = np.random.default_rng(0).choice(np.flatnonzero(outside), 3000, replace=False)
    plain = [plain_dose_gy(plan, tuple(points[n].tolist())) for n in chosen]
    assert np.abs(dose.gy.reshape(-1)[chosen] / plain - 1.0).max() < LARGEST_ERROR


@pytest.mark.parametrize("oriented", [True, False])
def test_the_whole_grid_equals_the_exact_sum_on_the_seeds_too(oriented: bool) -> None:
    plan = random_plan(20, seed=4, oriented=oriented)
    dose = dose_grid(plan, MODEL, spacing_mm=1.0, margin_mm=15.0)
    exact = dose_at_gy(plan, MODEL, _points(dose))
    assert np.abs(dose.gy / exact - 1.0).max() < LARGEST_ERROR


def test_seeds_with_and_without_orientation_add_up() -> None:
    oriented, lone = random_plan(5, seed=5, oriented=True), random_plan(4, seed=6, oriented=False)
    box = LpsBox((-40.0, -40.0, -40.0), (40.0, 40.0, 40.0))
    both = SeedPlan("both", "6711", oriented.seeds + lone.seeds)
    parts = [dose_grid(one, MODEL, spacing_mm=2.0, around=box).gy for one in (oriented, lone)]
    whole = dose_grid(both, MODEL, spacing_mm=2.0, around=box).gy
    np.testing.assert_allclose(whole, parts[0] + parts[1], rtol=1e-5)


def test_a_grid_far_from_its_seeds_still_has_their_dose() -> None:
    plan = random_plan(3, seed=7, oriented=True)
    box = LpsBox((150.0, -30.0, 400.0), (190.0, 10.0, 430.0))
    dose = dose_grid(plan, MODEL, spacing_mm=5.0, around=box)
    exact = dose_at_gy(plan, MODEL, _points(dose))
    assert np.abs(dose.gy / exact - 1.0).max() < LARGEST_ERROR


def test_large_coordinates_cost_no_precision() -> None:
    far = (1234.5, -987.25, 2345.75)
    near = SeedPlan("near", "6711", (Seed((0.3, 0.2, -0.4), 1.0, (1.0, 2.0, -1.0)),))
    moved = tuple(a + b for a, b in zip(near.seeds[0].position_lps_mm, far, strict=True))
    there = SeedPlan("far", "6711", (Seed(moved, 1.0, (1.0, 2.0, -1.0)),))  # type: ignore[arg-type]
    box = LpsBox((-20.0, -20.0, -20.0), (20.0, 20.0, 20.0))
    high = tuple(20.0 + one for one in far)
    low = tuple(-20.0 + one for one in far)
    at_far = dose_grid(there, MODEL, spacing_mm=0.25, around=LpsBox(low, high))  # type: ignore[arg-type]
    at_home = dose_grid(near, MODEL, spacing_mm=0.25, around=box)
    np.testing.assert_allclose(at_far.gy, at_home.gy, rtol=2e-4)


def test_strength_scales_the_dose() -> None:
    plan = random_plan(1, seed=8, oriented=True)
    seed = plan.seeds[0]
    double = SeedPlan(
        "double",
        "6711",
        (Seed(seed.position_lps_mm, 2.0 * seed.air_kerma_strength_u, seed.direction_lps),),
    )
    one, two = (dose_grid(each, MODEL, spacing_mm=3.0) for each in (plan, double))
    np.testing.assert_allclose(two.gy, 2.0 * one.gy, rtol=1e-5)


def test_the_grid_spans_its_box_on_multiples_of_its_spacing() -> None:
    grid = grid_around(LpsBox((-3.2, 0.0, 7.0), (3.2, 2.0, 9.1)), spacing_mm=2.0)
    assert grid.origin_lps_mm == (-4.0, 0.0, 6.0)
    assert grid.size_ijk == (5, 2, 3)
    corners = LpsBox.of_grid(grid)
    assert corners == LpsBox((-5.0, -1.0, 5.0), (5.0, 3.0, 11.0))


@pytest.mark.parametrize("spacing", [0.0, -1.0, float("nan"), 1e-3, 50.0])
def test_impossible_spacings_are_refused(spacing: float) -> None:
    with pytest.raises(InputRefusedError, match="spacing"):
        dose_grid(random_plan(1, seed=1, oriented=False), MODEL, spacing_mm=spacing)


def test_a_grid_that_no_memory_holds_is_refused() -> None:
    seeds = (Seed((0.0, 0.0, 0.0), 1.0), Seed((4000.0, 4000.0, 4000.0), 1.0))
    with pytest.raises(InputRefusedError, match="at most"):
        dose_grid(SeedPlan("wide", "6711", seeds), MODEL, spacing_mm=1.0)


def test_a_dose_grid_takes_no_other_shape_and_no_impossible_dose() -> None:
    grid = Grid((2, 3, 4), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    with pytest.raises(InputRefusedError, match="shape"):
        DoseGrid(np.zeros((2, 3, 4), dtype=np.float32), grid)
    for bad in (-1.0, np.nan, np.inf):
        with pytest.raises(InputRefusedError, match="dose"):
            DoseGrid(np.full((4, 3, 2), bad, dtype=np.float32), grid)
