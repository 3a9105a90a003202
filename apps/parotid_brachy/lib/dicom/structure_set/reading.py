"""An RT Structure Set of any planning system as a label map on a series' grid."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.uid import RTStructureSetStorage

from parotid_brachy.lib.anatomy import Side, Structure
from parotid_brachy.lib.dicom.read_contours import (
    NamedMask,
    NotTaken,
    ReadContours,
    chosen_candidates,
    merged,
)
from parotid_brachy.lib.dicom.source_series import SourceSeries
from parotid_brachy.lib.dicom.structure_names import read_name
from parotid_brachy.lib.dicom.structure_set.planes import heights_mm, to_pixels
from parotid_brachy.lib.dicom.structure_set.rasterising import inside_polygons
from parotid_brachy.lib.errors import GeometryError, InputRefusedError, ParotidBrachyError
from parotid_brachy.lib.imaging.dicom_slice import read_dataset
from parotid_brachy.lib.imaging.limits import CT_LIMITS
from parotid_brachy.lib.imaging.stored_image import quoted
from parotid_brachy.lib.imaging.volume import FloatArray

_LARGEST_BYTES: Final = 128 * 1024**2
_MOST_POINTS: Final = 2_000_000
"""Of one region; a skin of 400 slices has a tenth of it."""
_CLOSED: Final = frozenset({"CLOSED_PLANAR", "CLOSED_PLANAR_XOR", "CLOSEDPLANAR_XOR"})
_OFF_PLANE: Final = 0.05
"""Share of the slice distance by which a contour may lie off its slice."""
_FARTHEST_MM: Final = 1e6


@dataclass(frozen=True)
class _Region:
    """A recognised region of interest, and its contours as the file holds them."""

    name: str
    structure: Structure
    side: Side | None
    contours: tuple[Dataset, ...]


def read_structure_set(
    path: Path, series: SourceSeries, *, side: Side | None = None
) -> ReadContours:
    """Reads the contours of a structure set that was drawn on a series.

    Args:
        path: a DICOM file.
        series: the CT.
        side: the patient's side that is wanted; None: the one that the names state.

    Raises:
        InputRefusedError: no structure set, damaged, of another frame of reference, without any
            known structure, or of both sides where none is wanted.
        GeometryError: contours that lie on none of the series' slices.
    """
    limits = replace(CT_LIMITS, slice_file_bytes=_LARGEST_BYTES)
    dataset = read_dataset(path, limits, pixels=False)
    return contours_of(dataset, series, name=path.name, side=side)


def contours_of(
    dataset: Dataset, series: SourceSeries, *, name: str, side: Side | None = None
) -> ReadContours:
    """As :func:`read_structure_set`, from a parsed file.

    Args:
        dataset: the structure set.
        series: the CT.
        name: of the file, for messages.
        side: as in :func:`read_structure_set`.
    """
    if dataset.get("SOPClassUID") != RTStructureSetStorage:
        message = f"{name}: no RT Structure Set. Give the file of a structure set (RTSTRUCT)."
        raise InputRefusedError(message)
    try:
        return _read(dataset, series, name, side)
    except ParotidBrachyError:
        raise
    # pydicom converts what is nested only now, and lets nearly any error through.
    except Exception as error:
        message = (
            f"{name}: damaged structure set ({type(error).__name__}: {quoted(error)}). "
            "Export it again."
        )
        raise InputRefusedError(message) from error


def _read(dataset: Dataset, series: SourceSeries, name: str, side: Side | None) -> ReadContours:
    regions, not_taken = _regions(dataset, series, name)
    taken, also_not, found = chosen_candidates(
        [(one.name, one.structure, one.side) for one in regions], side, what=name
    )
    if not taken:
        names = ", ".join(f"{quoted(n.name)}: {n.reason}" for n in (*not_taken, *also_not)[:8])
        message = f"{name}: holds no structure that is wanted here ({names or 'nothing'})."
        raise InputRefusedError(message)
    masks = []
    for index in taken:
        one = regions[index]
        mask, skipped = _mask(one, series, name)
        not_taken += skipped
        masks.append(NamedMask(one.name, one.structure, one.side, mask))
    return merged(masks, [*not_taken, *also_not], found, series.grid.shape_kji)


def _regions(
    dataset: Dataset, series: SourceSeries, name: str
) -> tuple[list[_Region], list[NotTaken]]:
    """The regions that we know, and those that we do not.

    Raises:
        InputRefusedError: a known one lies in another frame of reference.
    """
    contours: dict[int, tuple[Dataset, ...]] = {}
    for item in _listed(dataset.get("ROIContourSequence")):
        number = int(item.ReferencedROINumber)
        contours[number] = contours.get(number, ()) + _listed(item.get("ContourSequence"))
    regions: list[_Region] = []
    not_taken: list[NotTaken] = []
    for item in _listed(dataset.get("StructureSetROISequence")):
        called = str(item.get("ROIName", ""))
        known = read_name(called)
        if known is None:
            not_taken.append(NotTaken(called, "no structure of ours is called so"))
            continue
        frame = str(item.get("ReferencedFrameOfReferenceUID", ""))
        if frame != series.frame_uid:
            message = (
                f"{name}: {quoted(called)} lies in the frame of reference {quoted(frame)}, the CT "
                f"{series.name} in {quoted(series.frame_uid)}. Give the structure set of this CT."
            )
            raise InputRefusedError(message)
        own = contours.get(int(item.ROINumber), ())
        if own:
            regions.append(_Region(called, known[0], known[1], own))
        else:
            not_taken.append(NotTaken(called, "empty"))
    return regions, not_taken


def _listed(value: Any) -> tuple[Dataset, ...]:
    return tuple(value) if isinstance(value, Iterable) else ()


def _mask(
    region: _Region, series: SourceSeries, name: str
) -> tuple[NDArray[np.bool_], list[NotTaken]]:
    """Where a region is, and which of its contours enclose nothing."""
    heights = heights_mm(series.slices)
    not_taken: list[NotTaken] = []
    # By their rounded points: the same contour twice, as some systems write it, must not cancel
    # itself.
    polygons: dict[int, dict[bytes, FloatArray]] = {}
    total = 0
    for contour in region.contours:
        kind = str(contour.get("ContourGeometricType", ""))
        points = _points(contour, region, name)
        total += len(points)
        if total > _MOST_POINTS:
            message = f"{name}: {quoted(region.name)} has more than {_MOST_POINTS} points."
            raise InputRefusedError(message)
        if kind not in _CLOSED or len(points) < 3:
            not_taken.append(
                NotTaken(region.name, f"a contour of kind {kind[:20]} and {len(points)} points")
            )
            continue
        k = _slice_of(points, heights, series, f"{name}: {quoted(region.name)}")
        polygon = to_pixels(points, series.slices[k])
        polygons.setdefault(k, {})[np.round(polygon, 6).tobytes()] = polygon
    mask = np.zeros(series.grid.shape_kji, dtype=np.bool_)
    for k, own in polygons.items():
        mask[k] = inside_polygons(list(own.values()), mask.shape[1:])
    return mask, not_taken


def _points(contour: Dataset, region: _Region, name: str) -> FloatArray:
    """A contour's points in LPS millimetres, shape (n, 3).

    Raises:
        InputRefusedError: not threes of finite numbers.
    """
    stated: Any = contour.get_item("ContourData") if "ContourData" in contour else None
    if isinstance(stated, RawDataElement):
        # pydicom would make an object of each number: fifty times the file's size.
        text = (stated.value or b"").strip(b" \0")
        values = np.asarray(text.split(b"\\") if text else (), dtype=np.bytes_).astype(np.float64)
    else:
        values = np.atleast_1d(np.asarray(stated.value if stated else (), dtype=np.float64))
    if values.size % 3 or not np.all(np.abs(values) < _FARTHEST_MM):
        message = f"{name}: {quoted(region.name)} has a contour whose points are no positions."
        raise InputRefusedError(message)
    return values.reshape(-1, 3)


def _slice_of(points: FloatArray, heights: FloatArray, series: SourceSeries, what: str) -> int:
    """The slice (k) that a contour was drawn on.

    Raises:
        GeometryError: it lies on none.
    """
    height = points @ series.slices[0].normal
    k = int(np.abs(heights - np.median(height)).argmin())
    off = float(np.abs(height - heights[k]).max())
    if off > _OFF_PLANE * series.grid.spacing_mm[2] + 1e-3:
        message = (
            f"{what} has a contour {off:.2f} mm off the nearest slice of {series.name} "
            f"({series.slices[k].path.name}). It was drawn on other slices; give the structure "
            "set of this very series."
        )
        raise GeometryError(message)
    return k
