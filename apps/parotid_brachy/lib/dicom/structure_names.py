"""What planning systems call the structures: AAPM TG-263 names, and other common ones.

Names marked as listed stand in the nomenclature of AAPM Report 263 (Standardizing Nomenclatures in
Radiation Oncology, 2018); they were looked up in two renderings of its list, HL7's CodeX Radiation
Therapy implementation guide and the Python package tg263 0.2.0. For the external auditory canal and
the mandibular ramus the list has no name. Theirs are built by the report's rules: at most 16
characters, no blank, general before particular (as in Canal_Anal, Proc_Condyloid), the side last.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from parotid_brachy.lib.anatomy import (
    AURICULA,
    CONDYLE_PROCESS,
    EXTERNAL_AUDITORY_CANAL,
    GLAND,
    MANDIBULAR_RAMUS,
    MASTOID_PROCESS,
    SKIN,
    STRUCTURES,
    Side,
    Structure,
)

LONGEST_NAME: Final = 16
"""Characters of a TG-263 name; some planning systems cut longer ones."""


@dataclass(frozen=True)
class PlanningName:
    """What a structure is called in planning.

    Attributes:
        base: the TG-263 name without the side.
        is_listed: whether the report lists it; else it is built by the report's rules.
        has_side: whether the side belongs to the name.
        synonyms: other names, in lower case, words parted by one space.
    """

    base: str
    is_listed: bool
    has_side: bool
    synonyms: tuple[str, ...]


PLANNING_NAMES: Final[Mapping[str, PlanningName]] = MappingProxyType(
    {
        AURICULA.name: PlanningName(
            "Ear_External",
            is_listed=True,
            has_side=True,
            synonyms=("auricle", "pinna", "external ear", "ear pinna", "outer ear"),
        ),
        CONDYLE_PROCESS.name: PlanningName(
            "Proc_Condyloid",
            is_listed=True,
            has_side=True,
            synonyms=(
                "condyle",
                "condylar process",
                "condyloid process",
                "mandibular condyle",
                "mandible condyle",
                "condyle mandible",
                "processus condylaris",
            ),
        ),
        SKIN.name: PlanningName("Skin", is_listed=True, has_side=False, synonyms=()),
        MASTOID_PROCESS.name: PlanningName(
            "Bone_Mastoid",
            is_listed=True,
            has_side=True,
            synonyms=("mastoid", "mastoid bone", "processus mastoideus"),
        ),
        EXTERNAL_AUDITORY_CANAL.name: PlanningName(
            "Canal_AuditExt",
            is_listed=False,
            has_side=True,
            synonyms=(
                "eac",
                "eam",
                "external auditory meatus",
                "external acoustic meatus",
                "external acoustic canal",
                "external ear canal",
                "ear canal",
                "meatus acusticus externus",
            ),
        ),
        MANDIBULAR_RAMUS.name: PlanningName(
            "Ramus_Mandible",
            is_listed=False,
            has_side=True,
            synonyms=("ramus", "mandible ramus", "ramus of mandible", "ramus mandibulae"),
        ),
        GLAND.name: PlanningName(
            "Parotid",
            is_listed=True,
            has_side=True,
            synonyms=(
                "parotis",
                "glnd parotid",
                "gland parotid",
                "glandula parotis",
                "residual parotid",
                "residual parotid gland",
            ),
        ),
    }
)

_SIDE_LETTERS: Final = MappingProxyType({Side.LEFT: "L", Side.RIGHT: "R"})
_SIDE_WORDS: Final = MappingProxyType(
    {
        **dict.fromkeys(("l", "lt", "left", "sinistra"), Side.LEFT),
        **dict.fromkeys(("r", "rt", "right", "dextra"), Side.RIGHT),
    }
)
_BREAKS: Final = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[\s_.,~()\[\]-]+")
_LONGEST_READ: Final = 128


def planning_name(structure: Structure, side: Side) -> str:
    """The name of a structure's region of interest, with the side, as in ``Parotid_R``."""
    name = PLANNING_NAMES[structure.name]
    return f"{name.base}_{_SIDE_LETTERS[side]}" if name.has_side else name.base


def read_name(text: str) -> tuple[Structure, Side | None] | None:
    """The structure and side that somebody's name stands for; None: it is none that we know.

    Understood are TG-263 names, our own names and titles, and common synonyms, each with a side
    as a word of its own (L, Lt, left, ...) anywhere. Anything else in a name makes it another
    structure (``Parotid_R_PRV03``), which is not guessed at.
    """
    words = [word.lower() for word in _BREAKS.split(text.strip()[:_LONGEST_READ]) if word]
    sides = {_SIDE_WORDS[word] for word in words if word in _SIDE_WORDS}
    if len(sides) > 1:
        return None
    known = _KNOWN.get(" ".join(word for word in words if word not in _SIDE_WORDS))
    return None if known is None else (known, next(iter(sides), None))


def _known_names() -> dict[str, Structure]:
    known: dict[str, Structure] = {}
    for structure in STRUCTURES:
        name = PLANNING_NAMES[structure.name]
        base = " ".join(word.lower() for word in _BREAKS.split(name.base) if word)
        own = structure.name.replace("_", " ")
        for text in (base, own, structure.title.lower(), *name.synonyms):
            known[text] = structure
    return known


_KNOWN: Final[Mapping[str, Structure]] = MappingProxyType(_known_names())
