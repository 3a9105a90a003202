"""The mandible: condyle process, notch, coronoid, ramus, angle, body; and the teeth.

The ramus is a plate in a plane of its own: s runs forwards (and medially) from its posterior
border, n is its lateral normal. Published size: 60 x 32 x 9 mm, condyle process 20 x 10 mm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from parotid_brachy.lib.anatomy import CONDYLE_PROCESS, MANDIBULAR_RAMUS
from parotid_brachy.lib.phantom.canvas import Label
from parotid_brachy.lib.phantom.lattice import Array, Box, Points
from parotid_brachy.lib.phantom.recipe import SideShape
from parotid_brachy.lib.phantom.scene import Scene, SidePoints
from parotid_brachy.lib.phantom.shapes import (
    bump,
    closed_spline,
    ellipsoid,
    levels,
    outline,
    smooth_cut,
    smooth_union,
    spline,
    tube,
)
from parotid_brachy.lib.phantom.tissue import Tissue

RAMUS_BOX: Box = ((18, 74), (-62, 8), (-84, 16))
_JAW_BOX: Box = ((8, 74), (-62, 8), (-98, 16))
_POSTERIOR_BORDER: Final = (52.0, -12.0)
_FORWARD: Final = np.array([-0.425, -0.905])
_LATERAL: Final = np.array([0.905, -0.425])

# s, z of the plate's outline, from the neck down behind, round the angle and up in front
_RAMUS: Final = (
    (1.0, -22.0), (0.0, -34.0), (1.0, -47.0), (4.5, -58.0), (11.0, -66.0), (21.0, -70.0),
    (33.0, -73.0), (40.0, -68.0), (37.0, -57.0), (34.0, -48.0), (32.5, -36.0), (32.0, -24.0),
    (32.0, -13.0), (29.5, -8.0), (26.5, -12.0), (22.0, -19.0), (16.0, -22.0), (11.5, -20.0),
    (9.5, -14.0), (8.0, -6.0), (1.0, -6.0), (1.0, -14.0),
)  # fmt: skip
_HEAD_CENTRE: Final = (50.5, -13.5, -3.0)
NOTCH_S: Final = 16.0
NOTCH_Z: Final = -22.0
LAST_MOLAR_Y: Final = -45.0


@dataclass(frozen=True)
class RamusPlane:
    """Sample points in the ramus's own coordinates (mm)."""

    s: Array
    n: Array
    z: Array
    half_thickness: Array


def ramus_plane(p: Points, shape: SideShape) -> RamusPlane:
    """Forward and lateral coordinates of points relative to the ramus, and its half thickness."""
    x = p.x - np.float32(_POSTERIOR_BORDER[0]) - 0.05 * (p.z + 20)
    y = p.y - np.float32(_POSTERIOR_BORDER[1])
    s = _FORWARD[0] * x + _FORWARD[1] * y
    # The plate is slightly concave medially.
    n = _LATERAL[0] * x + _LATERAL[1] * y + 1.4 * np.sin(np.pi * np.clip(s / 34, 0, 1))
    half = levels(p.z, [-75, -60, -40, -24, -8], [4.9, 4.4, 3.7, 3.3, 2.4])
    # Thick behind and at the oblique line in front, thin between.
    half = half * (1.04 - 0.2 * bump(s - 14, 8) + 0.1 * bump(s - 30, 6))
    half = half * shape.ramus_thickness
    return RamusPlane(
        s.astype(np.float32), n.astype(np.float32), p.z, np.asarray(half, dtype=np.float32)
    )


def mandible(p: Points, shape: SideShape) -> Array:
    """Distance to one half of the mandible from the condyle to the last molars' body."""
    plane = ramus_plane(p, shape)
    points = [
        (s, z - shape.notch_depth * (NOTCH_S - 8 < s < NOTCH_S + 8 and z > -26)) for s, z in _RAMUS
    ]
    plate = outline(plane.s, plane.z, closed_spline(points, 56))
    slab = np.abs(plane.n) - plane.half_thickness
    ramus = smooth_cut(plate, slab, 2.5)
    head = _condyle_head(p, shape)
    return smooth_union(smooth_union(ramus, head, 3.0), body(p), 3.0)


def _condyle_head(p: Points, shape: SideShape) -> Array:
    turn = np.deg2rad(16.0)
    axes = np.array(
        [[np.cos(turn), -np.sin(turn), 0.1], [np.sin(turn), np.cos(turn), 0.0], [-0.1, 0.0, 1.0]]
    )
    k = shape.condyle_scale
    return ellipsoid(p, _HEAD_CENTRE, (10.0 * k, 5.2 * k, 6.4 * k), axes=axes)


def body(p: Points) -> Array:
    """Distance to the body of the mandible, of both halves at once."""
    path = spline(
        [(44.0, -28.0, 0), (38.5, -42.0, 0), (33.0, -56.0, 0), (25.0, -70.0, 0), (13.0, -80.0, 0),
         (-1.0, -83.0, 0)],
        14,
    )  # fmt: skip
    flat = p.moved(np.abs(p.x), p.y, np.zeros_like(p.z))
    across = tube(flat, path, np.linspace(4.4, 6.2, 14).tolist())
    middle = levels(p.y, [-85, -70, -50, -28], [-76.0, -72.0, -67.0, -64.0])
    half = levels(p.y, [-85, -70, -50, -28], [14.5, 14.0, 11.5, 4.0])
    return smooth_cut(across, np.abs(p.z - middle) - half, 4.0)


def draw_ramus(scene: Scene, points: SidePoints) -> None:
    """Paints one side's mandible behind the molars, and its truth."""
    part = points.within(_JAW_BOX)
    p, shape = part.p, part.shape
    distance = mandible(p, shape)
    scene.paint(p, distance, Tissue.CORTICAL)
    head = _condyle_head(p, shape)
    cortex = np.where(head < 1.5, 1.1, 2.1) * shape.ramus_thickness
    scene.paint(p, np.asarray(distance + cortex, np.float32), Tissue.CANCELLOUS, Label.KEEP)
    field = _named_parts(p, distance, shape)
    for structure, mask in zip((MANDIBULAR_RAMUS, CONDYLE_PROCESS), field, strict=True):
        scene.mark(p, mask, (part.side, structure.value))


def _named_parts(p: Points, distance: Array, shape: SideShape) -> tuple[Array, Array]:
    plane = ramus_plane(p, shape)
    # The notch plane falls slightly backwards, as readers draw it.
    notch = NOTCH_Z - shape.notch_depth + 1.0 + 0.06 * (plane.s - NOTCH_S)
    above = np.maximum(notch - p.z, plane.s - NOTCH_S - 1.0)
    condyle = np.maximum(distance, above)
    behind = np.asarray(LAST_MOLAR_Y - p.y, dtype=np.float32)
    ramus = np.maximum(np.maximum(distance, behind), -above)
    return ramus, np.asarray(condyle, dtype=np.float32)


_LOWER: Final = ((0.0, -83.5), (10.0, -82.0), (18.0, -77.0), (24.0, -69.0), (28.5, -58.0),
                 (32.0, -47.0))  # fmt: skip
_UPPER: Final = ((0.0, -87.0), (10.0, -85.5), (18.0, -80.0), (23.0, -71.0), (26.5, -60.0),
                 (28.5, -49.0))  # fmt: skip
_WIDTHS: Final = (2.6, 3.0, 3.6, 3.5, 3.7, 4.9, 4.9, 4.5)


def tooth_places() -> list[tuple[float, float, float, float, float]]:
    """x, y of 32 teeth, z of crown and root tip, and crown radius; upper 0-15, lower 16-31."""
    places = []
    for arch, (crown, root) in ((_UPPER, (-49.0, -32.0)), (_LOWER, (-53.0, -70.0))):
        curve = spline([(x, y, 0.0) for x, y in arch], 200)
        run = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
        narrow = 1.0 if arch is _UPPER else 0.94
        at = 0.0
        for width in _WIDTHS:
            at += width * narrow
            x, y = np.interp(at, run, curve[:, 0]), np.interp(at, run, curve[:, 1])
            at += width * narrow
            places += [(n * float(x), float(y), crown, root, width * narrow) for n in (1.0, -1.0)]
    return places


def draw_teeth(scene: Scene, face: Points) -> None:
    """Paints the body of the mandible in front of the ramus, the teeth and their fillings."""
    head = scene.recipe.head
    box: Box = ((-48, 48), (-98, -24), (-98, -26))
    p = face.within(box)
    front = np.maximum(body(p), p.y - LAST_MOLAR_Y)
    scene.paint(p, front, Tissue.CORTICAL, Label.KEEP)
    scene.paint(p, np.asarray(front + 2.4, np.float32), Tissue.CANCELLOUS, Label.KEEP)
    if head.toothless:
        return
    for number, (x, y, crown, root, radius) in enumerate(tooth_places()):
        if number in head.missing_teeth:
            continue
        near = p.within(((x - 10, x + 10), (y - 10, y + 10), (-76, -26)))
        middle = crown + (root - crown) * 0.42
        sign = np.sign(root - crown)
        roots = tube(near, [(x, y, middle), (x * 0.98, y * 0.98, root)], [radius * 0.8, 1.2])
        scene.paint(near, roots, Tissue.DENTIN, Label.KEEP)
        top = ellipsoid(near, (x, y, crown + sign * 4.0), (radius, radius, 4.6))
        scene.paint(near, top, Tissue.ENAMEL, Label.KEEP)
        inner = ellipsoid(near, (x, y, crown + sign * 5.0), (radius * 0.7, radius * 0.7, 4.2))
        scene.paint(near, inner, Tissue.DENTIN, Label.KEEP)
        if number in head.fillings:
            metal = ellipsoid(near, (x, y, crown + sign * 2.5), (radius * 0.75, radius * 0.75, 2.8))
            scene.paint(near, metal, Tissue.METAL, Label.KEEP)
