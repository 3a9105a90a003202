import numpy as np
import pytest
from tests.active_learning.proposing import Proposing
from tests.imaging.heads import grid_of, head

from parotid_brachy.lib.active_learning.expected_edit import POSES
from parotid_brachy.lib.active_learning.scorers import (
    AppearanceScorer,
    CaseAtHand,
    ExpectedEditScorer,
    ModelQualityScorer,
)
from parotid_brachy.lib.anatomy import GLAND, MANDIBULAR_RAMUS, SKIN, STRUCTURES, Side
from parotid_brachy.lib.errors import GlandNotFoundError

GRID = grid_of((24, 20, 16), (4.0, 4.0, 5.0))
VOLUME = head(GRID, case="case_a")
ALL = tuple(structure.name for structure in STRUCTURES)


def heads_map(**boxes):
    """A map of boxes, each by its structure's name: first and last voxel along i."""
    labels = np.zeros(GRID.shape_kji, np.uint8)
    values = {structure.name: structure.value for structure in STRUCTURES}
    for name, (first, last) in boxes.items():
        labels[4:10, 6:12, first:last] = values[name]
    return labels


GLAND_AND_SKIN = heads_map(parotid_gland=(8, 12), skin=(12, 14))


def at_hand(contours=None, contoured=ALL, side=None):
    return CaseAtHand(VOLUME, contours, () if contours is None else tuple(contoured), side)


def test_without_contours_the_edit_is_of_what_would_be_proposed():
    def wobbling(volume, call):
        return GLAND_AND_SKIN if call == 0 else heads_map(parotid_gland=(8, 12))

    found = ExpectedEditScorer(Proposing(wobbling), "m").score(at_hand())
    assert found["members"] == 1 + len(POSES)
    missing_ml = 6 * 6 * 2 * GRID.voxel_ml * len(POSES) / found["members"]
    assert found["expected_edit_ml"] == pytest.approx(missing_ml, abs=1e-3)
    assert found["by_structure_ml"]["skin"] == pytest.approx(missing_ml, abs=1e-3)
    assert found["by_structure_ml"]["parotid_gland"] == 0.0


def test_contours_that_the_models_agree_with_are_expected_to_stay():
    scorer = ExpectedEditScorer(Proposing(lambda *_: GLAND_AND_SKIN), "m")
    assert scorer.score(at_hand(GLAND_AND_SKIN))["expected_edit_ml"] == 0.0
    assert scorer.score(at_hand(heads_map(parotid_gland=(8, 13))))["expected_edit_ml"] > 0


def test_structures_that_are_not_contoured_are_not_expected_to_change():
    scorer = ExpectedEditScorer(Proposing(lambda *_: GLAND_AND_SKIN), "m")
    only_gland = heads_map(parotid_gland=(8, 12))
    found = scorer.score(at_hand(only_gland, contoured=[GLAND.name]))
    assert found["expected_edit_ml"] == 0.0
    found = scorer.score(at_hand(only_gland, contoured=[GLAND.name, SKIN.name]))
    assert found["by_structure_ml"]["skin"] > 0


def described(volume, box, side):
    return np.array([*box.low_lps_mm, side is Side.LEFT], np.float32)


def test_a_case_is_described_round_its_contoured_gland():
    propose = Proposing(lambda *_: heads_map(parotid_gland=(15, 18)), Side.LEFT)
    scorer = AppearanceScorer(propose, described, "organs/1")
    contoured = scorer.score(at_hand(GLAND_AND_SKIN))["vector"]
    proposed = scorer.score(at_hand())["vector"]
    step = (15 - 8) * GRID.spacing_mm[0]
    assert proposed[0] - contoured[0] == pytest.approx(step)
    assert contoured[3] == 1.0


def test_where_nothing_is_contoured_and_no_gland_is_found_no_edit_is_told():
    scorer = ExpectedEditScorer(Proposing(lambda volume, _: np.zeros(volume.grid.shape_kji)), "m")
    assert scorer.score(at_hand())["expected_edit_ml"] is None, "not 0 ml: all is to be contoured"
    assert scorer.score(at_hand(heads_map()))["expected_edit_ml"] is None
    ml = 6 * 6 * 6 * GRID.voxel_ml
    assert scorer.score(at_hand(GLAND_AND_SKIN))["expected_edit_ml"] == pytest.approx(ml, abs=1e-3)


def test_of_two_contoured_glands_the_one_on_the_side_is_looked_at():
    middle = GRID.size_ijk[0] // 2
    both = heads_map(parotid_gland=(middle + 6, middle + 9))
    both[:, :, middle - 9 : middle - 6] = both[:, :, middle + 6 : middle + 9]
    propose = Proposing(lambda *_: heads_map())
    scorer = AppearanceScorer(propose, described, "organs/1")
    left = scorer.score(at_hand(both, side=Side.LEFT))["vector"]
    right = scorer.score(at_hand(both, side=Side.RIGHT))["vector"]
    assert left[0] - right[0] == pytest.approx(15 * GRID.spacing_mm[0])
    assert propose.asked == [], "side and gland are known: there is nothing to propose"


def test_a_recorded_side_counts_more_than_a_proposed_one():
    propose = Proposing(lambda *_: GLAND_AND_SKIN, Side.LEFT)
    vector = AppearanceScorer(propose, described, "organs/1").score(at_hand(side=Side.RIGHT))
    assert vector["vector"][3] == 0.0


@pytest.mark.parametrize("contours", [None, heads_map(skin=(2, 4))], ids=["nothing", "no gland"])
def test_without_any_gland_a_case_cannot_be_described(contours):
    propose = Proposing(lambda volume, _: np.zeros(volume.grid.shape_kji))
    with pytest.raises(GlandNotFoundError, match="case_a"):
        AppearanceScorer(propose, described, "organs/1").score(at_hand(contours))


def test_quality_is_told_of_what_is_contoured_only():
    propose = Proposing(lambda *_: heads_map(parotid_gland=(8, 12), mandibular_ramus=(12, 13)))
    scorer = ModelQualityScorer(propose, "m", frozenset({"seen"}))
    contoured = [GLAND.name, SKIN.name]
    found = scorer.score(at_hand(GLAND_AND_SKIN, contoured))["structures"]
    assert list(found) == [SKIN.name, GLAND.name], "in the project's order"
    assert found[GLAND.name] == {
        "status": "scored",
        "dsc": 1.0,
        "hd95_mm": 0.0,
        "surface_dsc_1mm": 1.0,
    }
    assert (found[SKIN.name]["status"], found[SKIN.name]["dsc"]) == ("missed", 0.0)
    assert MANDIBULAR_RAMUS.name not in found
    assert scorer.passed_over == {"seen"}


def test_quality_is_told_on_the_side_of_the_contours():
    propose = Proposing(lambda *_: GLAND_AND_SKIN)
    ModelQualityScorer(propose, "m", frozenset()).score(at_hand(GLAND_AND_SKIN, side=Side.RIGHT))
    ((_, options),) = propose.asked
    assert options.side is Side.RIGHT
    assert options.keep_beyond_reach, "cut at the approved gland, and at no other before"


def test_an_edit_is_of_maps_that_end_at_the_models_own_gland():
    propose = Proposing(lambda *_: GLAND_AND_SKIN)
    ExpectedEditScorer(propose, "m").score(at_hand())
    assert not any(options.keep_beyond_reach for _, options in propose.asked)
