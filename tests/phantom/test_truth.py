import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt
from tests.phantom.drawn import operated, whole

from parotid_brachy.lib.anatomy import GLAND, REACH_MM, Side
from parotid_brachy.lib.imaging.volume import Grid
from parotid_brachy.lib.phantom.truth import Extent, within_reach

IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@pytest.mark.parametrize("side", Side)
def test_roi17_is_what_lies_within_17_mm_of_the_residual_gland(side):
    phantom = operated(2, Side.LEFT)
    full, cut = phantom.truth[side][Extent.FULL], phantom.truth[side][Extent.ROI17]
    spacing = phantom.volume.grid.spacing_kji_mm
    distance = distance_transform_edt(full != GLAND.value, sampling=spacing)
    assert np.array_equal(cut, np.where(distance <= REACH_MM, full, 0))
    assert 0 < np.count_nonzero(cut) < np.count_nonzero(full)


def test_the_gland_stays_whole():
    for side in Side:
        maps = whole(1).truth[side]
        assert np.array_equal(maps[Extent.FULL] == GLAND.value, maps[Extent.ROI17] == GLAND.value)


def test_reach_is_measured_in_millimetres_on_each_axis():
    grid = Grid((9, 1, 9), (1.0, 1.0, 3.0), (0.0, 0.0, 0.0), IDENTITY)
    labels = np.ones(grid.shape_kji, dtype=np.uint8)
    labels[4, 0, 4] = GLAND.value
    kept = within_reach(labels, grid, reach_mm=3.0) > 0
    assert kept[4, 0].tolist() == [False, True, True, True, True, True, True, True, False]
    assert kept[:, 0, 4].tolist() == [False, False, False, True, True, True, False, False, False]


def test_without_gland_nothing_is_within_reach():
    grid = Grid((4, 4, 4), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), IDENTITY)
    assert not within_reach(np.ones(grid.shape_kji, dtype=np.uint8), grid).any()
