"""Which of a segmentation's segments are structures of ours: by label, or by coded term."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pydicom.dataset import Dataset

from parotid_brachy.lib.anatomy import LATERALITY, STRUCTURES, CodedConcept, Side, Structure
from parotid_brachy.lib.dicom.read_contours import NotTaken
from parotid_brachy.lib.dicom.structure_names import read_name
from parotid_brachy.lib.imaging.stored_image import quoted

_OTHER_SIDE_CODES: Final = {("SRT", "G-A100"): Side.RIGHT, ("SRT", "G-A101"): Side.LEFT}
"""SNOMED-RT codes of older objects (PS3.16, CID 244)."""


@dataclass(frozen=True)
class KnownSegment:
    """A segment that we know.

    Attributes:
        number: the segment's (0062,0004).
        name: its label.
        structure: what it is.
        side: the patient's, where the object states one.
    """

    number: int
    name: str
    structure: Structure
    side: Side | None


def known_segments(dataset: Dataset) -> tuple[list[KnownSegment], list[NotTaken]]:
    """The segments that we know, and those that we do not, with the reason.

    A label goes before a coded term, because several parts of the mandible share one; where the
    two contradict each other, the segment is not taken.
    """
    segments: list[KnownSegment] = []
    not_taken: list[NotTaken] = []
    for item in dataset.SegmentSequence:
        label = str(item.get("SegmentLabel", ""))
        kind = item.SegmentedPropertyTypeCodeSequence[0]
        named = read_name(label)
        coded_structure = _coded_structure(kind)
        structure = named[0] if named else coded_structure
        if named and coded_structure and coded_structure is not named[0]:
            reason = f"the code says {coded_structure.title}, the label another"
            not_taken.append(NotTaken(label, reason))
            continue
        if structure is None:
            stated = f"{kind.get('CodeMeaning', '')}, {kind.get('CodeValue', '')}"
            not_taken.append(NotTaken(label, f"no structure of ours ({quoted(stated)})"))
            continue
        coded, named_side = _coded_side(kind), named[1] if named else None
        if coded and named_side and coded is not named_side:
            not_taken.append(NotTaken(label, f"the code says {coded.value}, the label another"))
            continue
        segments.append(
            KnownSegment(int(item.SegmentNumber), label, structure, coded or named_side)
        )
    return segments, not_taken


def _coded_structure(code: Dataset) -> Structure | None:
    """The structure that a coded term stands for, if it stands for one of ours only."""
    found = [one for one in STRUCTURES if _is_code(code, one.coded)]
    return found[0] if len(found) == 1 else None


def _coded_side(kind: Dataset) -> Side | None:
    for modifier in kind.get("SegmentedPropertyTypeModifierCodeSequence", ()) or ():
        for side, concept in LATERALITY.items():
            if _is_code(modifier, concept):
                return side
        key = (str(modifier.get("CodingSchemeDesignator")), str(modifier.get("CodeValue")))
        if key in _OTHER_SIDE_CODES:
            return _OTHER_SIDE_CODES[key]
    return None


def _is_code(code: Dataset, concept: CodedConcept) -> bool:
    return (
        str(code.get("CodeValue", "")) == concept.value
        and str(code.get("CodingSchemeDesignator", "")) == concept.scheme
    )
