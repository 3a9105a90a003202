"""What the scanner adds: tissue texture, streaks from metal, noise, couch, mask, field of view."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from parotid_brachy.lib.phantom.canvas import Canvas, Label
from parotid_brachy.lib.phantom.lattice import (
    Array,
    Box,
    Field,
    Lattice,
    Points,
    at_slice,
    to_voxels,
)
from parotid_brachy.lib.phantom.outline import skin_surface
from parotid_brachy.lib.phantom.recipe import Recipe
from parotid_brachy.lib.phantom.scene import Scene
from parotid_brachy.lib.phantom.tissue import Texture, Tissue, lookup

HU_RANGE: Final = (-1024, 3071)


@dataclass(frozen=True)
class Metal:
    """A piece of metal on the grid and how strongly it streaks.

    Attributes:
        index: continuous voxel index (i, j, k).
        radius_mm: how far it reaches along the slices.
        strength: 1 for a filling, less for a clip.
    """

    index: tuple[float, float, float]
    radius_mm: float
    strength: float


def textured(canvas: Canvas, textures: dict[Tissue, Texture], *, seed: int) -> None:
    """Adds each tissue's texture: two scales, and septa where the fine one is zero."""
    _, fine, coarse, septa = lookup(textures)
    rng = np.random.default_rng([seed, 50])
    grid = canvas.grid
    corners = grid.corners_lps_mm()
    low, high = corners.min(axis=0), corners.max(axis=0)
    box: Box = ((low[0], high[0]), (low[1], high[1]), (low[2], high[2]))
    lattices = [Lattice.over(grid, box, step_mm=size, slice_step_mm=size) for size in (1.5, 5.0)]
    fields = []
    for lattice in lattices:
        noise = rng.standard_normal(lattice.shape, dtype=np.float32)
        noise = gaussian_filter(noise, 0.9, mode="wrap", truncate=2.5)
        fields.append(np.asarray(noise / noise.std(), dtype=np.float32))
    for k in range(grid.size_ijk[2]):
        tissue = canvas.tissue[k]
        rows = np.flatnonzero(tissue.any(axis=1))
        if rows.size == 0:
            continue
        span = slice(int(rows[0]), int(rows[-1]) + 1)
        here = tissue[span]
        planes = []
        for field, lattice in zip(fields, lattices, strict=True):
            placed = to_voxels(at_slice(field, lattice, k), lattice)
            assert placed is not None
            planes.append(placed[2][span])
        thin = np.maximum(1 - np.abs(planes[0]) * 3.0, 0)
        canvas.hu[k, span] += fine[here] * planes[0] + coarse[here] * planes[1] + septa[here] * thin


def streaked(canvas: Canvas, metals: list[Metal], *, strength: float, seed: int) -> None:
    """Adds bright and dark streaks from metal, in its slices, falling off with distance.

    Between two pieces of metal in one slice the beam is starved: a dark band.
    """
    rng = np.random.default_rng([seed, 60])
    grid = canvas.grid
    si, sj, sk = grid.spacing_mm
    angles = 720
    for metal in metals:
        i, j, k = metal.index
        reach = metal.radius_mm / sk + 0.5
        wheel = rng.standard_normal(angles).astype(np.float32)
        wheel = gaussian_filter(wheel, 1.6, mode="wrap") * 1.9 + gaussian_filter(
            rng.standard_normal(angles).astype(np.float32), 9, mode="wrap"
        ) * np.float32(2.4)
        for slice_k in range(
            max(0, int(np.ceil(k - reach))), min(grid.size_ijk[2] - 1, int(k + reach)) + 1
        ):
            fade = 1 - (abs(slice_k - k) / (reach + 0.3)) ** 2
            own = wheel + 0.5 * rng.standard_normal(angles).astype(np.float32)
            x = (np.arange(grid.size_ijk[0], dtype=np.float32) - np.float32(i)) * np.float32(si)
            y = (np.arange(grid.size_ijk[1], dtype=np.float32) - np.float32(j)) * np.float32(sj)
            radius = np.sqrt(x[None, :] ** 2 + y[:, None] ** 2)
            turn = (np.arctan2(y[:, None], x[None, :]) / (2 * np.pi) + 0.5) * (angles - 1)
            size = 380.0 * strength * metal.strength * fade
            swing = own[turn.astype(np.int16)] * (size * np.exp(-radius / 70) * 10 / (radius + 10))
            canvas.hu[slice_k] += swing.astype(np.float32)
    _starved(canvas, metals, strength=strength)


def _starved(canvas: Canvas, metals: list[Metal], *, strength: float) -> None:
    si, sj, sk = canvas.grid.spacing_mm
    strong = [m for m in metals if m.strength >= 1.0]
    for n, a in enumerate(strong):
        for b in strong[n + 1 :]:
            k = round((a.index[2] + b.index[2]) / 2)
            if abs(a.index[2] - b.index[2]) * sk > 4 or not 0 <= k < canvas.grid.size_ijk[2]:
                continue
            ax, ay = a.index[0] * si, a.index[1] * sj
            dx, dy = b.index[0] * si - ax, b.index[1] * sj - ay
            length = np.hypot(dx, dy)
            if length < 12:
                continue
            x = np.arange(canvas.grid.size_ijk[0], dtype=np.float32)[None, :] * si - ax
            y = np.arange(canvas.grid.size_ijk[1], dtype=np.float32)[:, None] * sj - ay
            along = (x * dx + y * dy) / length
            across = np.abs(x * dy - y * dx) / length
            outside = np.maximum(np.maximum(-along, along - length), 0)
            band = np.exp(-((across / 2.6) ** 2) - outside / 14)
            half = round(2.0 / sk)
            for slice_k in range(max(0, k - half), min(canvas.grid.size_ijk[2], k + half + 1)):
                canvas.hu[slice_k] -= (190.0 * strength * band).astype(np.float32)


def furnish(scene: Scene) -> None:
    """Paints couch, headrest and mask round the head, in the scanner's frame."""
    scan = scene.recipe.scan
    grid = scene.canvas.grid
    corners = grid.corners_lps_mm()
    low, high = corners.min(axis=0), corners.max(axis=0)
    cx, cy, _ = scene.recipe.pose.centre_lps_mm
    back = cy + 112 * scene.recipe.head.scale[1]
    box: Box = ((low[0], high[0]), (cy - 140, high[1]), (low[2], high[2]))
    lattice = Lattice.over(grid, box, step_mm=2.0, slice_step_mm=6.0)
    x, y, _ = lattice.positions(np.eye(3), np.zeros(3))
    flat = np.zeros(lattice.shape, dtype=np.float32)
    if scan.headrest:
        bowl = np.sqrt((x - cx) ** 2 + (y - cy) ** 2 * 0.85) + flat - (103 + 7)
        shell = np.maximum(np.abs(bowl) - 1.8, cy + 22 - y)
        _air_only(scene, lattice, shell, Tissue.SHELL, hu=250.0)
        _air_only(scene, lattice, np.maximum(np.abs(bowl + 6) - 4.2, cy + 50 - y), Tissue.FOAM)
    if scan.couch:
        top = (back + 22 + (x - cx) ** 2 * 0.0006 - y) + flat
        _air_only(scene, lattice, np.maximum(np.abs(top + 1) - 1.1, flat - 1), Tissue.SHELL)
        _air_only(scene, lattice, np.maximum(top + 2, y - back - 62), Tissue.FOAM)
    if scan.mask:
        _draw_mask(scene)


def _air_only(
    scene: Scene, lattice: Lattice, distance: Array, tissue: Tissue, *, hu: float | None = None
) -> None:
    field = Field(lattice, np.asarray(distance, np.float32))
    scene.canvas.paint(field, tissue, Label.KEEP, hu=hu, only_in_air=True)


def _draw_mask(scene: Scene) -> None:
    grid = scene.canvas.grid
    cx, cy, cz = scene.recipe.pose.centre_lps_mm
    box: Box = ((cx - 110, cx + 110), (cy - 135, cy + 30), (cz - 130, cz + 120))
    lattice = Lattice.over(grid, box, step_mm=1.5, slice_step_mm=1.6)
    p: Points = scene.frame.points(lattice)
    skin = skin_surface(p, scene.recipe)
    turn = np.arctan2(p.x, 10 - p.y) * 70
    mesh = np.minimum(
        np.abs(np.sin(0.52 * (turn + 0.6 * p.z))), np.abs(np.sin(0.52 * (turn - 0.6 * p.z)))
    )
    sheet = np.maximum(np.abs(skin - 1.6) - 0.8, (mesh - 0.22) * 5)
    sheet = np.maximum(sheet, p.y - 18)
    _air_only(scene, lattice, sheet, Tissue.MASK)


def scanned(canvas: Canvas, recipe: Recipe) -> NDArray[np.int16]:
    """Noise with the kernel's correlation, the round field of view, and whole HU."""
    scan = recipe.scan
    rng = np.random.default_rng([recipe.noise_seed, 70])
    grid = canvas.grid
    out = np.empty(grid.shape_kji, dtype=np.int16)
    outside = _outside_field(canvas) if scan.round_field else None
    sigma = float(np.clip(0.55 / grid.spacing_mm[0], 0.35, 1.2))
    gain = 1.0 if scan.sharp > 0 else 2.0 * np.sqrt(np.pi) * sigma
    for k in range(grid.size_ijk[2]):
        noise = rng.standard_normal(grid.shape_kji[1:], dtype=np.float32)
        smooth = gaussian_filter(noise, sigma, truncate=2.5)
        if scan.sharp > 0:
            smooth = (1 - scan.sharp) * smooth * (2 * np.sqrt(np.pi) * sigma) + scan.sharp * (
                noise - smooth
            )
        values = canvas.hu[k] + smooth * np.float32(gain * scan.noise_hu)
        np.clip(values, *HU_RANGE, out=values)
        if outside is not None:
            values[outside] = HU_RANGE[0]
        out[k] = np.rint(values)
    return out


def _outside_field(canvas: Canvas) -> NDArray[np.bool_]:
    size = canvas.grid.size_ijk
    si, sj, _ = canvas.grid.spacing_mm
    radius = max(size[0] * si, size[1] * sj) / 2
    x = (np.arange(size[0]) - (size[0] - 1) / 2) * si
    y = (np.arange(size[1]) - (size[1] - 1) / 2) * sj
    return np.asarray(x[None, :] ** 2 + y[:, None] ** 2 > radius**2)
