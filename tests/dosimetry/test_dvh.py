"""Histograms against closed forms, and what the dose grid does not cover."""

from __future__ import annotations

import numpy as np
import pytest
from tests.imaging.test_sampling import rotation

from parotid_brachy.lib.anatomy import GLAND, SKIN
from parotid_brachy.lib.dosimetry.dose_grid import DoseGrid, LpsBox, grid_around
from parotid_brachy.lib.dosimetry.dvh import Dvh, dose_volume_histograms
from parotid_brachy.lib.errors import GeometryError
from parotid_brachy.lib.imaging.volume import Grid

RADIUS = 12.0
STRAIGHT = rotation(0.0, 0.0, 0.0)


def _ball(grid: Grid, centre: tuple[float, float, float], radius: float) -> np.ndarray:
    k, j, i = np.indices(grid.shape_kji)
    away = grid.to_lps_mm(np.stack([i, j, k], axis=-1).astype(float)) - np.asarray(centre)
    return np.where((away**2).sum(axis=-1) <= radius**2, GLAND.value, 0).astype(np.uint8)


def _dose(values: object, box: LpsBox, spacing: float = 1.0) -> DoseGrid:
    grid = grid_around(box, spacing_mm=spacing)
    k, j, i = np.indices(grid.shape_kji)
    x, y, z = np.moveaxis(grid.to_lps_mm(np.stack([i, j, k], axis=-1).astype(float)), -1, 0)
    return DoseGrid(np.asarray(values(x, y, z), dtype=np.float32), grid)  # type: ignore[operator]


def _map_grid(spacing: float, direction: tuple[float, ...] = STRAIGHT) -> Grid:
    count = int(34.0 / spacing)
    edges = np.asarray(direction).reshape(3, 3) * spacing
    origin = -edges @ np.full(3, (count - 1) / 2.0)
    return Grid((count,) * 3, (spacing,) * 3, tuple(origin.tolist()), direction)


BOX = LpsBox((-30.0, -30.0, -30.0), (30.0, 30.0, 30.0))


@pytest.mark.parametrize("angles", [(0.0, 0.0, 0.0), (20.0, -35.0, 11.0)])
def test_a_ball_in_a_linear_dose_has_its_closed_form(angles: tuple[float, float, float]) -> None:
    dose = _dose(lambda x, y, z: 100.0 + 2.0 * x + 0.0 * y * z, BOX)
    grid = _map_grid(0.5, rotation(*angles))
    found = dose_volume_histograms(dose, _ball(grid, (0, 0, 0), RADIUS), grid)[GLAND]
    assert found.volume_ml == pytest.approx(4 / 3 * np.pi * RADIUS**3 / 1000, rel=3e-3)
    assert not found.is_partial
    assert found.dmean_gy == pytest.approx(100.0, abs=0.02)
    assert found.dmin_gy == pytest.approx(76.0, abs=0.5)
    assert found.dmax_gy == pytest.approx(124.0, abs=0.5)
    # Share of a ball beyond the plane x = h: (R - h)^2 (2 R + h) / (4 R^3).
    doses = np.asarray([80.0, 90.0, 100.0, 110.0, 120.0])
    h = (doses - 100.0) / 2.0
    closed = 100.0 * (RADIUS - h) ** 2 * (2 * RADIUS + h) / (4 * RADIUS**3)
    np.testing.assert_allclose(found.cumulative_percent(doses), closed, atol=0.8)
    for share, at in zip(closed, doses, strict=True):
        assert found.d_percent_gy(float(share)) == pytest.approx(at, abs=0.6)


def test_a_ball_round_a_source_of_inverse_square_has_its_closed_form() -> None:
    far = 40.0  # from the ball's centre, so that the dose is smooth in it
    dose = _dose(lambda x, y, z: 1e5 / ((x - far) ** 2 + y**2 + z**2), BOX, 0.5)
    grid = _map_grid(0.5)
    found = dose_volume_histograms(dose, _ball(grid, (0, 0, 0), RADIUS), grid)[GLAND]
    # Mean of 1 / r^2 over a ball of radius a, its centre d away.
    a, d = RADIUS, far
    mean = 3 / (4 * a**3) * (2 * a + (a**2 - d**2) / d * np.log((d + a) / (d - a)))
    assert found.dmean_gy == pytest.approx(1e5 * mean, rel=1e-3)
    assert found.dmax_gy == pytest.approx(1e5 / (d - a) ** 2, rel=0.02)
    # The part of the ball within r of the source: two caps.
    for radius in (32.0, 38.0, 44.0):
        volume = (
            np.pi * (a + radius - d) ** 2 * (d * d + 2 * d * (a + radius) - 3 * (a - radius) ** 2)
        ) / (12 * d)
        ml = volume / 1000
        assert found.d_hottest_gy(ml) == pytest.approx(1e5 / radius**2, rel=5e-3)


def _dvh(doses: list[float], voxel_ml: float) -> Dvh:
    values = np.sort(np.asarray(doses, dtype=np.float64))[::-1]
    return Dvh(SKIN, len(doses) * voxel_ml, 1.0, values, voxel_ml)


def test_the_hottest_volume_is_none_where_the_organ_is_smaller() -> None:
    found = _dvh([50.0, 10.0, 40.0, 30.0, 20.0], 0.1)
    assert found.d_hottest_gy(0.1) == 50.0
    assert found.d_hottest_gy(0.2) == 40.0
    assert found.d_hottest_gy(0.5) == 10.0
    assert found.d_hottest_gy(0.51) is None
    assert found.d_hottest_gy(2.0) is None


def test_d90_and_v100_count_voxels() -> None:
    found = _dvh([float(n) for n in range(1, 101)], 0.01)
    assert found.d_percent_gy(90.0) == 11.0
    assert found.v_percent(11.0) == 90.0
    assert found.v_percent(1000.0) == 0.0
    np.testing.assert_allclose(found.differential_ml(np.asarray([0.5, 50.5, 100.5])), [0.5, 0.5])
    np.testing.assert_allclose(
        found.cumulative_percent(np.asarray([0.0, 1.0, 100.0])), [100, 100, 1]
    )


def test_what_the_dose_does_not_cover_is_told_and_left_out() -> None:
    dose = _dose(
        lambda x, y, z: 100.0 + 0.0 * (x + y + z), LpsBox((0.0, -30.0, -30.0), (30.0, 30.0, 30.0))
    )
    grid = _map_grid(1.0)
    found = dose_volume_histograms(dose, _ball(grid, (0, 0, 0), RADIUS), grid)[GLAND]
    assert found.is_partial
    assert found.covered_fraction == pytest.approx(0.5, abs=0.05)
    assert found.dmean_gy == pytest.approx(100.0)
    far = _dose(lambda x, y, z: x + y + z, LpsBox((100.0, 100.0, 100.0), (120.0, 120.0, 120.0)))
    none = dose_volume_histograms(far, _ball(grid, (0, 0, 0), RADIUS), grid)[GLAND]
    assert none.covered_fraction == 0.0
    assert none.dmean_gy is none.dmax_gy is none.d_hottest_gy(0.1) is none.v_percent(1.0) is None


def test_only_structures_of_the_map_are_answered() -> None:
    grid = _map_grid(2.0)
    dose = _dose(lambda x, y, z: 1.0 + 0.0 * (x + y + z), BOX, 5.0)
    assert dose_volume_histograms(dose, np.zeros(grid.shape_kji, np.uint8), grid) == {}
    found = dose_volume_histograms(dose, _ball(grid, (0, 0, 0), 5.0), grid, [SKIN])
    assert found == {}
    with pytest.raises(GeometryError, match="shape"):
        dose_volume_histograms(dose, np.zeros((2, 2, 2), np.uint8), grid)
