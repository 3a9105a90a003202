"""How well a predicted label map agrees with a reference: every structure in one pass.

Definitions, with R the reference's voxels and P the prediction's:

- DSC ``2 |R and P| / (|R| + |P|)``, Jaccard ``|R and P| / |R or P|``, precision
  ``|R and P| / |P|``, recall ``|R and P| / |R|``.
- 95HD: the larger of the two directed 95th percentiles of surface distances; pooled 95HD: the
  95th percentile of both directions' distances together. Percentiles interpolate linearly.
- Average symmetric surface distance (ASSD): the mean of both directions' distances together.
- Surface DSC at a tolerance: the part of both surfaces' area that lies within the tolerance of
  the other surface (Nikolov et al., J Med Internet Res 2021;23:e26151).

What a surface is, :mod:`parotid_brachy.lib.evaluation.surfaces` says.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from parotid_brachy.lib.anatomy import GLAND, ORGANS_AT_RISK, REACH_MM, Structure
from parotid_brachy.lib.errors import GeometryError, InputRefusedError
from parotid_brachy.lib.evaluation.overlap import Mask
from parotid_brachy.lib.evaluation.surfaces import (
    Box,
    Spacing,
    SurfaceElements,
    distances_mm,
    surface_elements,
    surface_voxels,
)
from parotid_brachy.lib.imaging.roi import within_reach
from parotid_brachy.lib.imaging.volume import Grid

_PERCENTILE = 95.0
# Two surfaces exactly a tolerance apart are within it, whatever the last bit of a product says.
_ROUNDING_MM = 1e-6


class Status(enum.Enum):
    """What a comparison of a structure came to."""

    SCORED = "scored"
    MISSED = "missed"
    NOT_APPLICABLE = "not_applicable"
    FALSE_POSITIVE = "false_positive"


class ReachCut(enum.Enum):
    """At whose gland organs at risk are cut, and the cut is no surface.

    A map without a gland is cut at the other's where it should be at its own; a reference without
    one cuts nothing.
    """

    NONE = "none"
    AT_REFERENCE_GLAND = "at_reference_gland"
    AT_OWN_GLAND = "at_own_gland"


@dataclass(frozen=True, kw_only=True)
class StructureMetrics:
    """One structure of one case.

    Attributes:
        status: scored; missed where the reference has the structure and the prediction has
            nothing of it; false positive the other way round; not applicable where neither has.
        dsc: Dice similarity coefficient; 0 where missed or false positive.
        jaccard: Jaccard index; likewise.
        hd95_mm: the larger of the directed 95th percentile Hausdorff distances.
        hd95_pooled_mm: the 95th percentile of both directions' distances together.
        assd_mm: average symmetric surface distance.
        surface_dsc_1mm: surface DSC at a tolerance of 1 mm; 0 where missed or false positive.
        surface_dsc_2mm: at 2 mm.
        precision: None where the prediction is empty.
        recall: None where the reference is.
        reference_ml: volume, after the cut.
        prediction_ml: volume, after the cut.
    """

    status: Status
    dsc: float | None = None
    jaccard: float | None = None
    hd95_mm: float | None = None
    hd95_pooled_mm: float | None = None
    assd_mm: float | None = None
    surface_dsc_1mm: float | None = None
    surface_dsc_2mm: float | None = None
    precision: float | None = None
    recall: float | None = None
    reference_ml: float = 0.0
    prediction_ml: float = 0.0


@dataclass(frozen=True)
class _Map:
    """A label map, cut, and the part of the grid that the cut left; None: nothing was cut."""

    labels: NDArray[Any]
    reach: Mask | None

    def known(self, structure: Structure) -> Mask | None:
        return self.reach if structure in ORGANS_AT_RISK else None


def score_structures(
    reference: NDArray[Any],
    prediction: NDArray[Any],
    grid: Grid,
    structures: Iterable[Structure],
    *,
    reach_cut: ReachCut = ReachCut.AT_REFERENCE_GLAND,
    reach_mm: float = REACH_MM,
) -> dict[Structure, StructureMetrics]:
    """Scores a case.

    Args:
        reference: label map of the project's values, shape ``grid.shape_kji``, whole numbers.
        prediction: the same of a model or another reader.
        grid: where both lie, obliquely or not.
        structures: to score; other values in the maps are left alone.
        reach_cut: at whose gland organs at risk are cut before they are scored.
        reach_mm: the seeds' reach, at which they are.

    Returns:
        By structure, in the order asked for.

    Raises:
        GeometryError: a map does not fit the grid.
        InputRefusedError: a map is not of whole numbers.
    """
    for what, labels in (("reference", reference), ("prediction", prediction)):
        _require_label_map(what, labels, grid)
    wanted = tuple(structures)
    both = (reference, prediction)
    values = max(structure.value for structure in (*wanted, GLAND))
    box = _grown(_union([_boxes(labels, values) for labels in both]), grid.shape_kji)
    parts = [labels[box] for labels in both]
    start = tuple(s.start for s in reversed(box))
    part = grid.cropped(start, tuple(s.stop for s in reversed(box)))
    maps = _cut(parts, part, reach_cut, reach_mm)
    boxes = [_boxes(one.labels, values) for one in maps]
    return {structure: _score(structure, maps, boxes, part) for structure in wanted}


def _require_label_map(what: str, labels: NDArray[Any], grid: Grid) -> None:
    if labels.shape != grid.shape_kji:
        message = (
            f"the {what} is of shape {labels.shape} on a grid of shape {grid.shape_kji} (k, j, i)"
        )
        raise GeometryError(message)
    if labels.dtype.kind not in "ui":
        message = f"the {what} is of type {labels.dtype}; a label map is of whole numbers"
        raise InputRefusedError(message)


def _cut(
    parts: Sequence[NDArray[Any]], grid: Grid, reach_cut: ReachCut, reach_mm: float
) -> list[_Map]:
    glands = [np.asarray(labels == GLAND.value) for labels in parts]
    if reach_cut is ReachCut.AT_REFERENCE_GLAND:
        glands = [glands[0], glands[0]]
    elif not glands[0].any() or not glands[1].any():
        glands = [glands[0] | glands[1]] * 2
    if reach_cut is ReachCut.NONE or not glands[0].any():
        return [_Map(labels, None) for labels in parts]
    first = within_reach(glands[0], grid, reach_mm=reach_mm)
    is_shared = glands[1] is glands[0]
    second = first if is_shared else within_reach(glands[1], grid, reach_mm=reach_mm)
    organs = [structure.value for structure in ORGANS_AT_RISK]
    return [
        _Map(np.where(np.isin(labels, organs) & ~reach, 0, labels), reach)
        for labels, reach in zip(parts, (first, second), strict=True)
    ]


def _score(
    structure: Structure, maps: Sequence[_Map], boxes: Sequence[Sequence[Box | None]], grid: Grid
) -> StructureMetrics:
    own = [found[structure.value - 1] for found in boxes]
    if own == [None, None]:
        return StructureMetrics(status=Status.NOT_APPLICABLE)
    box = _union([own])
    masks = [np.asarray(one.labels == structure.value) for one in maps]
    reference, prediction = (int(np.count_nonzero(mask[box])) for mask in masks)
    volumes = {
        "reference_ml": reference * grid.voxel_ml,
        "prediction_ml": prediction * grid.voxel_ml,
    }
    if not reference or not prediction:
        return StructureMetrics(
            status=Status.MISSED if reference else Status.FALSE_POSITIVE,
            dsc=0.0,
            jaccard=0.0,
            surface_dsc_1mm=0.0,
            surface_dsc_2mm=0.0,
            precision=0.0 if prediction else None,
            recall=0.0 if reference else None,
            **volumes,
        )
    common = int(np.count_nonzero(masks[0][box] & masks[1][box]))
    known = [one.known(structure) for one in maps]
    spacing = grid.spacing_kji_mm
    voxels = [surface_voxels(mask, part, box) for mask, part in zip(masks, known, strict=True)]
    there = distances_mm(voxels[0], voxels[1], spacing)
    back = distances_mm(voxels[1], voxels[0], spacing)
    pooled = np.concatenate([there, back])
    one_mm, two_mm = _surface_dsc(
        [
            surface_elements(mask, part, box, spacing)
            for mask, part in zip(masks, known, strict=True)
        ],
        spacing,
        (1.0, 2.0),
    )
    return StructureMetrics(
        status=Status.SCORED,
        dsc=2 * common / (reference + prediction),
        jaccard=common / (reference + prediction - common),
        hd95_mm=max(float(np.percentile(one, _PERCENTILE)) for one in (there, back)),
        hd95_pooled_mm=float(np.percentile(pooled, _PERCENTILE)),
        assd_mm=float(pooled.mean()),
        surface_dsc_1mm=one_mm,
        surface_dsc_2mm=two_mm,
        precision=common / prediction,
        recall=common / reference,
        **volumes,
    )


def _surface_dsc(
    surfaces: Sequence[SurfaceElements], spacing: Spacing, tolerances_mm: Sequence[float]
) -> list[float]:
    first, second = surfaces
    distances = np.concatenate(
        [
            distances_mm(first.cells, second.cells, spacing),
            distances_mm(second.cells, first.cells, spacing),
        ]
    )
    areas = np.concatenate([first.areas_mm2, second.areas_mm2])
    return [
        float(areas[distances <= tolerance + _ROUNDING_MM].sum() / areas.sum())
        for tolerance in tolerances_mm
    ]


def _boxes(labels: NDArray[Any], values: int) -> list[Box | None]:
    found: list[Box | None] = ndimage.find_objects(labels, max_label=values)
    return found


def _union(boxes: Iterable[Sequence[Box | None]]) -> Box:
    """The smallest box that holds all of them; one voxel where there is none."""
    some = [box for found in boxes for box in found if box is not None]
    if not some:
        return (slice(0, 1), slice(0, 1), slice(0, 1))
    k, j, i = (
        slice(min(box[axis].start for box in some), max(box[axis].stop for box in some))
        for axis in range(3)
    )
    return (k, j, i)


def _grown(box: Box, shape: tuple[int, int, int]) -> Box:
    """One voxel more on every side that has one: what lies beside a surface is asked for."""
    k, j, i = (
        slice(max(s.start - 1, 0), min(s.stop + 1, size))
        for s, size in zip(box, shape, strict=True)
    )
    return (k, j, i)
