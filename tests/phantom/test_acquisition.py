import numpy as np
import pytest
from tests.phantom.drawn import whole

from parotid_brachy.lib.imaging.volume import Grid
from parotid_brachy.lib.phantom.acquisition import HU_RANGE, Metal, scanned, streaked, textured
from parotid_brachy.lib.phantom.canvas import Canvas
from parotid_brachy.lib.phantom.tissue import USUAL, Tissue

GRID = Grid((80, 72, 9), (1.0, 1.0, 2.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))


def canvas_of(tissue: Tissue) -> Canvas:
    canvas = Canvas(GRID, USUAL, blur_mm=1.0)
    canvas.tissue[:] = tissue
    canvas.hu[:] = USUAL[tissue].mean_hu
    return canvas


def test_metal_streaks_bright_and_dark_in_its_own_slices_only():
    canvas = canvas_of(Tissue.MUSCLE)
    streaked(canvas, [Metal((40.0, 36.0, 4.0), 2.0, 1.0)], strength=1.0, seed=1)
    change = canvas.hu - USUAL[Tissue.MUSCLE].mean_hu
    assert change[4].max() > 100
    assert change[4].min() < -100
    assert np.abs(change[4, :4]).mean() < np.abs(change[4, 30:42, 30:50]).mean() / 3
    assert not change[:2].any()
    assert not change[7:].any()


def test_between_two_fillings_the_beam_is_starved():
    one, two = Metal((20.0, 36.0, 4.0), 2.0, 1.0), Metal((60.0, 36.0, 4.0), 2.0, 1.0)
    alone, both = canvas_of(Tissue.MUSCLE), canvas_of(Tissue.MUSCLE)
    streaked(both, [one, two], strength=1.0, seed=1)
    streaked(alone, [one, Metal((60.0, 36.0, 40.0), 2.0, 1.0)], strength=1.0, seed=1)
    between = np.s_[4, 36, 30:50]
    assert both.hu[between].mean() < alone.hu[between].mean() - 80


def test_texture_has_the_tissues_spread_and_keeps_its_mean():
    canvas = canvas_of(Tissue.CANCELLOUS)
    textured(canvas, USUAL, seed=3)
    assert canvas.hu.mean() == pytest.approx(USUAL[Tissue.CANCELLOUS].mean_hu, abs=25)
    assert 60 < canvas.hu.std() < 220
    air = canvas_of(Tissue.AIR)
    textured(air, USUAL, seed=3)
    assert np.all(air.hu == USUAL[Tissue.AIR].mean_hu)


def test_noise_is_as_strong_as_the_recipe_says_and_within_range():
    recipe = whole(1).report.recipe
    canvas = canvas_of(Tissue.MUSCLE)
    canvas.hu[0, 0, 0], canvas.hu[0, 0, 1] = 9000, -9000
    voxels = scanned(canvas, recipe)
    assert voxels.dtype == np.int16
    assert voxels[0, 0, 0] == HU_RANGE[1]
    assert voxels[0, 0, 1] == HU_RANGE[0]
    middle = voxels[1:, 20:50, 20:60]
    assert 0.4 * recipe.scan.noise_hu < middle.std() < 2.0 * recipe.scan.noise_hu
