"""Objects of one made-up patient: CT, RTSTRUCT, RTPLAN, RTDOSE, SEG that refer to one another."""

from __future__ import annotations

import io

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    RTDoseStorage,
    RTPlanStorage,
    RTStructureSetStorage,
    SegmentationStorage,
)

from parotid_brachy.lib.dicom.deidentification.deidentifier import Deidentifier
from parotid_brachy.lib.dicom.deidentification.file_frame import file_bytes
from parotid_brachy.lib.dicom.deidentification.key import PseudonymKey
from parotid_brachy.lib.dicom.deidentification.policy import DeidentificationPolicy

KEY = PseudonymKey(bytes(range(32)))
OTHER_KEY = PseudonymKey(bytes(range(1, 33)))
STUDY, FRAME = "1.2.826.0.1.3680043.2.1125.77.1", "1.2.826.0.1.3680043.2.1125.77.2"
_ROOT = "1.2.826.0.1.3680043.2.1125.77"


def deidentifier(key: PseudonymKey = KEY, **options: object) -> Deidentifier:
    return Deidentifier(key, DeidentificationPolicy(**options))


def items(*facts: dict[str, object]) -> Sequence:
    """A sequence of items from dictionaries."""
    result = []
    for fact in facts:
        item = Dataset()
        for keyword, value in fact.items():
            setattr(item, keyword, value)
        result.append(item)
    return Sequence(result)


def reread(dataset: FileDataset) -> FileDataset:
    """As it comes back from a file."""
    return pydicom.dcmread(io.BytesIO(written(dataset)))


def written(dataset: FileDataset) -> bytes:
    return file_bytes(dataset)


def framed(sop_class: str, number: str, modality: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = f"{_ROOT}.{number}"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.is_little_endian, dataset.is_implicit_VR = True, False
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.PatientName = "Weissenborn^Adelheid"
    dataset.PatientID = "HOSP-4711-99"
    dataset.PatientBirthDate = "19610203"
    dataset.PatientSex = "F"
    dataset.StudyInstanceUID = STUDY
    dataset.SeriesInstanceUID = f"{_ROOT}.3.{number}"
    dataset.FrameOfReferenceUID = FRAME
    dataset.Modality = modality
    dataset.StudyDate, dataset.StudyTime = "20240311", "081501"
    dataset.StudyID, dataset.AccessionNumber = "", ""
    dataset.ReferringPhysicianName = ""
    dataset.Manufacturer = "Maker"
    return dataset


def ct(number: int = 0) -> FileDataset:
    dataset = framed(CTImageStorage, f"10.{number}", "CT")
    dataset.SeriesInstanceUID = f"{_ROOT}.4"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.Rows = dataset.Columns = 4
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    dataset.PixelSpacing, dataset.SliceThickness = [1, 1], 2
    dataset.ImagePositionPatient = [0, 0, 2 * number]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.RescaleIntercept, dataset.RescaleSlope = "-1024", "1"
    dataset.InstanceNumber = number + 1
    dataset.PixelData = np.arange(16, dtype="<u2").tobytes()
    return dataset


def case_objects() -> dict[str, FileDataset]:
    """Three CT slices and what refers to them and to one another."""
    slices = [ct(number) for number in range(3)]
    references = [
        {"ReferencedSOPClassUID": one.SOPClassUID, "ReferencedSOPInstanceUID": one.SOPInstanceUID}
        for one in slices
    ]
    structures = framed(RTStructureSetStorage, "20", "RTSTRUCT")
    structures.StructureSetLabel, structures.StructureSetDate = "Weissenborn", "20240312"
    structures.ReferencedFrameOfReferenceSequence = items(
        {
            "FrameOfReferenceUID": FRAME,
            "RTReferencedStudySequence": items(
                {
                    "ReferencedSOPClassUID": "1.2.840.10008.3.1.2.3.1",
                    "ReferencedSOPInstanceUID": STUDY,
                    "RTReferencedSeriesSequence": items(
                        {
                            "SeriesInstanceUID": slices[0].SeriesInstanceUID,
                            "ContourImageSequence": items(*references),
                        }
                    ),
                }
            ),
        }
    )
    structures.StructureSetROISequence = items(
        {
            "ROINumber": 1,
            "ReferencedFrameOfReferenceUID": FRAME,
            "ROIName": "Parotid_R",
            "ROIGenerationAlgorithm": "MANUAL",
        }
    )
    structures.ROIContourSequence = items(
        {
            "ReferencedROINumber": 1,
            "ContourSequence": items(
                {
                    "ContourImageSequence": items(references[1]),
                    "ContourGeometricType": "CLOSED_PLANAR",
                    "NumberOfContourPoints": 3,
                    "ContourData": [0, 0, 2, 1.25, 0, 2, 1, 1.5, 2],
                }
            ),
        }
    )
    plan = framed(RTPlanStorage, "30", "RTPLAN")
    plan.RTPlanLabel, plan.RTPlanDate, plan.RTPlanGeometry = "implant", "20240313", "PATIENT"
    plan.ReferencedStructureSetSequence = items(_reference(structures))
    dose = framed(RTDoseStorage, "40", "RTDOSE")
    dose.ReferencedRTPlanSequence = items(_reference(plan))
    dose.DoseUnits, dose.DoseType = "GY", "PHYSICAL"
    segmentation = framed(SegmentationStorage, "50", "SEG")
    segmentation.ReferencedSeriesSequence = items(
        {
            "SeriesInstanceUID": slices[0].SeriesInstanceUID,
            "ReferencedInstanceSequence": items(*references),
        }
    )
    segmentation.SegmentSequence = items(
        {
            "SegmentNumber": 1,
            "SegmentLabel": "Parotid gland",
            "TrackingUID": f"{_ROOT}.51",
            "SegmentedPropertyTypeCodeSequence": items(
                {
                    "CodeValue": "45289007",
                    "CodingSchemeDesignator": "SCT",
                    "CodeMeaning": "Parotid gland",
                }
            ),
        }
    )
    segmentation.PerFrameFunctionalGroupsSequence = items(
        *(
            {
                "DerivationImageSequence": items(
                    {"SourceImageSequence": items(reference)},
                )
            }
            for reference in references
        )
    )
    named = {f"ct{number}": one for number, one in enumerate(slices)}
    return {
        **named,
        "rtstruct": structures,
        "rtplan": plan,
        "rtdose": dose,
        "seg": segmentation,
    }


def _reference(dataset: Dataset) -> dict[str, object]:
    return {
        "ReferencedSOPClassUID": dataset.SOPClassUID,
        "ReferencedSOPInstanceUID": dataset.SOPInstanceUID,
    }
