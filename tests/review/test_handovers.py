"""Which versions are compared at a hand-over."""

import pytest
from tests.review.studies import ANNA, SENIOR, open_desk, sent

from parotid_brachy.lib.review import hand_over_agreement
from parotid_brachy.lib.review.hand_over_agreement import compute_open_agreements
from parotid_brachy.lib.review.records import Level, ReviewStatus
from parotid_brachy.lib.review.reviewing import Review

APPROVED = Review(ReviewStatus.APPROVED, Level.EASY, "good")


@pytest.fixture
def desk(tmp_path):
    desk = open_desk(tmp_path / "studies", cases=("case_a", "case_b"))
    yield desk
    desk.store.close()


def test_an_approved_correction_is_compared_with_what_it_corrected(desk):
    first = desk.workflow.save("case_a", sent(), ANNA)
    corrected = desk.workflow.save("case_a", sent(at=4), SENIOR, tag="version_1")
    flag = Review(ReviewStatus.FLAGGED, comment="see version 1")
    desk.workflow.review("case_a", "version_1", flag, SENIOR)
    desk.workflow.save("case_a", sent(at=5), ANNA)
    desk.workflow.review("case_a", "version_1", APPROVED, SENIOR)
    (one,) = desk.store.handovers_without_agreement()
    assert (one.before, one.after) == (first.number, corrected.number)


def test_what_cannot_be_computed_keeps_no_others_waiting(desk, monkeypatch):
    monkeypatch.setattr(hand_over_agreement, "_AT_A_TIME", 1)
    for case in ("case_a", "case_b"):
        desk.workflow.save(case, sent(), ANNA)
        desk.workflow.review(case, "final", APPROVED, SENIOR)
    (desk.folder / "case_a.nii.gz").unlink()
    failed = set()
    for _ in range(2):
        compute_open_agreements(desk.store, desk.images, failed=failed)
    assert [one.case for one in failed] == ["case_a"]
    assert desk.store.agreements("case_b").total == 1
