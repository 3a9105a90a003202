"""Step 2: the organs at risk in the gland's region of interest."""

from __future__ import annotations

from dataclasses import dataclass

import cc3d
import numpy as np
from numpy.typing import NDArray

from parotid_brachy.lib.anatomy import GLAND, REACH_MM, Side
from parotid_brachy.lib.imaging.roi import Box, canonical_grid
from parotid_brachy.lib.imaging.sampling import restore_scores, sample_ct
from parotid_brachy.lib.imaging.volume import Grid, Volume
from parotid_brachy.lib.segmentation.model import Model
from parotid_brachy.lib.segmentation.stopwatch import Stopwatch

_SPECK_ML = 0.1
"""An unconnected piece smaller than this is no organ, but a strand of the mask or the headrest."""


@dataclass(frozen=True)
class Labelled:
    """A part of the image's grid, labelled.

    Attributes:
        labels: values of ``anatomy``, shape of ``where``.
        confidence: probability of each voxel's label.
        gland_probability: of the gland; None where the model does not label it.
        where: slices (k, j, i) of the image's array.
    """

    labels: NDArray[np.uint8]
    confidence: NDArray[np.float32]
    gland_probability: NDArray[np.float32] | None
    where: tuple[slice, slice, slice]


def label_organs(
    volume: Volume, gland: Box, side: Side, model: Model, watch: Stopwatch
) -> Labelled:
    """Labels the region of interest: the gland's box grown by the seeds' reach.

    Args:
        volume: the CT.
        gland: the gland's box.
        side: of the patient.
        model: a step-2 model.
        watch: told the seconds of each stage.
    """
    box = gland.grown(REACH_MM).clipped(Box.of_grid(volume.grid))
    return label_box(volume, box, side, model, watch)


def label_box(volume: Volume, box: Box, side: Side, model: Model, watch: Stopwatch) -> Labelled:
    """Labels a box of the patient with whatever structures the model knows."""
    k, j, i = model.spacing_kji_mm
    grid = canonical_grid(box, side=side, spacing_mm=(i, j, k))
    with watch("organs sampling"):
        hu = sample_ct(volume, grid)
    with watch("organs network"):
        probabilities = model.probabilities(hu)
    with watch("restoring"):
        return _restored(probabilities, grid, volume.grid, model)


def _restored(
    probabilities: NDArray[np.float32], grid: Grid, image: Grid, model: Model
) -> Labelled:
    scores, where = restore_scores(probabilities, grid, image)
    winner = scores.argmax(axis=-1)
    confidence = np.take_along_axis(scores, winner[..., None], axis=-1)[..., 0]
    # Outside the working grid every score is 0, and the first, background, wins.
    values = np.asarray([0, *(s.value for s in model.preset.structures)], dtype=np.uint8)
    gland_value = model.value_of(GLAND)
    gland = scores[..., gland_value] if gland_value is not None else None
    labels = cc3d.dust(
        values[winner], threshold=max(1, round(_SPECK_ML / image.voxel_ml)), connectivity=26
    )
    return Labelled(labels, confidence, gland, where)
