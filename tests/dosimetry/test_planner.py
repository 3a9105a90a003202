"""Implants for studies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from parotid_brachy.lib.anatomy import GLAND, MANDIBULAR_RAMUS
from parotid_brachy.lib.dosimetry.dose_grid import dose_grid
from parotid_brachy.lib.dosimetry.dvh import dose_volume_histograms
from parotid_brachy.lib.dosimetry.plan import SeedPlan
from parotid_brachy.lib.dosimetry.planner import (
    PROTOCOL_MCI,
    PlannerSettings,
    plan_implant,
    plan_summary,
)
from parotid_brachy.lib.dosimetry.seed_model import load_seed_model
from parotid_brachy.lib.errors import InputRefusedError
from parotid_brachy.lib.imaging.volume import Grid, Volume

MODEL = load_seed_model("6711")
GRID = Grid((60, 70, 40), (1.0, 1.0, 2.0), (20.0, -35.0, 100.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))


def _case(radii: tuple[float, float, float] = (12.0, 18.0, 24.0)) -> tuple[Volume, np.ndarray]:
    """An ellipsoid gland with a plate of bone in it and a pocket of air."""
    k, j, i = np.indices(GRID.shape_kji)
    away = GRID.to_lps_mm(np.stack([i, j, k], axis=-1).astype(float)) - (50.0, 0.0, 139.0)
    gland = ((away / np.asarray(radii)) ** 2).sum(axis=-1) <= 1.0
    hu = np.full(GRID.shape_kji, 20, dtype=np.int16)
    bone = (i > 33) & (i < 38) & (j < 30)
    air = (i < 26) & (j > 40)
    hu[bone], hu[air] = 1200, -1000
    labels = np.where(gland, GLAND.value, 0).astype(np.uint8)
    labels[bone] = MANDIBULAR_RAMUS.value
    return Volume(GRID, hu, "case_1"), labels


def _activity(plan: SeedPlan) -> float:
    return plan.seeds[0].air_kerma_strength_u / MODEL.u_per_mci


def test_the_glands_d90_is_the_prescription() -> None:
    volume, labels = _case()
    plan = plan_implant(volume, labels, MODEL)
    dose = dose_grid(plan, MODEL, spacing_mm=1.0)
    found = dose_volume_histograms(dose, labels, GRID)[GLAND]
    assert found.d_percent_gy(90.0) == pytest.approx(120.0, rel=0.03)
    assert "mCi" in plan_summary(plan, MODEL)


def test_seeds_are_in_the_gland_off_its_edge_and_off_bone_and_air() -> None:
    volume, labels = _case()
    plan = plan_implant(volume, labels, MODEL)
    k, j, i = np.indices(GRID.shape_kji)
    centres = GRID.to_lps_mm(np.stack([i, j, k], axis=-1).astype(float))
    for seed in plan.seeds:
        away = np.sqrt(((centres - seed.position_lps_mm) ** 2).sum(axis=-1))
        assert labels.flat[away.argmin()] == GLAND.value
        # A voxel of tolerance: distances are taken between voxels' centres.
        assert away[labels != GLAND.value].min() > 1.0
        assert away[volume.voxels > 300].min() > 1.0
        assert volume.voxels.flat[away.argmin()] > -300


def test_seeds_stand_apart_and_along_needles() -> None:
    plan = plan_implant(*_case(), MODEL)
    positions = np.asarray([seed.position_lps_mm for seed in plan.seeds])
    away = np.sqrt(((positions[:, None] - positions[None]) ** 2).sum(axis=-1))
    assert away[~np.eye(len(away), dtype=bool)].min() >= 5.0 - 1e-6
    assert {seed.direction_lps for seed in plan.seeds} == {(1.0, 0.0, 0.0)}
    assert len({seed.air_kerma_strength_u for seed in plan.seeds}) == 1


def test_the_same_case_gets_the_same_plan() -> None:
    assert plan_implant(*_case(), MODEL) == plan_implant(*_case(), MODEL)


def test_a_higher_prescription_takes_more() -> None:
    low = plan_implant(*_case(), MODEL, PlannerSettings(prescription_gy=80.0))
    high = plan_implant(*_case(), MODEL, PlannerSettings(prescription_gy=160.0))
    assert high.total_strength_u > 1.5 * low.total_strength_u


def test_no_gland_no_room_and_no_possible_strength_are_refused() -> None:
    volume, labels = _case()
    with pytest.raises(InputRefusedError, match="case_1: no parotid gland"):
        plan_implant(volume, np.zeros_like(labels), MODEL)
    with pytest.raises(InputRefusedError, match="no room for"):
        plan_implant(*_case((1.5, 1.5, 1.5)), MODEL)
    with pytest.raises(InputRefusedError, match="prescription"):
        plan_implant(volume, labels, MODEL, PlannerSettings(prescription_gy=float("nan")))
    weak = replace(PlannerSettings(), possible_mci=(1e-4, 1e-3))
    with pytest.raises(InputRefusedError, match="mCi is possible"):
        plan_implant(volume, labels, MODEL, weak)


def test_litres_are_no_gland_and_are_refused_at_once() -> None:
    volume, _ = _case()
    everything = np.full(GRID.shape_kji, GLAND.value, dtype=np.uint8)
    with pytest.raises(InputRefusedError, match="case_1: a parotid gland of 336 ml; more than 75"):
        plan_implant(volume, everything, MODEL)


def _thin(half_width_mm: float) -> tuple[Volume, np.ndarray]:
    """A gland so thin and slanting that the pattern has few places in it."""
    k, j, i = np.indices(GRID.shape_kji)
    away = GRID.to_lps_mm(np.stack([i, j, k], axis=-1).astype(float)) - (50.0, 0.0, 139.0)
    x, y, z = np.moveaxis(away, -1, 0)
    gland = (np.abs(x) < 14.0) & (np.abs(y - 0.3 * x) < half_width_mm) & (np.abs(z) < 10.0)
    hu = np.full(GRID.shape_kji, 20, dtype=np.int16)
    return Volume(GRID, hu, "case_1"), np.where(gland, GLAND.value, 0).astype(np.uint8)


def test_where_the_pattern_has_too_few_places_gaps_are_filled_until_strengths_are_usual() -> None:
    volume, labels = _thin(3.0)
    settings = PlannerSettings(prescription_gy=320.0, possible_mci=(0.3, 9.0))
    pattern_only = replace(settings, protocol_mci=(0.6, 9.0))
    assert _activity(plan_implant(volume, labels, MODEL, pattern_only)) > PROTOCOL_MCI[1]
    plan = plan_implant(volume, labels, MODEL, settings)
    assert PROTOCOL_MCI[0] <= _activity(plan) <= PROTOCOL_MCI[1]
    positions = np.asarray([seed.position_lps_mm for seed in plan.seeds])
    away = np.sqrt(((positions[:, None] - positions[None]) ** 2).sum(axis=-1))
    assert away[~np.eye(len(away), dtype=bool)].min() >= 5.0 - 1e-5
    dose = dose_grid(plan, MODEL, spacing_mm=1.0)
    found = dose_volume_histograms(dose, labels, GRID)[GLAND]
    assert found.d_percent_gy(90.0) == pytest.approx(320.0, rel=0.03)


def test_seeds_that_are_not_the_protocols_are_told() -> None:
    settings = PlannerSettings(prescription_gy=900.0, possible_mci=(0.3, 9.0))
    plan = plan_implant(*_thin(3.0), MODEL, settings)
    assert _activity(plan) > PROTOCOL_MCI[1]
    assert plan_summary(plan, MODEL).endswith("mCi (not the protocol's 0.6 to 0.8)")
    assert plan_summary(plan_implant(*_case(), MODEL), MODEL).endswith(" mCi")


def test_one_seed_less_is_taken_where_the_last_makes_all_too_weak() -> None:
    volume, labels = _case((6.0, 6.0, 6.0))
    activities = []
    for prescription in np.linspace(30.0, 120.0, 13):
        settings = PlannerSettings(prescription_gy=float(prescription), possible_mci=(0.01, 9.0))
        plan = plan_implant(volume, labels, MODEL, settings)
        activities.append(_activity(plan))
    assert any(PROTOCOL_MCI[0] <= one <= PROTOCOL_MCI[1] for one in activities)
    assert any(0.7 < one <= PROTOCOL_MCI[1] for one in activities)
