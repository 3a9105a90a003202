import io

import numpy as np
import pydicom
import pytest
from tests.dicom.contoured_series import GRIDS, MADE, content, dciodvfy_errors, masks, write_ct

from parotid_brachy.lib.anatomy import STRUCTURES, Side
from parotid_brachy.lib.dicom.contour_content import Origin
from parotid_brachy.lib.dicom.source_series import read_source_series
from parotid_brachy.lib.dicom.structure_names import planning_name
from parotid_brachy.lib.dicom.structure_set.reading import read_structure_set
from parotid_brachy.lib.dicom.structure_set.writing import structure_set_bytes
from parotid_brachy.lib.errors import InputRefusedError


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    folder = write_ct(tmp_path_factory.mktemp("series") / "ct", GRIDS["oblique"], order="shuffled")
    return read_source_series(folder)


@pytest.fixture(scope="module")
def labels(series):
    return masks(series.grid.shape_kji)


def written(series, labels, **more):
    encoded = structure_set_bytes(labels, series.grid, series, content(**more))
    return pydicom.dcmread(io.BytesIO(encoded))


def test_regions_have_names_colours_types_and_codes_of_their_structure(series, labels):
    dataset = written(series, labels, side=Side.LEFT)
    observed = {one.ReferencedROINumber: one for one in dataset.RTROIObservationsSequence}
    drawn = {one.ReferencedROINumber: one for one in dataset.ROIContourSequence}
    assert len(dataset.StructureSetROISequence) == 7
    for region, structure in zip(dataset.StructureSetROISequence, STRUCTURES, strict=True):
        number = region.ROINumber
        assert region.ROIName == planning_name(structure, Side.LEFT)
        assert region.ReferencedFrameOfReferenceUID == series.frame_uid
        assert tuple(drawn[number].ROIDisplayColor) == structure.colour
        assert observed[number].RTROIInterpretedType == "ORGAN"
        code = observed[number].RTROIIdentificationCodeSequence[0]
        assert code.CodeValue == structure.coded.value
    assert dataset.StructureSetROISequence[6].ROIName == "Parotid_L"


def test_only_structures_that_the_map_holds_become_regions(series, labels):
    only = np.where(labels == 5, labels, 0)
    dataset = written(series, only)
    assert [one.ROIName for one in dataset.StructureSetROISequence] == ["Canal_AuditExt_R"]
    with pytest.raises(InputRefusedError, match="nothing to export"):
        written(series, np.zeros_like(labels))


def test_every_slice_is_referenced_and_each_contour_names_its_own(series, labels):
    dataset = written(series, labels)
    (frame,) = dataset.ReferencedFrameOfReferenceSequence
    of_series = frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence[0]
    referenced = [one.ReferencedSOPInstanceUID for one in of_series.ContourImageSequence]
    assert frame.FrameOfReferenceUID == series.frame_uid
    assert of_series.SeriesInstanceUID == series.series_uid
    assert tuple(referenced) == series.instance_uids
    normal = series.slices[0].normal
    for region in dataset.ROIContourSequence:
        for contour in region.ContourSequence:
            uid = contour.ContourImageSequence[0].ReferencedSOPInstanceUID
            own = series.slices[series.instance_uids.index(uid)]
            points = np.asarray(contour.ContourData, float).reshape(-1, 3)
            assert len(points) == contour.NumberOfContourPoints
            assert np.abs((points - own.position_lps_mm) @ normal).max() < 1e-3


def test_numbers_fit_decimal_strings(series, labels):
    raw = structure_set_bytes(labels, series.grid, series, content())
    dataset = pydicom.dcmread(io.BytesIO(raw))
    contours = [c for region in dataset.ROIContourSequence for c in region.ContourSequence]
    texts = [str(v) for one in contours for v in one.ContourData]
    assert max(map(len, texts)) <= 16
    assert not any("e" in text for text in texts)


def test_the_approval_names_reviewer_and_time(series, labels):
    plain = written(series, labels)
    assert plain.ApprovalStatus == "UNAPPROVED"
    assert "ReviewerName" not in plain
    approved = written(series, labels, approved=True)
    local = MADE.astimezone()
    assert (approved.ApprovalStatus, str(approved.ReviewerName)) == ("APPROVED", "Dr Senior")
    assert approved.ReviewDate == f"{local:%Y%m%d}"
    assert approved.ReviewTime == f"{local:%H%M%S}"


def test_objects_of_one_map_are_objects_of_their_own(series, labels):
    first, second = written(series, labels), written(series, labels)
    for keyword in ("SOPInstanceUID", "SeriesInstanceUID"):
        assert first[keyword].value != second[keyword].value
        assert first[keyword].value.startswith("2.25.")
    assert first.StudyInstanceUID == second.StudyInstanceUID == series.header.StudyInstanceUID


def test_a_draft_has_no_operator(series, labels, tmp_path):
    draft = written(series, labels, origin=Origin.DRAFT, reader="")
    assert str(draft.OperatorsName) == ""
    path = tmp_path / "rtstruct.dcm"
    path.write_bytes(
        structure_set_bytes(labels, series.grid, series, content(origin=Origin.DRAFT, reader=""))
    )
    assert dciodvfy_errors(path) == []


def test_a_series_with_bare_headers_and_uneven_positions_gives_a_clean_object(tmp_path):
    folder = write_ct(tmp_path / "ct", GRIDS["straight"])
    for n, path in enumerate(sorted(folder.glob("*.dcm"))):
        one = pydicom.dcmread(path)
        for keyword in ("StudyID", "AccessionNumber", "PatientSex", "PositionReferenceIndicator"):
            delattr(one, keyword)
        one.PatientName = "Jörg^Ünal"
        x, y, z = one.ImagePositionPatient
        one.ImagePositionPatient = [x, y, round(float(z) + 0.06 * (n % 2), 2)]
        one.save_as(path)
    series = read_source_series(folder)
    labels = masks(series.grid.shape_kji)
    path = tmp_path / "rtstruct.dcm"
    path.write_bytes(structure_set_bytes(labels, series.grid, series, content()))
    assert dciodvfy_errors(path) == []
    assert str(pydicom.dcmread(path).PatientName) == "Jörg^Ünal"
    assert np.array_equal(read_structure_set(path, series).labels, labels)
