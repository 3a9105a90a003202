"""What happens to one attribute: the table, the options in force, the object's demands.

Attributes that the table does not list are not taken for harmless: their value representation
decides, and what may carry free text or a person's name passes no more than what is listed does.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from pydicom.datadict import tag_for_keyword

from parotid_brachy.lib.dicom.deidentification.attribute_types import AttributeType
from parotid_brachy.lib.dicom.deidentification.policy import DeidentificationPolicy
from parotid_brachy.lib.dicom.deidentification.profile_table import (
    Action,
    Option,
    Row,
    profile_table,
)


class Step(enum.Enum):
    """What is done."""

    REMOVE = enum.auto()
    EMPTY = enum.auto()
    DUMMY = enum.auto()
    KEEP = enum.auto()
    """By an option, as it is, unless it holds what identifies the patient elsewhere."""
    CLEAN = enum.auto()
    """Free text or code string: kept if harmless."""
    SHIFT = enum.auto()
    TIME = enum.auto()
    """A time of day: kept if it is one."""
    UID = enum.auto()
    ITEMS = enum.auto()
    """A sequence: its items are worked on."""
    NUMBERS = enum.auto()
    BULK = enum.auto()
    """Pixels and tables for them."""


@dataclass(frozen=True)
class Decision:
    """What is done to an attribute, and what if that cannot be.

    Attributes:
        step: what.
        fallback: REMOVE, EMPTY or DUMMY: where a text is not harmless or a date no date.
        reason: for the report.
    """

    step: Step
    fallback: Step
    reason: str


TEXT_VRS: Final = frozenset({"LO", "LT", "SH", "ST", "UC", "UT"})
NUMBER_VRS: Final = frozenset(
    {"AT", "DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV", "US or SS"}
)


def _tags(*keywords: str) -> frozenset[int]:
    tags = [tag_for_keyword(keyword) for keyword in keywords]
    return frozenset(tag for tag in tags if tag is not None)


_BULK: Final = _tags(
    "PixelData",
    "FloatPixelData",
    "DoubleFloatPixelData",
    "RedPaletteColorLookupTableData",
    "GreenPaletteColorLookupTableData",
    "BluePaletteColorLookupTableData",
    "LUTData",
)
_DEVICE: Final = _tags(
    "Manufacturer", "ManufacturerModelName", "SoftwareVersions", "ConvolutionKernel", "FilterType"
)
"""Of the equipment, in modules of PS3.3, though the table does not list them."""
_ITEMS_AS_LISTED: Final = frozenset({Action.KEEP, Action.UID, Action.REMOVE_OR_EMPTY_OR_UIDS})
_REASON_BASIC: Final = "basic profile"
_REASON_UNLISTED: Final = "not in the profile's table"
_OPTION_REASONS: Final = {
    Option.RETAIN_DEVICE_IDENTITY: "device identity",
    Option.RETAIN_PATIENT_CHARACTERISTICS: "patient characteristics",
    Option.RETAIN_MODIFIED_DATES: "modified dates",
    Option.CLEAN_DESCRIPTORS: "descriptors",
}


def decide(tag: int, vr: str, kind: AttributeType, policy: DeidentificationPolicy) -> Decision:
    """What happens to a public attribute.

    Args:
        tag: its number.
        vr: its value representation by the data dictionary.
        kind: its type in this object.
        policy: options in force.
    """
    # Curves and overlays go as wholes: their other attributes mean nothing without the data.
    if tag >> 24 in (0x50, 0x60):
        return Decision(Step.REMOVE, Step.REMOVE, _REASON_BASIC)
    row = profile_table().row_of(tag)
    if row is None:
        return _unlisted(tag, vr, kind, policy)
    fallback = _resolved(row.basic, kind)
    for option in policy.options:
        step = _by_option(row, option, vr)
        if step is not None:
            return Decision(step, fallback, _OPTION_REASONS[option])
    if vr == "UI" and row.basic is not Action.REMOVE:
        return Decision(Step.UID, fallback, _REASON_BASIC)
    if vr == "SQ" and row.basic in _ITEMS_AS_LISTED:
        return Decision(Step.ITEMS, fallback, _REASON_BASIC)
    return Decision(fallback, fallback, _REASON_BASIC)


def _by_option(row: Row, option: Option, vr: str) -> Step | None:
    """What an option has happen instead of the basic profile's action, if anything."""
    action = row.options.get(option)
    if action is None or vr == "UI":
        return None
    if option is Option.RETAIN_MODIFIED_DATES:
        special = {"DA": Step.SHIFT, "DT": Step.SHIFT, "TM": Step.TIME, "SQ": Step.ITEMS}
        return special.get(vr)
    if action is Action.KEEP:
        if vr in NUMBER_VRS:
            return Step.NUMBERS
        if vr == "SQ":
            return Step.ITEMS
        # Dates are another option's business, and bytes nobody can vouch for.
        return Step.KEEP if vr in TEXT_VRS or vr in ("AE", "AS", "CS") else None
    # Cleaning: titles of network nodes and patients' numbers have no harmless form.
    return Step.CLEAN if vr in TEXT_VRS or vr == "CS" else None


def _unlisted(tag: int, vr: str, kind: AttributeType, policy: DeidentificationPolicy) -> Decision:
    fallback = _resolved(Action.REMOVE, kind)
    step = {
        "SQ": Step.ITEMS,
        "UI": Step.UID,
        "CS": Step.CLEAN,
        "DA": Step.SHIFT if policy.retain_modified_dates else fallback,
        "DT": Step.SHIFT if policy.retain_modified_dates else fallback,
        "TM": Step.TIME if policy.retain_modified_dates else fallback,
    }.get(vr, fallback)
    if tag in _DEVICE:
        step = Step.KEEP if policy.retain_device_identity else Step.CLEAN
        return Decision(step, fallback, "device identity")
    if tag in _BULK:
        step = Step.BULK
    elif vr in TEXT_VRS:
        step = Step.CLEAN
    elif vr in NUMBER_VRS:
        step = Step.NUMBERS
    return Decision(step, fallback, _REASON_UNLISTED)


def _resolved(action: Action, kind: AttributeType) -> Step:
    """Removing, emptying or a dummy: the least that leaves the object as PS3.3 has it.

    Where the type is not known, what satisfies every type that the table leaves open.
    """
    if action is Action.DUMMY or kind is AttributeType.VALUE:
        return Step.DUMMY
    if action is Action.EMPTY or kind is AttributeType.PRESENT:
        return Step.EMPTY
    if action is Action.REMOVE:
        return Step.REMOVE
    unknown = {
        Action.EMPTY_OR_DUMMY: Step.DUMMY,
        Action.REMOVE_OR_EMPTY: Step.EMPTY,
        Action.REMOVE_OR_DUMMY: Step.DUMMY,
        Action.REMOVE_OR_EMPTY_OR_DUMMY: Step.DUMMY,
        Action.UID: Step.DUMMY,
    }
    if kind is AttributeType.UNKNOWN:
        return unknown.get(action, Step.EMPTY)
    return Step.EMPTY if action is Action.EMPTY_OR_DUMMY else Step.REMOVE
