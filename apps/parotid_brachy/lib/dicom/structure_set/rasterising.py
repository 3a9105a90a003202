"""From closed polygons to one slice's mask: which voxel centres lie inside.

Even-odd over all polygons of a slice, so that an inner ring is a hole whether it is a polygon of
its own or joined to the outer one by a keyhole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from parotid_brachy.lib.imaging.volume import FloatArray

_EDGES_AT_ONCE: Final = 20_000
"""Each may cross every row: bounds the memory, whatever a file holds."""


def inside_polygons(polygons: Sequence[FloatArray], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """The voxels whose centre lies inside an odd number of polygons.

    Args:
        polygons: each of shape (n, 2), continuous pixel indices (i, j); closed by themselves.
        shape: rows and columns.

    Returns:
        Shape ``shape``. Centres exactly on an edge belong to one side of it, so that polygons
        that share an edge never share voxels.
    """
    rows, columns = shape
    toggles = np.zeros((rows, columns + 1), dtype=np.int64)
    for polygon in polygons:
        edges = np.stack([polygon, np.roll(polygon, -1, axis=0)], axis=1)
        for part in range(0, len(edges), _EDGES_AT_ONCE):
            row, first_inside = _crossings(edges[part : part + _EDGES_AT_ONCE], rows)
            column = np.clip(np.ceil(first_inside), 0, columns).astype(np.int64)
            np.add.at(toggles, (row, column), 1)
    return np.asarray(np.cumsum(toggles, axis=1)[:, :columns] % 2 == 1)


def _crossings(edges: FloatArray, rows: int) -> tuple[NDArray[np.int64], FloatArray]:
    """Where edges of shape (n, 2, 2) cross the rows of voxel centres: row and continuous column."""
    start, stop = edges[:, 0], edges[:, 1]
    # Upwards, each of them: a keyhole's two ways then give the same crossings to the last bit.
    is_down = start[:, 1] > stop[:, 1]
    low = np.where(is_down[:, None], stop, start)
    high = np.where(is_down[:, None], start, stop)
    # An edge holds its lower end and not its upper one: each corner counts once.
    first = np.clip(np.ceil(low[:, 1]), 0, rows).astype(np.int64)
    last = np.clip(np.ceil(high[:, 1]), 0, rows).astype(np.int64)
    counts = last - first
    edge = np.repeat(np.arange(len(edges)), counts)
    before = np.repeat(np.cumsum(counts) - counts, counts)
    row = first[edge] + np.arange(len(edge)) - before
    share = (row - low[edge, 1]) / (high[edge, 1] - low[edge, 1])
    column = low[edge, 0] + share * (high[edge, 0] - low[edge, 0])
    return row, np.asarray(column, dtype=np.float64)
