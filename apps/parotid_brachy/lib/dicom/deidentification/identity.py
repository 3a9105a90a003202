"""Whom an object is of, and what in it says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from pydicom.charset import convert_encodings
from pydicom.dataset import Dataset

from parotid_brachy.lib.dicom.deidentification.elements import converted, known, values_of
from parotid_brachy.lib.dicom.deidentification.known_identifiers import KnownIdentifiers
from parotid_brachy.lib.dicom.deidentification.policy import WalkLimits
from parotid_brachy.lib.dicom.deidentification.profile_table import Option, profile_table
from parotid_brachy.lib.dicom.deidentification.pseudonyms import PatientIdentity
from parotid_brachy.lib.errors import InputRefusedError

_NUMBERED: Final = frozenset({"LO", "SH", "UC"})
_DEFAULT_ENCODING: Final = ["iso8859"]
STUDY_KEYWORDS: Final = ("AccessionNumber", "StudyID", "ReferringPhysicianName")
"""What reidentification puts back for a study, beside its UID and dates."""


@dataclass(frozen=True)
class Originals:
    """What an object said before, for the mapping that the hospital keeps. Never shown.

    Attributes:
        pseudonym: the patient's.
        patient_id: original.
        issuer: of the patient's id.
        name: original.
        birth_date: original (DA).
        sex: original.
        shift_days: by how many days its dates were moved.
        study_uid: the study's new UID.
        study: original values of :data:`STUDY_KEYWORDS`.
        uids: ``{new: original}``.
    """

    pseudonym: str
    patient_id: str = field(repr=False)
    issuer: str = field(repr=False)
    name: str = field(repr=False)
    birth_date: str = field(repr=False)
    sex: str = field(repr=False)
    shift_days: int = field(repr=False)
    study_uid: str
    study: dict[str, str] = field(repr=False)
    uids: dict[str, str] = field(repr=False)


def encoding_of(dataset: Dataset, limits: WalkLimits, inherited: Any = None) -> Any:
    """The character encodings of a data set's texts (PS3.5, section 6.1), as pydicom names them.

    Raises:
        InputRefusedError: no character set that is known.
    """
    element = (
        converted(dataset.get_item("SpecificCharacterSet"), _DEFAULT_ENCODING, limits)
        if ("SpecificCharacterSet" in dataset)
        else None
    )
    if element is None or element.value is None:
        return inherited or _DEFAULT_ENCODING
    try:
        return convert_encodings(element.value)
    except (LookupError, TypeError, ValueError) as error:
        message = "SpecificCharacterSet is none that is known. Export the object again."
        raise InputRefusedError(message) from error


def text_of(dataset: Dataset, keyword: str, limits: WalkLimits) -> str:
    """One attribute of the root as text; nothing if it is missing or cannot be read."""
    if keyword not in dataset:
        return ""
    element = converted(dataset.get_item(keyword), encoding_of(dataset, limits), limits)
    return "\\".join(values_of(element, limits)).strip(" \0") if element is not None else ""


def identity_of(dataset: Dataset, limits: WalkLimits) -> PatientIdentity:
    """What tells the patient of an object apart."""

    def text(keyword: str) -> str:
        return text_of(dataset, keyword, limits)

    name = text("PatientName").replace("^", "").strip()
    person = f"{text('PatientName')}|{text('PatientBirthDate')}" if name else ""
    return PatientIdentity(
        text("PatientID"), text("IssuerOfPatientID"), person or text("StudyInstanceUID")
    )


def identifiers_in(dataset: Dataset, limits: WalkLimits) -> KnownIdentifiers:
    """Names, numbers and dates of an object, at all levels, that must not turn up elsewhere.

    Raises:
        InputRefusedError: nested deeper than any object is.
    """
    found = KnownIdentifiers()
    _collect(dataset, found, limits, depth=0, encoding=encoding_of(dataset, limits))
    return found


def _collect(
    dataset: Dataset, found: KnownIdentifiers, limits: WalkLimits, *, depth: int, encoding: Any
) -> None:
    require_depth(depth, limits)
    for tag in dataset.keys():  # noqa: SIM118 - iterating a data set converts its elements
        entry = known(tag)
        if entry is None or tag.is_private:
            continue
        add = _taker(tag, entry.vr, found)
        if add is None and entry.vr != "SQ":
            continue
        element = converted(dataset.get_item(tag), encoding, limits)
        if element is None:
            continue
        if add is not None:
            add(values_of(element, limits))
        elif element.VR == "SQ":
            for item in element.value:
                inner = encoding_of(item, limits, encoding)
                _collect(item, found, limits, depth=depth + 1, encoding=inner)


def _taker(tag: int, vr: str, found: KnownIdentifiers) -> Callable[[list[str]], None] | None:
    """What remembers an attribute's values, if it is one that identifies."""
    if vr == "PN":
        return lambda values: found.add(values, is_name=True)
    if vr == "DA":
        return found.add
    row = profile_table().row_of(tag)
    is_kept = row is None or row.options.keys() & {
        Option.CLEAN_DESCRIPTORS,
        Option.RETAIN_DEVICE_IDENTITY,
        Option.RETAIN_MODIFIED_DATES,
    }
    return found.add if vr in _NUMBERED and not is_kept else None


def require_depth(depth: int, limits: WalkLimits) -> None:
    """Refuses what is nested deeper than any object.

    Raises:
        InputRefusedError: so it is.
    """
    if depth > limits.depth:
        message = (
            f"sequences nested deeper than {limits.depth} levels, as no object has them. "
            "Leave this object out."
        )
        raise InputRefusedError(message)
