import numpy as np
import pytest
from tests.retraining.painted_cases import (
    compared,
    failing,
    moved,
    painted_case,
    painted_cases,
    rows_of,
    stub,
    without,
)

from parotid_brachy.lib.anatomy import (
    AURICULA,
    GLAND,
    MANDIBULAR_RAMUS,
    ORGANS_AT_RISK,
    SKIN,
    STRUCTURES,
)
from parotid_brachy.lib.errors import GeometryError, UsageError
from parotid_brachy.lib.evaluation.overlap import Outcome, dsc, hd95_mm
from parotid_brachy.lib.evaluation.resampling import bootstrap_interval
from parotid_brachy.lib.retraining.comparison import Contender


@pytest.fixture(scope="module")
def cases():
    return painted_cases()


def test_equal_models_do_not_differ_anywhere(cases):
    found = compared(stub(), cases=cases, structures=STRUCTURES)
    assert found.patients == 4
    for row in found.rows:
        assert (row.patients, row.champion_dsc, row.candidate_dsc) == (4, 1.0, 1.0)
        assert (row.difference, row.low, row.high) == (0.0, 0.0, 0.0)
        assert (row.champion_hd95_mm, row.candidate_hd95_mm) == (0.0, 0.0)
        assert row.newly_missed == ()
    assert found.median_seconds == (1.0, 1.0)


def test_a_row_is_the_mean_of_the_patients_paired_differences(cases):
    found = compared(stub(moved(1, only=GLAND)), cases=cases, structures=(GLAND,))
    single = []
    for case in cases:
        there = np.roll(case.gland, -1, axis=1)
        single.append((dsc(case.gland, there).value, hd95_mm(case.gland, there, case.grid).value))
    (row,) = found.rows
    means = np.mean(single, axis=0)
    assert row.candidate_dsc == pytest.approx(means[0])
    assert row.difference == pytest.approx(means[0] - 1)
    assert row.candidate_hd95_mm == pytest.approx(means[1])
    assert row.low < row.difference < row.high < 0


def test_a_better_candidate_has_a_positive_difference(cases):
    found = compared(stub(), stub(moved(1)), cases=cases)
    assert all(row.difference > 0 and row.low > 0 for row in found.rows)


def test_an_organ_is_newly_missed_only_where_the_champion_finds_it(cases):
    champion = stub(without(SKIN))
    candidate = stub(without(SKIN, AURICULA, cases=("case1", "case2")))
    rows = rows_of(compared(candidate, champion, cases=cases))
    assert rows["auricula"].newly_missed == ("case1", "case2")
    assert rows["skin"].newly_missed == ()
    assert rows["auricula"].candidate_dsc == pytest.approx(0.5), "a missed organ counts as 0"


def test_what_the_reference_is_not_about_is_not_scored():
    case = painted_case(contoured=("parotid_gland", "skin"))
    rows = rows_of(compared(stub(without(AURICULA)), cases=[case]))
    assert rows["skin"].patients == 1
    assert (rows["auricula"].patients, rows["auricula"].difference) == (0, None)


def test_an_organ_that_is_empty_on_purpose_is_lost_by_who_labels_it():
    case = painted_case()
    empty = case.labels.copy()
    empty[empty == SKIN.value] = 0
    names = [one.name for one in STRUCTURES]
    cleared = type(case)(case.case, case.patient, case.volume, empty, frozenset(names), case.side)
    invents = Contender("invents", lambda _: (case.labels.copy(), 1.0))
    row = rows_of(compared(invents, cases=[cleared]))["skin"]
    assert (row.champion_dsc, row.candidate_dsc, row.newly_missed) == (1.0, 0.0, ())


def test_a_patient_counts_once_however_many_cases(cases):
    twice = [
        painted_case("first", patient="Erika"),
        painted_case("second", patient="Erika", radius_mm=16.0),
        painted_case("third"),
    ]
    found = compared(stub(without(SKIN, cases=("first", "second"))), cases=twice)
    row = rows_of(found)["skin"]
    assert (found.patients, row.patients) == (2, 2)
    assert row.candidate_dsc == pytest.approx(0.5)


def test_organs_beyond_reach_of_the_references_gland_do_not_count(cases):
    def far(labels, case):
        labels[:, :3][labels[:, :3] == 0] = MANDIBULAR_RAMUS.value
        return labels

    row = rows_of(compared(stub(far), cases=cases))["mandibular_ramus"]
    assert (row.candidate_dsc, row.candidate_hd95_mm) == (1.0, 0.0)


def test_a_model_that_fails_has_missed_everything_and_says_why(cases):
    found = compared(Contender("broken", failing), cases=cases)
    assert found.failures["case2"] == "case2: weights refused"
    assert found.median_seconds is None
    for row in found.rows:
        assert len(row.newly_missed) == 4
        assert row.candidate_hd95_mm is None


def test_scores_of_single_cases_are_kept(cases):
    found = compared(stub(without(SKIN, cases=("case3",))), cases=cases)
    assert len(found.scores) == len(cases) * len(ORGANS_AT_RISK)
    missed = [one for one in found.scores if one.is_newly_missed]
    assert [(one.case, one.structure) for one in missed] == [("case3", "skin")]
    assert missed[0].candidate.dsc.outcome is Outcome.MISSED


def test_a_map_of_another_shape_is_refused(cases):
    wrong = Contender("wrong", lambda case: (np.zeros((2, 2, 2), np.uint8), 1.0))
    with pytest.raises(GeometryError, match=r"case0: wrong answered"):
        compared(wrong, cases=cases)


def test_the_same_case_twice_and_no_case_at_all_are_refused(cases):
    with pytest.raises(UsageError, match="comes twice"):
        compared(stub(), cases=[cases[0], cases[0]])
    with pytest.raises(UsageError, match="no case"):
        compared(stub(), cases=[])


def test_the_interval_is_the_seeds_and_covers_the_mean():
    values = np.random.default_rng(1).normal(0.02, 0.05, 30)
    low, high = bootstrap_interval(values, seed=3)
    assert (low, high) == bootstrap_interval(values, seed=3)
    assert (low, high) != bootstrap_interval(values, seed=4)
    assert low < values.mean() < high
    half = 1.96 * values.std() / 30**0.5
    assert (high - low) / 2 == pytest.approx(half, rel=0.15)


def test_a_single_patient_has_no_spread():
    assert bootstrap_interval(np.array([0.25]), seed=0) == (0.25, 0.25)
