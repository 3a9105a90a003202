"""What RTPLAN and RTDOSE have in common: patient, study, series, equipment."""

from __future__ import annotations

import io
from datetime import datetime
from typing import Final

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from parotid_brachy.lib.dicom.contour_content import ALGORITHM
from parotid_brachy.lib.dicom.source_series import SourceSeries
from parotid_brachy.lib.dicom.structure_set.modules import add_patient_and_study
from parotid_brachy.lib.version import project_version

_IMPLEMENTATION_UID: Final = UID("2.25.126479381256348722461298374658127364")


def new_object(
    sop_class: UID, modality: str, series: SourceSeries, made: datetime, *, number: int
) -> FileDataset:
    """An RT object of a CT's patient, study and frame of reference, in a new series.

    Args:
        sop_class: UID of the object's kind.
        modality: such as ``RTDOSE``.
        series: the CT.
        made: when.
        number: of the new series.
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = generate_uid(prefix=None)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = _IMPLEMENTATION_UID
    dataset = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    dataset.is_little_endian, dataset.is_implicit_VR = True, False
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    add_patient_and_study(dataset, series.header)
    dataset.Modality = modality
    dataset.SeriesInstanceUID = generate_uid(prefix=None)
    dataset.SeriesNumber = number
    dataset.OperatorsName = ""
    date, time = made.strftime("%Y%m%d"), made.strftime("%H%M%S")
    dataset.InstanceCreationDate, dataset.InstanceCreationTime = date, time
    dataset.SeriesDate, dataset.SeriesTime = date, time
    dataset.Manufacturer = ALGORITHM
    dataset.ManufacturerModelName = ALGORITHM
    dataset.SoftwareVersions = project_version()[:64]
    return dataset


def encoded(dataset: Dataset) -> bytes:
    """The object as a file's content."""
    buffer = io.BytesIO()
    dataset.save_as(buffer, write_like_original=False)
    return buffer.getvalue()


def decimal_string(value: float) -> str:
    """A number in the 16 characters that a Decimal String (DS) has."""
    for digits in range(17, 0, -1):
        text = f"{value:.{digits}g}"
        if len(text) <= 16:
            return text
    return f"{value:.0e}"
