"""Whether a grid is one that a CT can have, and whether numbers are CT numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from parotid_brachy.lib.errors import GeometryError, InputRefusedError
from parotid_brachy.lib.imaging.limits import FileLimits
from parotid_brachy.lib.imaging.volume import FloatArray, Grid

_MOST_HU = 40_000.0
"""Beyond every scanner's extended scale, and below what unsigned misreading makes of air."""
_AIR_HU = (-1100.0, -600.0)
_TISSUE_HU = (-200.0, 300.0)
_LEAST_AIR = 0.002
_LEAST_TISSUE = 0.002
_SAMPLES = 2_000_000


def grid_of_affine(
    affine_lps: FloatArray, size_ijk: tuple[int, int, int], *, name: str, shear: float
) -> Grid:
    """The grid that a 4 x 4 matrix describes.

    Args:
        affine_lps: index (i, j, k, 1) to LPS millimetres.
        size_ijk: voxels along i, j, k.
        name: the file, for messages.
        shear: largest cosine between two axes that still counts as a right angle.

    Raises:
        GeometryError: the matrix is not finite, singular or sheared.
    """
    matrix = np.asarray(affine_lps, dtype=np.float64)
    if not np.all(np.isfinite(matrix[:3])):
        raise GeometryError(f"{name}: its affine is not finite. Export it again with a geometry.")
    edges = matrix[:3, :3]
    # A hostile header may hold numbers whose square overflows; that is then refused as well.
    with np.errstate(over="ignore", invalid="ignore"):
        spacing = np.sqrt((edges**2).sum(axis=0))
    if not np.all(np.isfinite(spacing)) or np.any(spacing < 1e-6):
        message = (
            f"{name}: its affine is singular (voxel edges "
            f"{_listed(spacing)} mm). Export it again with a geometry."
        )
        raise GeometryError(message)
    direction = edges / spacing
    cosines = np.abs(direction.T @ direction - np.eye(3))
    if cosines.max() > shear:
        angle = float(np.degrees(np.arcsin(min(float(cosines.max()), 1.0))))
        message = (
            f"{name}: its axes are not at right angles (off by {angle:.2f} degrees: sheared, or a "
            "tilted gantry). Resample it to a straight grid first."
        )
        raise GeometryError(message)
    return Grid(
        size_ijk,
        (float(spacing[0]), float(spacing[1]), float(spacing[2])),
        (float(matrix[0, 3]), float(matrix[1, 3]), float(matrix[2, 3])),
        tuple(float(value) for value in direction.ravel()),
    )


def require_ct_grid(grid: Grid, limits: FileLimits, *, name: str) -> None:
    """Refuses grids that no CT of a head or neck has.

    Raises:
        GeometryError: too few voxels, implausible spacing, extent or position.
    """
    if min(grid.size_ijk) < limits.least_size:
        sizes = " x ".join(str(extent) for extent in grid.size_ijk)
        message = (
            f"{name}: {sizes} voxels are not a volume; each axis needs at least "
            f"{limits.least_size}. Give the whole series."
        )
        raise GeometryError(message)
    low, high = limits.spacing_mm
    if min(grid.spacing_mm) < low or max(grid.spacing_mm) > high:
        message = (
            f"{name}: voxels of {_listed(grid.spacing_mm)} mm; a CT has {low:g} to {high:g} mm. "
            "Correct the spacing (in millimetres) or resample."
        )
        raise GeometryError(message)
    extent = np.asarray(grid.size_ijk) * np.asarray(grid.spacing_mm)
    low, high = limits.extent_mm
    if extent.min() < low or extent.max() > high:
        message = (
            f"{name}: its volume measures {_listed(extent)} mm; {low:g} to {high:g} mm a side are "
            "plausible. Correct the spacing, or give a volume that holds the parotid region."
        )
        raise GeometryError(message)
    if max(abs(value) for value in grid.origin_lps_mm) > limits.origin_mm:
        message = (
            f"{name}: its first voxel is at ({_listed(grid.origin_lps_mm, ', ')}) mm, farther than "
            f"{limits.origin_mm:g} mm from the origin. Correct the origin."
        )
        raise GeometryError(message)


def _listed(values: Any, separator: str = " x ") -> str:
    return separator.join(f"{value:.4g}" for value in values)


def ct_numbers(
    stored: NDArray[Any], *, slope: float, intercept: float, name: str
) -> NDArray[np.int16] | NDArray[np.float32]:
    """Stored numbers as CT numbers: int16 where they are whole and fit, else float32.

    Works slice by slice, so that 64-bit volumes are not held twice.

    Args:
        stored: numbers of any real type, ``[k, j, i]``.
        slope: ``HU = slope * stored + intercept``.
        intercept: see ``slope``.
        name: the file, for messages.

    Raises:
        InputRefusedError: NaN, infinity, or values beyond any CT's.
    """
    plain = slope == 1.0 and intercept == 0.0
    if plain and stored.dtype == np.dtype(np.int16):
        return stored.astype(np.int16, copy=False)
    whole = True
    for slab in stored:
        values = slab.astype(np.float64) * slope + intercept
        if not np.all(np.isfinite(values)):
            count = int(np.count_nonzero(~np.isfinite(values)))
            message = (
                f"{name}: not-a-number or infinite voxels ({count} in one slice). "
                "Export it again without them."
            )
            raise InputRefusedError(message)
        low, high = float(values.min()), float(values.max())
        if low < -_MOST_HU or high > _MOST_HU:
            message = (
                f"{name}: values from {low:.4g} to {high:.4g} are no Hounsfield units. "
                "Give a CT in Hounsfield units."
            )
            raise InputRefusedError(message)
        fits = low >= np.iinfo(np.int16).min and high <= np.iinfo(np.int16).max
        whole = whole and fits and bool(np.all(values == np.rint(values)))
    if whole:
        result: NDArray[Any] = np.empty(stored.shape, dtype=np.int16)
    else:
        result = np.empty(stored.shape, dtype=np.float32)
    for target, slab in zip(result, stored, strict=True):
        target[...] = slab.astype(np.float64) * slope + intercept
    return result


def require_ct_numbers(voxels: NDArray[Any], *, name: str) -> None:
    """Refuses numbers that are no CT numbers of a body in air.

    Every head or neck CT, cropped ones too, holds air (about -1000 HU: round the body, in the
    airway, in the mastoid) and soft tissue (about 0 HU), and more of the latter than of bone and
    of the mixtures between. Wrong offsets are named, never guessed away: half a guess moves every
    contour that follows a threshold.

    Raises:
        InputRefusedError: constant, no air, no tissue, or shifted values; says which.
    """
    step = max(1, round((voxels.size / _SAMPLES) ** (1 / 3)))
    values = voxels[::step, ::step, ::step].ravel()
    low, high = float(voxels.min()), float(voxels.max())
    if low == high:
        raise InputRefusedError(f"{name}: every voxel is {low:g}: it holds no image. Give a CT.")
    stated = f"values from {low:.5g} to {high:.5g}"
    hint = "Give a CT in Hounsfield units (DICOM: rescale slope and intercept applied)."
    count = values.size
    air = np.count_nonzero((values >= _AIR_HU[0]) & (values < _AIR_HU[1])) / count
    tissue = np.count_nonzero((values >= _TISSUE_HU[0]) & (values < _TISSUE_HU[1])) / count
    between = np.count_nonzero((values >= _AIR_HU[1]) & (values < _TISSUE_HU[0])) / count
    dense = np.count_nonzero(values >= _TISSUE_HU[1]) / count
    if air < _LEAST_AIR:
        if low >= 0 and high > 1000:
            hint = (
                "They may be stored with an offset of 1000 or 1024 that the file does not state. "
                + hint
            )
        raise InputRefusedError(f"{name}: {stated}, no air near -1000 HU among them. {hint}")
    if tissue < _LEAST_TISSUE:
        raise InputRefusedError(f"{name}: {stated}, no soft tissue near 0 HU among them. {hint}")
    if tissue < between or tissue < dense:
        message = (
            f"{name}: {stated}, but soft tissue (-200 to 300 HU) is only {tissue:.1%} of the "
            f"volume, {between:.1%} lies between air and tissue and {dense:.1%} above. "
            f"The values look shifted or scaled. {hint}"
        )
        raise InputRefusedError(message)
