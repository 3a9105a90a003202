"""One CT series from a folder of DICOM slices (PS3.3, section C.7.6.2).

Slices are put in order by where they lie, never by file name or number. Whatever would bend the
anatomy without a word (a missing slice, two series in one folder, a tilted gantry) is refused.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import UID

from parotid_brachy.lib.errors import InputRefusedError
from parotid_brachy.lib.imaging.dicom_slice import (
    CtSlice,
    ct_slice,
    is_localizer,
    looks_like_dicom,
    read_dataset,
    read_pixels,
    why_no_slice,
)
from parotid_brachy.lib.imaging.left_out import LeftOut
from parotid_brachy.lib.imaging.limits import FileLimits
from parotid_brachy.lib.imaging.series_geometry import LocatedSeries, stacked
from parotid_brachy.lib.imaging.stored_image import quoted
from parotid_brachy.lib.imaging.volume import Grid

logger = logging.getLogger(__name__)


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
    located = _located(folder, limits, series_uid)
    return located.grid, read_voxels(located, limits)


def read_series_grid(folder: Path, limits: FileLimits, *, series_uid: str | None = None) -> Grid:
    """The grid of the one CT series in a folder, from the slices' headers only.

    Raises:
        InputRefusedError, GeometryError: as :func:`read_series`.
    """
    return _located(folder, limits, series_uid).grid


def locate_series(
    folder: Path, limits: FileLimits, *, series_uid: str | None = None
) -> LocatedSeries:
    """The one CT series in a folder with its grid and slices, from the headers only.

    Raises:
        InputRefusedError, GeometryError: as :func:`read_series`.
    """
    return _located(folder, limits, series_uid)


def read_voxels(series: LocatedSeries, limits: FileLimits) -> NDArray[Any]:
    """The CT numbers of a located series, shape ``grid.shape_kji``.

    Raises:
        InputRefusedError: more than the limits allow, or a slice whose pixels cannot be read or
            are lost.
    """
    if 4 * int(np.prod(series.grid.size_ijk, dtype=np.int64)) > limits.voxel_bytes:
        message = (
            f"{series.name}: {series.grid.describe()}; at most "
            f"{limits.voxel_bytes / 1024**3:.3g} GiB are read. Give a smaller series."
        )
        raise InputRefusedError(message)
    pixels = [read_pixels(one, limits) for one in series.slices]
    kind = np.result_type(*{part.dtype for part in pixels})
    voxels: NDArray[Any] = np.stack(pixels).astype(kind, copy=False)
    _require_pictures(voxels, series)
    return voxels


def _require_pictures(voxels: NDArray[Any], series: LocatedSeries) -> None:
    """Refuses a series with a slice of one value between others.

    Decoders make such slices of packed pixels that are damaged, and say nothing. At the ends they
    are left alone: scanners fill what they could not reconstruct.
    """
    is_blank = [plane.min() == plane.max() for plane in voxels]
    pictures = [number for number, blank in enumerate(is_blank) if not blank]
    for number in range(pictures[0], pictures[-1]) if pictures else ():
        if is_blank[number]:
            message = (
                f"{series.slices[number].path.name}: all of its pixels are "
                f"{voxels[number].flat[0]:g} HU, and slices on both sides of it show something. "
                "Its pixels are lost; export the series again."
            )
            raise InputRefusedError(message)


def locate_slices(slices: Sequence[CtSlice], limits: FileLimits, *, name: str) -> LocatedSeries:
    """Puts the slices of one series in order, wherever their files lie.

    Args:
        slices: all of one series.
        limits: bounds for grids.
        name: of the series, for messages.

    Raises:
        InputRefusedError: no slice, too many, or not of one series.
        GeometryError: gaps, doubles, tilted or differing slices; names them.
    """
    if not slices or len({one.series_uid for one in slices}) > 1:
        raise InputRefusedError(f"{name}: not the slices of one series. Give one series.")
    _require_few(len(slices), name, limits)
    return stacked(slices, name, limits)


def _located(folder: Path, limits: FileLimits, series_uid: str | None) -> LocatedSeries:
    """The wanted series of a folder."""
    slices = _one_series(_slices(folder, limits), folder, series_uid)
    return stacked(slices, folder.name, limits)


def _require_few(count: int, name: str, limits: FileLimits) -> None:
    if count > limits.slices:
        message = f"{name}: {count} files; at most {limits.slices} make one series."
        raise InputRefusedError(message)


def _slices(folder: Path, limits: FileLimits) -> list[CtSlice]:
    """Every usable CT slice of the folder.

    Raises:
        InputRefusedError: there is none, or a file that is not usable looks like one of them, so
            that leaving it out might lose a slice at an end of the volume unseen.
    """
    slices: list[CtSlice] = []
    left_out: list[LeftOut] = []
    with os.scandir(folder) as entries:
        paths = sorted(Path(entry.path) for entry in entries if entry.is_file())
    _require_few(len(paths), folder.name, limits)
    for path in paths:
        if not looks_like_dicom(path):
            left_out.append(LeftOut(path, "no DICOM file"))
            continue
        header = read_dataset(path, limits, pixels=False)
        reason = why_no_slice(header, path)
        if reason:
            series_uid = str(header.get("SeriesInstanceUID", ""))
            sop_class = UID(str(header.get("SOPClassUID", "")))
            known = sop_class.name != sop_class  # else pydicom has no name for it
            left_out.append(LeftOut(path, reason, series_uid, known, is_localizer(header)))
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


def _require_harmless(left_out: list[LeftOut], slices: list[CtSlice], folder: Path) -> None:
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
