"""The canvas: structures are painted one over another with partial volume at their edges."""

from __future__ import annotations

import enum
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from parotid_brachy.lib.anatomy import Side
from parotid_brachy.lib.imaging.volume import Grid
from parotid_brachy.lib.phantom.lattice import Array, Field, at_slice, slices_of, to_voxels
from parotid_brachy.lib.phantom.tissue import Texture, Tissue


class Label(enum.Enum):
    """What a painted structure does to the truth beneath it."""

    KEEP = "keep"
    CLEAR = "clear"


_RIGHT = 16
"""Added to the right side's values while both sides share one map."""


class Canvas:
    """CT numbers, tissues and truth of a scan while it is being drawn.

    Attributes:
        grid: the scan's grid.
        hu: mean CT numbers with partial volume, without texture and noise.
        tissue: what each voxel is mostly made of.
    """

    def __init__(self, grid: Grid, textures: Mapping[Tissue, Texture], *, blur_mm: float) -> None:
        self.grid = grid
        self.hu: Array = np.full(grid.shape_kji, textures[Tissue.AIR].mean_hu, dtype=np.float32)
        self.tissue: NDArray[np.uint8] = np.zeros(grid.shape_kji, dtype=np.uint8)
        self._truth: NDArray[np.uint8] = np.zeros(grid.shape_kji, dtype=np.uint8)
        self._textures = textures
        self._blur_mm = blur_mm

    def paint(
        self,
        field: Field,
        tissue: Tissue,
        label: tuple[Side, int] | Label = Label.CLEAR,
        *,
        hu: float | None = None,
        only_in_air: bool = False,
    ) -> None:
        """Paints the inside of ``field``.

        Args:
            field: signed distance of what is painted.
            tissue: what it is made of.
            label: side and structure's value, or what happens to the truth already there.
            hu: mean CT number where it is not the tissue's usual.
            only_in_air: leave what is already something else as it is.
        """
        lattice = field.lattice
        units = field.edge_units(blur_mm=self._blur_mm)
        value = np.float32(self._textures[tissue].mean_hu if hu is None else hu)
        truth = _truth_value(label)
        for k in slices_of(lattice):
            placed = to_voxels(at_slice(units, lattice, k), lattice, below=0.5)
            if placed is None:
                continue
            rows, columns, edge = placed
            here = self.hu[k, rows, columns]
            if only_in_air:
                edge = np.where(self.tissue[k, rows, columns] == Tissue.AIR, edge, np.float32(1))
            cover = np.clip(0.5 - edge, 0, 1)
            here += cover * (value - here)
            inside = edge < 0
            self.tissue[k, rows, columns][inside] = tissue
            if truth is not None:
                self._truth[k, rows, columns][inside] = truth

    def mark(self, field: Field, label: tuple[Side, int]) -> None:
        """Sets the truth inside ``field`` and leaves the image."""
        truth = _truth_value(label)
        for k in slices_of(field.lattice):
            placed = to_voxels(
                at_slice(field.distance_mm, field.lattice, k), field.lattice, below=1
            )
            if placed is not None:
                rows, columns, edge = placed
                self._truth[k, rows, columns][edge < 0] = truth

    def truth(self, side: Side) -> NDArray[np.uint8]:
        """The label map of one side, values as in the table of structures."""
        shifted = self._truth if side is Side.LEFT else self._truth - np.uint8(_RIGHT)
        return np.asarray(np.where(shifted < _RIGHT, shifted, 0), dtype=np.uint8)


def _truth_value(label: tuple[Side, int] | Label) -> np.uint8 | None:
    if label is Label.KEEP:
        return None
    if isinstance(label, Label):
        return np.uint8(0)
    side, value = label
    return np.uint8(value + (_RIGHT if side is Side.RIGHT else 0))
