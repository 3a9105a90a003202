"""The temporal bone's side of the ear: mastoid process with its cells, and the ear canal.

Published sizes: mastoid process 25-30 mm high, canal 25 mm long and 7 mm wide with its wall.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.spatial import cKDTree

from parotid_brachy.lib.anatomy import EXTERNAL_AUDITORY_CANAL, MASTOID_PROCESS
from parotid_brachy.lib.imaging.volume import FloatArray
from parotid_brachy.lib.phantom.canvas import Label
from parotid_brachy.lib.phantom.lattice import Array, Box, Points
from parotid_brachy.lib.phantom.recipe import SideShape
from parotid_brachy.lib.phantom.scene import Scene, SidePoints
from parotid_brachy.lib.phantom.shapes import (
    ellipsoid,
    levels,
    normalised,
    smooth_cut,
    smooth_union,
    spline,
    tube,
)
from parotid_brachy.lib.phantom.tissue import Tissue

MASTOID_BOX: Box = ((34, 80), (-6, 46), (-40, 22))
CANAL_BOX: Box = ((32, 84), (-22, 22), (-16, 22))
CANAL_WALL_MM: Final = 0.9
_MASTOID_TOP: Final = 4.0

# share of the height above the tip: centre x, centre y, half breadth, half length
_SECTIONS: Final = np.array(
    [
        (-0.02, 56.5, 12.0, 0.5, 0.8),
        (0.06, 56.5, 12.5, 4.4, 5.8),
        (0.20, 57.0, 14.5, 7.2, 9.6),
        (0.40, 57.2, 17.0, 9.3, 13.2),
        (0.65, 57.2, 19.0, 11.0, 15.2),
        (1.00, 57.0, 19.5, 12.0, 15.8),
        (1.60, 57.5, 20.0, 10.0, 14.5),
    ]
)


def mastoid(p: Points, shape: SideShape) -> Array:
    """Distance to the mastoid process, open at its top."""
    share = (p.z - (_MASTOID_TOP - shape.mastoid_height)) / shape.mastoid_height
    x, y, a, b = (
        levels(share, _SECTIONS[:, 0].tolist(), _SECTIONS[:, n].tolist()) for n in (1, 2, 3, 4)
    )
    k = shape.mastoid_scale
    sway = 0.8 * np.sin(0.35 * p.z + 0.3 * p.x) + 0.6 * np.sin(0.5 * p.y + 0.2 * p.z)
    u, v = (p.x - x + sway) / (a * k), (p.y - y + 0.6 * sway) / (b * k)
    # The process leans: its anterior face is steeper than its posterior one.
    ring = (np.abs(u) ** 2.4 + np.abs(v) ** 2.4 + 1e-6) ** (1 / 2.4)
    below = np.maximum(-share * shape.mastoid_height, 0)
    column = (ring - 1) * np.minimum(a, b) * k + below
    return normalised(np.asarray(column, dtype=np.float32), p.lattice)


def canal_axis(shape: SideShape) -> FloatArray:
    """The canal's curved axis from the concha to the ear drum."""
    bend = shape.canal_bend
    knots = [
        (69.0, 2.5, 0.0),
        (63.0, 1.0 - bend, 1.4 + 0.5 * bend),
        (56.0, -1.5, 2.5),
        (50.0, -3.0 - 0.3 * bend, 2.6),
        (44.0, -5.2, 2.2),
    ]
    curve = spline(knots, 40)
    run = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
    at = np.linspace(0.0, shape.canal_length, 12)
    return np.stack([np.interp(at, run, curve[:, n]) for n in range(3)], axis=1)


def canal_axis_distance(p: Points, shape: SideShape) -> Array:
    """Distance to the canal's axis."""
    return tube(p, canal_axis(shape)[::2], 0.0)


def draw_temporal_bone(scene: Scene, points: SidePoints) -> None:
    """Paints the mastoid process with its cells, and the bone round the canal and middle ear."""
    part = points.within(MASTOID_BOX)
    p, shape = part.p, part.shape
    column = np.maximum(mastoid(p, shape), part.skin + 4.5)
    process = np.maximum(column, p.z - _MASTOID_TOP)
    # Above the process the same column goes on into the squama and the petrous bone.
    root = smooth_cut(column.astype(np.float32), p.z - 11, 6.0)
    scene.paint(p, np.asarray(root, np.float32), Tissue.CORTICAL)
    scene.paint(p, np.asarray(root + 1.5, np.float32), Tissue.DIPLOE, Label.KEEP)
    scene.mark(p, np.asarray(process, np.float32), (part.side, MASTOID_PROCESS.value))
    ear = points.within(CANAL_BOX)
    scene.ellipsoid(points.p, (50.5, -13.5, -3.5), (11.5, 6.8, 8.0), Tissue.MUCOSA)
    axis = canal_axis(shape)
    bony = tube(ear.p, axis[5:], shape.canal_radius + 3.6)
    drum = np.minimum(bony, ellipsoid(ear.p, (40, -5, 4), (10, 9, 9)))
    spared = np.maximum(drum, -_joint(ear.p))
    scene.paint(ear.p, np.asarray(spared, np.float32), Tissue.CORTICAL, Label.KEEP, hu=1050.0)
    middle = ellipsoid(ear.p, (40.5, -4.5, 4), (3.2, 4.6, 6.0))
    scene.paint(ear.p, middle, Tissue.AIR, Label.KEEP)
    draw_cells(scene, part, root, air=shape.cells, size_mm=shape.cell_mm)


def _joint(p: Points) -> Array:
    """The room of the jaw joint."""
    return ellipsoid(p, (50.5, -13.5, -3.5), (12.0, 7.2, 8.6))


def draw_cells(scene: Scene, part: SidePoints, bone: Array, *, air: float, size_mm: float) -> None:
    """Paints air cells, with bony septa between them, inside ``bone``.

    Cells are the regions nearest to random points; where the two nearest are almost equally far
    there is a septum.
    """
    number = 1 if part.side.value == "left" else 2
    rng = np.random.default_rng([scene.recipe.noise_seed, 20 + number])
    surgery = scene.recipe.surgery
    p = part.p
    seeds = _cell_seeds(rng, size_mm)
    inner = bone + 1.7
    if surgery is not None and surgery.side is part.side and surgery.tip_cells_removed:
        inner = np.maximum(inner, (_MASTOID_TOP - 16) - p.z)
    candidate = inner < 3.0
    where = np.stack([p.x[candidate], p.y[candidate], p.z[candidate]], axis=1)
    nearest, which = cKDTree(seeds).query(where, k=2)
    gap = (nearest[:, 1] - nearest[:, 0]) / 2
    # Cells near the antrum are large and aerated first; far ones stay marrow.
    open_cell = rng.random(len(seeds)) < 0.25 + 0.75 * air
    wall = np.where(open_cell[which[:, 0]], 0.45, 50.0)
    cells = np.full(p.lattice.shape, 9.0, dtype=np.float32)
    cells[candidate] = wall - gap
    scene.paint(p, np.maximum(cells, inner).astype(np.float32), Tissue.AIR, Label.KEEP, hu=-930.0)
    antrum = ellipsoid(p, (52, 6, 9), (4, 5, 4.5))
    scene.paint(p, antrum, Tissue.AIR, Label.KEEP)


def _cell_seeds(rng: np.random.Generator, size_mm: float) -> FloatArray:
    spans = np.asarray(MASTOID_BOX, dtype=np.float64)
    counts = np.ceil((spans[:, 1] - spans[:, 0]) / size_mm).astype(int)
    lattice = np.stack(np.meshgrid(*(np.arange(n) for n in counts), indexing="ij"), axis=-1)
    spread = lattice.reshape(-1, 3) + rng.uniform(0.05, 0.95, (lattice.size // 3, 3))
    return np.asarray(spans[:, 0] + spread * size_mm, dtype=np.float64)


def draw_canal(scene: Scene, points: SidePoints) -> None:
    """Paints the ear canal, lumen and wall, and its truth (both, as it is contoured)."""
    part = points.within(CANAL_BOX)
    p, shape = part.p, part.shape
    axis = canal_axis(shape)
    widths = shape.canal_radius * np.interp(np.arange(12), [0, 3, 7, 11], [1.15, 1.05, 0.9, 1.0])
    outside = (axis[0] - axis[1]) / np.linalg.norm(axis[0] - axis[1])
    mouth = (p.x - axis[0, 0]) * outside[0] + (p.y - axis[0, 1]) * outside[1]
    mouth = mouth + (p.z - axis[0, 2]) * outside[2]
    lumen = tube(p, axis, widths.tolist())
    wall = np.maximum(lumen - CANAL_WALL_MM, mouth - 0.5)
    cartilage = np.maximum(np.maximum(lumen - 2.6, mouth), 56.0 - p.x)
    scene.paint(p, np.asarray(np.maximum(cartilage, part.skin + 1), np.float32), Tissue.CARTILAGE)
    label = (part.side, EXTERNAL_AUDITORY_CANAL.value)
    scene.paint(p, np.asarray(wall, np.float32), Tissue.SKIN, label)
    scene.paint(p, np.asarray(np.maximum(lumen, mouth - 2), np.float32), Tissue.AIR, Label.KEEP)
    blend = smooth_union(lumen, ellipsoid(p, (71, 4, -0.5), (5, 5, 5)), 2.0)
    scene.paint(p, np.maximum(blend, -mouth).astype(np.float32), Tissue.AIR)
