"""Which files of a folder are cases."""

import os

import pytest
from tests.review.studies import GRID, write_head

from parotid_brachy.lib.errors import NotFoundError
from parotid_brachy.lib.review.case_ids import is_case_id
from parotid_brachy.lib.review.study_images import StudyImages


def test_of_two_files_of_one_case_the_nifti_is_taken(tmp_path, caplog):
    write_head(tmp_path, "case_a")
    (tmp_path / "case_a.nrrd").write_text("x")
    assert dict(StudyImages(tmp_path).files()) == {"case_a": "case_a.nii.gz"}
    assert "same case" in caplog.text


def test_files_that_no_case_can_be_called_by_are_left_out(tmp_path, caplog):
    (tmp_path / "semi;colon.nii.gz").write_text("x")
    (tmp_path / ".hidden.nii.gz").write_text("x")
    (tmp_path / "folder.nii.gz").mkdir()
    assert dict(StudyImages(tmp_path).files()) == {}
    assert "semi;colon" in caplog.text


def test_the_grid_is_read_once_and_again_when_the_image_changes(tmp_path):
    path = write_head(tmp_path, "case_a")
    images = StudyImages(tmp_path)
    assert images.grid_of("case_a").is_same_as(GRID)
    assert images.grid_of("case_a") is images.grid_of("case_a")
    before = images.grid_of("case_a")
    os.utime(path, ns=(1, 1))
    assert images.grid_of("case_a") is not before


def test_an_unknown_case_has_no_image(tmp_path):
    with pytest.raises(NotFoundError, match="no case 'nobody'"):
        StudyImages(tmp_path).path_of("nobody")


def test_nothing_is_listed_anew_as_long_as_nothing_changes(tmp_path):
    write_head(tmp_path, "case_a")
    images = StudyImages(tmp_path)
    assert images.files() is images.files()


@pytest.mark.parametrize(
    "text", ["case_a", "Fall 12 (links)", "größe", "a.b", "x+y-z,1", "a" * 200]
)
def test_ids_that_cases_have(text):
    assert is_case_id(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        ".a",
        "a/b",
        "a\\b",
        "a\0",
        "a\n",
        "a ",
        "a.",
        "a;b",
        "a:b",
        "a*",
        "a" * 201,
        "%2e",
    ],
)
def test_ids_that_no_case_has(text):
    assert not is_case_id(text)
