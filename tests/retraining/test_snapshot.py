import pytest
from tests.retraining.approving import approve, case_names, submit
from tests.review.studies import ADMIN, SENIOR, open_desk

from parotid_brachy.lib.anatomy import AURICULA, GLAND, SKIN, Side
from parotid_brachy.lib.errors import TrainingError
from parotid_brachy.lib.retraining.snapshot import SnapshotPolicy, take_snapshot
from parotid_brachy.lib.review.splits import Part
from parotid_brachy.lib.review.study_images import StudyImages
from parotid_brachy.lib.segmentation.presets import Step

CASES = case_names(5)


@pytest.fixture
def desk(tmp_path):
    """Five approved cases: three to train on, one to validate, one to test."""
    desk = open_desk(tmp_path / "studies", cases=CASES)
    approve(desk, *CASES)
    yield desk
    desk.store.close()


def take(desk, step=Step.ORGANS_AT_RISK, **policy):
    policy = SnapshotPolicy(**policy)
    return take_snapshot(desk.store, desk.images, step, actor=ADMIN, policy=policy)


def left_out(snapshot):
    return {one.case: one.reason for one in snapshot.left_out}


def test_a_snapshot_names_the_approved_versions_by_number_and_hash(desk):
    snapshot = take(desk)
    assert [one.case for one in snapshot.cases] == list(CASES)
    assert [len(snapshot.patients(part)) for part in Part] == [3, 1, 1]
    assert snapshot.left_out == ()
    for one in snapshot.cases:
        case = desk.store.case(one.case)
        version = desk.store.version(one.case, case.approved_version)
        assert (one.version, one.sha256) == (version.number, version.file.sha256)
        assert one.is_approved
        assert (one.image, one.patient, one.side) == (f"{one.case}.nii.gz", one.case, None)


def test_the_same_contours_have_the_same_hash_and_other_contours_another(desk):
    first = take(desk)
    assert take(desk).sha256 == first.sha256
    assert take(desk, Step.GLAND).sha256 != first.sha256
    desk.workflow.reopen(CASES[0], "again", SENIOR)
    assert take(desk, fewest_train=2).sha256 != first.sha256


def test_a_correction_that_was_approved_is_what_is_trained_on(desk):
    from tests.review.studies import sent

    from parotid_brachy.lib.review.records import ReviewStatus
    from parotid_brachy.lib.review.reviewing import Review

    desk.workflow.reopen(CASES[1], "skin", SENIOR)
    version = desk.workflow.save(
        CASES[1], sent(AURICULA.value, GLAND.value, at=3), SENIOR, tag="version_1"
    )
    desk.workflow.review(CASES[1], "version_1", Review(ReviewStatus.APPROVED), SENIOR)
    found = {one.case: one for one in take(desk).cases}[CASES[1]]
    assert (found.version, found.sha256) == (version.number, version.file.sha256)


def test_side_and_contoured_structures_are_told_where_they_are_known(desk):
    desk.store.keep_image_info(CASES[0], {"side": "right"})
    desk.store.keep_image_info(CASES[1], {"side": "middle"})
    first, second, *_ = take(desk).cases
    assert (first.side, second.side) == (Side.RIGHT, None)
    assert {SKIN.name, GLAND.name} <= set(first.contoured)
    version = desk.store.version(first.case, first.version)
    assert first.contoured == tuple(version.volumes_ml)


def test_too_few_patients_are_refused_with_the_numbers_and_what_was_left_out(tmp_path):
    desk = open_desk(tmp_path / "studies", cases=CASES)
    approve(desk, *CASES[:2])
    approve(desk, CASES[2], values=(SKIN.value,))
    with pytest.raises(TrainingError) as refused:
        take(desk)
    told = str(refused.value)
    assert "2 patients with approved contours in train, at least 3 are needed" in told
    assert "train 2, validation 0, test 0" in told
    assert f"{CASES[2]}: no gland is contoured in it" in told
    approve(desk, CASES[3], CASES[4])
    with pytest.raises(TrainingError, match=r"0 patients .* in validation, at least 1"):
        take(desk, fewest_train=2)
    desk.store.close()


def test_two_cases_of_one_patient_are_one_patient(desk):
    for case in CASES[:2]:
        desk.store.keep_image_info(case, {"patient": "Erika"})
    snapshot = take(desk)
    assert [len(snapshot.patients(part)) for part in Part] == [3, 1, 0]
    assert [one.part for one in snapshot.cases[:2]] == [Part.TRAIN, Part.TRAIN]


def test_what_cannot_be_learnt_from_is_left_out_with_its_reason(tmp_path):
    cases = case_names(10)
    desk = open_desk(tmp_path / "studies", cases=cases)
    approve(desk, *cases[:6])
    approve(desk, cases[6], values=(GLAND.value,))
    approve(desk, cases[7], values=(SKIN.value,))
    take(desk, fewest_train=1, fewest_validation=0)
    (desk.folder / f"{cases[0]}.nii.gz").unlink()
    damaged = desk.store.version(cases[1], 1).file
    desk.store.path_of(damaged).write_bytes(b"damaged")
    (desk.folder / f"{cases[5]}.nii.gz").write_bytes(b"no image")
    images = StudyImages(desk.folder)
    desk.store.register(images.files())
    desk.images = images
    told = left_out(take(desk, fewest_train=1, fewest_validation=0))
    assert told[cases[0]] == "its image is away"
    assert "damaged" in told[cases[1]]
    assert cases[5] in told
    assert len(told) == 5
    assert told[cases[6]] == "no organ at risk is contoured in it"
    assert told[cases[7]] == "no gland is contoured in it"
    assert not {cases[8], cases[9]} & set(told), "nobody has contoured them"
    assert cases[6] not in left_out(take(desk, Step.GLAND, fewest_train=0, fewest_validation=0))
    desk.store.close()


def test_an_image_in_two_files_is_left_out(desk):
    desk.store.register({case: f"{case}.nii.gz" for case in CASES} | {CASES[0]: f"{CASES[0]}.mhd"})
    assert "is in two files" in left_out(take(desk, fewest_train=2))[CASES[0]]


def test_initial_contours_count_only_where_the_team_allows_it_and_never_to_judge(tmp_path):
    cases = case_names(7)
    desk = open_desk(tmp_path / "studies", cases=cases)
    approve(desk, *cases[:4])
    for case in cases[4:]:
        submit(desk, case)
    assert [one.case for one in take(desk).cases] == list(cases[:4])
    assert set(desk.store.placed()) == set(cases[:4])
    snapshot = take(desk, allows_initial=True)
    taken = {one.case: one.is_approved for one in snapshot.cases}
    assert taken == {**dict.fromkeys(cases[:4], True), cases[5]: False, cases[6]: False}
    assert left_out(snapshot) == {cases[4]: "in test, where approved contours alone count"}
    assert all(one.is_approved for one in snapshot.cases if one.part is not Part.TRAIN)
    desk.store.close()


def test_a_consensus_case_takes_no_part_whatever_it_has(tmp_path):
    desk = open_desk(tmp_path / "studies", cases=CASES)
    desk.workflow.set_consensus(CASES[0], ADMIN, is_consensus=True)
    submit(desk, CASES[0])
    approve(desk, *CASES[1:])
    told = take(desk, allows_initial=True)
    assert [one.case for one in told.cases] == list(CASES[1:])
    assert CASES[0] not in desk.store.placed()
    desk.store.close()
