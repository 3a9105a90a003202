"""Signed distances (mm, negative inside) of smooth bodies: ellipsoids, swept tubes, plates.

Unions, cuts and noise make them inexact away from their surfaces; ``normalised`` restores the
slope of one that partial volume and offsets need.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.ndimage import map_coordinates

from parotid_brachy.lib.imaging.volume import FloatArray
from parotid_brachy.lib.phantom.lattice import Array, Lattice, Points

Vector = tuple[float, float, float]
_TINY = np.float32(1e-6)
_TABLE_MM = np.float32(0.5)


def ellipsoid(p: Points, centre: Vector, semi: Vector, *, axes: FloatArray | None = None) -> Array:
    """An ellipsoid; ``axes`` has its unit axes as rows (the frame's own if None)."""
    x, y, z = p.x - centre[0], p.y - centre[1], p.z - centre[2]
    if axes is not None:
        rows = axes.astype(np.float32)
        x, y, z = (row[0] * x + row[1] * y + row[2] * z for row in rows)
    a, b, c = x / semi[0], y / semi[1], z / semi[2]
    scaled = np.sqrt(a * a + b * b + c * c)
    slope = np.sqrt((a / semi[0]) ** 2 + (b / semi[1]) ** 2 + (c / semi[2]) ** 2)
    distance = scaled * (scaled - 1) / np.maximum(slope, _TINY)
    return np.asarray(np.maximum(distance, -min(semi)), dtype=np.float32)


def tube(
    p: Points,
    path: Sequence[Vector] | FloatArray,
    radius: float | Sequence[float],
    *,
    flat: tuple[Vector, float] | None = None,
) -> Array:
    """A tube swept along a polyline with a radius at each point.

    Args:
        p: sample points.
        path: polyline, at least two points.
        radius: one for all, or one a point.
        flat: direction in which the section is thinner, and how many times.
    """
    points = np.asarray(path, dtype=np.float64)
    radii = np.broadcast_to(np.asarray(radius, dtype=np.float64), (len(points),))
    x, y, z = p.x, p.y, p.z
    if flat is not None:
        normal, ratio = np.asarray(flat[0], dtype=np.float64), flat[1]
        normal /= np.linalg.norm(normal)
        points = points + (ratio - 1) * (points @ normal)[:, None] * normal
        n0, n1, n2 = normal.astype(np.float32)
        shift = np.float32(ratio - 1) * (n0 * x + n1 * y + n2 * z)
        x, y, z = x + shift * n0, y + shift * n1, z + shift * n2
    best: Array | None = None
    for (a, b), (ra, rb) in zip(itertools.pairwise(points), itertools.pairwise(radii), strict=True):
        distance = _segment(x, y, z, a, b, float(ra), float(rb))
        best = distance if best is None else np.minimum(best, distance)
    assert best is not None
    return best


def _segment(x: Array, y: Array, z: Array, a: FloatArray, b: FloatArray, *radii: float) -> Array:
    edge = (b - a).astype(np.float32)
    dx, dy, dz = x - np.float32(a[0]), y - np.float32(a[1]), z - np.float32(a[2])
    length = np.float32(max(float(edge @ edge), 1e-9))
    t = np.clip((dx * edge[0] + dy * edge[1] + dz * edge[2]) / length, 0, 1)
    dx -= t * edge[0]
    dy -= t * edge[1]
    dz -= t * edge[2]
    gap = np.sqrt(dx * dx + dy * dy + dz * dz)
    return np.asarray(gap - (radii[0] + (radii[1] - radii[0]) * t), dtype=np.float32)


def spline(points: Sequence[Vector] | FloatArray, count: int) -> FloatArray:
    """A smooth curve through ``points``, sampled ``count`` times."""
    knots = np.asarray(points, dtype=np.float64)
    chord = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(knots, axis=0), axis=1))])
    curve = CubicSpline(chord, knots)
    return np.asarray(curve(np.linspace(0, chord[-1], count)), dtype=np.float64)


def closed_spline(points: Sequence[tuple[float, float]], count: int) -> FloatArray:
    """A smooth closed outline through ``points`` in a plane."""
    knots = np.asarray([*points, points[0]], dtype=np.float64)
    chord = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(knots, axis=0), axis=1))])
    curve = CubicSpline(chord, knots, bc_type="periodic")
    return np.asarray(curve(np.linspace(0, chord[-1], count, endpoint=False)), dtype=np.float64)


def outline(u: Array, v: Array, polygon: FloatArray, *, margin_mm: float = 12.0) -> Array:
    """Signed distance in a plane to a closed polygon (n, 2), by a table of 0.5 mm.

    Farther away than ``margin_mm`` it is only known to be farther.
    """
    low = polygon.min(axis=0) - margin_mm
    size = np.ceil((polygon.max(axis=0) + margin_mm - low) / _TABLE_MM).astype(int) + 1
    table = _to_polygon(
        (low[0] + _TABLE_MM * np.arange(size[0])[:, None]).astype(np.float32),
        (low[1] + _TABLE_MM * np.arange(size[1])[None, :]).astype(np.float32),
        polygon,
    )
    places = np.stack([(u - np.float32(low[0])) / _TABLE_MM, (v - np.float32(low[1])) / _TABLE_MM])
    return np.asarray(map_coordinates(table, places, order=1, mode="nearest"), dtype=np.float32)


def _to_polygon(u: Array, v: Array, polygon: FloatArray) -> Array:
    nearest = np.full(np.broadcast_shapes(u.shape, v.shape), np.inf, dtype=np.float32)
    inside = np.zeros(nearest.shape, dtype=bool)
    corners = polygon.astype(np.float32)
    for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        eu, ev = b - a
        du, dv = u - a[0], v - a[1]
        t = np.clip((du * eu + dv * ev) / max(eu * eu + ev * ev, _TINY), 0, 1)
        nearest = np.minimum(nearest, (du - t * eu) ** 2 + (dv - t * ev) ** 2)
        if ev != 0:
            crosses = (v < a[1]) != (v < b[1])
            inside ^= crosses & (du < eu / ev * dv)
    distance = np.sqrt(nearest)
    return np.asarray(np.where(inside, -distance, distance), dtype=np.float32)


def smooth_union(a: Array, b: Array, blend_mm: float) -> Array:
    """Union whose seam is filled over ``blend_mm``."""
    h = np.clip(0.5 + 0.5 * (b - a) / blend_mm, 0, 1)
    return np.asarray(b + (a - b) * h - blend_mm * h * (1 - h), dtype=np.float32)


def smooth_cut(a: Array, b: Array, blend_mm: float) -> Array:
    """Intersection whose edge is rounded over ``blend_mm``."""
    return np.asarray(-smooth_union(-a, -b, blend_mm), dtype=np.float32)


def box_of(
    path: Sequence[Vector] | FloatArray, margin_mm: float | Vector
) -> tuple[tuple[float, float], tuple[float, float], tuple[float, float]]:
    """The box round some points, grown on all sides."""
    points = np.atleast_2d(np.asarray(path, dtype=np.float64))
    low, high = points.min(axis=0) - margin_mm, points.max(axis=0) + margin_mm
    return (
        (float(low[0]), float(high[0])),
        (float(low[1]), float(high[1])),
        (float(low[2]), float(high[2])),
    )


def normalised(values: Array, lattice: Lattice) -> Array:
    """Values over their slope: a distance near the surface, whatever the function's scale."""
    parts = np.gradient(values, *lattice.spacing_kji_mm)
    slope = np.sqrt(sum(part * part for part in parts))
    return np.asarray(values / np.maximum(slope, 0.2), dtype=np.float32)


def levels(z: Array, heights: Sequence[float], values: Sequence[float]) -> Array:
    """A quantity given at some heights, linear between them, at the points' own heights."""
    return np.interp(z, heights, values).astype(np.float32)


def bump(t: Array, width: float) -> Array:
    """Bell of height 1 at 0."""
    return np.asarray(np.exp(-((t / width) ** 2)), dtype=np.float32)


def step(t: Array, width: float) -> Array:
    """0 far below 0, 1 far above, over about four widths."""
    return np.asarray(0.5 * (1 + np.tanh(t / width)), dtype=np.float32)
