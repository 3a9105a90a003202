"""Surfaces of masks, and how far one lies from another.

Two representations, both in millimetres from the grid's spacing (an oblique grid only turns
them). Surface voxels, the mask's voxels with a face on the outside, carry distances: Hausdorff
and mean. Surface elements carry areas: the triangles that marching cubes lays through each cell
of 2 x 2 x 2 voxel centres, as the surface DSC's authors do (Nikolov et al., J Med Internet Res
2021;23:e26151). The volume's edge counts as outside in both, and so does what is cut in both: a
face whose outside lies wholly beyond the known part of the grid is nobody's contour.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree
from skimage.measure import marching_cubes, mesh_surface_area

Box = tuple[slice, slice, slice]
Spacing = tuple[float, float, float]
_Mask = NDArray[np.bool_]

_CELL = tuple(itertools.product((0, 1), repeat=3))
_HALF_A_CELL = 4


@dataclass(frozen=True)
class SurfaceElements:
    """A surface by the cells that it runs through.

    Attributes:
        cells: which cells, one more along each axis than the box has voxels.
        areas_mm2: of the surface in each of them, in C order.
    """

    cells: _Mask
    areas_mm2: NDArray[np.float64]


def surface_voxels(mask: _Mask, known: _Mask | None, box: Box) -> _Mask:
    """Voxels of a mask with a face on the outside.

    Args:
        mask: shape ``(k, j, i)``.
        known: the part in which the mask was contoured; surface voxels whose outside neighbours
            all lie beyond it are left out, unless nothing else is left. None: everywhere.
        box: holds the whole mask.

    Returns:
        On the box.
    """
    inside = mask[box]
    surface = np.asarray(inside & ~ndimage.binary_erosion(inside))
    if known is None:
        return surface
    beside = ndimage.binary_dilation(_outside(mask, known, box))[1:-1, 1:-1, 1:-1]
    drawn = np.asarray(inside & beside)
    return drawn if drawn.any() else surface


def surface_elements(
    mask: _Mask, known: _Mask | None, box: Box, spacing_kji_mm: Spacing
) -> SurfaceElements:
    """Cells through which a mask's surface runs, and its area in each.

    Args:
        mask: as for :func:`surface_voxels`.
        known: likewise; a cell is left out where all its voxels on the outside lie beyond it.
        box: likewise.
        spacing_kji_mm: in the order of the array's axes.
    """
    inside = np.pad(mask[box], 1)
    size = tuple(length - 1 for length in inside.shape)
    code = np.zeros(size, np.uint8)
    for bit, corner in enumerate(_CELL):
        code |= inside[_shifted(corner, size)].astype(np.uint8) << np.uint8(bit)
    cells = (code != 0) & (code != np.iinfo(np.uint8).max)
    if known is not None:
        outside = _outside(mask, known, box)
        beside = np.zeros(size, bool)
        for corner in _CELL:
            beside |= outside[_shifted(corner, size)]
        drawn = cells & beside
        cells = drawn if drawn.any() else cells
    return SurfaceElements(np.asarray(cells), _cell_areas_mm2(spacing_kji_mm)[code[cells]])


def distances_mm(origin: _Mask, target: _Mask, spacing_kji_mm: Spacing) -> NDArray[np.float64]:
    """Distance of each voxel (or cell) of one surface to the nearest of another.

    Args:
        origin: not empty.
        target: not empty, same shape.
        spacing_kji_mm: in the order of the array's axes.

    Returns:
        In the C order of ``origin``.
    """
    # Contours that agree share most of their surface: only the rest is looked up, among points
    # instead of in a distance map of the whole box.
    apart = ~target[origin]
    found = np.zeros(apart.shape, np.float64)
    if apart.any():
        spacing = np.asarray(spacing_kji_mm)
        nearest, _ = KDTree(np.argwhere(target) * spacing).query(
            np.argwhere(origin)[apart] * spacing
        )
        found[apart] = nearest
    return found


def _outside(mask: _Mask, known: _Mask, box: Box) -> _Mask:
    """The known outside on the box and one voxel round it; beyond the volume all is known."""
    wide = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in box)
    missing = [
        (int(s.start == 0), int(s.stop == size)) for s, size in zip(box, mask.shape, strict=True)
    ]
    return np.pad(known[wide] & ~mask[wide], missing, constant_values=True)


def _shifted(corner: tuple[int, ...], size: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(step, step + length) for step, length in zip(corner, size, strict=True))


@functools.lru_cache(maxsize=64)
def _cell_areas_mm2(spacing_kji_mm: Spacing) -> NDArray[np.float64]:
    """Area of the surface in a cell, by which of its eight voxels are inside (bits of _CELL).

    A cell that is more than half full is taken for its complement, so that a surface has one
    area from either side; where the classic triangulation is ambiguous the two would differ.
    """
    areas = np.zeros(2 ** len(_CELL))
    for code in range(1, len(areas) - 1):
        cell = np.zeros((2, 2, 2))
        for bit, corner in enumerate(_CELL):
            cell[corner] = code >> bit & 1
        if cell.sum() > _HALF_A_CELL:
            cell = 1.0 - cell
        vertices, faces, _, _ = marching_cubes(cell, 0.5, spacing=spacing_kji_mm, method="lorensen")
        areas[code] = mesh_surface_area(vertices, faces)
    areas.setflags(write=False)
    return areas
