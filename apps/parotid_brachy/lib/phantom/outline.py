"""The head's outer surface and the layers that follow it: skin and subcutaneous fat.

Every level of face and neck is a curve of two half superellipses, front and back; the cranium is
a superellipsoid; nose and chin are blended on. Breadths and lengths are those of an average adult
(head 152 x 195 mm, neck 115 mm) and vary by the recipe.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from parotid_brachy.lib.anatomy import Side
from parotid_brachy.lib.phantom.lattice import Array, Points
from parotid_brachy.lib.phantom.recipe import HeadShape, Recipe, Surgery
from parotid_brachy.lib.phantom.shapes import (
    bump,
    ellipsoid,
    levels,
    normalised,
    smooth_union,
    step,
    tube,
)

# z, half breadth, front y, back y, y of the greatest breadth, exponents of front and back
_LEVELS: Final = np.array(
    [
        (60, 58, -78, 60, -10, 2.3, 2.0),
        (40, 67, -86, 72, -12, 2.5, 2.0),
        (20, 71, -86, 82, -12, 2.8, 2.0),
        (0, 72.5, -87, 86, -8, 2.7, 2.0),
        (-20, 72.5, -91, 83, -5, 2.4, 2.1),
        (-40, 70.5, -95, 77, -3, 2.1, 2.2),
        (-60, 68, -95, 72, -2, 1.85, 2.3),
        (-75, 64, -93, 69, 0, 1.75, 2.3),
        (-88, 61, -86, 67, 3, 1.75, 2.3),
        (-97, 59, -70, 67, 6, 1.85, 2.3),
        (-106, 58, -54, 67, 8, 2.0, 2.3),
        (-122, 58, -46, 68, 10, 2.1, 2.3),
        (-142, 62, -46, 70, 12, 2.2, 2.3),
        (-160, 80, -49, 76, 14, 2.3, 2.3),
        (-185, 130, -62, 84, 14, 2.5, 2.5),
    ]
)


def skin_surface(p: Points, recipe: Recipe) -> Array:
    """Distance to the skin's outer surface without the auricles, normalised; with depression."""
    distance = intact_skin_surface(p, recipe)
    if recipe.surgery is not None:
        distance = distance + depression(p, recipe.surgery)
    return distance


def intact_skin_surface(p: Points, recipe: Recipe) -> Array:
    """Distance to the skin's outer surface as it was before surgery."""
    head = recipe.head
    tube_part = _face_and_neck(p, head)
    cranium = cranial_surface(p)
    body = smooth_union(tube_part, cranium, 10.0)
    return normalised(smooth_union(body, _features(p, head), 5.0), p.lattice)


def cranial_surface(p: Points) -> Array:
    """Distance to the scalp over the vault."""
    a, b, c = np.abs(p.x) / 76, np.abs(p.y - 7) / 97, np.abs(p.z - 36) / 92
    q = (a**2.2 + b**2.2 + c**2.2) ** (1 / 2.2)
    return np.asarray((q - 1) * 85, dtype=np.float32)


def _face_and_neck(p: Points, head: HeadShape) -> Array:
    z = _LEVELS[::-1, 0].tolist()
    table = {
        name: levels(p.z, z, _LEVELS[::-1, n].tolist())
        for n, name in enumerate(("z", "half", "front", "back", "widest", "nf", "nb"))
    }
    neck = step(-88 - p.z, 12)
    half = table["half"] + head.width_front * (1 - neck) + head.neck_width * neck
    half += (head.cheek_fat_mm - 4) * 0.6 * (1 - neck)
    front = table["front"] - head.chin_forward * bump(p.z + 82, 16)
    dy = p.y - table["widest"]
    ahead = dy < 0
    depth = np.where(ahead, table["widest"] - front, table["back"] - table["widest"])
    power = np.where(ahead, table["nf"], table["nb"])
    # The gland swells the cheek in front of the groove at the sternomastoid's anterior border.
    swell = 3.2 * bump(p.y + 6, 15) * bump(p.z + 36, 22) - 2.2 * bump(p.y - 20, 13) * neck_like(p)
    half += swell
    u = np.maximum(np.abs(p.x) / half, 1e-3)
    v = np.maximum(np.abs(dy) / depth, 1e-3)
    q = (u**power + v**power) ** (1 / power)
    # The cranium takes over above the brow.
    return np.asarray(np.maximum((q - 1) * half, p.z - 52), dtype=np.float32)


def neck_like(p: Points) -> Array:
    """1 at the level of the neck and lower gland, 0 above the mastoid's tip."""
    return step(-34 - p.z, 10)


def _features(p: Points, head: HeadShape) -> Array:
    """Nose, lips and chin."""
    tip = -88 - head.nose_length
    bridge = tube(
        p,
        [(0, -84, 22), (0, -90, 12), (0, tip + 8, -12), (0, -88, -22)],
        [7, 7.5, 10, 10],
    )
    wings = np.minimum(
        ellipsoid(p, (9, -93, -15), (8, 10, 7)), ellipsoid(p, (-9, -93, -15), (8, 10, 7))
    )
    lips = ellipsoid(p, (0, -84, -46), (25, 16, 12))
    chin = ellipsoid(p, (0, -79 - head.chin_forward, -80), (22, 17, 15))
    nose = smooth_union(bridge, wings, 4.0)
    return smooth_union(nose, smooth_union(lips, chin, 6.0), 4.0)


def depression(p: Points, surgery: Surgery) -> Array:
    """How far surgery has sunk the skin (mm), largest over the lost gland."""
    sign = 1.0 if surgery.side is Side.LEFT else -1.0
    x, y, z = surgery.centre
    gap = ((p.x * sign - x) / 30) ** 2 + ((p.y - y) / 17) ** 2 + ((p.z - z) / 20) ** 2
    return np.asarray(surgery.depression_mm * np.exp(-gap), dtype=np.float32)


def skin_thickness(p: Points, recipe: Recipe) -> Array:
    """Thickness of the skin, thicker at the nape and where it was incised."""
    thickness = recipe.head.skin_mm + 0.5 * step(p.y - 45, 10) * step(-10 - p.z, 15)
    if recipe.surgery is not None:
        sign = 1.0 if recipe.surgery.side is Side.LEFT else -1.0
        # In front of the ear, under the lobule and along the neck (modified Blair incision).
        incision = tube(p, [(70 * sign, -12, 5), (70 * sign, -6, -25), (66 * sign, -20, -70)], 0.0)
        thickness = thickness + recipe.surgery.thick_skin_mm * bump(incision, 7.0)
    return np.asarray(np.minimum(thickness, 3.8), dtype=np.float32)


def fat_thickness(p: Points, recipe: Recipe) -> Array:
    """Thickness of the subcutaneous fat: thick in cheeks and nape, thin on the scalp."""
    head = recipe.head
    ax: Array = np.abs(p.x)
    scalp = step(p.z - (12 - 0.35 * np.maximum(p.y, 0)), 8)
    nape = step(p.y - 30, 12)
    below = head.cheek_fat_mm * (1 - nape) + (head.neck_fat_mm + 2) * nape
    buccal = 7 * bump(p.y + 62, 18) * bump(p.z + 38, 22) * step(ax - 26, 6)
    chin = 3.0 * bump(p.x, 24) * bump(p.z + 95, 14) * step(-40 - p.y, 6)
    side = 0.5 * head.cheek_fat_mm * bump(p.y + 15, 28) * bump(p.z + 38, 30)
    thin = below * (1 - scalp) + 2.6 * scalp
    midface = 1 - 0.7 * bump(p.x, 18) * step(-70 - p.y, 6) * step(p.z + 72, 8)
    return np.asarray((thin + (buccal + side) * (1 - scalp)) * midface + chin, dtype=np.float32)
