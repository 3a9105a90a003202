"""The sagittal midplane and the half head beside it.

The protocol cuts each volume at the sagittal midplane and keeps the side of the cancer. Here the
midplane is found by symmetry, not by the middle of the field of view, which is often off-centre.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from parotid_brachy.lib.anatomy import Side
from parotid_brachy.lib.errors import InputRefusedError
from parotid_brachy.lib.imaging.roi import Box, canonical_grid
from parotid_brachy.lib.imaging.sampling import AIR_HU, sample_ct
from parotid_brachy.lib.imaging.volume import Grid, Volume

logger = logging.getLogger(__name__)

_COARSE_MM = (4.0, 6.0, 8.0)
"""Along i, j, k: symmetry needs the most detail across the plane."""
_BODY_HU = -300.0
_LEAST_SYMMETRY = 0.3
"""Correlation of a body with its mirror image below which no midplane is believed."""
_LEAST_SHARE = 0.3
"""Share of the body's voxels that must have a partner on the other side."""

MEDIAL_MARGIN_MM = 12.0
"""How far a half head reaches over the midplane, for tilted heads."""
LATERAL_EXTENT_MM = 108.0
"""No parotid region is farther than this from the midplane."""


@dataclass(frozen=True)
class Midplane:
    """The sagittal midplane, ``x = x_lps_mm``.

    Attributes:
        x_lps_mm: position; the middle of the body where no symmetry was found.
        symmetry: correlation of the body with its mirror image, -1 to 1.
        body: box of the body.
        is_believed: whether the symmetry is good enough to cut there. Where it is not (a volume
            that holds one half head only) a half head is the whole volume.
    """

    x_lps_mm: float
    symmetry: float
    body: Box
    is_believed: bool


def find_midplane(volume: Volume) -> Midplane:
    """Finds the sagittal midplane of a head or neck CT.

    Raises:
        InputRefusedError: the volume holds no body (nothing denser than -300 HU).
    """
    box = Box.of_grid(volume.grid)
    grid = canonical_grid(box, side=Side.LEFT, spacing_mm=_COARSE_MM)
    hu = sample_ct(volume, grid)
    tissue = hu > _BODY_HU
    if not tissue.any():
        message = (
            f"{volume.case}: no tissue in it (highest value {hu.max():.0f} HU). "
            "Give a CT in Hounsfield units."
        )
        raise InputRefusedError(message)
    body = _body_box(tissue, grid.origin_lps_mm)
    # What the volume does not cover (an oblique one leaves corners) is sampled as exactly AIR_HU.
    # Narrow range: soft tissue against air and bone, so that metal and contrast weigh little.
    x, symmetry = _best_mirror(np.clip(hu, -300.0, 400.0), tissue, hu > AIR_HU + 0.5)
    position = grid.origin_lps_mm[0] + x * _COARSE_MM[0]
    believed = symmetry >= _LEAST_SYMMETRY
    if not believed:
        position = (body.low_lps_mm[0] + body.high_lps_mm[0]) / 2
        logger.warning("%s: no sagittal midplane found (symmetry %.2f)", volume.case, symmetry)
    return Midplane(float(position), symmetry, body, believed)


def _body_box(tissue: NDArray[np.bool_], origin_lps_mm: tuple[float, float, float]) -> Box:
    """Box of the tissue, leaving out sparse rows such as a couch's edge or a mask's knob."""
    low, high = np.zeros(3), np.zeros(3)
    for axis_ijk, axis in enumerate((2, 1, 0)):
        other = tuple(a for a in range(3) if a != axis)
        count = tissue.sum(axis=other)
        where = np.flatnonzero(count > 0.02 * count.max())
        low[axis_ijk] = origin_lps_mm[axis_ijk] + (where[0] - 0.5) * _COARSE_MM[axis_ijk]
        high[axis_ijk] = origin_lps_mm[axis_ijk] + (where[-1] + 0.5) * _COARSE_MM[axis_ijk]
    return Box.of(low, high)


def labels_of_side(
    labels: NDArray[np.uint8], grid: Grid, midplane: Midplane, side: Side
) -> NDArray[np.uint8]:
    """The part of a label map that lies on one side of the midplane.

    Args:
        labels: shape ``grid.shape_kji``.
        grid: of the map.
        midplane: of the volume.
        side: the patient's.
    """
    index = np.argwhere(labels > 0)
    x = grid.to_lps_mm(index[:, ::-1].astype(np.float64))[:, 0]
    keep = index[x > midplane.x_lps_mm if side is Side.LEFT else x <= midplane.x_lps_mm]
    own = np.zeros_like(labels)
    own[tuple(keep.T)] = labels[tuple(keep.T)]
    return own


def _best_mirror(
    values: NDArray[np.float32], tissue: NDArray[np.bool_], known: NDArray[np.bool_]
) -> tuple[float, float]:
    """The index along i at which a volume resembles its mirror image most, and how much."""
    width = values.shape[2]
    total = int(tissue.sum())
    best, best_score = (width - 1) / 2, -1.0
    for twice in range(width // 3, 2 * width - 2 - width // 3 + 1):
        start, stop = max(0, twice - width + 1), min(width - 1, twice)
        here = slice(start, stop + 1)
        pair = known[:, :, here] & known[:, :, here][:, :, ::-1]
        either = pair & (tissue[:, :, here] | tissue[:, :, here][:, :, ::-1])
        covered = int((tissue[:, :, here] & pair).sum())
        if covered < _LEAST_SHARE * total:
            continue
        first = values[:, :, here][either]
        second = values[:, :, here][:, :, ::-1][either]
        spread = float(first.std())
        if spread < 1.0:
            continue
        mean = float(first.mean())
        score = float(((first - mean) * (second - mean)).mean()) / spread**2
        # Of two equal fits the one that explains more of the body is right.
        score *= (covered / total) ** 0.25
        if score > best_score:
            best, best_score = twice / 2, score
    return best, best_score


def half_head_box(volume: Volume, side: Side, midplane: Midplane) -> Box:
    """The box of one half head: from just over the midplane to the side's skin."""
    body = midplane.body.grown(max(_COARSE_MM))
    whole = Box.of_grid(volume.grid)
    box = body.clipped(whole)
    if not midplane.is_believed:
        return box
    low, high = np.asarray(box.low_lps_mm), np.asarray(box.high_lps_mm)
    if side is Side.LEFT:
        low[0] = max(low[0], midplane.x_lps_mm - MEDIAL_MARGIN_MM)
        high[0] = min(high[0], midplane.x_lps_mm + LATERAL_EXTENT_MM)
    else:
        high[0] = min(high[0], midplane.x_lps_mm + MEDIAL_MARGIN_MM)
        low[0] = max(low[0], midplane.x_lps_mm - LATERAL_EXTENT_MM)
    return Box.of(low, np.maximum(high, low + 1.0))
