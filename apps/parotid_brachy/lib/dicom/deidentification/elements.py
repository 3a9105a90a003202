"""One element of a data set as it comes from outside: read with bounds, never believed."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from pydicom.datadict import (
    dictionary_has_tag,
    dictionary_keyword,
    dictionary_VM,
    dictionary_VR,
)
from pydicom.dataelem import DataElement, DataElement_from_raw, RawDataElement
from pydicom.tag import BaseTag

from parotid_brachy.lib.dicom.deidentification.policy import WalkLimits
from parotid_brachy.lib.errors import InputRefusedError

# pydicom's warnings quote the values that it does not like.
warnings.filterwarnings("ignore", category=UserWarning, module=r"pydicom\.")

_STORED: Final = {
    "DS": re.compile(rb"[0-9+\-.eE \\]*\0?"),
    "IS": re.compile(rb"[0-9+\- \\]*\0?"),
}
_DECIMAL: Final = re.compile(r" *[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)? *")
_STRINGS: Final = frozenset(
    {
        "AE",
        "AS",
        "CS",
        "DA",
        "DS",
        "DT",
        "IS",
        "LO",
        "LT",
        "PN",
        "SH",
        "ST",
        "TM",
        "UC",
        "UI",
        "UR",
        "UT",
    }
)
_LISTS_OF_TEXTS: Final = frozenset(
    {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "PN", "SH", "TM", "UC", "UI"}
)
_SIZES: Final = {
    "AT": 4, "FD": 8, "FL": 4, "SL": 4, "SS": 2, "SV": 8, "UL": 4, "US": 2, "UV": 8,
}  # fmt: skip


@dataclass(frozen=True)
class Known:
    """What the data dictionary (PS3.6) says of a tag.

    Attributes:
        keyword: the attribute's.
        vr: the value representation, or several, as pydicom writes them (``US or SS``).
        most: how many values it may have; None: any number.
    """

    keyword: str
    vr: str
    most: int | None

    def allows(self, vr: str) -> bool:
        """Whether a file may state that value representation."""
        return vr == self.vr or vr in self.vr.split(" or ")

    def takes(self, count: int) -> bool:
        """Whether it may have so many values: numbers in excess may spell a text."""
        return self.most is None or count <= self.most


def known(tag: BaseTag) -> Known | None:
    """The dictionary's entry for a public tag, if it has one."""
    if not dictionary_has_tag(tag):
        return None
    multiplicity = dictionary_VM(tag).rpartition("-")[2]
    most = int(multiplicity) if multiplicity.isdigit() else None
    return Known(dictionary_keyword(tag), dictionary_VR(tag), most)


def as_the_dictionary_says(
    element: DataElement | RawDataElement, entry: Known
) -> DataElement | RawDataElement | None:
    """An element under its own value representation; None if it was written under another kind.

    Files mix up the representations of strings; what is no string must be what it should be.
    """
    stated = element.VR
    if stated is None or stated == "UN" or entry.allows(stated):
        return element
    if not isinstance(element, RawDataElement) or {stated, entry.vr} - _STRINGS:
        return None
    return element._replace(VR=entry.vr)


def is_stored_number(element: DataElement | RawDataElement, entry: Known) -> bool:
    """Whether an element that has not been converted holds nothing but numbers of its kind.

    It can then be passed on as it is, however many there are: contours need no conversion.
    """
    if not isinstance(element, RawDataElement) or not isinstance(element.value, bytes):
        return False
    if entry.vr in _STORED:
        count = element.value.count(b"\\") + 1
        return _STORED[entry.vr].fullmatch(element.value) is not None and entry.takes(count)
    size = _SIZES.get(entry.vr)
    if size is None or len(element.value) % size:
        return False
    return entry.takes(len(element.value) // size)


def converted(
    element: DataElement | RawDataElement, encoding: Any, limits: WalkLimits
) -> DataElement | None:
    """An element with its values as Python has them; None if they cannot be read.

    The data set that it comes from is left as it is.

    Raises:
        InputRefusedError: more values than any object has.
    """
    if not isinstance(element, RawDataElement):
        return element
    _require_few_values(element, limits)
    try:
        return DataElement_from_raw(element, encoding)
    except (MemoryError, RecursionError):
        raise
    except Exception:  # noqa: BLE001 - pydicom lets nearly any error through
        return None


def _require_few_values(element: RawDataElement, limits: WalkLimits) -> None:
    entry = known(element.tag)
    vr = entry.vr if entry is not None else "UN"
    if not isinstance(element.value, bytes) or vr not in _LISTS_OF_TEXTS:
        return
    most = limits.number_bytes if vr in _STORED else limits.text_values
    if element.value.count(b"\\") >= most or len(element.value) > limits.number_bytes:
        raise _too_much(element.tag, element.value.count(b"\\") + 1, len(element.value))


def _too_much(tag: BaseTag, values: int, size: int) -> InputRefusedError:
    return InputRefusedError(
        f"{tag}: {values} values, {size} characters in all, more than any object needs. "
        "Leave this object out."
    )


def values_of(element: DataElement, limits: WalkLimits) -> list[str]:
    """The values of an element of text, code strings, dates or UIDs.

    Raises:
        InputRefusedError: more, or longer, than any object has.
    """
    value = element.value
    if value is None:
        return []
    listed = [value] if isinstance(value, str | bytes) or not isinstance(value, Iterable) else value
    if hasattr(value, "components"):  # a person's name
        listed = [value]
    texts = [text.decode("latin-1") if isinstance(text, bytes) else str(text) for text in listed]
    size = sum(map(len, texts))
    if len(texts) > limits.text_values or size > limits.text_bytes:
        raise _too_much(element.tag, len(texts), size)
    return texts


def are_numbers(element: DataElement, entry: Known) -> bool:
    """Whether an element's values are numbers, and no more than the attribute has."""
    value = element.value
    if element.is_empty:
        return True
    is_list = isinstance(value, Iterable) and not isinstance(value, str | bytes)
    listed = list(value) if is_list else [value]
    return entry.takes(len(listed)) and all(
        isinstance(one, int | float) or _DECIMAL.fullmatch(str(one)) is not None for one in listed
    )
