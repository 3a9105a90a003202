"""The modules of an RT Structure Set, each filled by one function (PS3.3, table A.19.3-1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import generate_uid

from parotid_brachy.lib.anatomy import LATERALITY, CodedConcept, Structure
from parotid_brachy.lib.dicom.contour_content import ALGORITHM, ContourContent, Origin, person_name
from parotid_brachy.lib.dicom.new_files import date_and_time, item
from parotid_brachy.lib.dicom.source_series import SourceSeries
from parotid_brachy.lib.imaging.volume import FloatArray

SERIES_NUMBER: Final = 7002
LABEL: Final = "PAROTID_REGION"
"""Structure Set Label: at most 16 characters."""

_DECIMALS: Final = 5
"""Hundredths of a micrometre; 16 characters (a Decimal String's) hold +-1e9 mm of these."""
_STUDY_COMPONENT: Final = "1.2.840.10008.3.1.2.3.1"
"""Detached Study Management, which PS3.3 C.8.8.5 keeps for references to a study."""

_COPIED: Final = (
    "SpecificCharacterSet",
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "PatientAge",
    "PatientWeight",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "LongitudinalTemporalInformationModified",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "StudyDescription",
    "AccessionNumber",
    "ReferringPhysicianName",
    "FrameOfReferenceUID",
    "PositionReferenceIndicator",
)
_TYPE_2: Final = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
    "PositionReferenceIndicator",
)
"""Must be there, and may be empty."""


def add_patient_and_study(dataset: Dataset, header: Dataset) -> None:
    """Patient, General Study and Frame of Reference modules: the CT's own."""
    for keyword in _COPIED:
        if keyword in header:
            dataset[keyword] = header[keyword]
    for keyword in _TYPE_2:
        if keyword not in dataset:
            setattr(dataset, keyword, "")


def add_series(dataset: Dataset, content: ContourContent) -> None:
    """RT Series module (C.8.8.1): a new series."""
    dataset.Modality = "RTSTRUCT"
    dataset.SeriesInstanceUID = generate_uid(prefix=None)
    dataset.SeriesNumber = SERIES_NUMBER
    dataset.SeriesDescription = content.description
    dataset.SeriesDate, dataset.SeriesTime = date_and_time(content.made)
    dataset.OperatorsName = content.reader
    dataset.InstanceCreationDate, dataset.InstanceCreationTime = date_and_time(content.made)


def add_equipment(dataset: Dataset, content: ContourContent) -> None:
    """General Equipment module (C.7.5.1): this program."""
    dataset.Manufacturer = ALGORITHM
    dataset.ManufacturerModelName = ALGORITHM
    if content.algorithm_version:
        dataset.SoftwareVersions = content.algorithm_version[:64]


def add_structure_set(
    dataset: Dataset,
    names: Mapping[Structure, str],
    series: SourceSeries,
    content: ContourContent,
) -> None:
    """Structure Set module (C.8.8.5): what was contoured, and on which images."""
    dataset.InstanceNumber = 1
    dataset.StructureSetLabel = LABEL
    dataset.StructureSetName = content.description
    dataset.StructureSetDate, dataset.StructureSetTime = date_and_time(content.made)
    images = [_image(series, k) for k in range(len(series.slices))]
    of_series = item(SeriesInstanceUID=series.series_uid, ContourImageSequence=Items(images))
    study = item(
        ReferencedSOPClassUID=_STUDY_COMPONENT,
        ReferencedSOPInstanceUID=str(series.header.StudyInstanceUID),
        RTReferencedSeriesSequence=Items([of_series]),
    )
    frame = item(FrameOfReferenceUID=series.frame_uid, RTReferencedStudySequence=Items([study]))
    dataset.ReferencedFrameOfReferenceSequence = Items([frame])
    dataset.StructureSetROISequence = Items(
        [_region(structure, name, series, content) for structure, name in names.items()]
    )


def _region(
    structure: Structure, name: str, series: SourceSeries, content: ContourContent
) -> Dataset:
    region = item(
        ROINumber=structure.value,
        ReferencedFrameOfReferenceUID=series.frame_uid,
        ROIName=name,
        ROIDescription=f"{structure.title}, {content.side.value}",
        ROIGenerationAlgorithm=content.origin.value,
    )
    if content.origin is not Origin.MANUAL:
        region.ROIGenerationDescription = content.algorithm
    return region


def add_contours(
    dataset: Dataset,
    polygons: Mapping[Structure, Sequence[tuple[int, FloatArray]]],
    series: SourceSeries,
) -> None:
    """ROI Contour module (C.8.8.6); holes are joined to their outline by a keyhole."""
    regions = []
    for structure, slices in polygons.items():
        contours = [
            item(
                ContourNumber=number,
                ContourImageSequence=Items([_image(series, k)]),
                ContourGeometricType="CLOSED_PLANAR",
                NumberOfContourPoints=len(points),
                ContourData=[_decimal(value) for value in points.ravel().tolist()],
            )
            for number, (k, points) in enumerate(slices, start=1)
        ]
        regions.append(
            item(
                ReferencedROINumber=structure.value,
                ROIDisplayColor=list(structure.colour),
                ContourSequence=Items(contours),
            )
        )
    dataset.ROIContourSequence = Items(regions)


def add_observations(
    dataset: Dataset, names: Mapping[Structure, str], content: ContourContent
) -> None:
    """RT ROI Observations module (C.8.8.8): what the regions are."""
    laterality = LATERALITY[content.side]
    observations = []
    for structure, name in names.items():
        concept = _code(structure.coded)
        concept.SegmentedPropertyTypeModifierCodeSequence = Items([_code(laterality)])
        observations.append(
            item(
                ObservationNumber=structure.value,
                ReferencedROINumber=structure.value,
                ROIObservationLabel=name,
                RTROIInterpretedType="ORGAN",
                ROIInterpreter=content.reader,
                RTROIIdentificationCodeSequence=Items([concept]),
            )
        )
    dataset.RTROIObservationsSequence = Items(observations)


def add_approval(dataset: Dataset, content: ContourContent) -> None:
    """Approval module (C.8.8.16)."""
    approval = content.approval
    if approval is None:
        dataset.ApprovalStatus = "UNAPPROVED"
        return
    dataset.ApprovalStatus = "APPROVED"
    dataset.ReviewDate, dataset.ReviewTime = date_and_time(approval.at)
    dataset.ReviewerName = person_name(approval.reviewer)


def _image(series: SourceSeries, k: int) -> Dataset:
    return item(
        ReferencedSOPClassUID=series.header.SOPClassUID,
        ReferencedSOPInstanceUID=series.instance_uids[k],
    )


def _code(concept: CodedConcept) -> Dataset:
    return item(
        CodeValue=concept.value,
        CodingSchemeDesignator=concept.scheme,
        CodeMeaning=concept.meaning,
    )


def _decimal(value: float) -> str:
    """A Decimal String: at most 16 characters (PS3.5, section 6.2)."""
    return f"{value:.{_DECIMALS}f}".rstrip("0").rstrip(".")
