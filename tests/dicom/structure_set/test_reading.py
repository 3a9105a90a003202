import copy
import io

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from tests.dicom.contoured_series import GRIDS, content, masks, write_ct

from parotid_brachy.lib.anatomy import GLAND, SKIN, Side
from parotid_brachy.lib.dicom.read_contours import NotTaken, Overlap
from parotid_brachy.lib.dicom.source_series import read_source_series
from parotid_brachy.lib.dicom.structure_set import reading
from parotid_brachy.lib.dicom.structure_set.planes import to_lps_mm
from parotid_brachy.lib.dicom.structure_set.reading import read_structure_set
from parotid_brachy.lib.dicom.structure_set.writing import structure_set_bytes
from parotid_brachy.lib.errors import GeometryError, InputRefusedError


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    folder = write_ct(tmp_path_factory.mktemp("series") / "ct", GRIDS["oblique"])
    return read_source_series(folder)


@pytest.fixture(scope="module")
def labels(series):
    return masks(series.grid.shape_kji)


@pytest.fixture(scope="module")
def ours(series, labels):
    return structure_set_bytes(labels, series.grid, series, content(side=Side.RIGHT))


@pytest.fixture
def read(series, ours, tmp_path):
    """Reads our structure set after a change."""

    def read(change=None, **more):
        dataset = pydicom.dcmread(io.BytesIO(ours))
        if change is not None:
            change(dataset)
        path = tmp_path / "rs.dcm"
        dataset.save_as(path)
        return read_structure_set(path, series, **more)

    return read


def region_of(dataset, name):
    """A region's contours by its name."""
    number = next(r.ROINumber for r in dataset.StructureSetROISequence if r.ROIName == name)
    return next(r for r in dataset.ROIContourSequence if r.ReferencedROINumber == number)


def rename(dataset, old, new):
    for region in dataset.StructureSetROISequence:
        if region.ROIName == old:
            region.ROIName = new


def drawn(points_ij, series, k):
    """A contour on a slice."""
    points = to_lps_mm(np.asarray(points_ij, float), series.slices[k])
    contour = Dataset()
    contour.ContourGeometricType = "CLOSED_PLANAR"
    contour.NumberOfContourPoints = len(points)
    contour.ContourData = [f"{v:.4f}" for v in points.ravel()]
    return contour


SQUARE = [(4.5, 3.5), (14.5, 3.5), (14.5, 12.5), (4.5, 12.5)]
INNER = [(6.5, 5.5), (9.5, 5.5), (9.5, 8.5), (6.5, 8.5)]


def test_an_inner_ring_of_a_planning_system_is_a_hole(read, series):
    def change(dataset):
        region_of(dataset, "Parotid_R").ContourSequence = [
            drawn(SQUARE, series, 3),
            drawn(INNER, series, 3),
            drawn(SQUARE, series, 4),
        ]

    gland = read(change).labels == GLAND.value
    expected = np.zeros_like(gland)
    expected[3:5, 4:13, 5:15] = True
    expected[3, 6:9, 7:10] = False
    skin_first = read(change).labels == SKIN.value
    assert np.array_equal(gland, expected & ~skin_first)


def test_the_same_contour_twice_does_not_vanish(read, series):
    def change(dataset):
        region = region_of(dataset, "Parotid_R")
        region.ContourSequence = [*region.ContourSequence, *copy.deepcopy(region.ContourSequence)]

    assert np.array_equal(read(change).labels, read().labels)


def test_points_and_open_contours_are_reported_and_enclose_nothing(read, series, labels):
    def change(dataset):
        point = drawn([(5.0, 5.0)], series, 3)
        point.ContourGeometricType = "POINT"
        line = drawn(SQUARE[:3], series, 3)
        line.ContourGeometricType = "OPEN_PLANAR"
        region_of(dataset, "Parotid_R").ContourSequence.extend([point, line])

    found = read(change)
    assert np.array_equal(found.labels, labels)
    assert [one.name for one in found.not_taken] == ["Parotid_R", "Parotid_R"]
    assert "POINT" in found.not_taken[0].reason


def test_names_of_others_are_matched_and_the_rest_is_reported(read, labels):
    def change(dataset):
        rename(dataset, "Parotid_R", "Rt Parotid Gland")
        rename(dataset, "Ear_External_R", "pinna (R)")
        rename(dataset, "Bone_Mastoid_R", "Mandible")

    found = read(change)
    expected = np.where(labels == 4, 0, labels)
    assert np.array_equal(found.labels, expected)
    assert found.sources[GLAND] == "Rt Parotid Gland"
    assert [one.name for one in found.not_taken] == ["Mandible"]
    assert found.side is Side.RIGHT


def test_structures_of_both_sides_need_a_wanted_side(read, labels):
    def change(dataset):
        rename(dataset, "Bone_Mastoid_R", "Parotid_L")

    with pytest.raises(InputRefusedError, match="both sides"):
        read(change)
    found = read(change, side=Side.LEFT)
    assert found.sources == {GLAND: "Parotid_L", SKIN: "Skin"}
    assert np.array_equal(found.labels == GLAND.value, labels == 4)
    assert NotTaken("Parotid_R", "right side") in found.not_taken


def test_a_region_without_contours_is_reported_as_empty(read, labels):
    def change(dataset):
        del region_of(dataset, "Parotid_R").ContourSequence

    found = read(change)
    assert found.not_taken == (NotTaken("Parotid_R", "empty"),)
    assert np.array_equal(found.labels, np.where(labels == 7, 0, labels))


def test_overlapping_regions_are_reported(read, series, labels):
    def change(dataset):
        region_of(dataset, "Skin").ContourSequence.append(drawn(SQUARE, series, 0))
        region_of(dataset, "Parotid_R").ContourSequence.append(drawn(INNER, series, 0))

    assert read(change).overlaps == (Overlap(SKIN, GLAND, 9),)


def other_frame(dataset):
    for region in dataset.StructureSetROISequence:
        region.ReferencedFrameOfReferenceUID = "1.2.3"


def between_slices(dataset):
    contour = region_of(dataset, "Parotid_R").ContourSequence[2]
    points = np.asarray(contour.ContourData, float).reshape(-1, 3)
    points[:, 2] += 1.2
    contour.ContourData = [f"{v:.3f}" for v in points.ravel()]


def beyond_the_series(dataset):
    contour = region_of(dataset, "Parotid_R").ContourSequence[2]
    points = np.asarray(contour.ContourData, float).reshape(-1, 3)
    points[:, 2] += 300.0
    contour.ContourData = [f"{v:.3f}" for v in points.ravel()]


def turned_contour(dataset):
    contour = region_of(dataset, "Parotid_R").ContourSequence[2]
    points = np.asarray(contour.ContourData, float).reshape(-1, 3)
    points[0, 2] += 4.0
    contour.ContourData = [f"{v:.3f}" for v in points.ravel()]


@pytest.mark.parametrize(
    ("change", "refusal", "message"),
    [
        (other_frame, InputRefusedError, r"frame of reference '1\.2\.3'"),
        (between_slices, GeometryError, "mm off the nearest slice"),
        (beyond_the_series, GeometryError, "mm off the nearest slice"),
        (turned_contour, GeometryError, "mm off the nearest slice"),
    ],
)
def test_contours_of_another_ct_are_refused_with_the_reason(read, change, refusal, message):
    with pytest.raises(refusal, match=message):
        read(change)


def odd_numbers(dataset):
    region_of(dataset, "Parotid_R").ContourSequence[0].ContourData = ["1", "2", "3", "4"]


def huge_numbers(dataset):
    region_of(dataset, "Parotid_R").ContourSequence[0].ContourData = ["1e300"] * 9


def no_number(dataset):
    del dataset.StructureSetROISequence[0].ROINumber


def only_strangers(dataset):
    for region in dataset.StructureSetROISequence:
        region.ROIName = "CTV"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (odd_numbers, "points are no positions"),
        (huge_numbers, "points are no positions"),
        (no_number, "damaged structure set"),
        (only_strangers, "holds no structure that is wanted here .'CTV'"),
        (lambda dataset: setattr(dataset, "SOPClassUID", "1.2.3"), "no RT Structure Set"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(read, change, message):
    with pytest.raises(InputRefusedError, match=message):
        read(change)


def test_a_region_of_endless_points_is_refused(read, monkeypatch):
    monkeypatch.setattr(reading, "_MOST_POINTS", 50)
    with pytest.raises(InputRefusedError, match="more than 50 points"):
        read()


def test_a_file_cut_short_or_of_another_kind_is_refused(series, ours, tmp_path):
    path = tmp_path / "rs.dcm"
    for content_ in (b"", b"junk" * 100, ours[:200], ours[: len(ours) // 2]):
        path.write_bytes(content_)
        with pytest.raises(InputRefusedError, match=r"rs\.dcm"):
            read_structure_set(path, series)
    with pytest.raises(InputRefusedError, match="cannot be read"):
        read_structure_set(tmp_path / "nothing.dcm", series)
