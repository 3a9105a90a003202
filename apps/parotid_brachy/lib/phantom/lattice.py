"""Lattices of sample points on a scan's grid, and signed distances back on its voxels.

Distances are smooth, so that they are evaluated on a lattice coarser than the voxels (about 1 mm
for small structures, 2 mm for the head) and interpolated linearly; a surface with a radius of
curvature r moves by about step^2 / 8r then, which is under a tenth of a millimetre.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from parotid_brachy.lib.imaging.volume import FloatArray, Grid

Array = NDArray[np.float32]
Box = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
"""((x low, x high), (y low, y high), (z low, z high)) in millimetres."""

_AXES: Final = (0, 1, 2)


@dataclass(frozen=True)
class Lattice:
    """Every ``step``-th voxel centre of a box of a grid; it may reach beyond the grid.

    Attributes:
        grid: the scan's grid.
        start_kji: voxel index of the first point.
        step_kji: voxels from point to point.
        shape: number of points along k, j, i.
    """

    grid: Grid
    start_kji: tuple[int, int, int]
    step_kji: tuple[int, int, int]
    shape: tuple[int, int, int]

    @classmethod
    def over(cls, grid: Grid, box_lps_mm: Box, *, step_mm: float, slice_step_mm: float) -> Lattice:
        """The lattice that covers a box; steps are whole voxels, at most the given millimetres."""
        matrix = np.asarray(box_lps_mm, dtype=np.float64)
        corners = np.array(np.meshgrid(*matrix)).reshape(3, -1).T
        ijk = grid.to_index(corners)
        low = np.floor(ijk.min(axis=0)).astype(int)[::-1]
        high = np.ceil(ijk.max(axis=0)).astype(int)[::-1]
        spacing = grid.spacing_kji_mm
        wanted = (slice_step_mm, step_mm, step_mm)
        step = [max(1, int(w / s + 0.25)) for w, s in zip(wanted, spacing, strict=True)]
        start = [int(value) // n * n for value, n in zip(low, step, strict=True)]
        count = [
            max(2, -(-(int(h) - s) // n) + 1) for h, s, n in zip(high, start, step, strict=True)
        ]
        return cls(
            grid,
            (start[0], start[1], start[2]),
            (step[0], step[1], step[2]),
            (count[0], count[1], count[2]),
        )

    @property
    def spacing_kji_mm(self) -> tuple[float, float, float]:
        """Distance between neighbouring points."""
        a, b = self.grid.spacing_kji_mm, self.step_kji
        return (a[0] * b[0], a[1] * b[1], a[2] * b[2])

    @property
    def point_ml(self) -> float:
        """Volume that one point stands for."""
        a = self.spacing_kji_mm
        return a[0] * a[1] * a[2] / 1000.0

    def part(self, low: tuple[int, ...], high: tuple[int, ...]) -> Lattice:
        """The points from ``low`` up to, not including, ``high`` (k, j, i)."""
        start = [s + a * n for s, a, n in zip(self.start_kji, low, self.step_kji, strict=True)]
        shape = [b - a for a, b in zip(low, high, strict=True)]
        return Lattice(
            self.grid,
            (start[0], start[1], start[2]),
            self.step_kji,
            (shape[0], shape[1], shape[2]),
        )

    def index(self, axis: int) -> FloatArray:
        """Voxel indices of the points along axis k (0), j (1) or i (2)."""
        return np.asarray(
            self.start_kji[axis] + self.step_kji[axis] * np.arange(self.shape[axis]), np.float64
        )

    def positions(self, rotation: FloatArray, centre_lps_mm: FloatArray) -> tuple[Array, ...]:
        """``rotation @ (position - centre)`` of all points, as three arrays."""
        matrix = rotation @ self.grid.matrix
        origin = rotation @ (np.asarray(self.grid.origin_lps_mm) - centre_lps_mm)
        k, j, i = (self.index(axis) for axis in _AXES)
        return tuple(
            (
                (matrix[n, 2] * k + origin[n]).astype(np.float32)[:, None, None]
                + (matrix[n, 1] * j).astype(np.float32)[None, :, None]
                + (matrix[n, 0] * i).astype(np.float32)[None, None, :]
            )
            for n in range(3)
        )


@dataclass(frozen=True)
class Points:
    """Sample points and where they lie in an anatomical frame, in millimetres.

    Attributes:
        lattice: where they lie on the grid.
        x: to the left of the head, or lateral where the frame is a side's.
        y: posterior.
        z: superior.
    """

    lattice: Lattice
    x: Array
    y: Array
    z: Array

    def within(self, box: Box) -> Points:
        """The smallest part of the lattice that holds every point inside ``box``."""
        # Looking at every other point of each axis is enough: the box grows by what that misses.
        skip = tuple(2 if count > 12 else 1 for count in self.lattice.shape)
        sparse = tuple(slice(None, None, n) for n in skip)
        room = 1.05 * max(n * mm for n, mm in zip(skip, self.lattice.spacing_kji_mm, strict=True))
        inside: NDArray[np.bool_] | None = None
        for values, (low, high) in zip((self.z, self.y, self.x), box[::-1], strict=True):
            some = values[sparse]
            here = (some > low - room) & (some < high + room)
            inside = here if inside is None else inside & here
        assert inside is not None
        lows, highs = [], []
        for axis in _AXES:
            others = tuple(n for n in _AXES if n != axis)
            hit = np.flatnonzero(inside.any(axis=others)) * skip[axis]
            first, last = (int(hit[0]), int(hit[-1])) if hit.size else (0, 0)
            count = self.lattice.shape[axis]
            lows.append(max(0, min(first, count - 2)))
            highs.append(min(count, max(last + 1, lows[-1] + 2)))
        cut = tuple(slice(a, b) for a, b in zip(lows, highs, strict=True))
        return Points(
            self.lattice.part(tuple(lows), tuple(highs)), self.x[cut], self.y[cut], self.z[cut]
        )

    def moved(self, x: Array, y: Array, z: Array) -> Points:
        """The same points in another frame."""
        return Points(self.lattice, x, y, z)


@dataclass(frozen=True)
class Field:
    """Signed distance (mm, negative inside) at the points of a lattice."""

    lattice: Lattice
    distance_mm: Array

    def edge_units(self, *, blur_mm: float) -> Array:
        """Distance over the width of the blurred edge, so that -0.5..0.5 is partial volume.

        In plane the width is the scanner's blur; across slices it is how much the distance
        changes over one slice's thickness.
        """
        distance = self.distance_mm
        slice_mm = self.lattice.grid.spacing_kji_mm[0]
        per_slice = np.abs(np.gradient(distance, axis=0)) * np.float32(
            slice_mm / self.lattice.spacing_kji_mm[0]
        )
        width = blur_mm + 0.85 * np.minimum(per_slice, slice_mm)
        return np.asarray(distance / width, dtype=np.float32)


@dataclass(frozen=True)
class _Axis:
    """Linear interpolation from lattice points to the voxels first..last of one axis."""

    first: int
    low: NDArray[np.intp]
    weight: Array

    @classmethod
    def of(cls, start: int, step: int, points: tuple[int, int], size: int) -> _Axis | None:
        first = max(0, start + step * points[0])
        last = min(size - 1, start + step * points[1])
        if last < first:
            return None
        place = (np.arange(first, last + 1) - start) / step
        low = np.minimum(np.floor(place).astype(np.intp), points[1] - 1)
        return cls(first, low, (place - low).astype(np.float32))

    @property
    def span(self) -> slice:
        return slice(self.first, self.first + len(self.low))


def resampled(values: Array, source: Lattice, target: Lattice) -> Array:
    """Values of one lattice at the points of another on the same grid, by linear interpolation.

    Points beyond the source take the value at its edge.
    """
    result = values
    for axis in _AXES:
        place = (target.index(axis) - source.start_kji[axis]) / source.step_kji[axis]
        low = np.clip(np.floor(place).astype(np.intp), 0, source.shape[axis] - 2)
        shape = [1, 1, 1]
        shape[axis] = -1
        weight = np.clip(place - low, 0, 1).astype(np.float32).reshape(shape)
        first = np.take(result, low, axis=axis)
        result = first + (np.take(result, low + 1, axis=axis) - first) * weight
    return result


def slices_of(lattice: Lattice) -> range:
    """The grid's slices that a lattice covers."""
    first = max(0, lattice.start_kji[0])
    last = lattice.start_kji[0] + lattice.step_kji[0] * (lattice.shape[0] - 1)
    return range(first, min(lattice.grid.size_ijk[2] - 1, last) + 1)


def at_slice(values: Array, lattice: Lattice, k: int) -> Array:
    """Lattice values interpolated to slice ``k``, still on the lattice's own j and i."""
    place = (k - lattice.start_kji[0]) / lattice.step_kji[0]
    low = min(int(place), lattice.shape[0] - 2)
    weight = np.float32(place - low)
    if weight == 0.0:
        return np.asarray(values[low], dtype=np.float32)
    return np.asarray(values[low] * (1 - weight) + values[low + 1] * weight, dtype=np.float32)


def to_voxels(
    plane: Array, lattice: Lattice, *, below: float = np.inf
) -> tuple[slice, slice, Array] | None:
    """A slice's lattice values on the voxels, where they come near anything under ``below``.

    Returns:
        Rows, columns and values of the smallest rectangle that holds them; None where none are.
    """
    near = plane < below
    rows, columns = np.flatnonzero(near.any(axis=1)), np.flatnonzero(near.any(axis=0))
    if rows.size == 0:
        return None
    axes = []
    for n, hit in ((1, rows), (2, columns)):
        count = lattice.shape[n]
        ends = (max(0, int(hit[0]) - 1), min(count - 1, int(hit[-1]) + 1))
        size = lattice.grid.shape_kji[n]
        axis = _Axis.of(lattice.start_kji[n], lattice.step_kji[n], ends, size)
        if axis is None:
            return None
        axes.append(axis)
    j, i = axes
    wide = plane[j.low] * (1 - j.weight)[:, None] + plane[j.low + 1] * j.weight[:, None]
    if lattice.step_kji[2] == 1:
        # Weights are 0, or 1 at the last point.
        exact = i.low + (i.weight > 0)
        return j.span, i.span, np.asarray(wide[:, exact], dtype=np.float32)
    full = wide[:, i.low] * (1 - i.weight) + wide[:, i.low + 1] * i.weight
    return j.span, i.span, np.asarray(full, dtype=np.float32)
