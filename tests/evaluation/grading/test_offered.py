"""Grading studies by name: whose they are, and nothing outside their folder."""

import pytest
from tests.evaluation.grading.graded import GRADERS, inputs, made

from parotid_brachy.lib.errors import NotFoundError, StoreError, UsageError
from parotid_brachy.lib.evaluation.grading.offered import OfferedStudies

BERG, AHO = GRADERS


@pytest.fixture
def offered(tmp_path):
    """Studies "b" of both graders and "a" of one."""
    offered = OfferedStudies(tmp_path / ".parotid")
    folder = offered.new_folder("b").parent
    inputs(tmp_path, cases=1)
    for name, graders in (("b", GRADERS), ("a", (AHO,))):
        made(tmp_path, graders=graders).folder.rename(folder / name)
    return offered


def names(offered, grader):
    return [name for name, _ in offered.all_graded_by(grader)]


def test_graders_find_the_studies_in_which_they_grade(offered):
    assert names(offered, AHO) == ["a", "b"]
    assert names(offered, BERG) == ["b"]
    assert names(offered, BERG.lower()) == []
    assert offered.graded_by("a", AHO).graders == (AHO,)


def test_a_study_of_others_is_told_as_one_that_does_not_exist(offered):
    told = []
    for name in ("a", "c"):
        with pytest.raises(NotFoundError) as refused:
            offered.graded_by(name, BERG)
        told.append(str(refused.value).replace("study a", "study c"))
    assert told[0] == told[1]


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../b", "b/", "/b", ".b", "b\0", "a\\b", "x" * 201]
)
def test_what_is_no_name_opens_nothing(offered, name):
    for opened in (offered.find, offered.new_folder):
        with pytest.raises(UsageError):
            opened(name)


def test_a_damaged_study_and_what_is_none_hide_no_other(offered, caplog):
    folder = offered.new_folder("damaged")
    folder.mkdir()
    (folder / "study.json").write_text("[")
    (folder.parent / ".half made.tmp").mkdir()
    (folder.parent / "a file").write_text("x")
    assert names(offered, AHO) == ["a", "b"]
    assert "damaged/study.json" in caplog.text
    with pytest.raises(StoreError):
        offered.graded_by("damaged", AHO)


def test_where_nothing_was_made_nothing_is_offered(tmp_path):
    assert names(OfferedStudies(tmp_path), AHO) == []
    (tmp_path / "grading").write_text("no folder")
    with pytest.raises(StoreError, match="grading"):
        names(OfferedStudies(tmp_path), AHO)
    with pytest.raises(UsageError):
        OfferedStudies(tmp_path).new_folder("a")


def test_the_folder_of_all_studies_is_its_owners(offered):
    assert offered.new_folder("c").parent.stat().st_mode & 0o077 == 0
