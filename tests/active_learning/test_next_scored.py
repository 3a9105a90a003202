from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from tests.review.studies import ANNA, GRID, SENIOR, label_map, open_desk, sent

from parotid_brachy.lib.active_learning.next_scored import ScoredOrder, next_scored
from parotid_brachy.lib.active_learning.score_folder import CaseScore
from parotid_brachy.lib.anatomy import GLAND, STRUCTURES
from parotid_brachy.lib.review.intake import intake_of
from parotid_brachy.lib.review.records import Level, ReviewStatus
from parotid_brachy.lib.review.reviewing import Review

AT = datetime(2026, 11, 1, tzinfo=timezone.utc)
EDIT, DIFFERENT, UNCERTAIN = (
    ScoredOrder.LARGEST_EXPECTED_EDIT,
    ScoredOrder.MOST_DIFFERENT,
    ScoredOrder.LEAST_CERTAIN_SUBMISSION,
)


@pytest.fixture
def desk(tmp_path):
    desk = open_desk(tmp_path / "studies", cases=("a", "b", "c", "d"))
    yield desk
    desk.store.close()


def edits(version=None, **ml):
    return {
        case: CaseScore(case, "m", version, AT, {"expected_edit_ml": value})
        for case, value in ml.items()
    }


def vectors(made_by="m", at=AT, **values):
    return {
        case: CaseScore(case, made_by, None, at, {"vector": value})
        for case, value in values.items()
    }


def offered(desk, order, scores):
    offer = next_scored(desk.store.overview(), order, scores)
    return None if offer is None else offer.case


def approve(desk, case):
    desk.workflow.save(case, sent(), ANNA)
    desk.workflow.review(case, "final", Review(ReviewStatus.APPROVED, Level.NONE, ""), SENIOR)


def test_the_largest_expected_edit_comes_first(desk):
    scores = edits(a=1.0, b=7.5, c=3.0)
    order = []
    while (case := offered(desk, EDIT, scores)) is not None and case not in order:
        order.append(case)
        desk.workflow.save(case, sent(), ANNA)
    assert order == ["b", "c", "a", "d"], "d has no score"


def test_equal_edits_go_by_id(desk):
    assert offered(desk, EDIT, edits(c=2.0, b=2.0)) == "b"


def test_the_reason_tells_what_is_expected_and_whether_contours_came_since(desk):
    scores = edits(a=1.25)
    offer = next_scored(desk.store.overview(), EDIT, scores)
    assert offer.reason == "1.2 ml are expected to change"
    drafted = intake_of(label_map(GLAND.value), GRID, STRUCTURES, case="a")
    desk.workflow.keep_draft("a", drafted, ANNA, info={})
    offer = next_scored(desk.store.overview(), EDIT, scores)
    assert offer.reason.endswith("before its newest contours")
    offer = next_scored(desk.store.overview(), EDIT, edits(version=1, a=1.25))
    assert not offer.reason.endswith("before its newest contours")


@pytest.mark.parametrize("order", [EDIT, DIFFERENT], ids=lambda order: order.value)
def test_without_scores_the_first_case_is_offered_and_how_to_get_scores(desk, order):
    offer = next_scored(desk.store.overview(), order, {})
    assert offer.case == "a"
    assert f"POST /scoring/{order.method}" in offer.reason


def test_seniors_get_the_submission_that_differs_most_from_the_ensemble(desk):
    assert offered(desk, UNCERTAIN, edits(a=9.0)) is None, "nobody has submitted anything"
    for case in ("a", "b", "c"):
        desk.workflow.save(case, sent(), ANNA)
    scores = edits(version=1, a=0.5, c=4.0, d=90.0)
    assert offered(desk, UNCERTAIN, scores) == "c"
    assert offered(desk, UNCERTAIN, {}) == "a", "submitted longest ago"


def test_the_case_least_like_any_approved_one_comes_first(desk):
    approve(desk, "a")
    scores = vectors(a=[0.0, 0.0], b=[1.0, 0.0], c=[5.0, 5.0], d=[0.0, 1.0])
    offer = next_scored(desk.store.overview(), DIFFERENT, scores)
    assert offer.case == "c"
    assert "SD from a" in offer.reason
    approve(desk, "c")
    assert offered(desk, DIFFERENT, scores) in {"b", "d"}


def test_nothing_approved_leaves_nothing_to_differ_from(desk):
    offer = next_scored(desk.store.overview(), DIFFERENT, vectors(a=[0.0], b=[1.0]))
    assert offer.case == "a"
    assert "no approved case" in offer.reason


def test_a_case_in_which_the_models_find_no_gland_comes_first(desk):
    offer = next_scored(desk.store.overview(), EDIT, edits(a=9.0, b=None))
    assert (offer.case, offer.reason[:7]) == ("b", "nothing")


def test_what_was_told_of_a_draft_does_not_rank_a_submission_before_those_that_were_scored(desk):
    for case in ("a", "b"):
        desk.workflow.save(case, sent(), ANNA)
    offer = next_scored(desk.store.overview(), UNCERTAIN, {**edits(a=90.0), **edits(1, b=0.5)})
    assert offer.case == "b"


def test_vectors_of_an_older_model_are_not_compared_with_newer_ones(desk):
    approve(desk, "a")
    old = vectors("old", b=[900.0, 900.0])
    new = vectors("new", AT + timedelta(days=1), a=[0.0, 0.0], c=[1.0, 1.0], d=[0.0, 0.1])
    assert offered(desk, DIFFERENT, {**old, **new}) == "c"


def test_while_cases_are_described_anew_the_version_that_has_described_most_decides(desk):
    approve(desk, "a")
    old = vectors("old", a=[0.0, 0.0], b=[9.0, 9.0], c=[1.0, 0.0])
    new = vectors("new", AT + timedelta(days=1), d=[0.0, 0.1])
    offer = next_scored(desk.store.overview(), DIFFERENT, {**old, **new}, "new")
    assert offer.case == "b"
    assert offer.reason.endswith("by models that serve no more")
    offer = next_scored(desk.store.overview(), DIFFERENT, old, "old")
    assert "serve no more" not in offer.reason


def test_scores_of_cases_that_went_decide_nothing(desk):
    approve(desk, "a")
    gone = vectors("new", AT + timedelta(days=1), gone=[1.0], went=[2.0], lost=[3.0])
    here = vectors("old", a=[0.0, 0.0], b=[9.0, 9.0])
    assert offered(desk, DIFFERENT, {**gone, **here}) == "b"


def test_values_that_make_no_sense_count_as_no_score(desk):
    nonsense = {"a": CaseScore("a", "m", None, AT, {"expected_edit_ml": "much"})}
    assert offered(desk, EDIT, {**nonsense, **edits(b=0.1)}) == "b"
    approve(desk, "a")
    odd = {**vectors(a=[0.0, 0.0], c=[1.0, 1.0]), **vectors(b=[1.0])}
    assert offered(desk, DIFFERENT, {**odd, **vectors(d=[2.0, 2.0])}) == "d"


@pytest.mark.parametrize("order", ScoredOrder, ids=lambda order: order.value)
def test_consensus_cases_are_never_offered(desk, order):
    desk.workflow.save("b", sent(), ANNA)
    scores = edits(a=1.0, b=1.0)
    hidden = [
        replace(one, case=replace(one.case, is_consensus=True)) for one in desk.store.overview()
    ]
    assert next_scored(desk.store.overview(), order, scores) is not None
    assert next_scored(hidden, order, scores) is None
