"""One CT series from a folder of DICOM slices (PS3.3, section C.7.6.2).

Slices are put in order by where they lie, never by file name or number. Whatever would bend the
anatomy without a word (a missing slice, two series in one folder, a tilted gantry) is refused.
"""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import UID

from parotid_brachy.lib.errors import GeometryError, InputRefusedError
from parotid_brachy.lib.imaging.ct_checks import grid_of_affine, require_ct_grid
from parotid_brachy.lib.imaging.dicom_slice import (
    CtSlice,
    ct_slice,
    is_localizer,
    looks_like_dicom,
    read_dataset,
    read_pixels,
    why_no_slice,
)
from parotid_brachy.lib.imaging.limits import FileLimits
from parotid_brachy.lib.imaging.stored_image import quoted
from parotid_brachy.lib.imaging.volume import Grid

logger = logging.getLogger(__name__)

_SAME_POSITION_MM = 0.01
_GAP = 0.05
"""Share of the slice distance by which a single distance may differ from the usual one."""
_SAME_DIRECTION = 1e-3
_SLICE_SUFFIXES = (".dcm", ".ima", ".dicom")


@dataclass(frozen=True)
class _LeftOut:
    """A file of the folder that is no slice, and why."""

    path: Path
    reason: str
    series_uid: str = ""
    is_other_object: bool = False
    is_localizer: bool = False

    def may_be_slice(self, slices: list[CtSlice]) -> bool:
        """Whether it lies among slices as if it were a damaged one of them."""
        if self.is_localizer:
            return False
        if self.is_other_object and self.series_uid:
            return self.series_uid in {one.series_uid for one in slices}
        patterns = {_name_pattern(one.path) for one in slices}
        return _name_pattern(self.path) in patterns or self.path.suffix.lower() in _SLICE_SUFFIXES


def read_series(
    folder: Path, limits: FileLimits, *, series_uid: str | None = None
) -> tuple[Grid, NDArray[Any]]:
    """The one CT series in a folder.

    Args:
        folder: holds the slices; other files in it are left out with a note in the log.
        limits: bounds for files and grids.
        series_uid: which series, where the folder holds several.

    Returns:
        Grid and CT numbers, shape ``grid.shape_kji``.

    Raises:
        InputRefusedError: no series, several, or a slice that cannot be used; names the file.
        GeometryError: gaps, doubles, tilted or differing slices.
    """
    grid, ordered = _located(folder, limits, series_uid)
    if 4 * int(np.prod(grid.size_ijk, dtype=np.int64)) > limits.voxel_bytes:
        message = (
            f"{folder.name}: {grid.describe()}; at most {limits.voxel_bytes / 1024**3:.3g} GiB "
            "are read. Give a smaller series."
        )
        raise InputRefusedError(message)
    pixels = [read_pixels(one, limits) for one in ordered]
    kind = np.result_type(*{part.dtype for part in pixels})
    return grid, np.stack(pixels).astype(kind, copy=False)


def read_series_grid(folder: Path, limits: FileLimits, *, series_uid: str | None = None) -> Grid:
    """The grid of the one CT series in a folder, from the slices' headers only.

    Raises:
        InputRefusedError, GeometryError: as :func:`read_series`.
    """
    return _located(folder, limits, series_uid)[0]


def _located(
    folder: Path, limits: FileLimits, series_uid: str | None
) -> tuple[Grid, list[CtSlice]]:
    """The grid of the wanted series, and its slices in the grid's order."""
    slices = _one_series(_slices(folder, limits), folder, series_uid)
    grid, ordered = _stacked(slices, folder.name, limits)
    require_ct_grid(grid, limits, name=folder.name)
    return grid, ordered


def _slices(folder: Path, limits: FileLimits) -> list[CtSlice]:
    """Every usable CT slice of the folder.

    Raises:
        InputRefusedError: there is none, or a file that is not usable looks like one of them, so
            that leaving it out might lose a slice at an end of the volume unseen.
    """
    slices: list[CtSlice] = []
    left_out: list[_LeftOut] = []
    with os.scandir(folder) as entries:
        paths = sorted(Path(entry.path) for entry in entries if entry.is_file())
    if len(paths) > limits.slices:
        message = f"{folder.name}: {len(paths)} files; at most {limits.slices} make one series."
        raise InputRefusedError(message)
    for path in paths:
        if not looks_like_dicom(path):
            left_out.append(_LeftOut(path, "no DICOM file"))
            continue
        header = read_dataset(path, limits, pixels=False)
        reason = why_no_slice(header, path)
        if reason:
            series_uid = str(header.get("SeriesInstanceUID", ""))
            sop_class = UID(str(header.get("SOPClassUID", "")))
            known = sop_class.name != sop_class  # else pydicom has no name for it
            left_out.append(_LeftOut(path, reason, series_uid, known, is_localizer(header)))
        else:
            slices.append(ct_slice(header, path))
    if not slices:
        found = "; ".join(f"{one.path.name} is {one.reason}" for one in left_out[:3])
        message = (
            f"{folder.name}: no CT slice in this folder{f' ({found})' if found else ''}. "
            "Give the folder that holds the slices of one CT series."
        )
        raise InputRefusedError(message)
    _require_harmless(left_out, slices, folder)
    return slices


def _require_harmless(left_out: list[_LeftOut], slices: list[CtSlice], folder: Path) -> None:
    for one in left_out:
        if one.may_be_slice(slices):
            message = (
                f"{folder.name}: {one.path.name} is {one.reason} but lies among the slices as if "
                "it were one (damaged?). Export the series again, or move that file away."
            )
            raise InputRefusedError(message)
    if left_out:
        logger.warning(
            "%s: %d files left out: %s%s",
            folder.name,
            len(left_out),
            "; ".join(f"{one.path.name} is {one.reason}" for one in left_out[:5]),
            "; ..." if len(left_out) > 5 else "",
        )


def _name_pattern(path: Path) -> str:
    return re.sub(r"\d+", "#", path.name.lower())


def _one_series(slices: list[CtSlice], folder: Path, series_uid: str | None) -> list[CtSlice]:
    """The slices of the wanted series.

    Raises:
        InputRefusedError: several and none chosen, or the chosen one is not there.
    """
    series: dict[str, list[CtSlice]] = {}
    for one in slices:
        series.setdefault(one.series_uid, []).append(one)
    known = "; ".join(
        f"{quoted(uid)} (number {quoted(parts[0].series_number)}, {len(parts)} slices)"
        for uid, parts in list(series.items())[:5]
    )
    if series_uid is not None:
        if series_uid not in series:
            message = f"{folder.name}: no series {quoted(series_uid)}. There is: {known}."
            raise InputRefusedError(message)
        return series[series_uid]
    if len(series) > 1:
        message = (
            f"{folder.name}: {len(series)} CT series in one folder: {known}. "
            "Put one series into a folder, or choose one by its series UID."
        )
        raise InputRefusedError(message)
    return slices


def _stacked(slices: list[CtSlice], name: str, limits: FileLimits) -> tuple[Grid, list[CtSlice]]:
    """The grid that slices make up, and the slices in its order.

    Raises:
        GeometryError: they do not make up one.
    """
    first = slices[0]
    for one in slices[1:]:
        _require_same_plane(first, one, name)
    normal = first.normal
    along = {one.path: float(normal @ np.asarray(one.position_lps_mm)) for one in slices}
    ordered = sorted(slices, key=lambda one: along[one.path])
    if len(ordered) < limits.least_size:
        message = (
            f"{name}: {len(ordered)} slices are not a volume; at least {limits.least_size} are "
            "needed. Give the whole series."
        )
        raise GeometryError(message)
    distances = np.diff([along[one.path] for one in ordered])
    _require_even(distances, ordered, name)
    start, stop = (np.asarray(one.position_lps_mm) for one in (ordered[0], ordered[-1]))
    step = (stop - start) / (len(ordered) - 1)
    affine = np.eye(4)
    affine[:3, 0] = np.asarray(first.orientation[:3]) * first.spacing_ij_mm[0]
    affine[:3, 1] = np.asarray(first.orientation[3:]) * first.spacing_ij_mm[1]
    affine[:3, 2] = step
    affine[:3, 3] = start
    size = (*first.size_ij, len(ordered))
    grid = grid_of_affine(affine, size, name=name, shear=limits.shear)
    ideal = start + np.arange(len(ordered))[:, None] * step
    positions = np.asarray([one.position_lps_mm for one in ordered])
    strayed = np.abs(positions - ideal).max(axis=1)
    if strayed.max() > 2 * _GAP * float(np.linalg.norm(step)):
        worst = ordered[int(strayed.argmax())].path.name
        message = (
            f"{name}: {worst} lies {strayed.max():.2f} mm beside the line of the other slices. "
            "Export the series again."
        )
        raise GeometryError(message)
    return grid, ordered


def _require_same_plane(first: CtSlice, one: CtSlice, name: str) -> None:
    turned = np.abs(np.asarray(first.orientation) - np.asarray(one.orientation)).max()
    for what, differs in (
        ("orientation", turned > _SAME_DIRECTION),
        ("size", first.size_ij != one.size_ij),
        ("pixel spacing", not np.allclose(first.spacing_ij_mm, one.spacing_ij_mm, rtol=1e-4)),
        ("frame of reference", first.frame_uid != one.frame_uid),
    ):
        if differs:
            message = (
                f"{name}: {first.path.name} and {one.path.name} differ in {what}. "
                "Give the slices of one series only."
            )
            raise GeometryError(message)


def _require_even(distances: NDArray[Any], ordered: list[CtSlice], name: str) -> None:
    doubled = np.flatnonzero(distances < _SAME_POSITION_MM)
    if doubled.size:
        pair = " and ".join(one.path.name for one in ordered[doubled[0] : doubled[0] + 2])
        message = (
            f"{name}: {pair} lie at the same place (such pairs: {doubled.size}). "
            "Remove the doubles, or give one series (one phase, one reconstruction) only."
        )
        raise GeometryError(message)
    usual = float(np.median(distances))
    off = np.abs(distances - usual)
    if off.max() > _GAP * usual + _SAME_POSITION_MM:
        where = int(off.argmax())
        pair = " and ".join(one.path.name for one in ordered[where : where + 2])
        message = (
            f"{name}: uneven slices, {distances[where]:.3f} mm between {pair} and {usual:.3f} mm "
            "elsewhere (a slice is missing?). Export the whole series again."
        )
        raise GeometryError(message)
