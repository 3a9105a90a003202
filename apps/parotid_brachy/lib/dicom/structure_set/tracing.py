"""From one slice's mask to closed polygons, holes joined to their outline by a keyhole.

Polygons run half a pixel outside the voxel centres they hold, so that the mask follows from them
exactly. Keyholes (PS3.3, section C.8.8.6.3) instead of separate inner rings, because readers
disagree on the latter: some fill them.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.measure import approximate_polygon, find_contours

from parotid_brachy.lib.dicom.structure_set.rasterising import inside_polygons
from parotid_brachy.lib.imaging.volume import FloatArray

_SIMPLIFIED_PX: Final = 0.3
"""How far a polygon may leave the traced outline. The outline passes voxel centres at 0.35 pixels
and more, so that no centre changes sides."""


def trace_mask(mask: NDArray[np.bool_]) -> list[FloatArray]:
    """Closed polygons round a mask; rasterising them gives the mask again.

    Args:
        mask: of one slice, shape (rows, columns).

    Returns:
        Each of shape (n, 2): continuous pixel indices (i, j), the last point not the first again.
        One polygon for each piece (4-connected); none where the mask is empty.
    """
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return []
    cropped = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    pieces, _ = ndimage.label(cropped)
    polygons: list[FloatArray] = []
    for number, window in enumerate(ndimage.find_objects(pieces), start=1):
        piece = np.pad(pieces[window] == number, 1)
        shift = np.array([columns[0] + window[1].start, rows[0] + window[0].start]) - 1.0
        polygons.append(_outline(piece) + shift)
    return polygons


def _outline(piece: NDArray[np.bool_]) -> FloatArray:
    """The outline of a connected piece with an empty border, in (i, j).

    The simplified one, if the mask follows from it; else as it was traced.
    """
    # "low": diagonal neighbours of the piece are apart, as in the labelling of the pieces.
    rings = [ring[:-1, ::-1] for ring in find_contours(piece.astype(np.float64), 0.5)]
    simple = [_simplified(ring) for ring in rings]
    if all(len(ring) >= 3 for ring in simple):
        polygon = _with_keyholes(simple)
        if np.array_equal(inside_polygons([polygon], piece.shape), piece):
            return polygon
    return _with_keyholes(rings)


def _simplified(ring: FloatArray) -> FloatArray:
    closed = np.vstack([ring, ring[:1]])
    return np.asarray(approximate_polygon(closed, _SIMPLIFIED_PX)[:-1], dtype=np.float64)


def _area(ring: FloatArray) -> float:
    x, y = ring.T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def _with_keyholes(rings: list[FloatArray]) -> FloatArray:
    """The outer ring, going to each hole and back by the shortest way between two corners."""
    outer, *holes = sorted(rings, key=_area, reverse=True)
    polygon = outer
    while holes:
        # The nearest hole first: the way to it crosses no other.
        tree = cKDTree(polygon)
        gaps = [tree.query(hole) for hole in holes]
        nearest = int(np.argmin([distance.min() for distance, _ in gaps]))
        distance, partner = gaps[nearest]
        hole = holes.pop(nearest)
        start = int(distance.argmin())
        at = int(partner[start])
        loop = np.vstack([hole[start:], hole[: start + 1]])
        polygon = np.vstack([polygon[: at + 1], loop, polygon[at:]])
    return polygon
