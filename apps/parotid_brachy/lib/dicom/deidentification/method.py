"""The marks that say how an object was de-identified (PS3.15, section E.1.1; PS3.16, CID 7050)."""

from __future__ import annotations

from typing import Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from parotid_brachy.lib.dicom.deidentification.policy import DeidentificationPolicy
from parotid_brachy.lib.dicom.deidentification.profile_table import Option
from parotid_brachy.lib.version import project_version

_BASIC: Final = ("113100", "Basic Application Confidentiality Profile")
_CODES: Final = {
    Option.CLEAN_DESCRIPTORS: ("113105", "Clean Descriptors Option"),
    Option.RETAIN_MODIFIED_DATES: (
        "113107",
        "Retain Longitudinal Temporal Information Modified Dates Option",
    ),
    Option.RETAIN_PATIENT_CHARACTERISTICS: ("113108", "Retain Patient Characteristics Option"),
    Option.RETAIN_DEVICE_IDENTITY: ("113109", "Retain Device Identity Option"),
}
MARKS: Final = (
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "LongitudinalTemporalInformationModified",
)


def add_marks(dataset: Dataset, policy: DeidentificationPolicy) -> None:
    """Says that and how an object was de-identified; what others said before is replaced."""
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = [
        f"parotid-brachy {project_version()}"[:64],
        "PS3.15 Annex E Basic Application Level Confidentiality Profile",
    ]
    codes = [_BASIC, *sorted(_CODES[option] for option in policy.options)]
    dataset.DeidentificationMethodCodeSequence = Sequence([_code(*code) for code in codes])
    modified = "MODIFIED" if policy.retain_modified_dates else "REMOVED"
    dataset.LongitudinalTemporalInformationModified = modified


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue = value
    item.CodingSchemeDesignator = "DCM"
    item.CodeMeaning = meaning
    return item
