"""Agreement of two contours of one structure: DSC and the 95th percentile Hausdorff distance.

A structure that only one of two maps has must never vanish from a mean, and one that neither has
must not raise it. So a score says what it is: measured, missed or not applicable.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from parotid_brachy.lib.errors import GeometryError
from parotid_brachy.lib.evaluation.surfaces import Box, distances_mm, surface_voxels
from parotid_brachy.lib.imaging.volume import Grid

Mask = NDArray[np.bool_]

_PERCENTILE = 95.0


class Outcome(enum.Enum):
    """What a comparison of two contours came to."""

    MEASURED = "measured"
    MISSED = "missed"
    NOT_APPLICABLE = "not_applicable"


@dataclass(frozen=True)
class Score:
    """One structure's score.

    Attributes:
        outcome: measured; missed where one contour only is empty; not applicable where both are.
        value: None where there is none: both metrics where not applicable, and the distance where
            missed (the DSC is 0 then).
    """

    outcome: Outcome
    value: float | None

    def __post_init__(self) -> None:
        """Refuses a measured score without a value."""
        if self.outcome is Outcome.MEASURED and self.value is None:
            message = "a measured score needs its value"
            raise ValueError(message)


def dsc(a: Mask, b: Mask) -> Score:
    """Dice similarity coefficient, ``2 |A and B| / (|A| + |B|)`` (Dice, Ecology 1945;26:297).

    Args:
        a: one contour's mask.
        b: the other's, same shape.

    Raises:
        GeometryError: the masks' shapes differ.
    """
    _require_same_shape(a, b)
    total = int(np.count_nonzero(a)) + int(np.count_nonzero(b))
    outcome = _outcome(a, b)
    if outcome is Outcome.NOT_APPLICABLE:
        return Score(outcome, None)
    return Score(outcome, 2 * int(np.count_nonzero(a & b)) / total)


def hd95_mm(
    a: Mask, b: Mask, grid: Grid, *, known_a: Mask | None = None, known_b: Mask | None = None
) -> Score:
    """95th percentile Hausdorff distance: the larger of the two directed 95th percentiles.

    Distances run between the centres of surface voxels, those with a face on the outside; the
    volume's edge counts as outside. Percentiles are interpolated linearly. (The other definition,
    the percentile of both directions pooled, gives smaller values.)

    Organs at risk end where they are cut at the seeds' reach. Such a face is no contour that
    anybody drew: where a known part is given, surface voxels whose outside neighbours all lie
    beyond it are not scored. They are if nothing else is left of a surface.

    Args:
        a: one contour's mask, shape ``grid.shape_kji``.
        b: the other's.
        grid: where both lie.
        known_a: the part of the grid in which ``a`` was contoured; None means everywhere.
        known_b: the same for ``b``.

    Returns:
        Millimetres.

    Raises:
        GeometryError: a mask does not fit the grid.
    """
    for mask in (a, b, known_a, known_b):
        if mask is not None and mask.shape != grid.shape_kji:
            message = f"a mask of shape {mask.shape} on a grid of shape {grid.shape_kji} (k, j, i)"
            raise GeometryError(message)
    outcome = _outcome(a, b)
    if outcome is not Outcome.MEASURED:
        return Score(outcome, None)
    box = _union_box(a, b)
    surface_a = surface_voxels(a, known_a, box)
    surface_b = surface_voxels(b, known_b, box)
    directed = (
        distances_mm(surface_a, surface_b, grid.spacing_kji_mm),
        distances_mm(surface_b, surface_a, grid.spacing_kji_mm),
    )
    return Score(outcome, max(float(np.percentile(one, _PERCENTILE)) for one in directed))


def _require_same_shape(a: Mask, b: Mask) -> None:
    if a.shape != b.shape:
        message = f"masks of shapes {a.shape} and {b.shape} do not lie on one grid"
        raise GeometryError(message)


def _outcome(a: Mask, b: Mask) -> Outcome:
    if a.any() and b.any():
        return Outcome.MEASURED
    return Outcome.MISSED if a.any() or b.any() else Outcome.NOT_APPLICABLE


def _union_box(a: Mask, b: Mask) -> Box:
    """The smallest box that holds both masks: no distance between them needs more."""
    slices = []
    for axis in range(3):
        others = tuple(n for n in range(3) if n != axis)
        hit = np.flatnonzero(a.any(axis=others) | b.any(axis=others))
        slices.append(slice(int(hit[0]), int(hit[-1]) + 1))
    return (slices[0], slices[1], slices[2])
