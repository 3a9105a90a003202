"""The folder of studies as MONAI Label and its clients see it."""

import zipfile
from pathlib import Path

import pytest
import SimpleITK as sitk
from tests.review.studies import ANNA, BERT, GRID, SENIOR, label_map, sent, write_head

from parotid_brachy.lib.anatomy import STRUCTURES
from parotid_brachy.lib.datastore.studies import Studies
from parotid_brachy.lib.errors import ConflictError, InputRefusedError, NotFoundError, UsageError
from parotid_brachy.lib.review.intake import intake_of
from parotid_brachy.lib.review.records import Level, ReviewStatus
from parotid_brachy.lib.review.reviewing import Review

APPROVED = Review(ReviewStatus.APPROVED, Level.EASY, "good")


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "my studies"
    folder.mkdir()
    for case in ("case_a", "case b"):
        write_head(folder, case)
    return folder


@pytest.fixture
def studies(folder):
    studies = Studies(folder)
    yield studies
    studies.store.close()


def test_the_images_of_a_folder_are_its_cases(studies, folder):
    (folder / "notes.txt").write_text("x")
    (folder / "case_a.seg.nrrd").write_text("a segmentation is no image")
    assert sorted(studies.list_images()) == ["case b", "case_a"]
    assert studies.get_image_uri("case b") == str(folder / "case b.nii.gz")


def test_images_that_come_and_go_are_noticed(studies, folder):
    write_head(folder, "case_c")
    assert studies.has_image("case_c")
    assert studies.status()["total"] == 3
    (folder / "case_c.nii.gz").unlink()
    assert not studies.has_image("case_c")
    assert "case_c" not in studies.json()["objects"]


def test_labels_of_an_image_that_is_away_come_back_with_it(studies, folder):
    studies.workflow.save("case_a", sent(), ANNA)
    away = folder.parent / "case_a.nii.gz"
    (folder / "case_a.nii.gz").rename(away)
    assert not studies.has_image("case_a")
    away.rename(folder / "case_a.nii.gz")
    assert studies.json()["objects"]["case_a"]["labels"]["final"]["info"]["client_id"] == "anna"


def test_the_stock_clients_words_for_a_label(studies):
    studies.workflow.save("case_a", sent(7), ANNA)
    studies.workflow.review("case_a", "final", APPROVED, SENIOR)
    record = studies.json()["objects"]["case_a"]
    assert record["image"]["info"]["name"] == "case_a.nii.gz"
    assert record["image"]["ext"] == ".nii.gz"
    info = record["labels"]["final"]["info"]
    assert info["name"] == "case_a.seg.nrrd"
    assert info["client_id"] == "anna"
    assert info["label_info"] == [{"name": s.name, "idx": s.value} for s in STRUCTURES]
    meta = info["segmentationMeta"]
    assert (meta["status"], meta["approvedBy"], meta["level"], meta["comment"]) == (
        "approved",
        "sofia",
        "easy",
        "good",
    )
    assert isinstance(meta["editTime"], int)
    assert studies.get_label_info("case_a", "final") == info


def test_the_newest_files_lie_under_the_stock_tags_for_other_tools(studies, folder):
    studies.workflow.save("case_a", sent(7), ANNA)
    image = sitk.ReadImage(str(folder / "labels" / "final" / "case_a.seg.nrrd"))
    assert image.GetSize() == GRID.size_ijk
    assert image.GetMetaData("Segment6_Name") == "parotid_gland"


def test_only_approved_contours_are_trained_on(studies):
    studies.workflow.save("case_a", sent(), ANNA)
    assert studies.datalist() == []
    with pytest.raises(NotFoundError, match="approved"):
        studies.get_dataset_archive(None)
    studies.workflow.review("case_a", "final", APPROVED, SENIOR)
    (pair,) = studies.datalist()
    assert pair["image"].endswith("case_a.nii.gz")
    assert Path(pair["label"]).is_file()
    archive = studies.get_dataset_archive(None)
    with zipfile.ZipFile(archive) as content:
        assert sorted(content.namelist()) == ["image/case_a.nii.gz", "label/case_a.seg.nrrd"]
    Path(archive).unlink()


def test_cases_wait_for_reader_1_until_they_are_handed_over(studies):
    assert sorted(studies.get_unlabeled_images()) == ["case b", "case_a"]
    studies.workflow.save("case_a", sent(), ANNA)
    assert studies.get_unlabeled_images() == ["case b"]
    assert studies.get_labeled_images() == ["case_a"]
    assert {studies.next_to_contour("random") for _ in range(5)} == {"case b"}
    studies.workflow.review("case_a", "final", Review(ReviewStatus.FLAGGED), SENIOR)
    assert "case_a" in studies.get_unlabeled_images()
    counts = studies.status()["states"]
    assert {state: n for state, n in counts.items() if n} == {"new": 1, "returned": 1}


def test_when_all_are_handed_over_there_is_no_next_case(studies):
    for case in ("case_a", "case b"):
        studies.workflow.save(case, sent(), ANNA)
    assert studies.next_to_contour("random") is None


def test_in_a_consensus_case_everybody_sees_own_contours_only(studies):
    studies.workflow.set_consensus("case_a", SENIOR, is_consensus=True)
    first = studies.workflow.save("case_a", sent(at=2), ANNA)
    second = studies.workflow.save("case_a", sent(at=6), BERT)
    assert studies.label_version("case_a", "final", ANNA).number == first.number
    assert studies.label_version("case_a", "final", BERT).number == second.number
    with pytest.raises(NotFoundError):
        studies.label_version("case_a", "final", SENIOR)
    assert studies.json()["objects"]["case_a"]["labels"] == {}
    assert studies.newest_label("case_a", SENIOR) is None


def test_an_image_is_added_once_and_checked(studies, tmp_path):
    new = write_head(tmp_path, "case_new")
    assert studies.add_image("case_new", str(new), {"user": "anna"}) == "case_new"
    assert studies.get_image_info("case_new")["user"] == "anna"
    with pytest.raises(ConflictError, match="never replaced"):
        studies.add_image("case_new", str(new), {})
    with pytest.raises(UsageError):
        studies.add_image("../outside", str(new), {})
    junk = tmp_path / "junk.nii.gz"
    junk.write_bytes(b"junk")
    with pytest.raises(InputRefusedError):
        studies.add_image("junk", str(junk), {})
    assert not studies.has_image("junk")


def test_a_removed_image_is_set_aside(studies, folder):
    content = (folder / "case_a.nii.gz").read_bytes()
    studies.remove_image("case_a")
    assert not studies.has_image("case_a")
    (aside,) = (folder / ".parotid" / "set-aside").glob("*case_a.nii.gz")
    assert aside.read_bytes() == content
    with pytest.raises(NotFoundError):
        studies.remove_image("case_a")


def test_the_frameworks_save_is_an_annotators(studies, tmp_path):
    received = tmp_path / "x.nii.gz"
    received.write_bytes(sent().content)
    studies.save_label("case_a", str(received), "", {"client_id": "anna"})
    assert studies.store.case("case_a").initial_author == "anna"
    for change in (
        lambda: studies.update_label_info("case_a", "final", {}),
        lambda: studies.remove_label("case_a", "final"),
        lambda: studies.set_name("x"),
    ):
        with pytest.raises(UsageError):
            change()


def test_contours_that_monai_label_kept_are_pointed_out(folder, caplog):
    (folder / "datastore_v2.json").write_text("{}")
    Studies(folder).store.close()
    assert "parotid store import" in caplog.text


def test_names_of_a_draft_that_are_none_are_left_out_of_the_list(studies):
    draft = intake_of(label_map(7), GRID, STRUCTURES, case="case_a")
    info = {"params": {"label_names": {"a": 1, "b": "x"}, "report": {}}}
    studies.workflow.keep_draft("case_a", draft, ANNA, info=info)
    listed = studies.json()["objects"]["case_a"]["labels"]["original"]["info"]
    assert listed["params"] == {"report": {}}


def test_versions_are_listed_in_the_order_that_the_stock_reviewer_reads(studies):
    studies.workflow.save("case_a", sent(), ANNA)
    for _ in range(11):
        studies.workflow.save("case_a", sent(), SENIOR)
    drafted = intake_of(label_map(7), GRID, [STRUCTURES[6]], case="case_a")
    studies.workflow.keep_draft("case_a", drafted, ANNA, info={})
    corrections = [f"version_{number}" for number in range(1, 12)]
    listed = list(studies.json()["objects"]["case_a"]["labels"])
    assert listed == ["original", "final", *corrections]


def test_in_a_consensus_case_nobody_learns_of_anothers_contours(studies):
    studies.workflow.set_consensus("case_a", SENIOR, is_consensus=True)
    studies.workflow.save("case_a", sent(at=2), ANNA)
    studies.workflow.save("case_a", sent(at=6), BERT)
    assert studies.get_label_info("case_a", "final", ANNA)["client_id"] == "anna"
    with pytest.raises(NotFoundError):
        studies.get_label_info("case_a", "final", SENIOR)


def test_no_other_image_comes_under_the_contours_of_one_that_was_taken_out(studies, tmp_path):
    studies.workflow.save("case_a", sent(), ANNA)
    studies.workflow.review("case_a", "final", APPROVED, SENIOR)
    studies.remove_image("case_a")
    with pytest.raises(ConflictError, match="another id"):
        studies.add_image("case_a", str(write_head(tmp_path, "other")), {})


@pytest.mark.parametrize("noted", [5, "x", {"random": 3}, {"random": {"ts": "x"}}])
def test_whatever_is_noted_on_an_image_the_next_case_is_found(studies, noted):
    for case in ("case_a", "case b"):
        studies.update_image_info(case, {"strategy": noted})
    assert studies.next_to_contour("random") in {"case_a", "case b"}
