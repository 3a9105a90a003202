"""Midline and vessels: spine, airway, tongue, floor of the mouth, vessels, styloid process."""

from __future__ import annotations

from typing import Final

import numpy as np

from parotid_brachy.lib.anatomy import Side
from parotid_brachy.lib.phantom.canvas import Label
from parotid_brachy.lib.phantom.lattice import Array, Points
from parotid_brachy.lib.phantom.scene import Scene, SidePoints
from parotid_brachy.lib.phantom.shapes import ellipsoid, smooth_union, spline, tube
from parotid_brachy.lib.phantom.tissue import Tissue

# height and y of the centre of the vertebral bodies C2-C6
_BODIES = ((-57.0, -4.0), (-76.0, -5.0), (-94.0, -4.0), (-112.0, -2.0), (-130.0, 1.0))


_CORD: Final = [(0, 21, -20), (0, 17, -45), (0, 14, -75), (0, 17, -130), (0, 22, -175)]


def draw_spine(scene: Scene, p: Points) -> None:
    """Paints the atlas, the axis with its dens and the vertebrae below, and the cord."""
    _draw_cord(scene, p)
    near = p.within(((-46, 46), (-18, 48), (-50, -24)))
    m = near.moved(np.abs(near.x), near.y, near.z)
    atlas = tube(m, [(0, -9, -38), (13, -6, -38), (20, 3, -38)], [3.6, 3.4, 5.0])
    atlas = smooth_union(atlas, ellipsoid(m, (21.5, 6, -36), (8, 10.5, 8)), 3)
    atlas = smooth_union(atlas, tube(m, [(24, 8, -38), (38, 10, -39)], [5, 3.5]), 3)
    back = tube(m, [(22, 14, -38), (14, 34, -39), (0, 39, -39)], [3.4, 3.2, 3.6])
    _vertebra(scene, near, smooth_union(atlas, back, 3))
    for number, (z, y) in enumerate(_BODIES):
        axis = number == 0
        top = 34 if axis else 12
        near = p.within(((-34, 34), (y - 14, y + 56), (z - 20, z + top)))
        m = near.moved(np.abs(near.x), near.y, near.z)
        body = ellipsoid(m, (0, y, z), (12.5, 9.0, 9.0))
        arch = tube(m, [(12, y + 7, z), (17, y + 14, z - 1)], [5.0, 5.5])
        arch = smooth_union(arch, ellipsoid(m, (20, y + 13, z - 2), (7, 7, 8.5)), 3)
        lamina = tube(m, [(17, y + 18, z - 3), (8, y + 30, z - 4), (0, y + 34, z - 5)], 3.2)
        size, length = (5.0, 50) if axis else (3.4, 45)
        spinous = tube(m, [(0, y + 32, z - 5), (size / 2, y + length, z - 10)], size)
        bone = smooth_union(smooth_union(body, arch, 3), np.minimum(lamina, spinous), 3)
        if axis:
            bone = smooth_union(bone, tube(near, [(0, -1, -58), (0, -1, -32)], [6.5, 4.8]), 3)
        _vertebra(scene, near, bone)


def _draw_cord(scene: Scene, p: Points) -> None:
    for radius, tissue in ((9.5, Tissue.FLUID), (5.0, Tissue.BRAIN)):
        scene.tube(p, _CORD, radius, tissue)


def _vertebra(scene: Scene, p: Points, bone: Array) -> None:
    shape = np.maximum(bone, 9.8 - tube(p, _CORD, 0.0)).astype(np.float32)
    scene.paint(p, shape, Tissue.CORTICAL, Label.KEEP, hu=950.0)
    scene.paint(p, shape + np.float32(1.5), Tissue.CANCELLOUS, Label.KEEP)


def draw_prevertebral(scene: Scene, p: Points) -> None:
    """Paints the long muscles in front of the spine, the levator and the scalenes."""
    longus = [(8, -10, -30), (10, -15, -55), (12, -15, -95), (13, -12, -170)]
    scene.tube(p, longus, 7.5, Tissue.MUSCLE, flat=((0.0, 1.0, 0.0), 1.5), paired=True)
    levator = [(36, 12, -42), (40, 20, -75), (43, 28, -130)]
    scene.tube(p, levator, [5, 9, 12], Tissue.MUSCLE, paired=True)
    scalene = [(27, 4, -70), (33, 8, -100), (40, 10, -160)]
    scene.tube(p, scalene, [5, 9, 13], Tissue.MUSCLE, paired=True)


def draw_mouth_and_airway(scene: Scene, p: Points) -> None:
    """Paints lips, cheeks' muscles, tongue, floor of the mouth, pharynx, larynx and their air."""
    scene.ellipsoid(p, (0, -84, -47), (27, 9, 15), Tissue.MUSCLE)
    cheek = spline([(31, -42, -42), (33, -58, -44), (29, -72, -45), (22, -82, -46)], 8)
    scene.tube(p, cheek, 13, Tissue.MUSCLE, flat=((1.0, -0.3, 0.0), 4.0), paired=True)
    scene.ellipsoid(p, (0, -88, -76), (18, 7, 13), Tissue.MUSCLE)
    scene.ellipsoid(p, (0, -57, -50), (24, 31, 19), Tissue.MUSCLE)
    near = p.within(((-30, 30), (-90, -16), (-98, -48)))
    floor = smooth_union(
        ellipsoid(near, (0, -58, -68), (24, 25, 14)), ellipsoid(near, (0, -48, -84), (22, 26, 8)), 6
    )
    scene.paint(near, floor, Tissue.MUSCLE, Label.KEEP)
    septum = np.maximum(np.maximum(np.abs(near.x) - 0.7, floor + 6), np.abs(near.y + 60) - 14)
    scene.paint(near, septum, Tissue.FAT, Label.KEEP)
    scene.ellipsoid(p, (30, -34, -80), (8.5, 14, 13), Tissue.SUBMANDIBULAR, paired=True)
    _draw_pharynx(scene, p)
    scene.ellipsoid(p, (0, -60, -33.5), (17, 20, 1.6), Tissue.AIR)
    hyoid = spline([(0, -52, -94), (13, -48, -94), (21, -34, -91)], 7)
    scene.tube(p, hyoid, 2.6, Tissue.CORTICAL, paired=True)
    for z in (-108, -115, -122):
        wing = [(0, -54, z), (17, -34, z)]
        scene.tube(p, wing, 5.5, Tissue.CARTILAGE, flat=((0.75, 0.65, 0.0), 2.4), paired=True)
    scene.ellipsoid(p, (18, -28, -150), (9, 10, 22), Tissue.SUBMANDIBULAR, paired=True)


def _draw_pharynx(scene: Scene, p: Points) -> None:
    flat = ((0.0, 1.0, 0.0), 1.7)
    path = [
        (0, -29, -8), (0, -28, -24), (0, -26, -42), (0, -23, -62), (0, -24, -84), (0, -28, -104),
        (0, -30, -140),
    ]  # fmt: skip
    widths = np.array([11.0, 12.5, 9.0, 12.5, 14.0, 9.0, 9.5])
    scene.tube(p, path, (widths + 4.5).tolist(), Tissue.MUSCLE, flat=flat)
    scene.tube(p, path, widths.tolist(), Tissue.AIR, flat=flat)
    scene.tube(p, [(0, -36, -10), (0, -50, -12)], 9.5, Tissue.AIR)
    palate = [(0, -45, -32), (0, -35, -37), (0, -30, -48)]
    scene.tube(p, palate, [4.5, 4.5, 2.5], Tissue.MUSCLE)
    epiglottis = [(0, -36, -76), (0, -32, -92)]
    scene.tube(p, epiglottis, 4.5, Tissue.MUCOSA, flat=((0.0, 1.0, 0.3), 3.0))


def draw_vessels(scene: Scene, points: SidePoints) -> None:
    """Paints one side's carotids and jugular veins, and the vessels inside the gland."""
    p = points.p
    larger = 1.15 if points.side is Side.RIGHT else 1.0
    jugular = (4.0 * larger, 6.0 * larger)
    for path, (first, last), tissue in (
        ([(34, -1, -14), (34, 0, -40), (35, -3, -70), (34, -10, -118)], jugular, Tissue.VEIN),
        ([(25, -6, -14), (27, -7, -45), (28, -11, -75), (27, -16, -92)], (2.4, 3.6), Tissue.ARTERY),
        ([(27, -16, -90), (26, -16, -105), (25, -16, -120)], (4.0, 3.6), Tissue.ARTERY),
        # External carotid up into the gland, and its maxillary branch.
        ([(28, -17, -90), (34, -20, -76), (42, -13, -56), (48, -8, -38), (50, -9, -18)],
         (2.9, 1.7), Tissue.ARTERY),
        ([(50, -9, -18), (44, -18, -16), (36, -30, -16)], (1.4, 1.1), Tissue.ARTERY),
        # Retromandibular vein through the gland; external jugular vein on the muscle.
        ([(55, -9, -14), (54, -6, -34), (53, -4, -52), (50, -8, -70), (40, -14, -84)],
         (1.5, 2.6), Tissue.VEIN),
        ([(56, 16, -40), (60, 4, -66), (54, 4, -100)], (1.4, 1.9), Tissue.VEIN),
    ):  # fmt: skip
        scene.tube(p, spline(path, 12), np.linspace(first, last, 12).tolist(), tissue)
    styloid = [(47, 0, -14), (43, -6, -30), (38, -13, -46)]
    scene.tube(p, styloid, [2.6, 1.7, 0.9], Tissue.CORTICAL)
    for node in ((36, 8, -56), (40, 4, -72), (30, -24, -72), (45, 14, -84), (52, -8, -46)):
        scene.ellipsoid(p, node, (3.2, 4.2, 5.0), Tissue.SUBMANDIBULAR)
