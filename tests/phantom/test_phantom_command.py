import functools

import pytest

from parotid_brachy.lib.cli.main import main
from parotid_brachy.lib.imaging.files import read_volume
from parotid_brachy.lib.phantom import draw


@pytest.fixture(autouse=True)
def coarse(monkeypatch):
    small = functools.partial(draw.draw_phantom, compact=True, spacing_mm=(2.6, 2.6, 5.0))
    monkeypatch.setattr(draw, "draw_phantom", small)


def test_cases_are_named_by_their_seed_and_do_not_depend_on_the_count(tmp_path):
    both, one = tmp_path / "both", tmp_path / "one"
    assert main(["phantom", "--count", "2", "--seed", "4", "--output", str(both)]) == 0
    assert main(["phantom", "--seed", "5", "--output", str(one)]) == 0
    names = sorted(path.name for path in both.glob("*.nii.gz"))
    assert names == ["phantom_0004.nii.gz", "phantom_0005.nii.gz"]
    for name in ("phantom_0005.nii.gz", "labels/left_roi17/phantom_0005.nii.gz"):
        assert (both / name).read_bytes() == (one / name).read_bytes()


def test_a_dicom_series_can_be_asked_for(tmp_path):
    call = ["phantom", "--seed", "3", "--output", str(tmp_path), "--format", "dicom"]
    assert main([*call, "--after-surgery", "right"]) == 0
    assert read_volume(tmp_path / "phantom_0003").grid.spacing_mm == (2.6, 2.6, 5.0)
    assert (tmp_path / "labels" / "right_full" / "phantom_0003.nii.gz").exists()


@pytest.mark.parametrize(
    "wrong",
    [["--count", "0"], ["--seed", "-1"], ["--format", "nrrd"], ["--after-surgery", "both"], []],
)
def test_a_wrong_call_is_told_and_exits_with_2(tmp_path, wrong, capsys):
    target = ["--output", str(tmp_path / "out")] if wrong else []
    assert main(["phantom", *wrong, *target]) == 2
    assert capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_output_that_is_a_file_is_a_wrong_call(tmp_path, capsys):
    path = tmp_path / "file"
    path.write_text("")
    assert main(["phantom", "--output", str(path)]) == 2
    assert "choose a folder" in capsys.readouterr().err
