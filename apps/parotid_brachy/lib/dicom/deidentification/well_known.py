"""UIDs that the standard itself assigns (PS3.6, Annex A): they identify nobody."""

from __future__ import annotations

from pydicom.uid import UID


def is_well_known(uid: str) -> bool:
    """Whether a UID is listed in the standard, such as a SOP class's; a prefix is not enough."""
    return bool(UID(uid).type)
