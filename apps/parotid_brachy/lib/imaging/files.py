"""The boundary to files: CT volumes in, label maps in and out.

Everything that comes from outside is hostile until it has passed here. A volume that
``read_volume`` returns has a plausible grid and Hounsfield units; whatever else a file holds is
refused with a message that names the file, the fault and what to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parotid_brachy.lib.anatomy import STRUCTURES, Structure
from parotid_brachy.lib.errors import GeometryError, InputRefusedError, UsageError
from parotid_brachy.lib.imaging.atomic import write_atomically
from parotid_brachy.lib.imaging.ct_checks import (
    ct_numbers,
    grid_of_affine,
    require_ct_grid,
    require_ct_numbers,
)
from parotid_brachy.lib.imaging.dicom_series import read_series, read_series_grid
from parotid_brachy.lib.imaging.dicom_slice import looks_like_dicom
from parotid_brachy.lib.imaging.label_encoding import nifti_bytes, nrrd_bytes
from parotid_brachy.lib.imaging.limits import CT_LIMITS, FileLimits
from parotid_brachy.lib.imaging.metaimage_header import read_metaimage_header
from parotid_brachy.lib.imaging.nifti_header import read_nifti_header
from parotid_brachy.lib.imaging.nrrd_header import read_nrrd_header
from parotid_brachy.lib.imaging.segments import placed, values_of_segments
from parotid_brachy.lib.imaging.stored_image import (
    StoredImage,
    read_stored,
    regular_file,
    require_size,
)
from parotid_brachy.lib.imaging.volume import Grid, Volume

NIFTI_SUFFIXES = (".nii", ".nii.gz")
NRRD_SUFFIXES = (".nrrd", ".nhdr")
METAIMAGE_SUFFIXES = (".mha", ".mhd")
VOLUME_SUFFIXES = (*NIFTI_SUFFIXES, *NRRD_SUFFIXES, *METAIMAGE_SUFFIXES)
"""File names that ``read_volume`` takes; a folder is taken for a DICOM series."""


def case_of(path: Path) -> str:
    """The case that a file or folder is called by: its name without the suffix."""
    name = path.name
    for suffix in sorted((*VOLUME_SUFFIXES, ".seg.nrrd"), key=len, reverse=True):
        if name.lower().endswith(suffix) and len(name) > len(suffix) and not path.is_dir():
            return name[: -len(suffix)]
    return name


def read_volume(
    path: Path,
    *,
    case: str | None = None,
    series_uid: str | None = None,
    limits: FileLimits = CT_LIMITS,
) -> Volume:
    """Reads a CT volume and makes sure that it is one.

    Args:
        path: a NIfTI, NRRD or MetaImage file, or a folder with one DICOM series.
        case: what to call it; else the file's name without suffix.
        series_uid: which series, where a DICOM folder holds several.
        limits: bounds for size, spacing and extent.

    Returns:
        The volume in LPS millimetres; CT numbers as int16, or float32 where they are not whole.

    Raises:
        InputRefusedError: missing, damaged, of another kind, or without Hounsfield units.
        GeometryError: no plausible grid, or one that contradicts itself.
    """
    if path.is_dir():
        grid, voxels = read_series(path, limits, series_uid=series_uid)
        name = path.name
    else:
        stored, grid = _located(path, limits)
        name = stored.name
        voxels = ct_numbers(
            read_stored(stored), slope=stored.slope, intercept=stored.intercept, name=name
        )
    require_ct_numbers(voxels, name=name)
    return Volume(grid, voxels, case or case_of(path))


def read_grid(path: Path, *, series_uid: str | None = None, limits: FileLimits = CT_LIMITS) -> Grid:
    """The grid of a CT volume, from its header only, checked as ``read_volume`` checks it.

    Args:
        path: a NIfTI, NRRD or MetaImage file, or a folder with one DICOM series.
        series_uid: which series, where a DICOM folder holds several.
        limits: bounds for size, spacing and extent.

    Raises:
        InputRefusedError: missing, of another kind, or with a damaged header.
        GeometryError: no plausible grid, or one that contradicts itself.
    """
    if path.is_dir():
        return read_series_grid(path, limits, series_uid=series_uid)
    return _located(path, limits)[1]


def _located(path: Path, limits: FileLimits) -> tuple[StoredImage, Grid]:
    """The header of a CT's file, and the grid that it states."""
    stored = read_header(path, limits)
    require_size(stored, limits)
    grid = grid_of_affine(stored.affine_lps, stored.size_ijk, name=stored.name, shear=limits.shear)
    require_ct_grid(grid, limits, name=stored.name)
    return stored, grid


def read_header(path: Path, limits: FileLimits, *, layers: bool = False) -> StoredImage:
    """Parses the header of an image's file, by its name.

    Args:
        path: a NIfTI, NRRD or MetaImage file.
        limits: how long a header may be.
        layers: whether a NRRD file may hold the layers of a 3D Slicer segmentation.

    Raises:
        InputRefusedError: no file, an unknown kind, or a damaged header.
    """
    regular_file(path)
    lower = path.name.lower()
    try:
        if lower.endswith(NIFTI_SUFFIXES):
            return read_nifti_header(path)
        if lower.endswith(NRRD_SUFFIXES):
            return read_nrrd_header(path, limits, layers=layers)
        if lower.endswith(METAIMAGE_SUFFIXES):
            return read_metaimage_header(path, limits)
    except OSError as error:
        raise InputRefusedError(f"{path.name}: cannot be read ({error}).") from error
    if looks_like_dicom(path):
        message = (
            f"{path.name}: a single DICOM file is no volume (multi-frame files are not read). "
            "Give the folder that holds the slices of the series."
        )
        raise InputRefusedError(message)
    message = (
        f"{path.name}: unknown kind of file. "
        f"Give one of {', '.join(VOLUME_SUFFIXES)}, or a folder with a DICOM series."
    )
    raise InputRefusedError(message)


def read_label_map(path: Path, grid: Grid, *, limits: FileLimits = CT_LIMITS) -> NDArray[np.uint8]:
    """Reads a label map that must lie on an image's grid.

    3D Slicer's segmentations (``.seg.nrrd``) are understood: their segments are known by name,
    may lie in several layers, and may cover a part of the image's grid only.

    Args:
        path: a NIfTI, NRRD or MetaImage file.
        grid: the image's grid.
        limits: bounds for the size.

    Returns:
        Values of known structures and 0, shape ``grid.shape_kji``.

    Raises:
        InputRefusedError: damaged, other than whole numbers, or an unknown structure.
        GeometryError: the map lies on another grid.
    """
    stored = read_header(path, limits, layers=True)
    require_size(stored, limits)
    own = grid_of_affine(stored.affine_lps, stored.size_ijk, name=stored.name, shear=limits.shear)
    if not stored.segments:
        if len(stored.size) != 3:
            message = f"{stored.name}: several layers but no segments named. Save one label map."
            raise InputRefusedError(message)
        grid.require_same(own, what=stored.name)
        return _known_values(read_stored(stored), stored)
    labels = values_of_segments(whole_numbers(read_stored(stored), stored), stored)
    return placed(labels, own, grid, name=stored.name)


def whole_numbers(voxels: NDArray[Any], stored: StoredImage) -> NDArray[Any]:
    """A label map's values as whole numbers of 0 to 255, same shape.

    Raises:
        InputRefusedError: there are others, or they are scaled.
    """
    if stored.slope != 1.0 or stored.intercept != 0.0:
        message = f"{stored.name}: its values are scaled. Save it as a plain label map."
        raise InputRefusedError(message)
    result = np.empty(voxels.shape, dtype=np.uint8)
    for target, slab in zip(result, voxels, strict=True):
        # NaN fails the first comparison, infinity and large values the second.
        if not np.all((slab >= 0) & (slab <= 255)):
            message = f"{stored.name}: values below 0, above 255 or not a number. Save labels 0-7."
            raise InputRefusedError(message)
        target[...] = slab.astype(np.uint8)
        if slab.dtype.kind == "f" and not np.array_equal(target, slab):
            message = f"{stored.name}: values that are not whole numbers. Save labels 0-7."
            raise InputRefusedError(message)
    return result


def _known_values(voxels: NDArray[Any], stored: StoredImage) -> NDArray[np.uint8]:
    labels: NDArray[np.uint8] = whole_numbers(voxels, stored)
    known = {0, *(structure.value for structure in STRUCTURES)}
    unknown = set(np.flatnonzero(np.bincount(labels.ravel(), minlength=256)).tolist()) - known
    if unknown:
        message = (
            f"{stored.name}: values {sorted(unknown)[:8]} belong to no structure. "
            "Save labels 0-7 in the order of the app's label list."
        )
        raise InputRefusedError(message)
    return labels


def write_label_map(
    path: Path,
    labels: NDArray[np.uint8],
    grid: Grid,
    *,
    structures: Sequence[Structure] = STRUCTURES,
) -> None:
    """Writes a label map, whole or not at all.

    Args:
        path: ends with ``.nii.gz``, ``.seg.nrrd`` (with the names and colours of the structures,
            for 3D Slicer) or ``.nrrd``.
        labels: shape ``grid.shape_kji``.
        grid: the image's grid, which is kept exactly.
        structures: what a ``.seg.nrrd`` names, present in the map or not.

    Raises:
        GeometryError: the array does not fit the grid.
        UsageError: another suffix.
        OSError: the folder cannot be written to.
    """
    if labels.shape != grid.shape_kji or labels.dtype != np.uint8:
        message = (
            f"{path.name}: labels of shape {labels.shape} and type {labels.dtype} on a grid of "
            f"shape {grid.shape_kji} (k, j, i); uint8 on the image's grid is needed"
        )
        raise GeometryError(message)
    lower = path.name.lower()
    if lower.endswith(".nii.gz"):
        content = nifti_bytes(labels, grid)
    elif lower.endswith(".nrrd"):
        segments = structures if lower.endswith(".seg.nrrd") else ()
        content = nrrd_bytes(labels, grid, segments=segments)
    else:
        message = f"{path.name}: label maps are written as .nii.gz, .nrrd or .seg.nrrd."
        raise UsageError(message)
    write_atomically(path, content)
