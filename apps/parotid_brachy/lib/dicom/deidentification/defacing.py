"""Taking the face's surface out of a CT, so that it cannot be drawn from the voxels.

Method. The body is what is denser than -300 HU and hangs together. In front of a coronal plane,
everything outside of the body (its blurred edge, a mask that the patient wears) and all tissue
within some depth of the body's surface becomes air. What lies within reach of either gland, and a
margin, is left as it is, bit by bit. If the map has a gland on one side only, the other one is
taken to be its mirror image in the plane midway between the body's sides.

The plane goes through the glands' centre. Without a gland map it lies a fifth of the way from the
front of the head to its back, in front of all that is within reach of a parotid gland: an estimate
from the body's outline, which leaves more of the cheeks.

Bone, teeth and the inner face stay: this hinders recognition by sight, it does not rule it out.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from parotid_brachy.lib.anatomy import GLAND, REACH_MM
from parotid_brachy.lib.errors import InputRefusedError
from parotid_brachy.lib.imaging.roi import within_reach
from parotid_brachy.lib.imaging.volume import FloatArray, Grid, Volume

_AIR_HU: Final = -1000
_TISSUE_HU: Final = -300
_LEAST_BODY_ML: Final = 200.0
_ONE_SIDE: Final = 0.05
"""Less than this share of the gland voxels on a side: there is no gland there."""
_FRONT: Final = 0.2
"""Share of the head's depth, from the front, that is taken for face without a gland map."""


class Basis(enum.Enum):
    """What said where the glands are."""

    GLANDS = "both glands of the label map"
    ONE_GLAND = "one gland of the label map and its mirror image"
    OUTLINE = "the body's outline"


@dataclass(frozen=True)
class DefacingMethod:
    """How much is taken away.

    Attributes:
        depth_mm: tissue under the surface that goes.
        margin_mm: beyond the seeds' reach, what is left alone round the glands.
        below_mm: how far below the lowest gland voxel the face is taken to end (the chin).
    """

    depth_mm: float = 12.0
    margin_mm: float = 3.0
    below_mm: float = 50.0


@dataclass(frozen=True)
class Defaced:
    """A volume without a face.

    Attributes:
        volume: a new volume; data type and grid are those of the one given.
        changed: voxels whose value differs from before.
        basis: what said where the glands are; for the report.
    """

    volume: Volume
    changed: NDArray[np.bool_]
    basis: Basis


def deface(
    volume: Volume, labels: NDArray[np.uint8] | None, method: DefacingMethod | None = None
) -> Defaced:
    """A copy of a head CT without the face's surface.

    Args:
        volume: HU, axes in any order and direction.
        labels: label map on the volume's grid with one or both glands
            (:data:`parotid_brachy.lib.anatomy.GLAND`), or None.
        method: how much is taken away.

    Raises:
        InputRefusedError: no body is found, or the map has no gland.
        GeometryError: the map does not fit the volume.
    """
    how = DefacingMethod() if method is None else method
    body = _body(volume)
    if labels is None:
        face, basis = _front_of_outline(body, volume.grid), Basis.OUTLINE
        protected = np.zeros(body.shape, dtype=bool)
    else:
        glands = Volume(volume.grid, labels, volume.case).voxels == GLAND.value
        if not glands.any():
            message = (
                f"{volume.case}: the label map has no parotid gland. Give one with a gland, or "
                "none to go by the outline."
            )
            raise InputRefusedError(message)
        glands, basis = _both(glands, body, volume.grid)
        face = _front_of_glands(glands, volume.grid, how)
        protected = within_reach(glands, volume.grid, reach_mm=REACH_MM + how.margin_mm)
    goes = face & ~protected & ~_deep(body, face, volume.grid, how.depth_mm)
    voxels = volume.voxels.copy()
    # Values below air's are the scanner's own, for what lies outside of its circle.
    voxels[goes] = np.minimum(voxels[goes], _AIR_HU)
    changed = np.asarray(voxels != volume.voxels)
    return Defaced(Volume(volume.grid, voxels, volume.case), changed, basis)


def _body(volume: Volume) -> NDArray[np.bool_]:
    """The largest thing that is denser than air, with its cavities that are closed in a slice."""
    parts, count = ndimage.label(volume.voxels > _TISSUE_HU)
    sizes = np.bincount(parts.ravel())[1:] if count else np.zeros(1)
    if sizes.max() * volume.grid.voxel_ml < _LEAST_BODY_ML:
        message = (
            f"{volume.case}: no head found (less than {_LEAST_BODY_ML:g} ml of tissue). Check that "
            "it is a CT in HU, or leave defacing off."
        )
        raise InputRefusedError(message)
    body: NDArray[np.bool_] = parts == sizes.argmax() + 1
    axis = _array_axis(volume.grid, 2)
    for number in range(body.shape[axis]):
        slab = [slice(None)] * 3
        slab[axis] = slice(number, number + 1)
        view = body[tuple(slab)]
        view[...] = ndimage.binary_fill_holes(view.squeeze(axis)).reshape(view.shape)
    return body


def _array_axis(grid: Grid, lps_axis: int) -> int:
    """Which axis of the array runs most along one of the patient's (0 x, 1 y, 2 z)."""
    axes = np.asarray(grid.direction).reshape(3, 3)
    return 2 - int(np.abs(axes[lps_axis]).argmax())


def _coordinate(grid: Grid, lps_axis: int) -> FloatArray:
    """One LPS coordinate of every voxel, in millimetres, to be broadcast to the array's shape."""
    steps = grid.matrix[lps_axis]
    k, j, i = (np.arange(size, dtype=np.float64) for size in grid.shape_kji)
    plane = k[:, None, None] * steps[2] + j[None, :, None] * steps[1] + i[None, None, :] * steps[0]
    return np.asarray(plane + grid.origin_lps_mm[lps_axis])


def _both(
    glands: NDArray[np.bool_], body: NDArray[np.bool_], grid: Grid
) -> tuple[NDArray[np.bool_], Basis]:
    x, z = _coordinate(grid, 0), _coordinate(grid, 2)
    low, high = z[glands].min(), z[glands].max()
    beside = x[body & (z >= low) & (z <= high)]
    if not beside.size:
        beside = x[body]
    midline_mm = float(beside.min() + beside.max()) / 2
    share = float((x[glands] > midline_mm).mean())
    if min(share, 1 - share) >= _ONE_SIDE:
        return glands, Basis.GLANDS
    index = np.argwhere(glands)[:, ::-1].astype(np.float64)
    positions = grid.to_lps_mm(index)
    positions[:, 0] = 2 * midline_mm - positions[:, 0]
    mirrored = np.rint(grid.to_index(positions)).astype(int)
    inside = np.all((mirrored >= 0) & (mirrored < np.asarray(grid.size_ijk)), axis=1)
    i, j, k = mirrored[inside].T
    both = glands.copy()
    both[k, j, i] = True
    return both, Basis.ONE_GLAND


def _front_of_glands(
    glands: NDArray[np.bool_], grid: Grid, how: DefacingMethod
) -> NDArray[np.bool_]:
    y, z = _coordinate(grid, 1), _coordinate(grid, 2)
    return np.asarray((y < y[glands].mean()) & (z >= z[glands].min() - how.below_mm))


def _front_of_outline(body: NDArray[np.bool_], grid: Grid) -> NDArray[np.bool_]:
    """The front fifth of the body, slice by slice."""
    y = _coordinate(grid, 1)
    axis = _array_axis(grid, 2)
    others = tuple(other for other in range(3) if other != axis)
    front = np.where(body, y, y.max()).min(axis=others, keepdims=True)
    back = np.where(body, y, y.min()).max(axis=others, keepdims=True)
    # A slice without a body has its front behind its back.
    return np.asarray((y < front + _FRONT * (back - front)) & (front < back))


def _deep(
    body: NDArray[np.bool_], face: NDArray[np.bool_], grid: Grid, depth_mm: float
) -> NDArray[Any]:
    """Voxels of the face's part that lie deeper in the body than the surface that goes."""
    spacing = np.asarray(grid.spacing_kji_mm)
    margin = np.ceil(depth_mm / spacing).astype(int) + 1
    box = tuple(
        slice(max(int(where[0]) - int(grow), 0), int(where[-1]) + int(grow) + 1)
        for where, grow in zip(
            (
                np.flatnonzero(face.any(axis=tuple(o for o in range(3) if o != axis)))
                for axis in range(3)
            ),
            margin,
            strict=True,
        )
    )
    deep = np.zeros(body.shape, dtype=bool)
    deep[box] = ndimage.distance_transform_edt(body[box], sampling=tuple(spacing)) > depth_mm
    return deep
