import pytest

from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.evaluation.cohort import match_cohort, with_misses


def folder(root, name, *files):
    path = root / name
    path.mkdir()
    for file in files:
        (path / file).write_bytes(b"")
    return path


def test_files_of_other_kinds_are_no_cases(tmp_path):
    references = folder(tmp_path, "ref", "A.nii.gz", "A.json", "A.png", ".B.nii.gz", "C.seg.nrrd")
    model = folder(tmp_path, "model", "A.nrrd", "c.nii.gz", "C.json")
    cohort = match_cohort(references, {"model": model})
    assert [one.case for one in cohort.cases] == ["A", "C"]
    assert [one.predictions["model"].name for one in cohort.cases] == ["A.nrrd", "c.nii.gz"]
    assert cohort.problems == ()


def test_a_missing_file_is_none_and_an_ambiguous_one_is_no_entry(tmp_path):
    references = folder(tmp_path, "ref", "A.nii.gz", "B.nii.gz")
    model = folder(tmp_path, "model", "B.nii.gz", "b.nrrd")
    first, second = match_cohort(references, {"model": model}).cases
    assert first.predictions == {"model": None}
    assert second.predictions == {}


def test_an_ambiguous_file_counts_as_a_missing_one_where_that_is_wanted(tmp_path):
    references = folder(tmp_path, "ref", "A.nii.gz", "B.nii.gz")
    model = folder(tmp_path, "model", "A.nii.gz", "B.nii.gz", "b.nrrd")
    cohort = match_cohort(references, {"model": model})
    first, second = with_misses(cohort, ["model"]).cases
    assert first.predictions == {"model": model / "A.nii.gz"}
    assert second.predictions == {"model": None}


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_a_folder_without_references_is_refused(tmp_path, name):
    folder(tmp_path, "empty")
    with pytest.raises(UsageError, match=name):
        match_cohort(tmp_path / name, {})
