"""The parotid gland: superficial and deep lobe round the ramus, and what is left after surgery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from parotid_brachy.lib.phantom.jaw import mandible
from parotid_brachy.lib.phantom.lattice import Array, Box
from parotid_brachy.lib.phantom.muscles import digastric, masseter, medial_pterygoid, sternomastoid
from parotid_brachy.lib.phantom.recipe import Recipe, Resection, Surgery
from parotid_brachy.lib.phantom.scene import SidePoints
from parotid_brachy.lib.phantom.shapes import (
    closed_spline,
    ellipsoid,
    normalised,
    outline,
    smooth_cut,
    smooth_union,
)
from parotid_brachy.lib.phantom.temporal import canal_axis_distance, mastoid

GLAND_BOX: Box = ((28, 84), (-50, 24), (-86, 6))

# y, z of the superficial lobe seen from the side: an inverted pear with the tail at the angle
_SUPERFICIAL: Final = (
    (-6.0, -6.0), (0.0, -12.0), (5.0, -22.0), (8.0, -34.0), (7.0, -46.0), (2.0, -57.0),
    (-6.0, -64.0), (-14.0, -62.0), (-20.0, -53.0), (-25.0, -43.0), (-29.0, -32.0),
    (-27.0, -21.0), (-19.0, -13.0), (-12.0, -7.0),
)  # fmt: skip
_GAP_MM: Final = 0.7
"""Fat between the gland and what it rests on."""


@dataclass(frozen=True)
class Gland:
    """A side's gland on its sample points.

    Attributes:
        points: the sample points.
        whole: distance to the gland as it was before surgery.
        residual: distance to what is left of it.
        whole_ml: volume before surgery.
        residual_ml: volume now.
    """

    points: SidePoints
    whole: Array
    residual: Array
    whole_ml: float
    residual_ml: float


def make_gland(points: SidePoints, recipe: Recipe) -> Gland:
    """One side's gland, brought to the recipe's volume and, on the operated side, resected."""
    part = points.within(GLAND_BOX)
    unit = part.p.lattice.point_ml
    bounds = _bounds(part)
    count = round(part.shape.gland_ml / unit)
    whole = _shape(part)
    for _ in range(4):  # what the neighbours take away is made up for elsewhere
        whole = smooth_cut(whole, bounds, 0.8)
        excess = np.partition(whole, count, axis=None)[count]
        whole = np.asarray(whole - np.clip(excess, -4, 4), dtype=np.float32)
    whole = smooth_cut(whole, bounds, 0.8)
    surgery = recipe.surgery
    residual = whole
    if surgery is not None and surgery.side is points.side:
        residual = _resected(part, whole, surgery)
    return Gland(
        part,
        whole,
        residual,
        float(np.count_nonzero(whole < 0)) * unit,
        float(np.count_nonzero(residual < 0)) * unit,
    )


def _shape(part: SidePoints) -> Array:
    p, shape = part.p, part.shape
    size = (shape.gland_ml / 25.0) ** (1 / 3)
    pear = [
        ((y + 9) * size - 9, (z + 34) * size - 34 + shape.gland_tail * (z < -50))
        for y, z in _SUPERFICIAL
    ]
    flat = outline(p.y, p.z, closed_spline(pear, 42))
    below_skin = part.intact + 2.6 + shape.gland_depth
    thick = np.where(p.y < -16, np.float32(13 * size), np.float32(19 * size))
    layer = np.maximum(below_skin, -(below_skin + thick))
    superficial = smooth_cut(flat, layer.astype(np.float32), 7.0)
    k = shape.deep_lobe * size
    deep = ellipsoid(p, (50.5, -3.5, -31), (10.5 * k, 7.5 * k, 18 * k))
    joined = smooth_union(superficial, deep, 6.0)
    lumps = np.sin(0.62 * p.x + 0.35 * p.z) * np.sin(0.55 * p.y - 0.3 * p.z) + np.sin(
        0.4 * p.z + 0.5 * p.y + 1.0
    ) * np.sin(0.47 * p.x)
    return np.asarray(joined + 0.45 * lumps, dtype=np.float32)


def _bounds(part: SidePoints) -> Array:
    """Distance to the room that the neighbours, the skin and the ear canal leave."""
    p, shape = part.p, part.shape
    room = np.maximum(part.intact + 3.4, _GAP_MM - _neighbours(part))
    below = 4.8 + shape.canal_radius - canal_axis_distance(p, shape)
    return np.asarray(np.maximum(room, below), dtype=np.float32)


def _neighbours(part: SidePoints) -> Array:
    p, shape = part.p, part.shape
    near = mandible(p, shape)
    for other in (
        masseter(part),
        sternomastoid(part),
        digastric(p, shape),
        medial_pterygoid(p, shape),
        mastoid(p, shape),
    ):
        near = np.minimum(near, other)
    return np.asarray(near, dtype=np.float32)


def _resected(part: SidePoints, whole: Array, surgery: Surgery) -> Array:
    """What is left when the stated fraction has been taken, the most exposed first."""
    p = part.p
    inside = whole < 0
    order = _order(part, surgery)
    # What the sunken skin has taken the place of is gone in any case.
    order = np.where(part.skin > -3.6, order - 100.0, order)
    ranked = np.sort(order[inside])
    if ranked.size == 0:
        return whole
    first_kept = ranked[min(int(surgery.removed_fraction * ranked.size), ranked.size - 1)]
    front = normalised(np.asarray(first_kept - order, dtype=np.float32), p.lattice)
    return np.asarray(np.maximum(whole, front), dtype=np.float32)


def _order(part: SidePoints, surgery: Surgery) -> Array:
    """Small values go first."""
    p = part.p
    x, y, z = surgery.centre
    distance = np.sqrt((p.x - x) ** 2 + (p.y - y) ** 2 + (p.z - z) ** 2)
    uneven = 1.5 * np.sin(0.31 * p.y + 0.2 * p.z) * np.sin(0.27 * p.z - 0.15 * p.x)
    match surgery.resection:
        case Resection.SUPERFICIAL:
            order = -part.intact + 0.25 * distance
        case Resection.ROUND_TUMOUR:
            order = distance
        case Resection.LOWER_POLE:
            order = p.z + 0.4 * distance
    return np.asarray(order + uneven, dtype=np.float32)
