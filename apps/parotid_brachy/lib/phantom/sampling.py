"""Draws a phantom's recipe from its seed.

Means and spreads are those of adults' published sizes, so that nearly every phantom lies within
the ranges that the anatomy modules name.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from parotid_brachy.lib.anatomy import Side
from parotid_brachy.lib.phantom.recipe import (
    HeadShape,
    Pose,
    Recipe,
    Resection,
    Scan,
    SideShape,
    Surgery,
    Tissues,
    View,
)


def random_operated_side(seed: int) -> Side | None:
    """The side to operate on where the caller leaves it to chance: 35 % each, 30 % none."""
    draw = np.random.default_rng([seed, 7]).random()
    if draw < 0.35:
        return Side.LEFT
    return Side.RIGHT if draw < 0.7 else None


def draw_recipe(seed: int, *, after_surgery: Side | None) -> Recipe:
    """All that chance decides for ``seed``; the anatomy is the same with and without surgery."""
    streams = [np.random.default_rng([seed, n]) for n in range(7)]
    head = _head(streams[0])
    left = _side(streams[1])
    right = _beside(left, _side(streams[2]))
    return Recipe(
        seed=seed,
        head=head,
        left=left,
        right=right,
        tissues=_tissues(streams[3]),
        pose=_pose(streams[4]),
        scan=_scan(streams[5]),
        surgery=None if after_surgery is None else _surgery(streams[6], after_surgery),
        noise_seed=int(np.random.default_rng([seed, 8]).integers(2**31)),
    )


def _normal(rng: np.random.Generator, mean: float, sd: float, low: float, high: float) -> float:
    return float(np.clip(rng.normal(mean, sd), low, high))


def _head(rng: np.random.Generator) -> HeadShape:
    size = _normal(rng, 1.0, 0.03, 0.94, 1.06)
    scale = [size * _normal(rng, 1.0, 0.02, 0.96, 1.04) for _ in range(3)]
    toothless = bool(rng.random() < 0.12)
    missing = tuple(int(n) for n in np.flatnonzero(rng.random(32) < rng.uniform(0.0, 0.35)))
    filled = np.flatnonzero(rng.random(32) < rng.choice([0.0, 0.05, 0.18]))
    fillings = () if toothless else tuple(int(n) for n in filled if n not in missing)
    return HeadShape(
        scale=(scale[0], scale[1], scale[2]),
        width_front=_normal(rng, 0.0, 1.5, -3, 3),
        neck_width=_normal(rng, 0.0, 3.0, -5, 7),
        chin_forward=_normal(rng, 0.0, 3.0, -6, 6),
        nose_length=_normal(rng, 22.0, 3.0, 15, 29),
        skin_mm=_normal(rng, 2.4, 0.2, 2.05, 2.9),
        cheek_fat_mm=_normal(rng, 4.0, 1.6, 1.6, 8.5),
        neck_fat_mm=_normal(rng, 4.5, 2.0, 1.5, 10),
        skull_mm=_normal(rng, 6.0, 0.9, 4.2, 8.5),
        pneumatised=float(rng.uniform(0.6, 1.0)),
        toothless=toothless,
        missing_teeth=missing,
        fillings=fillings,
        filling_streaks=float(rng.uniform(0.5, 1.6)),
    )


def _side(rng: np.random.Generator) -> SideShape:
    flat_ear = rng.random() < 0.2
    shift = [_normal(rng, 0.0, 1.0, -2, 2) for _ in range(3)]
    return SideShape(
        shift=(shift[0], shift[1], shift[2]),
        gland_ml=_normal(rng, 25.0, 3.2, 20.8, 33.0),
        gland_depth=_normal(rng, 2.4, 0.9, 1.0, 4.5),
        gland_tail=_normal(rng, 0.0, 3.5, -6, 6),
        deep_lobe=_normal(rng, 1.0, 0.12, 0.75, 1.25),
        condyle_scale=_normal(rng, 1.02, 0.05, 0.92, 1.12),
        ramus_thickness=_normal(rng, 1.0, 0.08, 0.86, 1.16),
        notch_depth=_normal(rng, 0.0, 1.0, -2, 2),
        mastoid_height=_normal(rng, 27.6, 0.5, 26.8, 28.3),
        mastoid_scale=_normal(rng, 1.06, 0.05, 0.95, 1.16),
        cell_mm=_normal(rng, 4.6, 0.8, 3.2, 6.5),
        cells=float(np.clip(rng.beta(3.0, 1.0), 0.1, 1.0)),
        ear_scale=_normal(rng, 1.0, 0.05, 0.9, 1.1),
        ear_angle_deg=float(rng.uniform(-4, 4)) if flat_ear else _normal(rng, 25.0, 7.0, 12, 42),
        ear_tilt_deg=_normal(rng, 16.0, 4.0, 6, 26),
        ear_thickness=_normal(rng, 4.3, 0.35, 3.5, 5.2),
        canal_radius=_normal(rng, 3.2, 0.25, 2.6, 3.8),
        canal_length=_normal(rng, 25.0, 1.2, 22.5, 27.5),
        canal_bend=_normal(rng, 1.0, 0.4, 0.2, 1.8),
        muscle_scale=_normal(rng, 1.0, 0.08, 0.82, 1.18),
    )


def _beside(first: SideShape, second: SideShape) -> SideShape:
    """The other side of the same person: alike, not the same."""
    mixed = {}
    for name, value in vars(first).items():
        other = getattr(second, name)
        if isinstance(value, float) and name != "ear_angle_deg":
            mixed[name] = 0.7 * value + 0.3 * other
        else:
            mixed[name] = other
    return replace(second, **mixed)


def _tissues(rng: np.random.Generator) -> Tissues:
    fatty = float(rng.beta(2.0, 2.2))
    contrast = rng.random() < 0.45
    artery = float(rng.uniform(140, 320)) if contrast else _normal(rng, 45, 4, 35, 58)
    vein = float(rng.uniform(110, 220)) if contrast else artery
    return Tissues(
        gland_hu=42.0 - 58.0 * fatty + (float(rng.uniform(5, 25)) if contrast else 0.0),
        gland_septa_hu=-25.0 - 55.0 * fatty,
        fat_hu=_normal(rng, -103, 5, -115, -90),
        muscle_hu=_normal(rng, 57, 5, 45, 70) + (8.0 if contrast else 0.0),
        cortical_hu=_normal(rng, 1300, 130, 1030, 1580),
        cancellous_hu=_normal(rng, 300, 60, 170, 420),
        artery_hu=artery,
        vein_hu=vein,
    )


def _pose(rng: np.random.Generator) -> Pose:
    centre = (float(rng.normal(0, 6)), float(rng.normal(0, 12)), float(rng.uniform(-900, 900)))
    return Pose(
        roll_deg=_normal(rng, 0, 3.0, -9, 9),
        pitch_deg=_normal(rng, 2, 6.0, -14, 18),
        yaw_deg=_normal(rng, 0, 3.5, -10, 10),
        centre_lps_mm=centre,
    )


def _scan(rng: np.random.Generator) -> Scan:
    views = (View.WHOLE_HEAD, View.CUT_AT_VERTEX, View.NECK, View.CUT_AT_GLAND)
    view = views[int(rng.choice(4, p=[0.25, 0.45, 0.2, 0.1]))]
    size = int(rng.choice([512, 384, 320, 256], p=[0.7, 0.1, 0.1, 0.1]))
    # At least 235 mm, so that both ears lie inside; 0.4-1.2 mm pixels.
    wide = rng.random() < 0.15
    extent = float(rng.uniform(300, 460)) if wide else float(rng.uniform(235, 300))
    extent = float(np.clip(extent, 0.4 * size, 1.2 * size))
    rows = size if rng.random() < 0.7 else int(size * rng.uniform(0.88, 1.0))
    columns = size if rng.random() < 0.8 else int(size * rng.uniform(0.9, 1.0))
    thickness = float(
        rng.choice([1.0, 1.25, 1.5, 2.0, 2.5, 3.0], p=[0.1, 0.1, 0.1, 0.4, 0.15, 0.15])
    )
    return Scan(
        view=view,
        heights_mm=_heights(rng, view),
        field_of_view_mm=extent,
        matrix=(columns, rows),
        slice_mm=thickness,
        off_centre_mm=(_normal(rng, 0, 5, -12, 12), _normal(rng, 0, 8, -18, 18)),
        blur_mm=float(rng.uniform(0.55, 1.1)),
        noise_hu=float(rng.uniform(4, 18)) * float(np.sqrt(2.0 / thickness)),
        sharp=float(rng.choice([0.0, 0.0, rng.uniform(0.3, 1.0)])),
        round_field=bool(rng.random() < 0.25),
        couch=bool(rng.random() < 0.8),
        headrest=bool(rng.random() < 0.7),
        mask=bool(rng.random() < 0.3),
    )


def _heights(rng: np.random.Generator, view: View) -> tuple[float, float]:
    """Lowest and highest slice: vertex at 130, ear canals at 0, chin at -95, shoulders at -165."""
    match view:
        case View.WHOLE_HEAD:
            return (float(rng.uniform(-135, -105)), float(rng.uniform(128, 142)))
        case View.CUT_AT_VERTEX:
            return (float(rng.uniform(-155, -95)), float(rng.uniform(35, 110)))
        case View.NECK:
            return (float(rng.uniform(-185, -150)), float(rng.uniform(18, 48)))
        case View.CUT_AT_GLAND:
            return (float(rng.uniform(-66, -28)), float(rng.uniform(60, 140)))


def _surgery(rng: np.random.Generator, side: Side) -> Surgery:
    removed = float(rng.uniform(0.2, 0.9))
    kinds = tuple(Resection)
    centre = (60.0 + rng.normal(0, 3), -10.0 + rng.normal(0, 6), -34.0 + rng.normal(0, 9))
    return Surgery(
        side=side,
        removed_fraction=removed,
        resection=kinds[int(rng.choice(3, p=[0.45, 0.35, 0.2]))],
        centre=(float(centre[0]), float(centre[1]), float(centre[2])),
        depression_mm=float(rng.uniform(1.5, 10.0)) * removed,
        scar_strands=int(rng.integers(3, 9)),
        fluid_ml=float(rng.uniform(0.5, 5.0)) if rng.random() < 0.55 else 0.0,
        air_bubbles=int(rng.integers(1, 7)) if rng.random() < 0.35 else 0,
        clips=int(rng.integers(1, 8)) if rng.random() < 0.7 else 0,
        thick_skin_mm=float(rng.uniform(0.0, 1.2)) if rng.random() < 0.6 else 0.0,
        tip_cells_removed=bool(rng.random() < 0.2),
    )
