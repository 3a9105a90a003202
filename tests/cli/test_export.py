import shutil

import numpy as np
import pydicom
import pytest
from tests.imaging.heads import grid_of, head, positions_of
from tests.review.saves import ANN, add, approve

from parotid_brachy.lib.anatomy import GLAND, SKIN, Side
from parotid_brachy.lib.cli.main import main
from parotid_brachy.lib.dicom.case_series import CaseSeries
from parotid_brachy.lib.dicom.segmentation.reading import read_segmentation
from parotid_brachy.lib.dicom.source_series import read_source_series
from parotid_brachy.lib.imaging.dicom_series import read_series_grid
from parotid_brachy.lib.imaging.files import write_label_map
from parotid_brachy.lib.imaging.limits import CT_LIMITS
from parotid_brachy.lib.phantom.dicom_series import write_series
from parotid_brachy.lib.review.clinical_facts import FACTS, ClinicalFacts
from parotid_brachy.lib.review.store import VersionStore


def painted(grid, x_mm):
    x, y, z = np.moveaxis(positions_of(grid), -1, 0)
    labels = np.zeros(grid.shape_kji, np.uint8)
    labels[(x - x_mm) ** 2 + y**2 + (z + 20) ** 2 < 22**2] = SKIN.value
    labels[(x - x_mm) ** 2 + y**2 + (z + 20) ** 2 < 15**2] = GLAND.value
    return labels


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    """A series with a map of each side, and an empty one."""
    folder = tmp_path_factory.mktemp("material")
    series = write_series(head(grid_of((44, 52, 24), (4.0, 4.0, 7.0))), folder / "ct", seed=3)
    grid = read_series_grid(series, CT_LIMITS)
    for name, x_mm in (("left", 50.0), ("right", -50.0)):
        write_label_map(folder / f"{name}.nii.gz", painted(grid, x_mm), grid)
    write_label_map(folder / "empty.nii.gz", np.zeros(grid.shape_kji, np.uint8), grid)
    return folder


@pytest.fixture
def export(material, tmp_path):
    def export(name, *more):
        labels = ("--labels", str(material / f"{name}.nii.gz"))
        output = ("--output", str(tmp_path / "out"))
        return main(["export", "--dicom", str(material / "ct"), *labels, *output, *more])

    return export


@pytest.mark.parametrize(("name", "end"), [("left", "L"), ("right", "R")])
def test_the_side_is_where_the_gland_lies_and_said_so(export, tmp_path, capsys, name, end):
    assert export(name) == 0
    assert f"{name} side (where the gland lies)" in capsys.readouterr().out
    regions = pydicom.dcmread(tmp_path / "out" / "rtstruct.dcm").StructureSetROISequence
    assert [one.ROIName for one in regions] == ["Skin", f"Parotid_{end}"]
    assert {one.ROIGenerationAlgorithm for one in regions} == {"AUTOMATIC"}


def test_what_is_stated_holds(export, tmp_path, capsys):
    assert export("left", "--side", "right", "--origin", "corrected", "--reader", "Ann") == 0
    assert "right side (as given)" in capsys.readouterr().out
    seg = pydicom.dcmread(tmp_path / "out" / "seg.dcm")
    assert str(seg.ContentCreatorName) == "Ann"
    assert {one.SegmentAlgorithmType for one in seg.SegmentSequence} == {"SEMIAUTOMATIC"}


def test_an_empty_map_is_refused(export, tmp_path, capsys):
    assert export("empty") == 1
    assert "nothing to export" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_output_that_cannot_be_made_is_a_wrong_call(export, tmp_path, capsys):
    (tmp_path / "out").write_text("a file")
    assert export("left") == 2
    assert "out: cannot be written to" in capsys.readouterr().err


def test_wrong_calls_are_told_apart(export, material, tmp_path, capsys):
    out = ["--output", str(tmp_path / "out")]
    ct, labels = str(material / "ct"), str(material / "left.nii.gz")
    for wrong in (
        ["--dicom", ct],
        ["--labels", labels],
        [],
        ["case"],
        ["--studies", str(tmp_path)],
        ["--studies", str(tmp_path), "--dicom", ct, "--labels", labels],
        ["case", "--dicom", ct, "--labels", labels],
        ["--dicom", str(tmp_path / "nothing"), "--labels", labels],
        ["--dicom", ct, "--labels", labels, "--origin", "manual"],
        ["--dicom", ct, "--labels", labels, "--reader", "a^b"],
        ["--studies", str(tmp_path), "case", "--reader", "Ann"],
        ["--studies", str(tmp_path / "none"), "case"],
    ):
        assert main(["export", *wrong, *out]) == 2, wrong
    assert main(["export", "--dicom", ct, "--labels", labels]) == 2
    assert not (tmp_path / "out").exists()
    capsys.readouterr()


@pytest.fixture
def studies(material, tmp_path):
    """Studies with an approved case a, an approved b without DICOM, and a submitted c."""
    folder = tmp_path / "studies"
    store = VersionStore.open(folder / ".parotid")
    store.register({case: f"{case}.nii.gz" for case in "abc"})
    grid = read_series_grid(material / "ct", CT_LIMITS)
    path = tmp_path / "map.seg.nrrd"
    write_label_map(path, painted(grid, -50.0), grid)
    add(store, "a", "original", b"draft")
    for case in "abc":
        version = add(store, case, "final", path.read_bytes())
        if case != "c":
            approve(store, version)
    incoming = tmp_path / "incoming"
    shutil.copytree(material / "ct", incoming)
    CaseSeries(store.folder).keep("a", incoming)
    store.close()
    return folder


def test_an_approved_case_goes_out_with_its_readers(studies, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["export", "--studies", str(studies), "a", "--output", str(out)]) == 0
    assert "approved by Sam" in capsys.readouterr().out
    rtstruct = pydicom.dcmread(out / "a" / "rtstruct.dcm")
    assert (rtstruct.ApprovalStatus, str(rtstruct.ReviewerName)) == ("APPROVED", "Sam")
    assert str(rtstruct.OperatorsName) == ANN.name
    # A draft was there before the reader contoured.
    algorithms = {one.ROIGenerationAlgorithm for one in rtstruct.StructureSetROISequence}
    assert algorithms == {"SEMIAUTOMATIC"}
    series = read_source_series(studies / ".parotid" / "dicom" / "a")
    read = read_segmentation(out / "a" / "seg.dcm", series)
    assert np.array_equal(read.labels, painted(series.grid, -50.0))


def test_a_recorded_side_goes_before_the_glands_place(studies, tmp_path, capsys):
    store = VersionStore.open(studies / ".parotid")
    store.keep_image_info("a", {FACTS: ClinicalFacts(side=Side.LEFT).to_json()})
    store.close()
    call = ["export", "--studies", str(studies), "a", "--output", str(tmp_path / "out")]
    assert main(call) == 0
    assert "left side (as recorded)" in capsys.readouterr().out
    assert main([*call, "--side", "right"]) == 0
    assert "right side (as given)" in capsys.readouterr().out


def test_refused_cases_do_not_stop_the_others(studies, tmp_path, capsys):
    out = tmp_path / "out"
    cases = ["b", "c", "../a", "nobody", "a"]
    assert main(["export", "--studies", str(studies), *cases, "--output", str(out)]) == 1
    told = capsys.readouterr()
    assert "b: its DICOM series was not kept" in told.err
    assert "not approved" in told.err
    assert "4 of 5 cases refused" in told.err
    assert [path.name for path in out.iterdir()] == ["a"]
