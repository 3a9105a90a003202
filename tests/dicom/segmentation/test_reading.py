import sys

import numpy as np
import pydicom
import pytest
from highdicom.content import AlgorithmIdentificationSequence
from highdicom.seg import (
    SegmentAlgorithmTypeValues,
    Segmentation,
    SegmentationTypeValues,
    SegmentDescription,
)
from pydicom.sr.coding import Code
from tests.dicom.contoured_series import GRIDS, content, write_ct

from parotid_brachy.lib.anatomy import (
    AURICULA,
    CONDYLE_PROCESS,
    GLAND,
    MANDIBULAR_RAMUS,
    MASTOID_PROCESS,
    SKIN,
    Side,
)
from parotid_brachy.lib.dicom.read_contours import NotTaken, Overlap
from parotid_brachy.lib.dicom.segmentation import reading
from parotid_brachy.lib.dicom.segmentation.dcmqi import ConversionError, Tool
from parotid_brachy.lib.dicom.segmentation.reading import read_segmentation
from parotid_brachy.lib.dicom.segmentation.writing import segmentation_bytes
from parotid_brachy.lib.dicom.source_series import read_source_series
from parotid_brachy.lib.errors import GeometryError, InputRefusedError

ANATOMY = Code("123037004", "SCT", "Anatomical Structure")
LEFT, RIGHT = Code("7771000", "SCT", "Left"), Code("24028007", "SCT", "Right")


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    folder = write_ct(tmp_path_factory.mktemp("series") / "ct", GRIDS["oblique"], order="reversed")
    return read_source_series(folder)


def of_others(series, tmp_path, segments, *, kind=SegmentationTypeValues.BINARY, change=None):
    """A segmentation as another program makes it: label, code, side and mask of each segment."""
    images = [pydicom.dcmread(one.path) for one in series.slices]
    described = []
    for number, (label, code, side, _) in enumerate(segments, start=1):
        one = SegmentDescription(
            segment_number=number,
            segment_label=label,
            segmented_property_category=ANATOMY,
            segmented_property_type=code,
            algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=AlgorithmIdentificationSequence(
                name="another", family=Code("123110", "DCM", "Artificial Intelligence"), version="1"
            ),
        )
        if side is not None:
            modifier = pydicom.Dataset()
            modifier.CodeValue, modifier.CodingSchemeDesignator = side.value, side.scheme_designator
            modifier.CodeMeaning = side.meaning
            one.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [
                modifier
            ]
        described.append(one)
    seg = Segmentation(
        source_images=images,
        pixel_array=np.stack([mask for *_, mask in segments], axis=-1).astype(np.uint8),
        segmentation_type=kind,
        segment_descriptions=described,
        series_instance_uid=pydicom.uid.generate_uid(),
        series_number=5,
        sop_instance_uid=pydicom.uid.generate_uid(),
        instance_number=1,
        manufacturer="another",
        manufacturer_model_name="another",
        software_versions="1",
        device_serial_number="1",
    )
    if change is not None:
        change(seg)
    path = tmp_path / "others.dcm"
    seg.save_as(path)
    return path


def block(series, start, stop):
    mask = np.zeros(series.grid.shape_kji, bool)
    mask[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))] = True
    return mask


PAROTID = Code("45289007", "SCT", "Parotid gland")
MANDIBLE = Code("91609006", "SCT", "Mandible")
TONGUE = Code("21974007", "SCT", "Tongue")


def test_segments_of_others_are_known_by_label_or_code_and_the_rest_is_reported(series, tmp_path):
    gland = block(series, (2, 3, 4), (6, 13, 14))
    ramus = block(series, (2, 20, 4), (4, 23, 9))
    auricula = block(series, (7, 20, 20), (9, 33, 29))
    path = of_others(
        series,
        tmp_path,
        [
            ("Segment 1", PAROTID, RIGHT, gland),
            ("right ramus", MANDIBLE, None, ramus),
            ("Ear_External_R", Code("117590005", "SCT", "Ear"), None, auricula),
            ("jaw", MANDIBLE, RIGHT, block(series, (0, 0, 0), (1, 3, 3))),
            ("tongue", TONGUE, None, block(series, (0, 0, 5), (1, 3, 9))),
        ],
    )
    read = read_segmentation(path, series)
    expected = np.zeros(series.grid.shape_kji, np.uint8)
    for mask, structure in ((gland, GLAND), (ramus, MANDIBULAR_RAMUS), (auricula, AURICULA)):
        expected[mask] = structure.value
    assert np.array_equal(read.labels, expected)
    assert read.side is Side.RIGHT
    assert read.sources == {
        GLAND: "Segment 1",
        MANDIBULAR_RAMUS: "right ramus",
        AURICULA: "Ear_External_R",
    }
    assert {one.name for one in read.not_taken} == {"jaw", "tongue"}


def test_of_both_sides_the_wanted_one_is_taken(series, tmp_path):
    left, right = (
        block(series, (2, 3, 4), (6, 9, 9)),
        block(series, (2, 3, 24), (6, 9, 29)),
    )
    path = of_others(
        series, tmp_path, [("Parotid", PAROTID, LEFT, left), ("Parotid", PAROTID, RIGHT, right)]
    )
    with pytest.raises(InputRefusedError, match="both sides"):
        read_segmentation(path, series)
    for side, mask in ((Side.LEFT, left), (Side.RIGHT, right)):
        read = read_segmentation(path, series, side=side)
        assert np.array_equal(read.labels == GLAND.value, mask)
        assert read.not_taken == (NotTaken("Parotid", f"{side.other.value} side"),)


def test_two_segments_for_one_structure_are_not_guessed_between(series, tmp_path):
    path = of_others(
        series,
        tmp_path,
        [
            ("Parotid", PAROTID, None, block(series, (2, 3, 4), (6, 9, 9))),
            ("parotis", PAROTID, None, block(series, (2, 3, 24), (6, 9, 29))),
            (
                "mastoid",
                Code("59066005", "SCT", "Mastoid"),
                None,
                block(series, (0,) * 3, (2,) * 3),
            ),
        ],
    )
    read = read_segmentation(path, series)
    assert set(read.sources) == {MASTOID_PROCESS}
    assert [one.name for one in read.not_taken] == ["Parotid", "parotis"]


def test_a_label_and_a_code_that_contradict_each_other_are_not_guessed_between(series, tmp_path):
    mask = block(series, (2, 3, 4), (6, 9, 9))
    path = of_others(
        series,
        tmp_path,
        [
            ("Skin", PAROTID, None, mask),
            ("Parotid_L", PAROTID, RIGHT, mask),
            ("Mastoid_R", Code("59066005", "SCT", "Mastoid"), RIGHT, mask),
        ],
    )
    read = read_segmentation(path, series)
    assert set(read.sources) == {MASTOID_PROCESS}
    assert [one.name for one in read.not_taken] == ["Skin", "Parotid_L"]


def test_voxels_that_dcmqi_loses_are_missed(series, tmp_path, monkeypatch):
    path = of_others(
        series, tmp_path, [("gland", PAROTID, RIGHT, block(series, (2, 3, 4), (6, 13, 14)))]
    )
    monkeypatch.setattr(reading, "run_tool", lambda *_, **__: "")
    with pytest.raises(ConversionError, match="400 voxels, and dcmqi read 0"):
        read_segmentation(path, series)


def test_what_dcmqi_cannot_read_is_refused_with_its_words(series, tmp_path, monkeypatch):
    path = of_others(
        series, tmp_path, [("gland", PAROTID, RIGHT, block(series, (2, 3, 4), (6, 13, 14)))]
    )
    program = tmp_path / Tool.READ.value
    program.write_text("#!/bin/sh\necho no way; exit 9\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(InputRefusedError, match=r"exit code 9.*no way"):
        read_segmentation(path, series)


def test_overlapping_segments_are_reported_with_their_size(series, tmp_path):
    skin = block(series, (2, 3, 4), (6, 13, 14))
    gland = block(series, (5, 3, 12), (8, 13, 20))
    path = of_others(
        series,
        tmp_path,
        [("gland", PAROTID, None, gland), ("Skin", Code("39937001", "SCT", "Skin"), None, skin)],
    )
    read = read_segmentation(path, series)
    assert read.overlaps == (Overlap(SKIN, GLAND, int((skin & gland).sum())),)
    assert np.array_equal(read.labels == SKIN.value, skin)
    assert np.array_equal(read.labels == GLAND.value, gland & ~skin)


def test_a_segmentation_on_another_grid_is_refused_or_resampled_if_asked(series, tmp_path):
    fine = GRIDS["oblique"]
    half = type(fine)(
        (20, 18, 12),
        (2.2, 2.2, 3.0),
        tuple(float(v) for v in fine.to_lps_mm(np.array([0.5, 0.5, 0.0]))),
        fine.direction,
    )
    other = read_source_series(write_ct(tmp_path / "half", half))
    gland = block(other, (2, 3, 4), (6, 11, 12))
    path = of_others(other, tmp_path, [("gland", PAROTID, RIGHT, gland)])
    seg = pydicom.dcmread(path)
    seg.FrameOfReferenceUID = series.frame_uid
    seg.save_as(path)
    with pytest.raises(GeometryError, match="resampled"):
        read_segmentation(path, series)
    read = read_segmentation(path, series, resample=True)
    expected = block(series, (2, 6, 8), (6, 22, 24))
    assert np.array_equal(read.labels == GLAND.value, expected)


def shift(seg):
    for frame in seg.PerFrameFunctionalGroupsSequence:
        plane = frame.PlanePositionSequence[0]
        plane.ImagePositionPatient = [float(v) + 0.4 for v in plane.ImagePositionPatient]


def far_apart(seg):
    plane = seg.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0]
    plane.ImagePositionPatient = [0.0, 0.0, 1e7]


def cut_short(seg):
    seg.PixelData = seg.PixelData[:-100]


def many_frames(seg):
    seg.NumberOfFrames = 2_000_000_000


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        (shift, "beside the slices|between the slices"),
        (far_apart, "too many|no geometry"),
        (cut_short, "cut short"),
        (many_frames, "no segmentation"),
        (lambda seg: setattr(seg, "FrameOfReferenceUID", "1.2.3"), "frame of reference"),
        (lambda seg: setattr(seg, "SOPClassUID", "1.2.3"), "no DICOM segmentation"),
        (lambda seg: delattr(seg, "PerFrameFunctionalGroupsSequence"), "damaged"),
        (lambda seg: delattr(seg, "SharedFunctionalGroupsSequence"), "damaged"),
    ],
)
def test_what_does_not_belong_or_is_damaged_is_refused(series, tmp_path, change, refusal):
    gland = block(series, (2, 3, 4), (6, 13, 14))
    path = of_others(series, tmp_path, [("gland", PAROTID, RIGHT, gland)], change=change)
    with pytest.raises(InputRefusedError, match=refusal):
        read_segmentation(path, series)


def test_a_segmentation_without_our_structures_is_refused_with_their_names(series, tmp_path):
    path = of_others(
        series, tmp_path, [("tongue", TONGUE, None, block(series, (0, 0, 5), (1, 3, 9)))]
    )
    with pytest.raises(InputRefusedError, match="tongue"):
        read_segmentation(path, series)


def test_a_label_map_with_one_voxel_comes_back(series, tmp_path):
    labels = np.zeros(series.grid.shape_kji, np.uint8)
    labels[11, 35, 39] = CONDYLE_PROCESS.value
    path = tmp_path / "seg.dcm"
    path.write_bytes(segmentation_bytes(labels, series.grid, series, content()))
    assert np.array_equal(read_segmentation(path, series).labels, labels)
