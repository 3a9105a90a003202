import json

import numpy as np
import pytest
from scripts.measure.season import what_is_wrong
from scripts.measure.season_heads import Heads, exchanged, slipped
from scripts.measure.season_report import report, rounds_table, unseen_table
from scripts.measure.season_run import Season, is_better
from tests.retraining.approved_heads import GRID
from tests.segmentation.painted import dice, painted_head

from parotid_brachy.lib.anatomy import GLAND, STRUCTURES, Side


@pytest.fixture
def heads(tmp_path):
    """One head with a gland on the left, one with a gland on the right."""
    found = Heads(tmp_path / "heads")
    for case, radii in (("left", (14.0, 0.0)), ("right", (0.0, 14.0))):
        volume, labels = painted_head(GRID, radii_mm=radii, case=case)
        found.add(case, volume.voxels.astype(np.int16), labels, GRID)
    return found


def row(difference):
    return {
        "structure": GLAND.name,
        "champion_dsc": 0.5,
        "candidate_dsc": None if difference is None else 0.5 + difference,
        "difference": difference,
    }


def whole_season(**changed):
    """A season of one round in which all went well."""
    patient = {"case": "a", "dsc": 0.4, "changed_ml": 6.0, "dsc_by_name": {GLAND.name: 0.4}}
    other = {"case": "b", "dsc": None, "changed_ml": 2.0, "dsc_by_name": {GLAND.name: None}}
    result = {"step": "gland", "version": "v1", "promoted": True, "reasons": ["not worse"]}
    one = {"round": 1, "patients": [patient, other], "results": [result], "training_s": 60.0}
    told = {
        "rounds": [one],
        "unseen": [{"step": "gland", "round": 1, "version": "v1", "rows": [row(0.25)]}],
        "refused": [
            {"what": "exchanged", "step": "gland", "verdict": "wait", "reasons": ["a", "b", "c"]}
        ],
        "served": ["v1", "first", "v1"],
        "faults": {"hashes": []},
    }
    return Season(**{**told, **changed})


def test_a_case_is_on_the_side_of_its_gland(heads):
    assert (heads.side("left"), heads.side("right")) == (Side.LEFT, Side.RIGHT)
    assert heads.cases == ["left", "right"]


def test_a_hand_that_slips_changes_every_structure_a_little(heads):
    truth, _ = heads.truth("left")
    drawn = slipped(truth, seed=1)
    for structure in STRUCTURES:
        assert dice(drawn == structure.value, truth == structure.value) > 0.5
    assert dice(drawn == GLAND.value, truth == GLAND.value) > 0.85
    assert (drawn != truth).any()
    np.testing.assert_array_equal(drawn, slipped(truth, seed=1))
    assert (drawn != slipped(truth, seed=2)).any()


def test_labels_are_exchanged_in_a_copy_and_images_stay(heads, tmp_path):
    wrong = exchanged(heads, tmp_path / "wrong", {7: 6, 6: 7})
    truth, labels = heads.truth("left")[0], wrong.truth("left")[0]
    np.testing.assert_array_equal(labels == 7, truth == 6)
    np.testing.assert_array_equal(labels == 6, truth == 7)
    np.testing.assert_array_equal(labels == 3, truth == 3)
    for case in heads.cases:
        name = f"{case}.nii.gz"
        assert (wrong.images / name).read_bytes() == (heads.images / name).read_bytes()


@pytest.mark.parametrize(
    ("differences", "better"),
    [((0.1,), True), ((0.1, -0.3), False), ((None, 0.1), True), ((None,), False), ((), False)],
)
def test_better_is_a_higher_mean_over_what_both_were_compared_on(differences, better):
    assert is_better([row(difference) for difference in differences]) is better


def test_nothing_is_wrong_with_a_season_that_went_well():
    assert what_is_wrong(whole_season()) == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"faults": {"hashes": ["v1: another map"]}}, "hashes: v1: another map"),
        ({"served": ["v1", "v1", "v1"]}, "rolled back"),
        ({"served": ["v1", "first", "first"]}, "rolled back"),
        ({"unseen": [{"step": "gland", "round": 1, "rows": [row(-0.1)]}]}, "not better"),
        ({"unseen": [{"step": "gland", "round": 1, "rows": None}]}, "not better"),
        ({"refused": [{"what": "blind", "step": "gland", "verdict": "promote"}]}, "not refused"),
    ],
)
def test_what_a_season_fails_to_show_is_said(changed, words):
    (found,) = what_is_wrong(whole_season(**changed))
    assert words in found


def test_an_inference_that_failed_is_said():
    season = whole_season()
    season.seen.failures.append("no answer")
    assert what_is_wrong(season) == ["an inference failed: no answer"]


def test_a_season_is_kept_as_json():
    season = whole_season()
    season.seen.versions["gland/first"] = 3
    assert json.loads(json.dumps(season.to_json()))["seen"]["versions"] == {"gland/first": 3}


def test_means_are_over_patients_with_something_to_compare():
    (found,) = rounds_table(whole_season())
    assert found["draft DSC"] == pytest.approx(0.4)
    assert found["changed ml a patient"] == pytest.approx(4.0)
    (unseen,) = unseen_table(whole_season())
    assert unseen["its DSC"] == pytest.approx(0.75)
    assert "a; b (and 1 more)" in report(whole_season())
