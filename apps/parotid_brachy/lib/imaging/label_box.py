"""The part of a label map that holds structures, so that work and memory follow the organs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from parotid_brachy.lib.errors import GeometryError
from parotid_brachy.lib.imaging.volume import Grid

Index = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class LabelBox:
    """A label map cropped to what it holds.

    Attributes:
        labels: values of ``anatomy``; read only; empty (0, 0, 0) where the map holds nothing.
        start_kji: where the crop begins in the whole map.
        grid: of the whole map.
    """

    labels: NDArray[np.uint8]
    start_kji: Index
    grid: Grid

    @classmethod
    def of(cls, labels: NDArray[np.uint8], grid: Grid) -> LabelBox:
        """Crops a map; what it returns holds no view of it.

        Raises:
            GeometryError: the map is not of the grid's shape.
        """
        if labels.shape != grid.shape_kji:
            message = f"label map of shape {labels.shape} on a grid of {grid.shape_kji}"
            raise GeometryError(message)
        box = occupied(labels)
        cropped = np.zeros((0, 0, 0), dtype=np.uint8) if box is None else labels[box].copy()
        cropped.setflags(write=False)
        start = (0, 0, 0) if box is None else (box[0].start, box[1].start, box[2].start)
        return cls(cropped, start, grid)

    @property
    def is_empty(self) -> bool:
        """Whether the map holds nothing."""
        return self.labels.size == 0

    @property
    def stop_kji(self) -> Index:
        """Where the crop ends in the whole map; exclusive."""
        k, j, i = (a + n for a, n in zip(self.start_kji, self.labels.shape, strict=True))
        return k, j, i

    def within(self, start_kji: Index, stop_kji: Index) -> NDArray[np.uint8]:
        """The map in another box, which holds its own: a new array."""
        shape = tuple(b - a for a, b in zip(start_kji, stop_kji, strict=True))
        result = np.zeros(shape, dtype=np.uint8)
        if not self.is_empty:
            place = tuple(
                slice(a - start, a - start + n)
                for a, start, n in zip(self.start_kji, start_kji, self.labels.shape, strict=True)
            )
            result[place] = self.labels
        return result


def common_box(*boxes: LabelBox) -> tuple[Index, Index] | None:
    """Start and stop, k, j, i, of the smallest box that holds all; None: all are empty."""
    held = [one for one in boxes if not one.is_empty]
    if not held:
        return None
    start = np.min([one.start_kji for one in held], axis=0)
    stop = np.max([one.stop_kji for one in held], axis=0)
    return (
        (int(start[0]), int(start[1]), int(start[2])),
        (int(stop[0]), int(stop[1]), int(stop[2])),
    )


def occupied(labels: NDArray[np.uint8]) -> tuple[slice, slice, slice] | None:
    """The smallest box, k, j, i, with every voxel that is not 0; None without one.

    Looks at whole slices first: most of a CT's map is empty.
    """
    k = _extent(labels.any(axis=(1, 2)))
    if k is None:
        return None
    flat = labels[k].any(axis=0)
    j, i = _extent(flat.any(axis=1)), _extent(flat.any(axis=0))
    assert j is not None
    assert i is not None
    return k, j, i


def _extent(is_held: NDArray[np.bool_]) -> slice | None:
    where = np.flatnonzero(is_held)
    return slice(int(where[0]), int(where[-1]) + 1) if where.size else None
