"""Saving, drafts, withdrawing and the consensus set, over a real store."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tests.review.studies import (
    ADMIN,
    ANNA,
    BERT,
    GRID,
    OTHER_SENIOR,
    SENIOR,
    label_map,
    open_desk,
    sent,
)

from parotid_brachy.lib.anatomy import GLAND, SKIN, STRUCTURES
from parotid_brachy.lib.errors import (
    ConflictError,
    GeometryError,
    InputRefusedError,
    NotAllowedError,
    NotFoundError,
    UsageError,
)
from parotid_brachy.lib.imaging.label_encoding import nifti_bytes
from parotid_brachy.lib.review.intake import intake_of
from parotid_brachy.lib.review.records import Kind, ReviewStatus
from parotid_brachy.lib.review.reviewing import Review
from parotid_brachy.lib.review.workflow import Received


@pytest.fixture
def desk(tmp_path):
    desk = open_desk(tmp_path / "my studies", cases=("case_a", "case_b"))
    yield desk
    desk.store.close()


def test_an_annotators_save_is_a_submission(desk):
    version = desk.workflow.save("case_a", sent(), ANNA)
    assert (version.tag, version.kind, version.author, version.number) == (
        "final",
        Kind.INITIAL,
        "anna",
        1,
    )
    assert desk.state() == "submitted"
    np.testing.assert_array_equal(desk.kept(version), label_map(SKIN.value, GLAND.value))


def test_what_the_client_sent_is_kept_byte_for_byte(desk):
    received = sent()
    version = desk.workflow.save("case_a", received, ANNA)
    assert desk.store.path_of(version.received).read_bytes() == received.content


def test_a_structure_listed_without_voxels_is_empty_on_purpose(desk):
    version = desk.workflow.save("case_a", sent(GLAND.value), ANNA)
    assert version.volumes_ml["skin"] == 0
    assert version.volumes_ml["parotid_gland"] > 0
    assert set(version.volumes_ml) == {s.name for s in STRUCTURES}


def test_a_second_submission_hides_the_first_and_loses_nothing(desk):
    first = desk.workflow.save("case_a", sent(at=2), ANNA)
    second = desk.workflow.save("case_a", sent(at=5), ANNA)
    assert desk.store.tagged("case_a", "final").number == second.number == 2
    np.testing.assert_array_equal(desk.kept(first), label_map(SKIN.value, GLAND.value, at=2))


def test_a_seniors_save_on_anothers_case_is_a_correction(desk):
    initial = desk.workflow.save("case_a", sent(), ANNA)
    correction = desk.workflow.save("case_a", sent(at=4), SENIOR)
    assert (correction.tag, correction.kind, correction.parent) == (
        "version_1",
        Kind.CORRECTION,
        initial.number,
    )
    assert desk.state() == "in_review"
    assert desk.store.tagged("case_a", "final").number == initial.number


def test_a_senior_on_an_untouched_case_is_its_reader_1(desk):
    version = desk.workflow.save("case_a", sent(), SENIOR)
    assert version.kind is Kind.INITIAL
    assert desk.state() == "submitted"


def test_seniors_never_hide_each_others_corrections(desk):
    desk.workflow.save("case_a", sent(), ANNA)
    first = desk.workflow.save("case_a", sent(at=3), SENIOR, tag="version_1")
    other = desk.workflow.save("case_a", sent(at=4), OTHER_SENIOR, tag="version_1")
    again = desk.workflow.save("case_a", sent(at=5), SENIOR, tag="version_1")
    assert (first.tag, other.tag, again.tag) == ("version_1", "version_2", "version_1")
    assert desk.store.tagged("case_a", "version_1").number == again.number
    assert desk.store.tagged("case_a", "version_2").number == other.number


def test_numbers_of_corrections_are_not_jumped(desk):
    desk.workflow.save("case_a", sent(), ANNA)
    assert desk.workflow.save("case_a", sent(at=3), SENIOR, tag="version_77").tag == "version_1"


def test_an_approved_case_takes_no_save_and_keeps_none(desk):
    desk.workflow.save("case_a", sent(), ANNA)
    desk.workflow.review("case_a", "final", Review(ReviewStatus.APPROVED), SENIOR)
    files = sorted(desk.folder.rglob("*"))
    for reader in (ANNA, BERT, SENIOR, ADMIN):
        with pytest.raises(ConflictError, match=r"sofia approved it on \d{4}"):
            desk.workflow.save("case_a", sent(at=5), reader)
    assert sorted(desk.folder.rglob("*")) == files


def test_reader_1_cannot_exchange_contours_under_review(desk):
    desk.workflow.save("case_a", sent(), ANNA)
    desk.workflow.save("case_a", sent(at=4), SENIOR)
    with pytest.raises(ConflictError, match="sofia is reviewing"):
        desk.workflow.save("case_a", sent(at=5), ANNA)
    desk.workflow.review("case_a", "final", Review(ReviewStatus.FLAGGED), SENIOR)
    assert desk.workflow.save("case_a", sent(at=5), ANNA).tag == "final"
    assert desk.state() == "submitted"


def test_an_annotator_cannot_save_a_correction(desk):
    desk.workflow.save("case_a", sent(), ANNA)
    with pytest.raises(NotAllowedError, match="reviewer is needed"):
        desk.workflow.save("case_a", sent(), BERT, tag="version_1")


@pytest.mark.parametrize("tag", ["original", "version_0", "version_x", "../final", "version_12345"])
def test_nobody_saves_under_other_tags(desk, tag):
    with pytest.raises(UsageError, match="tag"):
        desk.workflow.save("case_a", sent(), ADMIN, tag=tag)


def test_an_unknown_case_is_refused(desk):
    with pytest.raises(NotFoundError):
        desk.workflow.save("nobody", sent(), ANNA)


def test_a_refused_map_is_kept_aside_and_changes_nothing(desk):
    shifted = np.roll(label_map(8), 1)
    with pytest.raises(InputRefusedError):
        desk.workflow.save("case_a", Received(nifti_bytes(shifted, GRID), "x.nii.gz"), ANNA)
    half = nifti_bytes(label_map(7)[:-1].copy(), GRID.cropped((0, 0, 0), (24, 26, 11)))
    with pytest.raises(GeometryError):
        desk.workflow.save("case_a", Received(half, "x.nii.gz"), ANNA)
    assert desk.state() == "new"
    assert desk.store.versions("case_a") == []
    kept = list((desk.folder / ".parotid" / "quarantine").iterdir())
    assert any(path.read_bytes() == half for path in kept)


def test_a_draft_makes_a_new_case_a_drafted_one_and_no_more(desk):
    draft = intake_of(label_map(7), GRID, STRUCTURES, case="case_a")
    desk.workflow.keep_draft("case_a", draft, ANNA, info={"model": "two_step"})
    assert desk.state() == "drafted"
    submitted = desk.workflow.save("case_a", sent(), ANNA)
    assert submitted.parent == 1
    desk.workflow.keep_draft("case_a", draft, ANNA, info={})
    assert desk.state() == "submitted"
    assert desk.store.tagged("case_a", "original").number == 3


def test_withdrawn_contours_are_out_of_sight_and_still_there(desk):
    desk.workflow.save("case_a", sent(), ANNA)
    correction = desk.workflow.save("case_a", sent(at=4), SENIOR)
    desk.workflow.withdraw("case_a", "version_1", SENIOR)
    assert desk.store.tagged("case_a", "version_1") is None
    assert desk.store.version("case_a", correction.number).is_withdrawn
    np.testing.assert_array_equal(desk.kept(correction), label_map(3, 7, at=4))
    with pytest.raises(NotAllowedError, match="admin"):
        desk.workflow.withdraw("case_a", "final", SENIOR)
    desk.workflow.withdraw("case_a", "final", ADMIN)
    assert desk.state() == "new"
    with pytest.raises(NotFoundError):
        desk.workflow.withdraw("case_a", "final", ADMIN)


def test_a_consensus_case_is_contoured_by_all_and_reviewed_by_nobody(desk):
    desk.workflow.set_consensus("case_a", SENIOR, is_consensus=True)
    for reader in (ANNA, BERT, SENIOR):
        version = desk.workflow.save("case_a", sent(), reader)
        assert (version.kind, version.author) == (Kind.INITIAL, reader.name)
    assert desk.state() == "new"
    with pytest.raises(ConflictError, match="consensus"):
        desk.workflow.review("case_a", "final", Review(ReviewStatus.APPROVED), ADMIN)
    with pytest.raises(ConflictError, match="already"):
        desk.workflow.set_consensus("case_a", SENIOR, is_consensus=False)


def test_a_study_case_with_contours_stays_in_the_study(desk):
    desk.workflow.save("case_a", sent(), ANNA)
    with pytest.raises(ConflictError, match="already"):
        desk.workflow.set_consensus("case_a", SENIOR, is_consensus=True)


def test_an_annotator_does_not_choose_the_consensus_set(desk):
    with pytest.raises(NotAllowedError):
        desk.workflow.set_consensus("case_a", ANNA, is_consensus=True)


def test_saves_at_the_same_time_are_all_kept(desk):
    def save(n):
        return desk.workflow.save("case_b" if n % 2 else "case_a", sent(at=n % 5), ANNA)

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(save, range(20)))
    for case in ("case_a", "case_b"):
        assert [v.number for v in desk.store.versions(case)] == list(range(1, 11))
    assert len({(v.case, v.number) for v in done}) == 20


def test_every_deed_is_in_the_journal(desk):
    desk.workflow.save("case_a", sent(), ANNA)
    desk.workflow.save("case_a", sent(at=4), SENIOR)
    desk.workflow.review("case_a", "version_1", Review(ReviewStatus.APPROVED), SENIOR)
    told = [(e.actor, e.action, e.details.get("tag")) for e in desk.store.journal(case="case_a")]
    assert told == [
        ("anna", "submit", "final"),
        ("sofia", "correct", "version_1"),
        ("sofia", "approve", "version_1"),
    ]
