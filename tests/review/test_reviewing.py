"""A senior's words, as the stock Reviewer sends them, and what becomes of the case."""

import pytest
from tests.review.studies import ANNA, GRID, OTHER_SENIOR, SENIOR, label_map, open_desk, sent

from parotid_brachy.lib.anatomy import STRUCTURES
from parotid_brachy.lib.errors import ConflictError, NotAllowedError, NotFoundError, UsageError
from parotid_brachy.lib.review.intake import intake_of
from parotid_brachy.lib.review.records import Level, ReviewStatus
from parotid_brachy.lib.review.reviewing import Review
from parotid_brachy.lib.review.states import ReviewPolicy

APPROVED = Review(ReviewStatus.APPROVED, Level.EASY, "fine")
FLAGGED = Review(ReviewStatus.FLAGGED, Level.HARD, "the condyle was missed")


@pytest.fixture
def desk(tmp_path):
    desk = open_desk(tmp_path / "studies")
    desk.workflow.save("case_a", sent(), ANNA)
    yield desk
    desk.store.close()


def statuses(desk):
    (overview,) = desk.store.overview("case_a")
    return {tag: note.status.value for tag, note in overview.notes.items()}


def test_flagged_contours_go_back_to_reader_1(desk):
    desk.workflow.review("case_a", "final", FLAGGED, SENIOR)
    assert desk.state() == "returned"
    assert statuses(desk) == {"final": "flagged"}


def test_taking_the_flag_off_takes_the_case_up_again(desk):
    desk.workflow.review("case_a", "final", FLAGGED, SENIOR)
    desk.workflow.review("case_a", "final", Review(), SENIOR)
    assert desk.state() == "in_review"
    assert statuses(desk) == {"final": ""}


def test_approval_says_who_and_what(desk):
    desk.workflow.review("case_a", "final", APPROVED, SENIOR)
    case = desk.store.case("case_a")
    assert (case.state.value, case.approved_by, case.approved_version) == ("approved", "sofia", 1)
    assert case.approved_at is not None


def test_the_same_word_twice_is_one_deed(desk):
    for _ in range(3):
        desk.workflow.review("case_a", "final", APPROVED, SENIOR)
    assert [e.action for e in desk.store.journal(case="case_a")] == ["submit", "approve"]


def test_nothing_said_is_nothing_done(desk):
    desk.workflow.review("case_a", "final", Review(), SENIOR)
    assert desk.state() == "submitted"
    assert desk.store.notes("case_a") == []


def test_a_comment_begins_the_review(desk):
    desk.workflow.review("case_a", "final", Review(comment="look at slice 40"), SENIOR)
    assert desk.state() == "in_review"
    assert desk.store.notes("case_a")[-1].comment == "look at slice 40"


def test_a_comment_on_what_is_approved_leaves_it_approved(desk):
    desk.workflow.review("case_a", "final", APPROVED, SENIOR)
    desk.workflow.review(
        "case_a", "final", Review(ReviewStatus.APPROVED, Level.HARD, "still fine"), SENIOR
    )
    case = desk.store.case("case_a")
    assert (case.state.value, case.approved_version) == ("approved", 1)
    assert desk.store.notes("case_a")[-1].level is Level.HARD


def test_a_team_with_one_reader_approves_its_own(tmp_path):
    desk = open_desk(tmp_path / "alone", policy=ReviewPolicy(has_one_reader=True))
    desk.workflow.save("case_a", sent(), SENIOR)
    desk.workflow.review("case_a", "final", APPROVED, SENIOR)
    assert desk.state() == "approved"
    desk.store.close()


def test_a_senior_who_contoured_first_needs_another(tmp_path):
    desk = open_desk(tmp_path / "own")
    desk.workflow.save("case_a", sent(), SENIOR)
    with pytest.raises(NotAllowedError, match="sofia's own"):
        desk.workflow.review("case_a", "final", APPROVED, SENIOR)
    desk.workflow.review("case_a", "final", APPROVED, OTHER_SENIOR)
    assert desk.state() == "approved"
    desk.store.close()


def test_an_annotator_reviews_nothing(desk):
    for word in (APPROVED, FLAGGED, Review(comment="hm")):
        with pytest.raises(NotAllowedError, match="reviewer is needed"):
            desk.workflow.review("case_a", "final", word, ANNA)
    assert desk.state() == "submitted"


def test_a_draft_cannot_be_approved(desk):
    draft = intake_of(label_map(7), GRID, STRUCTURES, case="case_a")
    desk.workflow.keep_draft("case_a", draft, ANNA, info={})
    with pytest.raises(ConflictError, match="model's draft"):
        desk.workflow.review("case_a", "original", APPROVED, SENIOR)


def test_approving_a_correction_leaves_one_approved_version(desk):
    desk.workflow.review("case_a", "final", FLAGGED, SENIOR)
    desk.workflow.save("case_a", sent(at=4), SENIOR, tag="version_1")
    desk.workflow.review("case_a", "version_1", APPROVED, SENIOR)
    assert statuses(desk) == {"final": "", "version_1": "approved"}
    assert desk.store.case("case_a").approved_version == 2


def test_an_approval_is_taken_back_with_a_reason_only(desk):
    desk.workflow.review("case_a", "final", APPROVED, SENIOR)
    with pytest.raises(UsageError, match="reason"):
        desk.workflow.reopen("case_a", "  ", SENIOR)
    with pytest.raises(UsageError, match="reason"):
        desk.workflow.review("case_a", "final", Review(), SENIOR)
    desk.workflow.reopen("case_a", "wrong side", SENIOR)
    case = desk.store.case("case_a")
    assert (case.state.value, case.approved_by, case.approved_version) == ("reopened", None, None)
    assert statuses(desk) == {"final": ""}


def test_flagging_what_is_approved_with_a_comment_reopens_and_returns_it(desk):
    desk.workflow.review("case_a", "final", APPROVED, SENIOR)
    desk.workflow.review("case_a", "final", FLAGGED, SENIOR)
    assert desk.state() == "returned"
    assert [e.action for e in desk.store.journal(case="case_a")][-2:] == ["reopen", "return"]


def test_another_version_is_approved_instead_only_with_a_reason(desk):
    desk.workflow.save("case_a", sent(at=4), SENIOR)
    desk.workflow.review("case_a", "final", APPROVED, SENIOR)
    with pytest.raises(UsageError, match="reason"):
        desk.workflow.review("case_a", "version_1", Review(ReviewStatus.APPROVED), SENIOR)
    assert desk.store.case("case_a").approved_version == 1
    desk.workflow.review("case_a", "version_1", APPROVED, SENIOR)
    assert desk.store.case("case_a").approved_version == 2
    assert statuses(desk) == {"final": "", "version_1": "approved"}


def test_contours_that_changed_since_they_were_loaded_are_not_approved(desk):
    desk.store.note_served("case_a", "final", "sofia", 1)
    desk.workflow.save("case_a", sent(at=5), ANNA)
    with pytest.raises(ConflictError, match="saved anew"):
        desk.workflow.review("case_a", "final", APPROVED, SENIOR)
    desk.store.note_served("case_a", "final", "sofia", 2)
    desk.workflow.review("case_a", "final", APPROVED, SENIOR)
    assert desk.store.case("case_a").approved_version == 2


def test_what_a_senior_has_just_saved_is_approved_in_one_go(desk):
    desk.workflow.save("case_a", sent(at=4, review=APPROVED), SENIOR, tag="version_1")
    assert desk.store.case("case_a").approved_version == 2


def test_there_must_be_something_under_the_tag(desk):
    with pytest.raises(NotFoundError, match="version_3"):
        desk.workflow.review("case_a", "version_3", APPROVED, SENIOR)
    with pytest.raises(NotFoundError, match="nobody"):
        desk.workflow.review("nobody", "final", APPROVED, SENIOR)


def test_an_endless_comment_is_refused():
    with pytest.raises(UsageError, match="comment"):
        Review(comment="x" * 5000)


def test_a_flag_on_another_version_leaves_the_approval_alone(desk):
    # The stock Reviewer, after an approval, sends again what it has in mind of the others.
    desk.workflow.review("case_a", "final", FLAGGED, SENIOR)
    desk.workflow.save("case_a", sent(at=4), SENIOR, tag="version_1")
    desk.workflow.review("case_a", "version_1", APPROVED, SENIOR)
    repeated = Review(ReviewStatus.FLAGGED, APPROVED.level, FLAGGED.comment)
    with pytest.raises(ConflictError, match="approved it"):
        desk.workflow.review("case_a", "final", repeated, SENIOR)
    assert desk.state() == "approved"


def test_a_version_that_is_flagged_again_goes_back_again(desk):
    desk.workflow.save("case_a", sent(at=4), SENIOR, tag="version_1")
    desk.workflow.review("case_a", "version_1", FLAGGED, SENIOR)
    desk.workflow.save("case_a", sent(at=5), ANNA)
    level_only = Review(ReviewStatus.FLAGGED, Level.EASY, FLAGGED.comment)
    desk.workflow.review("case_a", "version_1", level_only, SENIOR)
    assert desk.state() == "in_review"
    again = Review(ReviewStatus.FLAGGED, Level.EASY, "still missed")
    desk.workflow.review("case_a", "version_1", again, SENIOR)
    assert desk.state() == "returned"


def test_what_a_client_has_loaded_in_anothers_name_counts_for_the_approval(desk):
    desk.store.note_served("case_a", "final", OTHER_SENIOR.name, 1)
    desk.workflow.save("case_a", sent(at=5), ANNA)
    with pytest.raises(ConflictError, match="Load them again"):
        desk.workflow.review("case_a", "final", APPROVED, SENIOR, loaded_by=OTHER_SENIOR)
