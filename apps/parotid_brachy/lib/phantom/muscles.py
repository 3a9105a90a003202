"""Muscles round the gland and of the neck. Each function returns a distance in the side's frame."""

from __future__ import annotations

from typing import Final

import numpy as np

from parotid_brachy.lib.phantom.canvas import Label
from parotid_brachy.lib.phantom.jaw import ramus_plane
from parotid_brachy.lib.phantom.lattice import Array, Box, Points, resampled
from parotid_brachy.lib.phantom.recipe import SideShape
from parotid_brachy.lib.phantom.scene import Layers, Scene, SidePoints
from parotid_brachy.lib.phantom.shapes import Vector, closed_spline, outline, smooth_cut, tube
from parotid_brachy.lib.phantom.tissue import Tissue

_MASSETER: Final = (
    (3, -58), (12, -67), (25, -66), (35, -52), (41, -30), (45, -4), (33, -1), (20, -3),
    (10, -14), (4, -36),
)  # fmt: skip
_PTERYGOID: Final = (
    (3, -55), (12, -65), (24, -62), (31, -46), (38, -24), (42, -8), (30, -6), (17, -20),
    (6, -40),
)  # fmt: skip
_SCM: Final = ((62, 19, -12), (61.5, 18, -28), (58.5, 15, -48), (54, 9, -68), (48, 2, -90),
               (40, -8, -115), (32, -18, -150))  # fmt: skip


def masseter(part: SidePoints) -> Array:
    """Lateral to the ramus, from the zygomatic arch to the angle."""
    plane = ramus_plane(part.p, part.shape)
    half = 6.3 * part.shape.muscle_scale
    middle = plane.half_thickness + 0.3 + half
    across = np.abs(plane.n - middle) - half
    flat = outline(plane.s, plane.z, closed_spline(_MASSETER, 36))
    muscle = smooth_cut(flat, across.astype(np.float32), 7.0)
    return np.asarray(np.maximum(muscle, part.deep + 0.8), dtype=np.float32)


def medial_pterygoid(p: Points, shape: SideShape) -> Array:
    """Medial to the ramus, from the pterygoid plates to the angle."""
    plane = ramus_plane(p, shape)
    half = 6.2 * shape.muscle_scale
    middle = -(plane.half_thickness + 1.2 + half + 0.16 * np.maximum(plane.s - 14, 0))
    across = np.abs(plane.n - middle) - half
    flat = outline(plane.s, plane.z, closed_spline(_PTERYGOID, 36))
    return smooth_cut(flat, across.astype(np.float32), 6.0)


def lateral_pterygoid(p: Points, shape: SideShape) -> Array:
    """From the lateral plate back to the condyle's neck."""
    k = shape.muscle_scale
    return tube(p, [(24, -44, -6), (34, -32, -8), (46, -17, -10)], [11.5 * k, 10 * k, 5.0])


def temporalis(part: SidePoints) -> Array:
    """From the temporal fossa under the arch to the coronoid process."""
    p = part.p
    tendon = tube(
        p, [(58, -36, 26), (56, -38, 8), (50, -41, -8), (44, -41, -22)], [12.5, 12, 10.5, 5]
    )
    return np.asarray(np.maximum(tendon, part.deep + 0.8), dtype=np.float32)


def sternomastoid(part: SidePoints) -> Array:
    """From the mastoid's lateral surface down and forwards."""
    k = part.shape.muscle_scale
    muscle = tube(
        part.p,
        _SCM,
        [7 * k, 12 * k, 15 * k, 15 * k, 14 * k, 13 * k, 12 * k],
        flat=((0.86, 0.5, 0.0), 2.4),
    )
    return np.asarray(np.maximum(muscle * 0.5, part.deep + 0.6), dtype=np.float32)


def digastric(p: Points, shape: SideShape) -> Array:
    """Posterior belly, from the mastoid notch to the hyoid."""
    k = shape.muscle_scale
    return tube(
        p,
        [(49, 15, -22), (46, 8, -36), (40, -6, -56), (30, -28, -76), (20, -42, -86)],
        [4.2 * k, 5 * k, 5 * k, 3.8 * k, 2.5],
    )


_FASCIA_MM: Final = 0.5
_FAT_SPACES: Final[tuple[tuple[list[Vector], list[float], tuple[Vector, float] | None], ...]] = (
    # parapharyngeal
    ([(22, -26, -12), (23, -24, -34), (24, -26, -58)], [6, 8, 4], ((0.9, 0.4, 0.0), 1.9)),
    # carotid sheath
    ([(30, -4, -16), (31, -4, -45), (32, -8, -80), (31, -14, -112)], [8, 10, 10, 10], None),
    # retromandibular, behind the ramus
    ([(47, -6, -14), (47, -5, -40), (45, -6, -66)], [6, 8, 8], None),
    # buccal
    ([(44, -60, -12), (43, -62, -30), (38, -62, -44)], [9, 10, 7], None),
    # submandibular
    ([(34, -20, -80), (30, -42, -88), (18, -62, -92)], [9, 11, 8], ((0.0, 0.0, 1.0), 1.5)),
)
_BOXES: Final[dict[str, Box]] = {
    "masseter": ((24, 76), (-62, 0), (-74, 6)),
    "pterygoids": ((10, 58), (-60, 0), (-74, 8)),
    "temporalis": ((30, 76), (-60, -12), (-34, 42)),
    "sternomastoid": ((18, 80), (-36, 44), (-118, 0)),
    "digastric": ((12, 60), (-54, 26), (-98, -10)),
}


def draw_side_muscles(scene: Scene, points: SidePoints) -> None:
    """Paints one side's muscles of mastication, sternocleidomastoid and digastric."""
    part = points.within(_BOXES["temporalis"])
    _wrapped(scene, part.p, temporalis(part))
    part = points.within(_BOXES["pterygoids"])
    _wrapped(scene, part.p, lateral_pterygoid(part.p, part.shape))
    _wrapped(scene, part.p, medial_pterygoid(part.p, part.shape))
    part = points.within(_BOXES["masseter"])
    _wrapped(scene, part.p, masseter(part))
    part = points.within(_BOXES["digastric"])
    hyoglossus = tube(part.p, [(26, -46, -62), (20, -48, -88)], [6, 5])
    _wrapped(scene, part.p, hyoglossus)
    _wrapped(scene, part.p, digastric(part.p, part.shape))
    part = points.within(_BOXES["sternomastoid"])
    _wrapped(scene, part.p, sternomastoid(part))


def _wrapped(scene: Scene, p: Points, muscle: Array) -> None:
    """Paints a muscle within a thin layer of fat, which is what sets muscles apart on CT."""
    scene.paint(p, muscle - np.float32(_FASCIA_MM), Tissue.FAT, Label.KEEP)
    scene.paint(p, muscle, Tissue.MUSCLE)


def draw_deep_neck(scene: Scene, layers: Layers) -> None:
    """Fills the space inside the mandible with muscle, and its spaces with fat."""
    p = layers.p.within(((-60, 60), (-96, 14), (-112, 4)))
    deep = resampled(layers.deep, layers.p.lattice, p.lattice)
    ax = np.abs(p.x)
    arch = np.where(p.y < -8, ((p.y + 8) / 76) ** 2, ((p.y + 8) / 40) ** 2)
    ring = (np.sqrt((ax / 43) ** 2 + arch + 1e-4) - 1) * 40
    core = np.maximum(np.maximum(ring, deep + 1.5), np.maximum(p.z + 2, -104 - p.z))
    wave = 1.4 * np.sin(0.21 * p.y + 0.13 * p.z) * np.sin(0.19 * p.x - 0.11 * p.z)
    scene.paint(p, np.asarray(core + wave, np.float32), Tissue.MUSCLE, Label.KEEP)
    for path, radius, flat in _FAT_SPACES:
        scene.tube(p, path, radius, Tissue.FAT, flat=flat, paired=True)


def draw_nape(scene: Scene, layers: Layers) -> None:
    """Paints the muscles behind the spine, in layers with fat between them."""
    p = layers.p.within(((-110, 110), (-8, 120), (-200, 8)))
    deep = resampled(layers.deep, layers.p.lattice, p.lattice)
    lateral = np.maximum(np.abs(p.x) - 22, 0)
    front = 1.0 + 0.28 * lateral - p.y
    block = np.maximum(np.maximum(deep + 0.5, front), p.z - _under_occiput(p))
    scene.paint(p, np.asarray(block, np.float32), Tissue.MUSCLE, Label.KEEP)
    wobble = 2.0 * np.sin(0.11 * p.z + 0.07 * p.x) + 2.4 * np.sin(0.1 * p.x + 0.05 * p.z) * np.sin(
        0.09 * p.y
    )
    depth = -deep + wobble
    for level, half in ((7.5, 0.5), (15.5, 0.7), (25.0, 0.5)):
        sheet = np.maximum(np.abs(depth - level) - half, block + 1.5)
        scene.paint(p, np.asarray(sheet, np.float32), Tissue.FAT, Label.KEEP)
    for slope, offset in ((0.9, 6.0), (0.35, 21.0)):
        across = np.abs(np.abs(p.x) - offset - slope * (p.y - 30) + wobble) - 0.5
        sheet = np.maximum(np.maximum(across, block + 1.5), 7.5 - depth)
        scene.paint(p, np.asarray(sheet, np.float32), Tissue.FAT, Label.KEEP)
    midline = np.maximum(np.abs(p.x) - 0.9, block + 1.0)
    scene.paint(p, np.asarray(midline, np.float32), Tissue.FAT, Label.KEEP)


def _under_occiput(p: Points) -> Array:
    return np.asarray(-4 + 0.1 * np.maximum(p.y - 40, 0), dtype=np.float32)
