"""The frames of a binary DICOM segmentation: where each lies and what is set (PS3.3, C.8.20.4)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import SegmentationStorage

from parotid_brachy.lib.errors import InputRefusedError
from parotid_brachy.lib.imaging.stored_image import quoted
from parotid_brachy.lib.imaging.volume import FloatArray

MOST_FRAMES: Final = 65_536
MOST_SEGMENTS: Final = 512


@dataclass(frozen=True)
class FrameGeometry:
    """How the frames of an object lie.

    Attributes:
        size_ij: columns and rows.
        spacing_ij_mm: distance of columns and of rows.
        orientation: unit vectors along i and along j, in LPS.
        positions_lps_mm: centre of each frame's first voxel, shape (frames, 3).
        segments: the segment number of each frame.
    """

    size_ij: tuple[int, int]
    spacing_ij_mm: tuple[float, float]
    orientation: tuple[float, ...]
    positions_lps_mm: FloatArray
    segments: tuple[int, ...]


def require_binary(dataset: Dataset, name: str) -> None:
    """Refuses whatever is no binary segmentation with as many voxels as it states.

    Raises:
        InputRefusedError: says what it is.
    """
    if dataset.get("SOPClassUID") != SegmentationStorage:
        message = f"{name}: no DICOM segmentation. Give the file of a segmentation (SEG)."
        raise InputRefusedError(message)
    kind = str(dataset.get("SegmentationType", ""))
    if kind != "BINARY" or dataset.get("BitsAllocated") != 1:
        message = f"{name}: a segmentation of type {quoted(kind)}; only BINARY ones are read."
        raise InputRefusedError(message)
    frames = int(dataset.get("NumberOfFrames", 0) or 0)
    segments = len(dataset.get("SegmentSequence", ()) or ())
    if not 0 < frames <= MOST_FRAMES or not 0 < segments <= MOST_SEGMENTS:
        message = f"{name}: {frames} frames of {segments} segments; that is no segmentation."
        raise InputRefusedError(message)
    if dataset.file_meta.TransferSyntaxUID.is_compressed:
        message = f"{name}: compressed segmentations are not read. Export it uncompressed."
        raise InputRefusedError(message)
    bits = frames * int(dataset.Rows) * int(dataset.Columns)
    if len(dataset.get("PixelData", b"")) not in ((bits + 7) // 8, (bits + 15) // 16 * 2):
        message = f"{name}: cut short or longer than stated. Export it again."
        raise InputRefusedError(message)


def geometry_of(dataset: Dataset) -> FrameGeometry:
    """Where the frames lie; elements that all frames share may stand once for all."""
    shared = _first(dataset.get("SharedFunctionalGroupsSequence"))
    per_frame = list(dataset.PerFrameFunctionalGroupsSequence)
    if len(per_frame) != int(dataset.NumberOfFrames):
        message = f"{len(per_frame)} frames described, {dataset.NumberOfFrames} stated"
        raise ValueError(message)
    measures = [_group("PixelMeasuresSequence", one, shared).PixelSpacing for one in per_frame]
    planes = [
        _group("PlaneOrientationSequence", one, shared).ImageOrientationPatient for one in per_frame
    ]
    if len({tuple(m) for m in measures}) != 1 or len({tuple(p) for p in planes}) != 1:
        message = "frames of several orientations or spacings"
        raise ValueError(message)
    positions = [
        [float(v) for v in _group("PlanePositionSequence", one, shared).ImagePositionPatient]
        for one in per_frame
    ]
    segments = tuple(
        int(_group("SegmentIdentificationSequence", one, shared).ReferencedSegmentNumber)
        for one in per_frame
    )
    down, across = (float(value) for value in measures[0])
    return FrameGeometry(
        size_ij=(int(dataset.Columns), int(dataset.Rows)),
        spacing_ij_mm=(across, down),
        orientation=tuple(float(value) for value in planes[0]),
        positions_lps_mm=np.asarray(positions, dtype=np.float64).reshape(-1, 3),
        segments=segments,
    )


def frames_of(dataset: Dataset) -> Iterator[NDArray[np.bool_]]:
    """The frames' voxels, one after the other, each of shape (rows, columns)."""
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    packed = np.frombuffer(dataset.PixelData, dtype=np.uint8)
    voxels = rows * columns
    for frame in range(int(dataset.NumberOfFrames)):
        start, stop = frame * voxels, (frame + 1) * voxels
        # Frames follow each other without a gap: one may begin within a byte.
        bits = np.unpackbits(packed[start // 8 : (stop + 7) // 8], bitorder="little")
        own = bits[start % 8 : start % 8 + voxels]
        yield own.reshape(rows, columns).astype(np.bool_)


def _group(keyword: str, frame: Dataset, shared: Dataset | None) -> Any:
    found = _first(frame.get(keyword))
    if found is None and shared is not None:
        found = _first(shared.get(keyword))
    if found is None:
        message = f"{keyword} is missing"
        raise ValueError(message)
    return found


def _first(sequence: Any) -> Dataset | None:
    return sequence[0] if sequence else None
