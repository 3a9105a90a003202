"""A series as an archive lists it (PS3.18, section 10.6; attributes in DICOM's JSON, annex F)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

_UID: Final = re.compile(r"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))+")
_LONGEST_UID: Final = 64
_LONGEST_TEXT: Final = 128
_STUDY, _SERIES, _INSTANCE = "0020000D", "0020000E", "00080018"
_PATIENT, _ISSUER, _DATE = "00100020", "00100021", "00080020"
_DESCRIPTION, _MODALITY = "0008103E", "00080060"
INCLUDED: Final = (_PATIENT, _ISSUER, _DATE, _DESCRIPTION, _MODALITY)
"""What is asked for beside the UIDs."""


def is_uid(text: object) -> bool:
    """Whether this is a UID (PS3.5, section 9.1); zeros in front, which some make, are refused."""
    return isinstance(text, str) and len(text) <= _LONGEST_UID and _UID.fullmatch(text) is not None


@dataclass(frozen=True)
class ArchiveSeries:
    """One series of an archive.

    Attributes:
        uid: Series Instance UID; the case is called by it.
        study_uid: of its study.
        patient: stands for the patient, so that one patient's series stay together; a hash, so
            that the journal does not have the patient's id in clear.
        study_date: as DICOM writes it; empty: not stated.
        description: for people.
        modality: such as CT.
    """

    uid: str
    study_uid: str
    patient: str = ""
    study_date: str = ""
    description: str = ""
    modality: str = ""

    @classmethod
    def of_dicom_json(cls, told: Mapping[str, Any]) -> ArchiveSeries | None:
        """From an element of a QIDO-RS answer; None where it names no series."""
        uid, study = _first(told, _SERIES), _first(told, _STUDY)
        if not is_uid(uid) or not is_uid(study):
            return None
        patient, issuer = _first(told, _PATIENT), _first(told, _ISSUER)
        digest = hashlib.sha256(f"{issuer}\0{patient}".encode()).hexdigest()[:16]
        return cls(
            uid=uid,
            study_uid=study,
            patient=f"patient-{digest}" if patient else "",
            study_date=_first(told, _DATE)[:8],
            description=_first(told, _DESCRIPTION)[:_LONGEST_TEXT],
            modality=_first(told, _MODALITY)[:16],
        )

    @classmethod
    def of_json(cls, told: Mapping[str, Any]) -> ArchiveSeries:
        """From what :meth:`to_json` gave.

        Raises:
            ValueError, TypeError, KeyError: it is something else.
        """
        series = cls(**{name: str(told[name]) for name in cls.__dataclass_fields__})
        if not is_uid(series.uid) or not is_uid(series.study_uid):
            message = f"{series.uid[:64]!r} of {series.study_uid[:64]!r}: no UIDs"
            raise ValueError(message)
        return series

    def to_json(self) -> dict[str, str]:
        """JSON values."""
        return asdict(self)

    @property
    def image_info(self) -> dict[str, str]:
        """What clients are told of the case, in the framework's words for archives.

        OHIF opens the next case by its study and series.
        """
        told = {
            "SeriesInstanceUID": self.uid,
            "StudyInstanceUID": self.study_uid,
            "StudyDate": self.study_date,
            "SeriesDescription": self.description,
            "patient": self.patient,
        }
        return {name: value for name, value in told.items() if value}


def instance_uid(told: Mapping[str, Any]) -> str | None:
    """The SOP Instance UID of an element of a QIDO-RS answer."""
    uid = _first(told, _INSTANCE)
    return uid if is_uid(uid) else None


def _first(told: Mapping[str, Any], tag: str) -> str:
    """An attribute's first value as text; empty where it has none."""
    element = told.get(tag)
    values = element.get("Value") if isinstance(element, Mapping) else None
    first = values[0] if isinstance(values, list) and values else ""
    return first.strip() if isinstance(first, str) else ""
