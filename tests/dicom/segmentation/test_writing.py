import os
import stat
import sys

import pydicom
import pytest
from tests.dicom.contoured_series import GRIDS, content, masks, write_ct

from parotid_brachy.lib.anatomy import CATEGORY, GLAND, SKIN, STRUCTURES, Side
from parotid_brachy.lib.dicom.contour_content import Origin
from parotid_brachy.lib.dicom.exporting import export_case
from parotid_brachy.lib.dicom.segmentation.dcmqi import ConversionError, Tool, find_tool
from parotid_brachy.lib.dicom.segmentation.metadata import tracking_uid
from parotid_brachy.lib.dicom.segmentation.writing import segmentation_bytes
from parotid_brachy.lib.dicom.source_series import read_source_series
from parotid_brachy.lib.errors import UsageError


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    return read_source_series(
        write_ct(tmp_path_factory.mktemp("series") / "ct", GRIDS["straight"], order="shuffled")
    )


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Where temporary files go."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def written(series, labels, tmp_path, **more):
    path = tmp_path / "seg.dcm"
    path.write_bytes(segmentation_bytes(labels, series.grid, series, content(**more)))
    return pydicom.dcmread(path)


def test_segments_are_named_by_their_value_whichever_are_missing(series, tmp_path):
    labels = masks(series.grid.shape_kji)
    labels[(labels == 1) | (labels == 4)] = 0
    seg = written(series, labels, tmp_path, side=Side.LEFT)
    held = [one for one in STRUCTURES if one.value in labels]
    assert len(held) == 5
    for segment, structure in zip(seg.SegmentSequence, held, strict=True):
        kind = segment.SegmentedPropertyTypeCodeSequence[0]
        assert segment.SegmentLabel == structure.name
        assert segment.SegmentedPropertyCategoryCodeSequence[0].CodeValue == CATEGORY.value
        assert (kind.CodeValue, kind.CodingSchemeDesignator) == (structure.coded.value, "SCT")
        assert kind.SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Left"
        assert segment.TrackingUID == tracking_uid(
            "case_1", structure, Side.LEFT, series.series_uid
        )


def test_who_contoured_and_what_stands_in_the_object(series, tmp_path):
    seg = written(series, masks(series.grid.shape_kji), tmp_path, reader="Ann Reader")
    assert str(seg.ContentCreatorName) == "Ann Reader"
    assert (seg.SeriesNumber, seg.Modality, seg.SegmentationType) == (7001, "SEG", "BINARY")
    assert seg.SeriesDescription == "Parotid region, right, corrected contours"
    assert seg.PatientID == series.header.PatientID
    assert seg.StudyInstanceUID == series.header.StudyInstanceUID
    assert seg.ReferencedSeriesSequence[0].SeriesInstanceUID == series.series_uid
    draft = written(series, masks(series.grid.shape_kji), tmp_path, origin=Origin.DRAFT, reader="")
    assert str(draft.ContentCreatorName) == "parotid-brachy"


def test_tracking_follows_case_structure_side_and_series():
    known = ("case_1", GLAND, Side.LEFT, "1.2.3")
    first = tracking_uid(*known)
    assert first == tracking_uid(*known)
    assert first.startswith("2.25.")
    assert len(first) <= 64
    others = [
        ("case_2", *known[1:]),
        ("case_1", SKIN, *known[2:]),
        ("case_1", GLAND, Side.RIGHT, "1.2.3"),
        (*known[:3], "1.2.4"),
    ]
    assert len({first, *(tracking_uid(*other) for other in others)}) == 5


def test_contours_of_readers_need_a_reader_that_dicom_can_hold():
    for reader in ("", "a^b", "a\\b", "李明", "x" * 65, "\n"):
        with pytest.raises(UsageError):
            content(origin=Origin.MANUAL, reader=reader)


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Puts a script before dcmqi's writer; $REAL is the real one."""
    real = find_tool(Tool.WRITE)
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    monkeypatch.setattr(sys, "executable", str(bin_folder / "python"))
    monkeypatch.setenv("REAL", str(real))

    def write(body):
        path = bin_folder / Tool.WRITE.value
        path.write_text(f'#!/bin/bash\nout="${{@: -1}}"\n{body}\n')
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    return write


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("echo 5 of 12 slices mapped to source DICOM images", "5 of 12 slices mapped"),
        ("echo 11 of 11 slices mapped", "did not find the 12 slices"),
        ("true", "did not find the 12 slices"),
        ("echo 12 of 12 slices mapped", "wrote no file"),
        ("echo 12 of 12 slices mapped; : > $out", "cannot be read"),
        ("echo 12 of 12 slices mapped; echo junk > $out", "cannot be read"),
        ('"$REAL" "$@"; kill -9 $$', "was killed .signal 9"),
        ('"$REAL" "$@"; exit 1', "exit code 1"),
        ('"$REAL" "$@"; truncate -s -3000 "$out"', "cut short|cannot be read"),
    ],
)
def test_whatever_goes_wrong_within_dcmqi_leaves_nothing_behind(
    fake, series, temporary, tmp_path, body, message
):
    fake(body)
    folder = series.slices[0].path.parent
    labels = masks(series.grid.shape_kji)
    with pytest.raises(ConversionError, match=f"(?s)case_1.*({message})"):
        export_case(labels, series.grid, folder, tmp_path / "out", content())
    assert not (tmp_path / "out").exists()
    assert list(temporary.iterdir()) == []


def changed(series, labels, tmp_path, change):
    """What the real dcmqi writes, changed."""
    path = tmp_path / "changed.dcm"
    seg = written(series, labels, tmp_path)
    change(seg)
    seg.save_as(path)
    return path


def flip_a_voxel(seg):
    pixels = bytearray(seg.PixelData)
    pixels[700] ^= 4
    seg.PixelData = bytes(pixels)


def swap_two_labels(seg):
    first, second = seg.SegmentSequence[:2]
    first.SegmentLabel, second.SegmentLabel = second.SegmentLabel, first.SegmentLabel


def move_a_frame(seg):
    plane = seg.PerFrameFunctionalGroupsSequence[3].PlanePositionSequence[0]
    x, y, z = plane.ImagePositionPatient
    plane.ImagePositionPatient = [x, y, float(z) + 3.0]


def mirror_the_side(seg):
    for segment in seg.SegmentSequence:
        kind = segment.SegmentedPropertyTypeCodeSequence[0]
        kind.SegmentedPropertyTypeModifierCodeSequence[0].CodeValue = "7771000"


def refer_elsewhere(seg):
    seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence[0].ReferencedSOPInstanceUID += "1"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (flip_a_voxel, "1 voxels differ"),
        (swap_two_labels, "segments"),
        (move_a_frame, "voxels differ"),
        (mirror_the_side, "segments"),
        (refer_elsewhere, "images of another series"),
        (lambda seg: setattr(seg, "FrameOfReferenceUID", "1.2.3"), "frame of reference"),
        (lambda seg: setattr(seg, "PatientID", "other"), "another patient"),
    ],
)
def test_a_subtly_wrong_object_is_seen(fake, series, tmp_path, monkeypatch, change, fault):
    labels = masks(series.grid.shape_kji)
    monkeypatch.setattr(sys, "executable", os.environ["REAL"])
    path = changed(series, labels, tmp_path, change)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    fake(f"echo 12 of 12 slices mapped; cp {path} $out")
    with pytest.raises(ConversionError, match=f"wrong object.*{fault}"):
        segmentation_bytes(labels, series.grid, series, content())
