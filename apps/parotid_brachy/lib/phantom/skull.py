"""The skull: vault with diploe, base with its three fossae, brain, and the facial bones."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.spatial import cKDTree

from parotid_brachy.lib.phantom.canvas import Label
from parotid_brachy.lib.phantom.lattice import Array, Points
from parotid_brachy.lib.phantom.outline import cranial_surface
from parotid_brachy.lib.phantom.scene import Scene
from parotid_brachy.lib.phantom.shapes import bump, ellipsoid, normalised, spline, step, tube
from parotid_brachy.lib.phantom.tissue import Tissue

_SINUS: Final = (
    ((26.0, -67.0, -9.0), (12.5, 12.5, 12.0)),
    ((24.5, -58.0, -17.0), (10.0, 12.0, 14.0)),
    ((31.0, -63.0, -6.0), (11.5, 12.0, 8.5)),
    ((24.0, -66.0, -22.0), (8.0, 10.0, 8.5)),
)
"""Centres and half axes of the ellipsoids that make up a maxillary sinus."""

_ORBIT: Final = (31.0, -66.0, 15.0)


def _floor(p: Points) -> Array:
    """Height of the cranial floor: posterior, middle and anterior fossa and petrous ridge."""
    ax: Array = np.abs(p.x)
    # A bowl round the foramen magnum.
    off = np.sqrt((ax / 52) ** 2 + ((p.y - 24) / 58) ** 2)
    posterior = -29 + 24 * off**2
    middle = -1 + 10 * bump(p.y + 8, 13) + 11 * bump(ax, 13)
    ridge_y = -17 + 0.5 * ax
    ahead = step(ridge_y - p.y, 2.5)
    anterior = 23 - 9 * bump(ax, 11) + 4 * bump(ax - 30, 14)
    front = step(-42 + 0.16 * ax - p.y, 3.0)
    level = posterior * (1 - ahead) + (middle * (1 - front) + anterior * front) * ahead
    behind = np.asarray(p.y - ridge_y - 3, np.float32)
    ridge = 17 * bump(behind, 8) * step(62 - ax, 3) * step(ax - 10, 4)
    return np.asarray(level + ridge, dtype=np.float32)


def _underside(p: Points, floor: Array) -> Array:
    """Height of the skull base's outer surface."""
    ax: Array = np.abs(p.x)
    clivus = 13 * bump(ax, 14) * step(p.y + 46, 4) * step(14 - p.y, 3)
    orbit = step(-42 - p.y, 3)
    behind = step(p.y - 10, 5)
    thickness = (5.0 + clivus) * (1 - orbit) + 3.0 * orbit - 0.8 * behind
    petrous = 7 * bump(p.y - (-14 + 0.5 * ax), 9) * step(60 - ax, 3)
    return np.asarray(floor - thickness - petrous, dtype=np.float32)


def draw_skull(scene: Scene, p: Points) -> None:
    """Paints vault, base and brain."""
    head = scene.recipe.head
    temple = bump(p.y + 34, 24) * bump(p.z - 16, 26)
    scalp = 6.3 + 12.5 * temple + 3.0 * step(p.y - 60, 10) * step(8 - p.z, 8)
    outer = normalised(cranial_surface(p), p.lattice) + scalp
    floor = _floor(p)
    thickness = head.skull_mm + 1.5 * step(p.y - 70, 8) + 1.5 * step(-70 - p.y, 6)
    cavity = np.maximum(outer + thickness - 3.0 * temple, floor - p.z)
    bone = np.maximum(outer, np.maximum(_underside(p, floor) - p.z, -cavity))
    sides = p.moved(np.abs(p.x), p.y, p.z)
    petrous = tube(sides, [(54, 18, -7), (38, 13, -10), (18, -4, -11)], [12, 11, 8])
    bone = np.minimum(bone, np.maximum(petrous, -cavity))
    foramen = tube(p, [(0, 20, -6), (0, 22, -36)], [14.5, 15.5])
    joint = ellipsoid(sides, (50.5, -14.5, -3.0), (13, 8.2, 9.0))
    bone = np.maximum(np.maximum(bone, -foramen), -joint)
    bone = normalised(np.asarray(bone, np.float32), p.lattice)
    scene.paint(p, bone, Tissue.CORTICAL, Label.KEEP)
    scene.paint(p, np.asarray(bone + 1.6, np.float32), Tissue.DIPLOE, Label.KEEP)
    brain = np.minimum(np.maximum(cavity, outer + 3), np.maximum(foramen + 3, p.z + 2))
    brain = normalised(brain.astype(np.float32), p.lattice)
    scene.paint(p, np.asarray(brain - 0.3, np.float32), Tissue.FLUID, Label.KEEP)
    folds = 0.9 * np.sin(0.42 * p.x + 0.2 * p.y) * np.sin(0.35 * p.y - 0.25 * p.z + 0.8)
    scene.paint(p, np.asarray(brain + 1.6 + folds, np.float32), Tissue.BRAIN, Label.KEEP)
    horn = tube(
        sides, [(6, -32, 42), (9, -5, 50), (14, 25, 46), (22, 38, 34)], [4.5, 4.0, 5.0, 3.0]
    )
    scene.paint(p, horn, Tissue.FLUID, Label.KEEP)


def draw_face(scene: Scene, p: Points) -> None:
    """Paints the facial bones, orbits, nose and sinuses."""
    air = scene.recipe.head.pneumatised
    for sign in (1, -1):
        for (x, y, z), semi in _SINUS:
            outer = (semi[0] + 1.5, semi[1] + 1.5, semi[2] + 1.5)
            scene.ellipsoid(p, (sign * x, y, z), outer, Tissue.CORTICAL, hu=900.0)
    scene.ellipsoid(p, (43, -66, -6), (8, 7, 9), Tissue.CORTICAL, paired=True)
    scene.ellipsoid(p, (43, -66, -6), (5.8, 4.8, 6.8), Tissue.CANCELLOUS, paired=True)
    arch = spline([(44, -66, -6), (55, -54, -4), (61.5, -36, -1), (63, -18, 4)], 10)
    scene.tube(p, arch, 3.8, Tissue.CORTICAL, flat=((0.9, -0.3, 0.0), 1.7), paired=True)
    rim = spline([(43, -70, 0), (46, -69, 14), (42, -73, 29), (28, -79, 33), (12, -82, 27)], 12)
    scene.tube(p, rim, 3.8, Tissue.CORTICAL, paired=True)
    side = [(46, -68, 14), (37, -48, 12)]
    scene.tube(p, side, 13, Tissue.CORTICAL, flat=((0.9, -0.4, 0.0), 6.0), paired=True)
    scene.tube(
        p, [(0, -81, 27), (0, -84, 20), (0, -91, 12)], [4.0, 3.6, 2.6], Tissue.CORTICAL, hu=900.0
    )
    scene.ellipsoid(p, _ORBIT, (17, 25, 16), Tissue.FAT, paired=True)
    _draw_eyes(scene, p)
    rng = np.random.default_rng([scene.recipe.noise_seed, 31])
    for sign in (1, -1):
        opacity = rng.random() < 0.12
        for (x, y, z), semi in _SINUS:
            open_semi = (semi[0] * air, semi[1] * air, semi[2] * air)
            tissue = Tissue.MUCOSA if opacity and z < -15 else Tissue.AIR
            scene.ellipsoid(p, (sign * x, y, z), open_semi, tissue)
    _draw_nose(scene, p)
    scene.ellipsoid(p, (0, -57, 13), (12.5, 24, 14), Tissue.CORTICAL, hu=700.0)
    _draw_ethmoid(scene, p)
    scene.ellipsoid(p, (0, -30, 1), (15, 14.5, 11.5), Tissue.CORTICAL, hu=900.0)
    scene.ellipsoid(p, (0, -30, 1), (13.3, 12.8, 9.8), Tissue.AIR)
    scene.tube(p, [(1, -44, 1), (-1, -16, 2)], 9, Tissue.CORTICAL, flat=((1, 0, 0), 10), hu=700.0)
    scene.ellipsoid(p, (8, -82, 37), (7.5, 4.0, 10), Tissue.AIR, paired=True)
    _draw_palate(scene, p)


def _draw_nose(scene: Scene, p: Points) -> None:
    scene.ellipsoid(p, (0, -61, -9), (15.5, 31, 23), Tissue.MUCOSA)
    scene.ellipsoid(p, (0, -61, -9), (13.8, 29, 21), Tissue.AIR)
    septum = [(0.5, -86, -10), (-0.8, -62, -8), (0.3, -40, -8)]
    scene.tube(p, septum, [14, 19, 16], Tissue.CARTILAGE, flat=((1.0, 0.0, 0.0), 16.0), hu=180.0)
    lower = [(9, -85, -19), (8.5, -66, -20), (9, -46, -18)]
    scene.tube(p, lower, [3, 4.6, 3.2], Tissue.MUCOSA, paired=True)
    middle = [(7, -80, -5), (7, -64, -6), (8, -46, -4)]
    scene.tube(p, middle, [2, 3.4, 2.5], Tissue.MUCOSA, paired=True)
    nostril = [(6, -84, -22), (6.5, -96, -19), (6, -101, -14)]
    scene.tube(p, nostril, [4.5, 3.8, 2.5], Tissue.AIR, paired=True)


def _draw_eyes(scene: Scene, p: Points) -> None:
    centre = (31.5, -74.0, 15.0)
    scene.ellipsoid(p, centre, (12.2, 12.2, 12.2), Tissue.MUCOSA, paired=True)
    scene.ellipsoid(p, centre, (11.2, 11.2, 11.2), Tissue.EYE, paired=True)
    scene.ellipsoid(p, (31.5, -82.0, 15.0), (4.6, 2.2, 4.6), Tissue.LENS, paired=True)
    scene.tube(p, [(29, -62, 15), (13, -40, 13)], 2.2, Tissue.MUSCLE, paired=True)
    for x, z in ((20, 15), (42.5, 15), (31, 4), (31, 26)):
        rectus = [(x, -72, z), ((x + 27) / 2, -60, (z + 15) / 2), (16, -42, 13)]
        scene.tube(p, rectus, [1.4, 2.2, 1.2], Tissue.MUSCLE, paired=True)


def _draw_ethmoid(scene: Scene, p: Points) -> None:
    part = p.within(((-14, 14), (-84, -30), (-4, 30)))
    rng = np.random.default_rng([scene.recipe.noise_seed, 30])
    seeds = rng.uniform((-14, -84, -4), (14, -30, 30), (110, 3))
    inner = ellipsoid(part, (0, -57, 13), (11.4, 22.8, 12.8))
    candidate = inner < 2
    where = np.stack([part.x[candidate], part.y[candidate], part.z[candidate]], axis=1)
    if not len(where):
        return
    nearest, _ = cKDTree(seeds).query(where, k=2)
    cells = np.full(part.lattice.shape, 5.0, dtype=np.float32)
    cells[candidate] = 0.45 - (nearest[:, 1] - nearest[:, 0]) / 2
    scene.paint(part, np.maximum(cells, inner).astype(np.float32), Tissue.AIR, Label.KEEP)


def _draw_palate(scene: Scene, p: Points) -> None:
    for y in range(-80, -44, 4):
        vault = [(24, y, -34.5), (14, y, -31.5), (0, y, -30.5)]
        scene.tube(p, vault, 4.6, Tissue.CORTICAL, flat=((0, 0, 1), 3.4), hu=900.0, paired=True)
    path = spline(
        [(28, -48, -37), (26.5, -60, -38), (23, -71, -38.5), (17, -80, -38.5), (8, -85, -38),
         (0, -86.5, -38)],
        12,
    )  # fmt: skip
    for radius, tissue in ((6.0, Tissue.CORTICAL), (4.4, Tissue.CANCELLOUS)):
        scene.tube(p, path, radius, tissue, paired=True)
    for wing, radius, ratio in (
        ([(17, -41, -6), (21, -35, -20), (20, -35, -33)], 5.0, 4.5),
        ([(12, -42, -6), (11, -37, -20), (12, -36, -33)], 4.0, 4.0),
    ):
        scene.tube(p, wing, radius, Tissue.CORTICAL, flat=((1.0, 0.25, 0.0), ratio), paired=True)
