"""The CT series that contours belong to: its grid, its slices and its headers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from parotid_brachy.lib.anatomy import STRUCTURES, Structure
from parotid_brachy.lib.errors import GeometryError, InputRefusedError
from parotid_brachy.lib.imaging.dicom_series import locate_series
from parotid_brachy.lib.imaging.dicom_slice import CtSlice, read_dataset
from parotid_brachy.lib.imaging.limits import CT_LIMITS, FileLimits
from parotid_brachy.lib.imaging.volume import Grid

_NEEDED = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
)


@dataclass(frozen=True)
class SourceSeries:
    """One CT series.

    Attributes:
        name: the folder's, for messages.
        grid: of the volume.
        slices: what each slice's header states, along k.
        instance_uids: of the slices, along k.
        header: one slice's elements without pixels: patient, study, frame of reference.
    """

    name: str
    grid: Grid
    slices: tuple[CtSlice, ...]
    instance_uids: tuple[str, ...]
    header: Dataset

    @property
    def series_uid(self) -> str:
        """Of the series."""
        return str(self.header.SeriesInstanceUID)

    @property
    def frame_uid(self) -> str:
        """Of the coordinate system."""
        return str(self.header.FrameOfReferenceUID)

    def require_map(self, labels: NDArray[np.uint8], grid: Grid) -> tuple[Structure, ...]:
        """The structures that a label map of this series holds, in the protocol's order.

        Args:
            labels: values of ``anatomy``, shape ``grid.shape_kji``.
            grid: of the map.

        Raises:
            GeometryError: the map is not on the series' grid (size, spacing, origin, direction).
            InputRefusedError: it holds no structure, or values of none.
        """
        self.grid.require_same(grid, what=f"{self.name}: label map")
        if labels.shape != grid.shape_kji or labels.dtype != np.uint8:
            message = (
                f"{self.name}: label map of shape {labels.shape} and type {labels.dtype}; uint8 of "
                f"shape {grid.shape_kji} (k, j, i) is needed"
            )
            raise GeometryError(message)
        counts = np.bincount(labels.ravel(), minlength=256)
        unknown = set(np.flatnonzero(counts).tolist()) - {0, *(s.value for s in STRUCTURES)}
        if unknown:
            message = f"{self.name}: values {sorted(unknown)[:8]} of the map belong to no structure"
            raise InputRefusedError(message)
        held = tuple(structure for structure in STRUCTURES if counts[structure.value])
        if not held:
            message = f"{self.name}: the label map is empty: nothing to export. Contour it first."
            raise InputRefusedError(message)
        return held


def read_source_series(folder: Path, *, limits: FileLimits = CT_LIMITS) -> SourceSeries:
    """The one CT series in a folder, checked slice by slice, without its pixels.

    Raises:
        InputRefusedError: no series, several, or slices without the identifiers that references
            need; names the file.
        GeometryError: gaps, doubles, tilted or differing slices.
    """
    located = locate_series(folder, limits)
    headers = [read_dataset(one.path, limits, pixels=False) for one in located.slices]
    for one, header in zip(located.slices, headers, strict=True):
        for keyword in _NEEDED:
            if not header.get(keyword):
                message = (
                    f"{one.path.name}: {keyword} is missing, which contours refer to. "
                    "Export the series again."
                )
                raise InputRefusedError(message)
    uids = tuple(str(header.SOPInstanceUID) for header in headers)
    if len(set(uids)) != len(uids):
        message = (
            f"{folder.name}: two slices have the same SOPInstanceUID, so that no contour could "
            "refer to one of them. Export the series again."
        )
        raise InputRefusedError(message)
    if len({str(header.StudyInstanceUID) for header in headers}) != 1:
        message = f"{folder.name}: slices of several studies. Give one series of one study."
        raise InputRefusedError(message)
    return SourceSeries(folder.name, located.grid, located.slices, uids, headers[0])
