"""Draws a whole phantom: ``draw_phantom(seed, after_surgery=...)``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parotid_brachy.lib.anatomy import GLAND, STRUCTURES, Side
from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.imaging.volume import Grid, Volume
from parotid_brachy.lib.phantom.acquisition import Metal, furnish, scanned, streaked, textured
from parotid_brachy.lib.phantom.canvas import Canvas, Label
from parotid_brachy.lib.phantom.ear import draw_auricle
from parotid_brachy.lib.phantom.gland import Gland, make_gland
from parotid_brachy.lib.phantom.jaw import draw_ramus, draw_teeth, tooth_places
from parotid_brachy.lib.phantom.muscles import (
    draw_deep_neck,
    draw_nape,
    draw_side_muscles,
)
from parotid_brachy.lib.phantom.neck import (
    draw_mouth_and_airway,
    draw_prevertebral,
    draw_spine,
    draw_vessels,
)
from parotid_brachy.lib.phantom.recipe import Recipe, Tissues
from parotid_brachy.lib.phantom.report import PhantomReport, SideReport
from parotid_brachy.lib.phantom.sampling import draw_recipe
from parotid_brachy.lib.phantom.scene import (
    FACE_BOX,
    SKULL_BOX,
    SPINE_BOX,
    Frame,
    Scene,
)
from parotid_brachy.lib.phantom.skin import mark_skin
from parotid_brachy.lib.phantom.skull import draw_face, draw_skull
from parotid_brachy.lib.phantom.surgery import draw_bed, draw_clips
from parotid_brachy.lib.phantom.temporal import draw_canal, draw_temporal_bone
from parotid_brachy.lib.phantom.tissue import USUAL, Texture, Tissue
from parotid_brachy.lib.phantom.truth import Extent, within_reach

Spacing = tuple[float, float, float]

_COMPACT_BOX = ((-99.0, 99.0), (-72.0, 58.0), (-88.0, 44.0))


@dataclass(frozen=True)
class Phantom:
    """A synthetic head CT with the truth of both sides.

    Attributes:
        volume: int16 HU.
        truth: uint8 label maps on the volume's grid, by side and extent.
        report: what was drawn.
    """

    volume: Volume
    truth: Mapping[Side, Mapping[Extent, NDArray[np.uint8]]]
    report: PhantomReport


def case_name(seed: int) -> str:
    """The name of a seed's case."""
    return f"phantom_{seed:04d}"


def draw_phantom(
    seed: int,
    *,
    after_surgery: Side | None,
    spacing_mm: Spacing | None = None,
    matrix: tuple[int, int] | None = None,
    compact: bool = False,
) -> Phantom:
    """Draws one phantom; the same arguments give the same voxels.

    Args:
        seed: not negative; it decides everything that is not given.
        after_surgery: the operated side, or None for two whole glands.
        spacing_mm: along x, y, z, where the seed's own is not wanted.
        matrix: columns and rows, where the seed's own are not wanted.
        compact: only as much of the head as holds all structures of both sides.

    Raises:
        UsageError: a negative seed, or a spacing or matrix that no phantom can have.
    """
    _require_drawable(seed, spacing_mm, matrix)
    recipe = draw_recipe(seed, after_surgery=after_surgery)
    grid = scan_grid(recipe, spacing_mm=spacing_mm, matrix=matrix, compact=compact)
    textures = _textures(recipe.tissues)
    canvas = Canvas(grid, textures, blur_mm=max(recipe.scan.blur_mm, 0.8 * grid.spacing_mm[0]))
    scene = Scene(recipe, canvas, Frame.of(recipe))
    glands, clips = _draw_head(scene)
    textured(canvas, textures, seed=recipe.noise_seed)
    furnish(scene)
    metals = _metals(scene, clips)
    streaked(canvas, metals, strength=recipe.head.filling_streaks, seed=recipe.noise_seed)
    truth: dict[Side, dict[Extent, NDArray[np.uint8]]] = {}
    for side in Side:
        full = canvas.truth(side)
        truth[side] = {Extent.FULL: full, Extent.ROI17: within_reach(full, grid)}
    volume = Volume(grid, scanned(canvas, recipe), case_name(seed))
    return Phantom(volume, truth, _report(recipe, grid, glands, truth))


def scan_grid(
    recipe: Recipe,
    *,
    spacing_mm: Spacing | None = None,
    matrix: tuple[int, int] | None = None,
    compact: bool = False,
) -> Grid:
    """The grid of a recipe's scan: axial slices, head within the field of view."""
    scan = recipe.scan
    pixel = round(scan.field_of_view_mm / max(scan.matrix), 6)
    spacing = spacing_mm or (pixel, pixel, scan.slice_mm)
    frame = Frame.of(recipe)
    if compact:
        box = frame.box_lps_mm(_COMPACT_BOX)
        size = [int(np.ceil((high - low) / s)) for (low, high), s in zip(box, spacing, strict=True)]
        origin = [low + s / 2 for (low, _), s in zip(box, spacing, strict=True)]
    else:
        columns, rows = matrix or scan.matrix
        centre = frame.to_lps_mm((0.0, -6.0, -20.0))[:2] + scan.off_centre_mm
        low_z, high_z = (
            recipe.pose.centre_lps_mm[2] + height * recipe.head.scale[2]
            for height in scan.heights_mm
        )
        size = [columns, rows, max(8, round((high_z - low_z) / spacing[2]))]
        origin = [
            centre[0] - (columns - 1) / 2 * spacing[0],
            centre[1] - (rows - 1) / 2 * spacing[1],
            low_z,
        ]
    return Grid(
        (size[0], size[1], size[2]),
        spacing,
        (round(float(origin[0]), 4), round(float(origin[1]), 4), round(float(origin[2]), 4)),
        (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
    )


def _require_drawable(
    seed: int, spacing_mm: Spacing | None, matrix: tuple[int, int] | None
) -> None:
    if seed < 0:
        raise UsageError(f"seed {seed}: a phantom's seed is 0 or more")
    if spacing_mm is not None and not all(0.2 <= s <= 10 for s in spacing_mm):
        raise UsageError(f"spacing {spacing_mm}: a phantom's voxels measure 0.2 to 10 mm")
    if matrix is not None and not all(16 <= n <= 1024 for n in matrix):
        raise UsageError(f"matrix {matrix}: a phantom has 16 to 1024 columns and rows")


def _textures(tissues: Tissues) -> dict[Tissue, Texture]:
    """The usual textures with this person's CT numbers."""
    own = {
        Tissue.FAT: replace(USUAL[Tissue.FAT], mean_hu=tissues.fat_hu),
        Tissue.MUSCLE: replace(USUAL[Tissue.MUSCLE], mean_hu=tissues.muscle_hu),
        Tissue.GLAND: replace(
            USUAL[Tissue.GLAND], mean_hu=tissues.gland_hu, septa_hu=tissues.gland_septa_hu
        ),
        Tissue.CORTICAL: replace(USUAL[Tissue.CORTICAL], mean_hu=tissues.cortical_hu),
        Tissue.CANCELLOUS: replace(USUAL[Tissue.CANCELLOUS], mean_hu=tissues.cancellous_hu),
        Tissue.ARTERY: replace(USUAL[Tissue.ARTERY], mean_hu=tissues.artery_hu),
        Tissue.VEIN: replace(USUAL[Tissue.VEIN], mean_hu=tissues.vein_hu),
    }
    return {**USUAL, **own}


def _draw_head(scene: Scene) -> tuple[dict[Side, Gland], list[tuple[float, float, float]]]:
    """Paints everything from the skin inwards; later structures displace earlier ones."""
    recipe = scene.recipe
    layers = scene.layers()
    scene.paint(layers.p, layers.skin, Tissue.SKIN)
    scene.paint(layers.p, layers.under, Tissue.FAT)
    draw_nape(scene, layers)
    draw_deep_neck(scene, layers)
    sides = {side: scene.side_points(side, layers) for side in Side}
    glands = {side: make_gland(points, recipe) for side, points in sides.items()}
    spine = scene.points(SPINE_BOX, step_mm=1.3)
    face = scene.points(FACE_BOX, step_mm=1.2)
    draw_prevertebral(scene, spine)
    clips: list[tuple[float, float, float]] = []
    for side, points in sides.items():
        mark_skin(scene, points, glands[side])
        draw_side_muscles(scene, points)
    draw_mouth_and_airway(scene, face)
    for side, points in sides.items():
        gland = glands[side]
        if recipe.surgery is not None and recipe.surgery.side is side:
            clips = draw_bed(scene, gland, recipe.surgery)
        p = gland.points.p
        scene.paint(p, gland.residual - np.float32(0.9), Tissue.FAT, Label.KEEP)
        scene.paint(p, gland.residual, Tissue.GLAND, (side, GLAND.value))
        draw_vessels(scene, points)
        if clips and recipe.surgery is not None and recipe.surgery.side is side:
            draw_clips(scene, gland, clips)
    draw_spine(scene, spine)
    draw_skull(scene, scene.points(SKULL_BOX, step_mm=2.0))
    draw_face(scene, face)
    for points in sides.values():
        draw_temporal_bone(scene, points)
        draw_ramus(scene, points)
    draw_teeth(scene, face)
    for points in sides.values():
        draw_auricle(scene, points)
        draw_canal(scene, points)
    return glands, clips


def _metals(scene: Scene, clips: list[tuple[float, float, float]]) -> list[Metal]:
    """Fillings and clips on the grid."""
    recipe, grid = scene.recipe, scene.canvas.grid
    metals = []
    places = tooth_places()
    for number in recipe.head.fillings:
        x, y, crown, root, _ = places[number]
        at = scene.frame.to_lps_mm((x, y, crown + np.sign(root - crown) * 2.5))
        i, j, k = grid.to_index(at)
        metals.append(Metal((float(i), float(j), float(k)), 3.5, 1.0))
    if recipe.surgery is not None:
        sign = 1.0 if recipe.surgery.side is Side.LEFT else -1.0
        shift = recipe.side(recipe.surgery.side).shift
        for x, y, z in clips:
            at = scene.frame.to_lps_mm(((x + shift[0]) * sign, y + shift[1], z + shift[2]))
            i, j, k = grid.to_index(at)
            metals.append(Metal((float(i), float(j), float(k)), 1.0, 0.2))
    return metals


def _report(
    recipe: Recipe,
    grid: Grid,
    glands: Mapping[Side, Gland],
    truth: Mapping[Side, Mapping[Extent, NDArray[np.uint8]]],
) -> PhantomReport:
    sides: dict[Side, SideReport] = {}
    for side in Side:
        counts: NDArray[Any] = np.bincount(truth[side][Extent.FULL].ravel(), minlength=8)
        gland = glands[side]
        sides[side] = SideReport(
            operated=recipe.surgery is not None and recipe.surgery.side is side,
            whole_gland_ml=gland.whole_ml,
            residual_gland_ml=gland.residual_ml,
            volumes_ml={s.name: float(counts[s.value]) * grid.voxel_ml for s in STRUCTURES},
        )
    return PhantomReport(case_name(recipe.seed), recipe, sides)
