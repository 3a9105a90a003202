"""The way back, for export: an object under pseudonym becomes the patient's own again."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Final

import pydicom
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset

from parotid_brachy.lib.dicom.deidentification.dates import shifted_date, shifted_date_time
from parotid_brachy.lib.dicom.deidentification.file_frame import file_bytes
from parotid_brachy.lib.dicom.deidentification.mapping import OriginalPatient, PseudonymMapping
from parotid_brachy.lib.dicom.deidentification.method import MARKS
from parotid_brachy.lib.errors import NotFoundError

_UTF_8: Final = "ISO_IR 192"
_OF_THE_STUDY: Final = ("StudyDate",)
"""Dates that an object made after import takes over from the series; its others are true."""


def reidentify(dataset: FileDataset, mapping: PseudonymMapping) -> FileDataset:
    """A copy with the patient's own name, ids, UIDs and dates in it.

    UIDs are put back at every level. Dates move back where they were moved: all of them in an
    object that came in by import, the study's in one that was made of it since (SEG, RTSTRUCT).
    What de-identification removed beyond that stays away.

    Args:
        dataset: under a pseudonym of this mapping, with its file meta information; it is left as
            it is.
        mapping: the hospital's.

    Raises:
        NotFoundError: the mapping does not know the patient.
    """
    # Through a file: copies of data sets that were put together in memory never end.
    result = pydicom.dcmread(io.BytesIO(file_bytes(dataset)))
    result.decode()
    patient = mapping.patient(str(result.get("PatientID", "")))
    if patient is None:
        message = (
            f"{result.get('PatientID', '')!s}: no patient of this mapping. Give the mapping beside "
            "the key that the case was imported with."
        )
        raise NotFoundError(message)
    study = mapping.study(str(result.get("StudyInstanceUID", "")))
    came_in = mapping.original_uid(str(result.get("SOPInstanceUID", ""))) is not None
    _put_back_uids(result, mapping)
    _put_back_dates(result, patient, everywhere=came_in)
    _put_back_patient(result, patient)
    for keyword, value in study.items():
        setattr(result, keyword, value)
    for keyword in MARKS:
        if keyword in result:
            delattr(result, keyword)
    result.PatientIdentityRemoved = "NO"
    result.SpecificCharacterSet = _UTF_8
    if "SOPInstanceUID" in result:
        result.file_meta.MediaStorageSOPInstanceUID = result.SOPInstanceUID
    return result


def _elements(dataset: Dataset) -> Iterator[DataElement]:
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from _elements(item)
        else:
            yield element


def _put_back_uids(dataset: Dataset, mapping: PseudonymMapping) -> None:
    elements = [element for element in _elements(dataset) if element.VR == "UI" and element.value]
    known = mapping.original_uids({uid for element in elements for uid in _listed(element)})
    for element in elements:
        uids = [known.get(uid, uid) for uid in _listed(element)]
        element.value = uids[0] if len(uids) == 1 else uids


def _put_back_dates(dataset: Dataset, patient: OriginalPatient, *, everywhere: bool) -> None:
    for element in _elements(dataset):
        if not (everywhere or element.keyword in _OF_THE_STUDY) or not element.value:
            continue
        if element.VR not in ("DA", "DT"):
            continue
        back = shifted_date_time if element.VR == "DT" else shifted_date
        dates = [back(text, days=-patient.shift_days) or text for text in _listed(element)]
        element.value = dates[0] if len(dates) == 1 else dates


def _put_back_patient(dataset: Dataset, patient: OriginalPatient) -> None:
    dataset.PatientName = patient.name
    dataset.PatientID = patient.patient_id
    dataset.PatientBirthDate = patient.birth_date
    dataset.PatientSex = patient.sex
    if patient.issuer:
        dataset.IssuerOfPatientID = patient.issuer


def _listed(element: DataElement) -> list[str]:
    value = element.value
    return [str(value)] if isinstance(value, str) else [str(one) for one in value]
