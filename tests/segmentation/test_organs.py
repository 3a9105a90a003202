import numpy as np
import pytest
from tests.imaging.heads import positions_of
from tests.segmentation.painted import CENTRE_MM, PaintedModel, dice, painted_head

from parotid_brachy.lib.anatomy import GLAND, ORGANS_AT_RISK, REACH_MM, Side
from parotid_brachy.lib.imaging.roi import Box
from parotid_brachy.lib.segmentation.organs import label_organs
from parotid_brachy.lib.segmentation.presets import Step, preset_for
from parotid_brachy.lib.segmentation.stopwatch import Stopwatch


def gland_of(side, radius):
    sign = 1 if side is Side.LEFT else -1
    centre = np.asarray(CENTRE_MM) * (sign, 1, 1)
    return Box.of(centre - radius, centre + radius)


@pytest.mark.parametrize(("side", "radius"), [(Side.LEFT, 14.0), (Side.RIGHT, 18.0)])
def test_the_region_of_interest_is_labelled_where_it_lies(side, radius):
    volume, labels = painted_head()
    watch = Stopwatch()
    model = PaintedModel(Step.ORGANS_AT_RISK, spacing_kji_mm=(2.0, 2.0, 2.0))
    box = gland_of(side, radius)
    found = label_organs(volume, box, side, model, watch)
    truth = labels[found.where]
    # The region ends between voxels and cuts organs there; what is deeper inside is whole.
    lps_mm = positions_of(volume.grid)[found.where]
    low, high = (np.asarray(face) for face in (box.low_lps_mm, box.high_lps_mm))
    inside = np.all((lps_mm > low - 12) & (lps_mm < high + 12), axis=-1)
    for structure in (*ORGANS_AT_RISK, GLAND):
        own = (truth == structure.value) & inside
        assert dice((found.labels == structure.value) & inside, own) > 0.5, structure.name
    assert list(watch.seconds) == ["organs sampling", "organs network", "restoring"]


def test_the_region_is_the_glands_box_grown_by_the_reach():
    volume, _ = painted_head()
    box = gland_of(Side.LEFT, 14.0)
    found = label_organs(volume, box, Side.LEFT, PaintedModel(Step.ORGANS_AT_RISK), Stopwatch())
    lps_mm = positions_of(volume.grid)[found.where]
    low, high = lps_mm.reshape(-1, 3).min(axis=0), lps_mm.reshape(-1, 3).max(axis=0)
    wanted = box.grown(REACH_MM)
    assert np.abs(low - wanted.low_lps_mm).max() <= 3.5
    assert np.abs(high - wanted.high_lps_mm).max() <= 3.5


def test_confidence_is_the_probability_of_the_voxels_label():
    volume, _ = painted_head()
    box = gland_of(Side.LEFT, 14.0)
    model = PaintedModel(Step.ORGANS_AT_RISK, gland_share=0.8)
    found = label_organs(volume, box, Side.LEFT, model, Stopwatch())
    inner = found.labels == GLAND.value
    assert inner.any()
    np.testing.assert_array_equal(found.confidence[inner], found.gland_probability[inner])
    assert found.confidence.max() <= 1
    assert found.gland_probability.max() == pytest.approx(0.8)


def test_a_model_without_the_gland_says_nothing_about_it():
    volume, _ = painted_head()
    model = PaintedModel(Step.ORGANS_AT_RISK)
    model.preset = preset_for("paper", Step.ORGANS_AT_RISK)
    found = label_organs(volume, gland_of(Side.LEFT, 14.0), Side.LEFT, model, Stopwatch())
    assert found.gland_probability is None
    assert GLAND.value not in found.labels


def test_a_region_that_leaves_the_volume_is_clipped_to_it():
    volume, _ = painted_head()
    box = Box((60.0, 60.0, 60.0), (102.0, 104.0, 99.0))
    found = label_organs(volume, box, Side.LEFT, PaintedModel(Step.ORGANS_AT_RISK), Stopwatch())
    stops = [part.stop for part in found.where]
    assert stops == list(volume.grid.shape_kji)
    assert found.labels.shape == tuple(p.stop - p.start for p in found.where)
