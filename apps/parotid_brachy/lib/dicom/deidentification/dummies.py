"""Values that stand where something must stand, by value representation (PS3.5, section 6.2)."""

from __future__ import annotations

from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

REMOVED: Final = "REMOVED"
_DATE: Final = "19000101"
_BYTES: Final = b"\0" * 8
_DUMMIES: Final[dict[str, Any]] = {
    "AE": REMOVED,
    "AS": "000Y",
    "CS": "OTHER",
    "DA": _DATE,
    "DS": "0",
    "DT": f"{_DATE}000000",
    "IS": "0",
    "PN": REMOVED,
    "TM": "000000",
    "UR": "about:blank",
    **dict.fromkeys(("LO", "LT", "SH", "ST", "UC", "UT"), REMOVED),
    **dict.fromkeys(("FL", "FD"), 0.0),
    **dict.fromkeys(("SL", "SS", "SV", "UL", "US", "UV", "AT"), 0),
    **dict.fromkeys(("OB", "OD", "OF", "OL", "OV", "OW", "UN"), _BYTES),
}


def dummy_value(vr: str) -> Any:
    """A harmless value that is not empty; a sequence gets one empty item."""
    if vr == "SQ":
        return Sequence([Dataset()])
    return _DUMMIES.get(vr.split(" ", maxsplit=1)[0], REMOVED)


def empty_value(vr: str) -> Any:
    """A value of no length."""
    return Sequence() if vr == "SQ" else None
