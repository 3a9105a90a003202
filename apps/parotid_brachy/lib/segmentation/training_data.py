"""From a case's image and label map to training samples on canonical working grids."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from parotid_brachy.lib.anatomy import (
    AURICULA,
    GLAND,
    ORGANS_AT_RISK,
    REACH_MM,
    SKIN,
    Side,
)
from parotid_brachy.lib.errors import InputRefusedError
from parotid_brachy.lib.imaging.files import read_label_map, read_volume
from parotid_brachy.lib.imaging.half_head import find_midplane, half_head_box, labels_of_side
from parotid_brachy.lib.imaging.roi import canonical_grid, within_reach
from parotid_brachy.lib.imaging.sampling import sample_ct, sample_labels
from parotid_brachy.lib.imaging.volume import Grid, Volume
from parotid_brachy.lib.segmentation.presets import Preset, Step
from parotid_brachy.lib.segmentation.training_cases import TrainingCase
from parotid_brachy.lib.segmentation.training_regions import (
    Region,
    found_gland,
    regions_of_interest,
)

logger = logging.getLogger(__name__)

_SKIN_SHELL_MM = 5.0
_SKIN_RIM_MM = 4.0


@dataclass(frozen=True)
class Sample:
    """One side, sampled on its working grid.

    Attributes:
        name: unique among samples.
        case: the patient's case id.
        grid: canonical working grid.
        hu: CT numbers, shape ``grid.shape_kji``.
        targets: network values (1 for the preset's first structure); one more than the last is
            "ignore": the reader said nothing about that voxel.
        contoured: names of the structures that a reader looked for; None where for all. The
            targets hold no other.
        region: what a region of interest was laid round: ``found`` (the gland that step 1 finds)
            or ``contoured`` (the reader's); None of a half head.
    """

    name: str
    case: str
    grid: Grid
    hu: NDArray[np.float32]
    targets: NDArray[np.uint8]
    contoured: frozenset[str] | None = None
    region: str | None = None


def samples_of(
    case: TrainingCase,
    preset: Preset,
    spacing_kji_mm: Any,
    *,
    found_glands: Path | None = None,
) -> Iterator[Sample]:
    """Samples of a case for a preset: one per side that has what the step learns.

    That is a gland, and for the organs at risk at least one of them: where none is contoured, a
    network would learn that there is none. A gland that no reader contoured still says where the
    region of interest is, but is no target.

    Of a region of interest there are two samples where the gland that step 1 finds is known: a
    wide one, in which patches can be shifted, and one that ends where an inference's will end,
    give or take some millimetres.

    Args:
        case: image and label map.
        preset: decides between half head and region of interest, and which structures count.
        spacing_kji_mm: working grid.
        found_glands: folder of ``<case>.nrrd``, masks of the glands that step 1 finds; a side
            that has none there is laid round the reader's gland.

    Raises:
        InputRefusedError: the files cannot be used, or no side has anything to learn from.
    """
    wanted = (GLAND,) if preset.step is Step.GLAND else ORGANS_AT_RISK
    needed = [s.value for s in wanted if case.contoured is None or s.name in case.contoured]
    empty = True
    volume = read_volume(case.image, case=case.case)
    labels = read_label_map(case.labels, volume.grid)
    midplane = find_midplane(volume)
    for side in (case.side,) if case.side else (Side.LEFT, Side.RIGHT):
        own = labels if case.side else labels_of_side(labels, volume.grid, midplane, side)
        if not (own == GLAND.value).any() or not np.isin(own, needed).any():
            continue
        empty = False
        k, j, i = spacing_kji_mm
        name = f"{case.case}__{side.value}"
        if preset.step.crops_to_roi:
            gland = np.asarray(own == GLAND.value)
            found = found_gland(found_glands, case.case, gland, volume.grid)
            regions = regions_of_interest(gland, found, volume.grid, seed_text=name)
        else:
            regions = [Region("", half_head_box(volume, side, midplane), None)]
        for region in regions:
            grid = canonical_grid(region.box, side=side, spacing_mm=(i, j, k))
            sample = _sample(name + region.suffix, case, volume, own, grid, preset)
            yield replace(sample, region=region.origin)
    if empty:
        what = "gland" if preset.step is Step.GLAND else "gland with an organ at risk"
        message = f"{case.labels}: nothing to learn in it (no {what} on its side)"
        raise InputRefusedError(message)


def _sample(
    name: str,
    case: TrainingCase,
    volume: Volume,
    own: NDArray[np.uint8],
    grid: Grid,
    preset: Preset,
) -> Sample:
    hu = sample_ct(volume, grid)
    labels = sample_labels(own, volume.grid, grid)
    targets = np.zeros(labels.shape, dtype=np.uint8)
    for value, structure in enumerate(preset.structures, start=1):
        if case.contoured is None or structure.name in case.contoured:
            targets[labels == structure.value] = value
    if preset.step.crops_to_roi:
        unknown = _not_judged(hu, labels, grid) & (targets == 0)
        targets[unknown] = len(preset.structures) + 1
    return Sample(name, case.case, grid, hu, targets, case.contoured)


def _not_judged(
    hu: NDArray[np.float32], labels: NDArray[np.uint8], grid: Grid
) -> NDArray[np.bool_]:
    """Voxels about which the reader's map says nothing.

    A map that was cut at the seeds' reach says nothing beyond it. A full map says nothing about
    the body surface outside the area in which skin was contoured; taken for background, it would
    teach the network that skin is not skin.
    """
    gland = labels == GLAND.value
    organ = (labels > 0) & ~gland
    near = within_reach(gland, grid, reach_mm=REACH_MM + max(grid.spacing_mm))
    if not (organ & ~near).any():
        return np.asarray(~near)
    spacing = grid.spacing_kji_mm
    body = ndimage.binary_fill_holes(hu > -300.0)
    shell = body & (ndimage.distance_transform_edt(body, sampling=spacing) <= _SKIN_SHELL_MM)
    judged = (labels == SKIN.value) | (labels == AURICULA.value)
    if not judged.any():
        return np.asarray(shell)
    far = ndimage.distance_transform_edt(~judged, sampling=spacing) > _SKIN_RIM_MM
    return np.asarray(shell & far)


def median_spacing(cases: Sequence[TrainingCase]) -> tuple[float, float, float]:
    """nnU-Net's rule for the working grid: the median spacing of the training images.

    Returns:
        Millimetres along the patient's z, y, x axes.
    """
    spacings = []
    for case in {case.case: case for case in cases}.values():
        grid = read_volume(case.image, case=case.case).grid
        directions = np.abs(np.asarray(grid.direction).reshape(3, 3))
        spacings.append(directions**2 @ np.asarray(grid.spacing_mm))
    x, y, z = np.median(np.asarray(spacings), axis=0)
    return (float(z), float(y), float(x))
