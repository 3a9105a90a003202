"""The one table of structures: value, name, colour, coded terms.

Order and values follow the protocol (J Contemp Brachytherapy 2022;14:527-535): the six organs at
risk are 1-6, the (residual) parotid gland is 7 wherever structures share a map. Nothing else in
the project spells a structure's name or value.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import Final


class Side(enum.Enum):
    """The patient's side, never the screen's."""

    LEFT = "left"
    RIGHT = "right"

    @property
    def other(self) -> Side:
        """The contralateral side."""
        return Side.RIGHT if self is Side.LEFT else Side.LEFT


@dataclass(frozen=True)
class CodedConcept:
    """A coded term as DICOM stores it (PS3.3, section 8.8)."""

    value: str
    scheme: str
    meaning: str


def _snomed(value: str, meaning: str) -> CodedConcept:
    return CodedConcept(value, "SCT", meaning)


@dataclass(frozen=True)
class Structure:
    """One anatomical structure.

    Attributes:
        name: identifier in code, API, files and clients.
        value: label value in every map.
        title: what a person reads.
        colour: sRGB, 0-255.
        coded: SNOMED CT term; where none is established for the part (pinna, condylar process,
            ramus) it is the parent organ's, and the name tells the parts apart.
    """

    name: str
    value: int
    title: str
    colour: tuple[int, int, int]
    coded: CodedConcept


CATEGORY: Final = _snomed("123037004", "Anatomical Structure")
LATERALITY: Final = {
    Side.LEFT: _snomed("7771000", "Left"),
    Side.RIGHT: _snomed("24028007", "Right"),
}

AURICULA: Final = Structure(
    "auricula", 1, "Auricula", (244, 162, 97), _snomed("28347008", "External ear")
)
CONDYLE_PROCESS: Final = Structure(
    "condyle_process", 2, "Condyle process", (38, 166, 154), _snomed("91609006", "Mandible")
)
SKIN: Final = Structure("skin", 3, "Skin", (233, 196, 106), _snomed("39937001", "Skin"))
MASTOID_PROCESS: Final = Structure(
    "mastoid_process", 4, "Mastoid process", (94, 114, 228), _snomed("59066005", "Mastoid")
)
EXTERNAL_AUDITORY_CANAL: Final = Structure(
    "external_auditory_canal",
    5,
    "External auditory canal",
    (214, 70, 170),
    _snomed("84301002", "External auditory canal"),
)
MANDIBULAR_RAMUS: Final = Structure(
    "mandibular_ramus", 6, "Mandibular ramus", (72, 187, 240), _snomed("91609006", "Mandible")
)
GLAND: Final = Structure(
    "parotid_gland", 7, "Parotid gland", (230, 57, 70), _snomed("45289007", "Parotid gland")
)

ORGANS_AT_RISK: Final = (
    AURICULA,
    CONDYLE_PROCESS,
    SKIN,
    MASTOID_PROCESS,
    EXTERNAL_AUDITORY_CANAL,
    MANDIBULAR_RAMUS,
)
STRUCTURES: Final = (*ORGANS_AT_RISK, GLAND)

REACH_MM: Final = 17.0
"""Tissue reach of the iodine-125 seeds: organs at risk exist only this near to the gland."""

GLAND_PLAUSIBLE_ML: Final = (2.0, 60.0)
"""Volumes that a (residual) parotid gland can have; anything else is not taken for one."""


def label_values() -> dict[str, int]:
    """``{name: value}`` of all seven structures, as MONAI Label's clients expect it."""
    return {structure.name: structure.value for structure in STRUCTURES}


def structure_named(name: str) -> Structure:
    """The structure called ``name``.

    Raises:
        KeyError: no structure has that name.
    """
    for structure in STRUCTURES:
        if structure.name == name:
            return structure
    raise KeyError(name)


def structure_called(text: str) -> Structure | None:
    """The structure that a person means, None if it is no structure's name or title.

    Capitals do not matter, nor whether spaces, underscores or hyphens part the words.
    """
    wanted = re.sub(r"[\s_-]+", " ", text.strip().lower())
    for structure in STRUCTURES:
        if wanted in (structure.name.replace("_", " "), structure.title.lower()):
            return structure
    return None
