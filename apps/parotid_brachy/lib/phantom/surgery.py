"""What a parotidectomy leaves: scar, fluid, air, clips, and the bed of the lost gland."""

from __future__ import annotations

import numpy as np

from parotid_brachy.lib.phantom.canvas import Label
from parotid_brachy.lib.phantom.gland import Gland
from parotid_brachy.lib.phantom.lattice import Array
from parotid_brachy.lib.phantom.recipe import Surgery
from parotid_brachy.lib.phantom.scene import Scene
from parotid_brachy.lib.phantom.shapes import ellipsoid, tube
from parotid_brachy.lib.phantom.tissue import Tissue


def draw_bed(scene: Scene, gland: Gland, surgery: Surgery) -> list[tuple[float, float, float]]:
    """Paints the bed of the lost gland before the residual gland is painted.

    Returns:
        Positions of the clips in LPS, for their streaks.
    """
    part = gland.points
    p = part.p
    rng = np.random.default_rng([scene.recipe.noise_seed, 40])
    lost = np.maximum(np.maximum(gland.whole, -gland.residual), part.skin + 2.8)
    places = np.argwhere(lost < -1.0)
    if len(places) == 0:
        return []

    def somewhere() -> tuple[float, float, float]:
        k, j, i = places[rng.integers(len(places))]
        return (float(p.x[k, j, i]), float(p.y[k, j, i]), float(p.z[k, j, i]))

    def paint(distance: Array, tissue: Tissue, hu: float | None = None) -> None:
        inside = np.maximum(distance, part.skin + 1.0)
        scene.paint(p, np.asarray(inside, np.float32), tissue, Label.KEEP, hu=hu)

    # Scar covers the cut surface; the rest of the bed fills with fat and loose tissue.
    paint(lost, Tissue.FAT, hu=float(rng.uniform(-95, -45)))
    near_cut = np.maximum(lost, gland.residual - rng.uniform(1.5, 4.0))
    paint(near_cut, Tissue.SCAR, hu=float(rng.uniform(45, 75)))
    for _ in range(surgery.scar_strands):
        a, b = np.asarray(somewhere()), np.asarray(somewhere())
        out = b + np.array([8.0, rng.normal(0, 4), rng.normal(0, 5)])
        middle = (a + b) / 2 + rng.normal(0, 2, 3)
        strand = tube(p, np.stack([a, middle, out]), rng.uniform(0.6, 2.0, 3).tolist())
        paint(np.maximum(strand, gland.whole - 6), Tissue.SCAR, hu=float(rng.uniform(60, 90)))
    if surgery.fluid_ml > 0:
        radius = (surgery.fluid_ml * 1000 * 3 / (4 * np.pi)) ** (1 / 3)
        stretch = rng.uniform(0.75, 1.35, 3)
        stretch /= np.prod(stretch) ** (1 / 3)
        centre = somewhere()
        semi = (radius * stretch[0] * 0.8, radius * stretch[1], radius * stretch[2] * 1.25)
        pocket = np.maximum(ellipsoid(p, centre, semi), lost - 1.0)
        paint(pocket - 0.9, Tissue.SCAR)
        paint(pocket, Tissue.FLUID, hu=float(rng.uniform(3, 20)))
    for _ in range(surgery.air_bubbles):
        size = rng.uniform(0.9, 2.8, 3)
        bubble = ellipsoid(p, somewhere(), (float(size[0]), float(size[1]), float(size[2])))
        paint(np.maximum(bubble, lost), Tissue.AIR)
    return [somewhere() for _ in range(surgery.clips)]


def draw_clips(scene: Scene, gland: Gland, clips: list[tuple[float, float, float]]) -> None:
    """Paints the clips: titanium, about 5 mm long and under 1 mm thick."""
    p = gland.points.p
    rng = np.random.default_rng([scene.recipe.noise_seed, 41])
    for x, y, z in clips:
        direction = rng.normal(0, 1, 3)
        direction *= rng.uniform(1.5, 2.8) / np.linalg.norm(direction)
        ends = np.stack([np.array([x, y, z]) + way * direction for way in (-1, 1)])
        scene.paint(p, tube(p, ends, 0.65), Tissue.METAL, Label.KEEP, hu=4500.0)
