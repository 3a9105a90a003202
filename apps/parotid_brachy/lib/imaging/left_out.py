"""Files that lie beside the slices of a CT series and are none, and whether that is harmless."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from parotid_brachy.lib.imaging.dicom_slice import CtSlice

_SLICE_SUFFIXES = (".dcm", ".ima", ".dicom")


@dataclass(frozen=True)
class LeftOut:
    """A file that is no slice of a CT.

    Attributes:
        path: the file.
        reason: why it is none.
        series_uid: of the series that it says it belongs to.
        is_other_object: whether it is a whole DICOM object of another known kind.
        is_localizer: whether it shows the planned slices.
    """

    path: Path
    reason: str
    series_uid: str = ""
    is_other_object: bool = False
    is_localizer: bool = False

    def may_be_slice(self, slices: Sequence[CtSlice]) -> bool:
        """Whether it lies among the slices as if it were a damaged one of them."""
        return self.lies_among([one.path for one in slices], {one.series_uid for one in slices})

    def lies_among(self, paths: Sequence[Path], series_uids: set[str]) -> bool:
        """As :meth:`may_be_slice`, of slices known by their files and series."""
        if self.is_localizer:
            return False
        if self.is_other_object and self.series_uid:
            return self.series_uid in series_uids
        if self.path.suffix.lower() in _SLICE_SUFFIXES:
            return True
        return _name_pattern(self.path) in {_name_pattern(path) for path in paths}


def _name_pattern(path: Path) -> str:
    return re.sub(r"\d+", "#", path.name.lower())
