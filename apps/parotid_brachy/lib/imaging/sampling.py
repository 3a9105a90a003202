"""Sampling a volume onto a working grid, and scores back onto the native one.

Both directions go through one interpolation between grids in space, so that any orientation,
anisotropy or oblique axis is handled by the same few lines.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from parotid_brachy.lib.imaging.volume import Grid, Volume, to_image

AIR_HU = -1024.0
_SHRINK_FROM = 1.7
"""Ratio of spacings from which voxels are averaged before they are interpolated."""


def index_box(grid: Grid, target: Grid, *, margin_voxels: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """The part of ``grid`` that ``target`` covers.

    Returns:
        Start and stop indices (i, j, k), clipped to the grid; empty where they do not meet.
    """
    index = grid.to_index(target.corners_lps_mm())
    size = np.asarray(grid.size_ijk)
    start = np.clip(np.floor(index.min(axis=0)).astype(int) - margin_voxels, 0, size)
    stop = np.clip(np.ceil(index.max(axis=0)).astype(int) + 1 + margin_voxels, 0, size)
    return start, np.maximum(stop, start)


def _shrink_factors(grid: Grid, target: Grid, size_ijk: NDArray[Any]) -> list[int]:
    """How many native voxels to average per axis: the target's coarseness seen along it."""
    native = np.asarray(grid.direction).reshape(3, 3)
    working = np.asarray(target.direction).reshape(3, 3)
    along = np.abs(native.T @ working) ** 2 @ np.asarray(target.spacing_mm)
    ratio = along / np.asarray(grid.spacing_mm)
    factors = np.where(ratio >= _SHRINK_FROM, np.floor(ratio + 0.3), 1).astype(int)
    return [int(value) for value in np.minimum(np.maximum(factors, 1), np.maximum(size_ijk, 1))]


def _resampled(
    image: sitk.Image, target: Grid, *, outside: float, pixel: int = sitk.sitkFloat32
) -> NDArray[np.float32]:
    """An image linearly interpolated at the voxel centres of ``target``."""
    resampled = sitk.Resample(
        image,
        target.size_ijk,
        sitk.Transform(),
        sitk.sitkLinear,
        target.origin_lps_mm,
        target.spacing_mm,
        target.direction,
        outside,
        pixel,
    )
    return np.asarray(sitk.GetArrayFromImage(resampled), dtype=np.float32)


def sample_ct(volume: Volume, target: Grid) -> NDArray[np.float32]:
    """CT numbers of ``volume`` at the voxel centres of ``target``.

    Linear interpolation after averaging where the target is much coarser; air outside.

    Returns:
        HU, shape ``target.shape_kji``.
    """
    start, stop = index_box(volume.grid, target, margin_voxels=3)
    if np.any(stop <= start):
        return np.full(target.shape_kji, AIR_HU, dtype=np.float32)
    part = volume.voxels[start[2] : stop[2], start[1] : stop[1], start[0] : stop[0]]
    image = to_image(np.ascontiguousarray(part), volume.grid.cropped(tuple(start), tuple(stop)))
    factors = _shrink_factors(volume.grid, target, stop - start)
    if max(factors) > 1:
        image = sitk.BinShrink(image, factors)
    return _resampled(image, target, outside=AIR_HU)


def sample_labels(labels: NDArray[Any], grid: Grid, target: Grid) -> NDArray[np.uint8]:
    """A label map at the voxel centres of ``target``, 0 outside (label-wise linear vote)."""
    start, stop = index_box(grid, target, margin_voxels=3)
    result = np.zeros(target.shape_kji, dtype=np.uint8)
    if np.any(stop <= start):
        return result
    part = labels[start[2] : stop[2], start[1] : stop[1], start[0] : stop[0]]
    values = np.unique(part)
    cropped = grid.cropped(tuple(start), tuple(stop))
    factors = _shrink_factors(grid, target, stop - start)
    best = np.full(target.shape_kji, 0.5, dtype=np.float32)
    for value in values[values > 0]:
        image = to_image((part == value).astype(np.float32), cropped)
        if max(factors) > 1:
            image = sitk.BinShrink(image, factors)
        share = _resampled(image, target, outside=0.0)
        wins = share >= best
        result[wins] = value
        best[wins] = share[wins]
    return result


def restore_scores(
    scores: NDArray[np.float32], grid: Grid, native: Grid
) -> tuple[NDArray[np.float32], tuple[slice, slice, slice]]:
    """Class scores of a working grid, interpolated onto the part of ``native`` that it covers.

    Args:
        scores: shape ``(classes, *grid.shape_kji)``; outside the grid every score is 0.
        grid: where the scores lie.
        native: the grid to restore to.

    Returns:
        Scores of shape ``(k, j, i, classes)`` and the slices (k, j, i) of the native array that
        they belong to.
    """
    start, stop = index_box(native, grid, margin_voxels=0)
    box = tuple(slice(int(start[axis]), int(stop[axis])) for axis in (2, 1, 0))
    where = (box[0], box[1], box[2])
    if np.any(stop <= start):
        shape = tuple(int(value) for value in (stop - start)[::-1])
        return np.zeros((*shape, scores.shape[0]), dtype=np.float32), where
    part = native.cropped(tuple(start), tuple(stop))
    image = to_image(np.ascontiguousarray(np.moveaxis(scores, 0, -1)), grid)
    restored = _resampled(image, part, outside=0.0, pixel=sitk.sitkVectorFloat32)
    # SimpleITK drops the last axis where there is one channel only.
    return restored.reshape(*part.shape_kji, scores.shape[0]), where
