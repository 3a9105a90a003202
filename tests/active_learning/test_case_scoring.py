import os
import threading

import numpy as np
import pytest
from tests.review.studies import ANNA, GRID, SENIOR, label_map, open_desk, sent

from parotid_brachy.lib.active_learning.case_scoring import newest_contours, score_cases
from parotid_brachy.lib.active_learning.score_folder import ScoreFolder
from parotid_brachy.lib.anatomy import GLAND, SKIN, STRUCTURES, Side
from parotid_brachy.lib.errors import InputRefusedError, StoreFullError
from parotid_brachy.lib.review.intake import intake_of
from parotid_brachy.lib.review.next_case import TO_CONTOUR
from parotid_brachy.lib.review.records import Kind, Level, ReviewStatus
from parotid_brachy.lib.review.reviewing import Review
from parotid_brachy.lib.review.states import CaseState


class Noting:
    """A scorer that notes what it was given."""

    method = "noting"
    states = TO_CONTOUR
    made_by = "model/1"
    needs_contours = False
    is_about_contours = True
    passed_over = frozenset()

    def __init__(self, fails=()):
        self.given = {}
        self._fails = dict(fails)

    def score(self, case):
        self.given[case.volume.case] = case
        if case.volume.case in self._fails:
            raise self._fails[case.volume.case]
        return {"seen": True}


@pytest.fixture
def desk(tmp_path):
    desk = open_desk(tmp_path / "studies", cases=("a", "b", "c"))
    yield desk
    desk.store.close()


@pytest.fixture
def scores(tmp_path):
    return ScoreFolder(tmp_path / "scores")


def run(desk, scores, scorer, **more):
    return score_cases(desk.store, desk.images, scores, scorer, device=threading.Lock(), **more)


def draft(desk, case, at=2):
    drafted = intake_of(label_map(GLAND.value, SKIN.value, at=at), GRID, STRUCTURES, case=case)
    desk.workflow.keep_draft(case, drafted, ANNA, info={})


def test_every_case_that_waits_is_scored_once(desk, scores):
    first, second = Noting(), Noting()
    seen = []
    done = run(desk, scores, first, on_case=lambda *count: seen.append(count))
    assert (done.scored, done.current, done.refused) == (3, 0, {})
    assert seen == [(1, 3), (2, 3), (3, 3)]
    done = run(desk, scores, second)
    assert (done.scored, done.current, second.given) == (0, 3, {})


def test_a_scorer_is_given_the_newest_contours_and_what_they_are_about(desk, scores):
    draft(desk, "b", at=1)
    draft(desk, "b", at=5)
    scorer = Noting()
    run(desk, scores, scorer)
    given = scorer.given["b"]
    np.testing.assert_array_equal(given.contours, label_map(GLAND.value, SKIN.value, at=5))
    assert set(given.contoured) == {structure.name for structure in STRUCTURES}
    assert scorer.given["a"].contours is None
    assert scores.find("noting", "b").version == 2
    assert scores.find("noting", "a").version is None


def test_new_contours_or_models_make_a_score_an_old_one(desk, scores):
    run(desk, scores, Noting())
    draft(desk, "b")
    scorer = Noting()
    assert run(desk, scores, scorer).scored == 1
    assert list(scorer.given) == ["b"]
    scorer.made_by = "model/2"
    assert run(desk, scores, scorer).scored == 3


def test_a_score_of_the_image_outlasts_new_contours(desk, scores):
    scorer = Noting()
    scorer.is_about_contours = False
    run(desk, scores, scorer)
    draft(desk, "b")
    assert run(desk, scores, scorer).scored == 0


@pytest.mark.parametrize("is_about_contours", [True, False])
def test_another_image_or_side_makes_a_score_an_old_one(desk, scores, is_about_contours):
    scorer = Noting()
    scorer.is_about_contours = is_about_contours
    run(desk, scores, scorer)
    desk.store.keep_image_info("b", {"facts": {"side": "right"}})
    scorer.given.clear()
    assert run(desk, scores, scorer).scored == 1
    assert list(scorer.given) == ["b"]
    os.utime(desk.folder / "c.nii.gz", (0, 0))  # put there anew
    scorer.given.clear()
    assert run(desk, scores, scorer).scored == 1
    assert list(scorer.given) == ["c"]


def test_an_image_that_is_not_fetched_is_the_one_that_it_was(desk, scores, monkeypatch):
    run(desk, scores, Noting())
    monkeypatch.setattr(desk.images, "place_of", lambda case: desk.folder / "not fetched")
    assert run(desk, scores, Noting()).current == 3


def test_what_came_during_a_run_counts(desk, scores):
    def meanwhile(done, total):
        if done == 1:
            draft(desk, "b")
            desk.workflow.set_consensus("c", SENIOR, is_consensus=True)

    scorer = Noting()
    assert run(desk, scores, scorer, on_case=meanwhile).scored == 2
    assert scorer.given["b"].contours is not None
    assert scores.find("noting", "b").version == 1
    assert "c" not in scorer.given


def test_two_runs_at_once_share_the_work(desk, scores):
    other = Noting()

    def meanwhile(done, total):
        if done == 1:
            run(desk, scores, other)

    first = run(desk, scores, Noting(), on_case=meanwhile)
    assert (first.scored, first.current, sorted(other.given)) == (1, 2, ["b", "c"])


def test_all_are_scored_again_when_asked_for(desk, scores):
    run(desk, scores, Noting())
    assert run(desk, scores, Noting(), again=True).scored == 3


def test_cases_in_other_states_consensus_cases_and_passed_over_ones_are_left_alone(desk, scores):
    desk.workflow.save("a", sent(), ANNA)
    desk.workflow.set_consensus("b", SENIOR, is_consensus=True)
    scorer = Noting()
    scorer.passed_over = frozenset({"c"})
    assert run(desk, scores, scorer).scored == 0


def test_of_an_approved_case_the_approved_contours_count(desk, scores):
    desk.workflow.save("a", sent(GLAND.value, SKIN.value, at=1), ANNA)
    desk.workflow.review("a", "final", Review(ReviewStatus.APPROVED, Level.NONE, ""), SENIOR)
    draft(desk, "a", at=8)
    scorer = Noting()
    scorer.states = (CaseState.APPROVED,)
    run(desk, scores, scorer)
    np.testing.assert_array_equal(
        scorer.given["a"].contours, label_map(GLAND.value, SKIN.value, at=1)
    )


def test_a_draft_of_a_submitted_case_is_not_taken_for_the_submission(desk, scores):
    desk.workflow.save("a", sent(GLAND.value, SKIN.value, at=1), ANNA)
    scorer = Noting()
    scorer.states = (CaseState.SUBMITTED,)
    run(desk, scores, scorer)
    draft(desk, "a", at=8)
    assert run(desk, scores, scorer).current == 1
    (one,) = desk.store.overview("a")
    assert newest_contours(one).kind is Kind.INITIAL
    np.testing.assert_array_equal(
        scorer.given["a"].contours, label_map(GLAND.value, SKIN.value, at=1)
    )


def test_a_case_without_contours_is_passed_over_where_they_are_needed(desk, scores):
    draft(desk, "b")
    scorer = Noting()
    scorer.needs_contours = True
    assert run(desk, scores, scorer).scored == 1


def test_a_recorded_side_is_told(desk, scores):
    desk.store.keep_image_info("a", {"facts": {"side": "right"}})
    scorer = Noting()
    run(desk, scores, scorer)
    assert scorer.given["a"].side is Side.RIGHT
    assert scorer.given["b"].side is None


def test_the_contoured_gland_tells_the_side_where_none_is_recorded(desk, scores):
    labels = np.zeros(GRID.shape_kji, np.uint8)
    labels[4:9, 12:16, 18:20] = GLAND.value  # +x is the patient's left
    desk.workflow.keep_draft("a", intake_of(labels, GRID, STRUCTURES, case="a"), ANNA, info={})
    scorer = Noting()
    run(desk, scores, scorer)
    assert scorer.given["a"].side is Side.LEFT


def test_a_case_that_cannot_be_scored_does_not_stop_the_others(desk, scores):
    fails = {"a": InputRefusedError("a: no"), "b": ZeroDivisionError("ours")}
    done = run(desk, scores, Noting(fails))
    assert done.scored == 1
    assert done.refused == {"a": "a: no", "b": "ZeroDivisionError: ours"}
    assert list(scores.all_of("noting")) == ["c"]


def test_a_damaged_image_is_told_and_passed_over(desk, scores):
    (desk.folder / "a.nii.gz").write_bytes(b"junk")
    done = run(desk, scores, Noting())
    assert (done.scored, list(done.refused)) == (2, ["a"])


def test_a_full_disk_ends_it(desk, scores):
    scores.folder.write_text("no folder")
    with pytest.raises(StoreFullError):
        run(desk, scores, Noting())


def test_the_device_is_held_for_one_case_at_a_time(desk, scores):
    device = threading.Lock()
    scorer = Noting()
    held = []
    scorer.score = lambda case: held.append(device.locked()) or {}
    score_cases(
        desk.store,
        desk.images,
        scores,
        scorer,
        device=device,
        on_case=lambda *_: held.append(device.locked()),
    )
    assert held == [True, False] * 3
