"""What RTPLAN and RTDOSE have in common: patient, study, series, equipment."""

from __future__ import annotations

from datetime import datetime

from pydicom.dataset import FileDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from parotid_brachy.lib.dicom.contour_content import ALGORITHM
from parotid_brachy.lib.dicom.new_files import date_and_time, new_file
from parotid_brachy.lib.dicom.source_series import SourceSeries
from parotid_brachy.lib.dicom.structure_set.modules import add_patient_and_study
from parotid_brachy.lib.version import project_version


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
    dataset = new_file(sop_class, ExplicitVRLittleEndian)
    add_patient_and_study(dataset, series.header)
    dataset.Modality = modality
    dataset.SeriesInstanceUID = generate_uid(prefix=None)
    dataset.SeriesNumber = number
    dataset.OperatorsName = ""
    date, time = date_and_time(made)
    dataset.InstanceCreationDate, dataset.InstanceCreationTime = date, time
    dataset.SeriesDate, dataset.SeriesTime = date, time
    dataset.Manufacturer = ALGORITHM
    dataset.ManufacturerModelName = ALGORITHM
    dataset.SoftwareVersions = project_version()[:64]
    return dataset


def decimal_string(value: float) -> str:
    """A number in the 16 characters that a Decimal String (DS) has."""
    for digits in range(17, 0, -1):
        text = f"{value:.{digits}g}"
        if len(text) <= 16:
            return text
    return f"{value:.0e}"
