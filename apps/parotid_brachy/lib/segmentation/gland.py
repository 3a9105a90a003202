"""Step 1: the (residual) parotid gland in a half head."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from parotid_brachy.lib.anatomy import GLAND, GLAND_PLAUSIBLE_ML, Side
from parotid_brachy.lib.imaging.half_head import Midplane, half_head_box
from parotid_brachy.lib.imaging.roi import Box, canonical_grid
from parotid_brachy.lib.imaging.sampling import restore_scores, sample_ct
from parotid_brachy.lib.imaging.volume import Grid, Volume
from parotid_brachy.lib.segmentation.findings import Gland
from parotid_brachy.lib.segmentation.model import Model
from parotid_brachy.lib.segmentation.stopwatch import Stopwatch

logger = logging.getLogger(__name__)

_LATERAL_MM = (15.0, 105.0)
"""Where the centre of a gland can lie, from the midplane."""
_SATELLITE_ML = 0.4
_SATELLITE_MM = 12.0
"""A piece that an operation has cut off: at least so large, at most so far from the main one."""


def find_gland(
    volume: Volume, side: Side, midplane: Midplane, model: Model, watch: Stopwatch
) -> Gland:
    """Finds the gland of one side.

    Args:
        volume: the CT.
        side: which half head to search.
        midplane: of the volume.
        model: a step-1 model.
        watch: told the seconds of each stage.

    Returns:
        The gland, or why nothing was taken for one.
    """
    k, j, i = model.spacing_kji_mm
    grid = canonical_grid(half_head_box(volume, side, midplane), side=side, spacing_mm=(i, j, k))
    value = model.value_of(GLAND)
    with watch("gland sampling"):
        hu = sample_ct(volume, grid)
    with watch("gland network"):
        probability = model.probabilities(hu)[value]
    with watch("gland component"):
        return plausible_gland(probability, grid, side, midplane)


def plausible_gland(
    probability: NDArray[np.float32], grid: Grid, side: Side, midplane: Midplane
) -> Gland:
    """Keeps the largest component that can be a gland, with the pieces right beside it."""
    components, count = ndimage.label(probability > 0.5)
    nothing = np.zeros_like(probability)
    if count == 0:
        why = "the network labelled no gland in this half head"
        return Gland(side, grid, nothing, 0.0, 0.0, why)
    index = np.arange(1, count + 1)
    volumes_ml = ndimage.sum_labels(np.ones_like(components), components, index) * grid.voxel_ml
    low, high = GLAND_PLAUSIBLE_ML
    reasons = []
    for component in index[np.argsort(-volumes_ml)]:
        ml = float(volumes_ml[component - 1])
        if not low <= ml <= high:
            reasons.append(f"{ml:.1f} ml is outside {low:.0f}-{high:.0f} ml")
            if ml < low:  # the rest is smaller still
                break
            continue
        centre = np.asarray(ndimage.center_of_mass(components == component))[::-1]
        lateral_mm = abs(float(grid.to_lps_mm(centre)[0]) - midplane.x_lps_mm)
        if midplane.is_believed and not _LATERAL_MM[0] <= lateral_mm <= _LATERAL_MM[1]:
            reasons.append(f"{ml:.1f} ml lie {lateral_mm:.0f} mm from the midplane")
            continue
        kept = _with_satellites(components, int(component), volumes_ml, grid)
        # One voxel round the kept pieces keeps the outline between voxels when it is restored.
        rim = ndimage.binary_dilation(kept, iterations=1)
        box = ndimage.find_objects(rim.astype(np.uint8))[0]
        start, stop = [s.start for s in box[::-1]], [s.stop for s in box[::-1]]
        return Gland(
            side,
            grid.cropped(tuple(start), tuple(stop)),
            np.where(rim, probability, np.float32(0))[box],
            float(kept.sum() * grid.voxel_ml),
            float(probability[kept].mean()),
        )
    return Gland(side, grid, nothing, 0.0, 0.0, "; ".join(reasons))


def _with_satellites(
    components: NDArray[np.int32], main: int, volumes_ml: NDArray[np.float64], grid: Grid
) -> NDArray[np.bool_]:
    kept: NDArray[np.bool_] = components == main
    pieces = (volumes_ml >= _SATELLITE_ML) & (volumes_ml < volumes_ml[main - 1])
    if not pieces.any():
        return kept
    distance = ndimage.distance_transform_edt(~kept, sampling=grid.spacing_kji_mm)
    for other in np.flatnonzero(pieces) + 1:
        piece = components == other
        if distance[piece].min() <= _SATELLITE_MM:
            kept |= piece
    return kept


def gland_on_image(gland: Gland, image: Grid) -> NDArray[np.bool_]:
    """The gland's mask on the image's grid, shape ``image.shape_kji``."""
    mask = np.zeros(image.shape_kji, dtype=bool)
    if gland.is_found:
        scores, where = restore_scores(gland.probability[None], gland.grid, image)
        mask[where] = scores[..., 0] > 0.5
    return mask


def gland_box(gland: Gland) -> Box:
    """The box of a found gland in LPS millimetres."""
    return Box.of_mask(gland.probability > 0.5, gland.grid)
