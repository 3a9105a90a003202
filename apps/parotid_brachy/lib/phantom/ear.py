"""The auricle: a curved plate with helix, antihelix, concha, tragus and lobule over cartilage.

Published size 63 x 35 mm. The plate has coordinates of its own: a upwards along the ear, b
backwards from the root, n away from the plate's front.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from parotid_brachy.lib.anatomy import AURICULA, SKIN
from parotid_brachy.lib.imaging.volume import FloatArray
from parotid_brachy.lib.phantom.canvas import Label
from parotid_brachy.lib.phantom.lattice import Array, Box, Points
from parotid_brachy.lib.phantom.recipe import SideShape
from parotid_brachy.lib.phantom.scene import Scene, SidePoints
from parotid_brachy.lib.phantom.shapes import (
    bump,
    closed_spline,
    ellipsoid,
    outline,
    smooth_cut,
    smooth_union,
    spline,
    step,
    tube,
)
from parotid_brachy.lib.phantom.tissue import Tissue

EAR_BOX: Box = ((56, 108), (-24, 58), (-46, 46))
_ROOT: Final = np.array([70.0, 3.5, 0.0])

# (b, a): the rim from the crus over the top to the lobule and back along the root
_RIM: Final = ((-1, 8), (1, 20), (7, 30), (16, 34.5), (26, 31), (32, 21), (33, 8), (29.5, -6),
               (24, -17), (16, -26), (8, -28.5), (2, -23), (-1, -12), (-2, -2))  # fmt: skip
_HELIX: Final = ((8, 1.5), (2, 7), (1.5, 18), (7, 28), (16, 32), (25, 28.5), (30, 19), (31, 7),
                 (27.5, -6), (21, -16))  # fmt: skip
_ANTIHELIX: Final = ((12, -12), (19, -7), (23, 3), (23, 12), (21, 20), (17, 26))
_CRUS: Final = ((22.5, 12), (15, 19), (7, 23))


@dataclass(frozen=True)
class _Plate:
    """Points in the auricle's coordinates; as points x is b, y is a and z is n."""

    points: Points
    height: Array


def _axes(shape: SideShape) -> FloatArray:
    """Rows: b, a and n in the side's frame."""
    tilt, angle = np.deg2rad(shape.ear_tilt_deg), np.deg2rad(shape.ear_angle_deg)
    up = np.array([0.06, np.sin(tilt), np.cos(tilt)])
    back = np.array([np.sin(angle), np.cos(angle), 0.0])
    up = up - (up @ back) * back
    up /= np.linalg.norm(up)
    front = np.cross(up, back)
    if front[0] < 0:
        front = -front
    return np.stack([back, up, front])


def _root(part: SidePoints) -> FloatArray:
    """Where the auricle springs from: on the skin, whatever the head's breadth there."""
    p = part.p
    off = (p.x - _ROOT[0]) ** 2 + (p.y - _ROOT[1]) ** 2 + (p.z - _ROOT[2]) ** 2
    depth = float(part.skin.ravel()[int(np.argmin(off))])
    return np.asarray(_ROOT - (float(np.clip(depth, -8, 8)) - 1.0, 0.0, 0.0), dtype=np.float64)


def _plate(p: Points, shape: SideShape, root: FloatArray) -> _Plate:
    rows = _axes(shape).astype(np.float32) / np.float32(shape.ear_scale)
    x, y, z = (
        np.float32(1) * values - np.float32(centre)
        for values, centre in zip((p.x, p.y, p.z), root, strict=True)
    )
    b, a, n = (row[0] * x + row[1] * y + row[2] * z for row in rows)
    points = p.moved(b, a, n)
    flat = np.clip(shape.ear_angle_deg / 20, 0.25, 1.0)
    concha = -9.0 * flat * np.exp(-(((b - 9) / 10.5) ** 2) - ((a + 1) / 12.5) ** 2)
    curl = 2.2 * step(b - 24, 4) * flat
    hollow = -1.5 * bump(b - 26.5, 2.6) * step(a + 8, 5)
    fossa = -1.5 * bump(b - 12, 4) * bump(a - 23, 4)
    return _Plate(points, np.asarray(concha + curl + hollow + fossa, dtype=np.float32))


def _lifted(plane: FloatArray, lift: float, shape: SideShape) -> FloatArray:
    """A curve in the plate's plane, raised to the plate's own height plus ``lift``."""
    flat = float(np.clip(shape.ear_angle_deg / 20, 0.25, 1.0))
    b, a = plane[:, 0], plane[:, 1]
    height = -9.0 * flat * np.exp(-(((b - 9) / 10.5) ** 2) - ((a + 1) / 12.5) ** 2)
    height = height + 2.2 * flat * 0.5 * (1 + np.tanh((b - 24) / 4))
    return np.stack([b, a, height + lift], axis=1)


def _curve(points: tuple[tuple[float, float], ...], count: int) -> FloatArray:
    return spline([(b, a, 0.0) for b, a in points], count)[:, :2]


def _auricle(plate: _Plate, shape: SideShape) -> tuple[Array, Array]:
    """Distances to the auricle and to its cartilage, in the side's millimetres."""
    q = plate.points
    rim = outline(q.x, q.y, closed_spline(_RIM, 44))
    off = q.z - plate.height
    half = shape.ear_thickness / 2
    lobule = step(-12 - q.y, 3)
    sheet = smooth_cut(rim, np.abs(off) - half * (1 + 0.35 * lobule), 2.0)
    helix = _lifted(_curve(_HELIX, 16), 1.6, shape)
    antihelix = _lifted(_curve(_ANTIHELIX, 9), 1.7, shape)
    crus = _lifted(_curve(_CRUS, 5), 1.2, shape)
    swell = np.interp(np.arange(16), [0, 2, 8, 15], [1.6, 3.3, 3.7, 2.8]).tolist()
    whole = smooth_union(sheet, tube(q, helix, swell), 1.5)
    whole = smooth_union(whole, tube(q, antihelix, 2.9), 2.0)
    whole = smooth_union(whole, tube(q, crus, 2.4), 2.0)
    for centre, semi in (
        ((-1.0, -3.0, 1.0), (3.6, 6.5, 4.8)),  # tragus
        ((11.5, -13.5, 1.0), (4.5, 3.2, 3.0)),  # antitragus
        ((9.5, -21.0, 0.0), (11.0, 9.5, 4.2)),  # lobule
    ):
        whole = smooth_union(whole, ellipsoid(q, centre, semi), 2.5)
    core = smooth_cut(rim + 2.4, np.abs(off) - 0.65, 0.6)
    core = np.minimum(core, tube(q, helix, [0.48 * r for r in swell]))
    core = np.minimum(core, tube(q, antihelix, 1.1))
    core = np.minimum(core, ellipsoid(q, (-1.0, -3.0, 0.6), (1.4, 4.2, 2.4)))
    core = np.maximum(core, -13.0 - q.y)
    scale = np.float32(shape.ear_scale)
    return np.asarray(whole * scale, np.float32), np.asarray(core * scale, np.float32)


def draw_auricle(scene: Scene, points: SidePoints) -> None:
    """Paints one auricle and its truth; where it dips below the head's surface it is skin."""
    part = points.within(EAR_BOX)
    p, shape, side = part.p, part.shape, part.side
    plate = _plate(p, shape, _root(part))
    whole, core = _auricle(plate, shape)
    bowl = ellipsoid(plate.points, (7.0, 0.0, -2.0), (8.5, 10.0, 7.5))
    carved = np.maximum(bowl, -(part.skin + 5.0))
    floor = np.maximum(carved - 2.2, part.skin)
    scene.paint(p, floor.astype(np.float32), Tissue.SKIN, (side, SKIN.value))
    scene.paint(p, carved.astype(np.float32), Tissue.AIR)
    hugging = np.maximum(whole, -(part.skin + scene.recipe.head.skin_mm))
    scene.paint(p, hugging.astype(np.float32), Tissue.SKIN, (side, SKIN.value))
    outside = np.maximum(whole, -part.skin - 0.6)
    scene.mark(p, outside.astype(np.float32), (side, AURICULA.value))
    scene.paint(p, core, Tissue.CARTILAGE, Label.KEEP)
