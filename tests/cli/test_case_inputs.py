from pathlib import Path

import pytest
from tests.imaging.damage_dicom import whole_series

from parotid_brachy.lib.cli.case_inputs import CaseInput, find_cases, plan_outputs
from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.report.writing import write_report


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def series(folder: Path, *, suffix: str = ".dcm") -> Path:
    folder.mkdir(parents=True)
    for name, content in list(whole_series().items())[:2]:
        (folder / name.replace(".dcm", suffix)).write_bytes(content)
    return folder


def names(*paths: Path) -> list[str]:
    return [one.case for one in find_cases(paths)]


def test_files_are_cases(tmp_path):
    touch(tmp_path / "b.nii.gz", tmp_path / "a.nrrd")
    assert names(tmp_path / "b.nii.gz", tmp_path / "a.nrrd") == ["b", "a"]


@pytest.mark.parametrize("suffix", [".dcm", "", ".ima"])
def test_a_folder_of_slices_is_one_case(tmp_path, suffix):
    folder = series(tmp_path / "patient 3", suffix=suffix)
    assert find_cases([folder]) == [CaseInput("patient 3", folder)]


def test_a_folder_of_many_cases_is_all_of_them(tmp_path):
    touch(tmp_path / "c.nii", tmp_path / "b.mha", tmp_path / "notes.txt", tmp_path / ".hidden.nii")
    touch(tmp_path / "labels" / "left" / "c.nii.gz")
    series(tmp_path / "a")
    assert names(tmp_path) == ["a", "b", "c"]


def test_a_folder_given_by_a_dot_has_its_own_name(tmp_path, monkeypatch):
    monkeypatch.chdir(series(tmp_path / "patient"))
    assert names(Path()) == ["patient"]


@pytest.mark.parametrize("other", ["b/a.nii.gz", "b/A.nii", "a.nrrd"])
def test_two_cases_of_one_name_are_refused_and_both_named(tmp_path, other):
    touch(tmp_path / "a.nii.gz", tmp_path / other)
    with pytest.raises(UsageError, match="both called") as refusal:
        find_cases([tmp_path / "a.nii.gz", tmp_path / other])
    assert str(tmp_path / "a.nii.gz") in str(refusal.value)
    assert str(tmp_path / other) in str(refusal.value)


def test_a_path_that_is_missing_or_holds_no_ct_is_a_wrong_call(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        find_cases([tmp_path / "missing.nii"])
    with pytest.raises(UsageError, match="no CT in this folder"):
        find_cases([tmp_path])


def test_results_of_an_earlier_run_may_be_replaced_but_nothing_else(tmp_path):
    case = CaseInput("a", tmp_path / "in" / "a.nii.gz")
    out = tmp_path / "out"
    out.mkdir()
    plan_outputs([case], out)
    (out / "a.nii.gz").touch()
    with pytest.raises(UsageError, match=r"a\.nii\.gz exists and is no result"):
        plan_outputs([case], out)
    write_report(out / "a.json", {})
    (output,) = plan_outputs([case], out)
    output.clear()
    assert list(out.iterdir()) == []
    (out / "a.json").write_text("{}")
    with pytest.raises(UsageError, match=r"a\.json exists and is no result"):
        plan_outputs([case], out)


def test_an_input_is_never_overwritten(tmp_path):
    touch(tmp_path / "a.nii.gz")
    write_report(tmp_path / "a.json", {})
    with pytest.raises(UsageError, match="is an input"):
        plan_outputs([CaseInput("a", tmp_path / "a.nii.gz")], tmp_path)
