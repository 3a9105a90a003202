"""Scores of pre-labels against a reference map, the same way for real cases and phantoms.

Organs at risk exist within reach of the gland, so that the gland's outline moves where they end.
That is why they are scored in several ways: with the reference's gland given, with the model's
own gland but cut again at the reference's (what a reader gets who corrects the gland and cuts
again), and end to end. Faces that a cut made are never scored as a surface.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parotid_brachy.lib.anatomy import GLAND, ORGANS_AT_RISK, STRUCTURES, Side, Structure
from parotid_brachy.lib.evaluation.overlap import Mask, Score, dsc, hd95_mm
from parotid_brachy.lib.evaluation.summary import Summary
from parotid_brachy.lib.imaging.roi import cut_at_reach, within_reach
from parotid_brachy.lib.imaging.volume import Grid

Labels = NDArray[np.uint8]


class Way(enum.Enum):
    """Where a scored contour comes from; the value is what tables show."""

    GIVEN_GLAND = "step 2 with the reference's gland"
    CUT_AT_REFERENCE = "two-step, cut at the reference's gland"
    END_TO_END = "two-step, end to end"
    GLAND_STEP_1 = "gland of step 1 alone"
    GLAND_STEP_2 = "gland class of step 2"
    GLAND_COMBINED = "gland as pre-labelled"


@dataclass(frozen=True)
class Reference:
    """A reader's (or a phantom's true) map of one side.

    Attributes:
        side: of the patient.
        roi17: values 0-7, organs at risk cut at the seeds' reach from the gland.
        grid: the image's.
        reach: voxels within the seeds' reach of the reference's gland.
    """

    side: Side
    roi17: Labels
    grid: Grid
    reach: Mask

    @classmethod
    def of(cls, labels: Labels, grid: Grid, side: Side) -> Reference:
        """From a full or a cut map."""
        gland = labels == GLAND.value
        return cls(side, cut_at_reach(labels, gland, grid), grid, within_reach(gland, grid))

    @property
    def gland(self) -> Mask:
        """The gland's mask."""
        return np.asarray(self.roi17 == GLAND.value)

    @property
    def has_organs(self) -> bool:
        """Whether more than the gland was contoured."""
        return bool(np.isin(self.roi17, [s.value for s in ORGANS_AT_RISK]).any())


@dataclass(frozen=True)
class Scored:
    """One structure of one side, scored in one way."""

    case: str
    side: Side
    way: Way
    structure: Structure
    reference_ml: float
    predicted_ml: float
    dsc: Score
    hd95_mm: Score

    def to_row(self) -> dict[str, Any]:
        """Plain values, for CSV."""
        return {
            "case": self.case,
            "side": self.side.value,
            "way": self.way.value,
            "structure": self.structure.name,
            "reference_ml": round(self.reference_ml, 3),
            "predicted_ml": round(self.predicted_ml, 3),
            "outcome": self.dsc.outcome.value,
            "dsc": None if self.dsc.value is None else round(self.dsc.value, 4),
            "hd95_mm": None if self.hd95_mm.value is None else round(self.hd95_mm.value, 3),
        }


def score_organs(
    case: str, way: Way, predicted: Labels, reference: Reference, *, reach: Mask | None = None
) -> list[Scored]:
    """Scores the six organs at risk of a pre-label.

    Args:
        case: its id.
        way: how the pre-label came about.
        predicted: values 0-7, already cut.
        reference: the other map.
        reach: where the prediction was cut, if not where the reference was.
    """
    known = reference.reach if reach is None else reach
    return [
        _scored(
            case,
            way,
            structure,
            (predicted == structure.value, known),
            (reference.roi17 == structure.value, reference.reach),
            reference,
        )
        for structure in ORGANS_AT_RISK
    ]


def score_gland(case: str, way: Way, predicted: Mask, reference: Reference) -> Scored:
    """Scores the gland."""
    return _scored(case, way, GLAND, (predicted, None), (reference.gland, None), reference)


def score_two_step(case: str, kept_beyond_reach: Labels, reference: Reference) -> list[Scored]:
    """Scores one two-step run end to end, and cut again at the reference's gland.

    Args:
        case: its id.
        kept_beyond_reach: the run's map with the organs at risk beyond reach left in.
        reference: the other map.
    """
    gland = kept_beyond_reach == GLAND.value
    scored = [score_gland(case, Way.GLAND_COMBINED, gland, reference)]
    if not reference.has_organs:
        return scored
    own = cut_at_reach(kept_beyond_reach, gland, reference.grid)
    reach = within_reach(gland, reference.grid)
    scored += score_organs(case, Way.END_TO_END, own, reference, reach=reach)
    again = cut_at_reach(kept_beyond_reach, reference.gland, reference.grid)
    return scored + score_organs(case, Way.CUT_AT_REFERENCE, again, reference)


def _scored(
    case: str,
    way: Way,
    structure: Structure,
    predicted: tuple[Mask, Mask | None],
    truth: tuple[Mask, Mask | None],
    reference: Reference,
) -> Scored:
    grid = reference.grid
    return Scored(
        case,
        reference.side,
        way,
        structure,
        float(np.count_nonzero(truth[0]) * grid.voxel_ml),
        float(np.count_nonzero(predicted[0]) * grid.voxel_ml),
        dsc(predicted[0], truth[0]),
        hd95_mm(predicted[0], truth[0], grid, known_a=predicted[1], known_b=truth[1]),
    )


def summary_rows(
    scored: Iterable[Scored], ways: Sequence[Way] = tuple(Way)
) -> list[dict[str, Any]]:
    """One row per way and structure: how many, mean and SD."""
    everything = list(scored)
    rows = []
    for way in ways:
        for structure in STRUCTURES:
            own = [s for s in everything if s.way is way and s.structure is structure]
            if not own:
                continue
            overlap = Summary.of([s.dsc for s in own])
            distance = Summary.of([s.hd95_mm for s in own])
            rows.append(
                {
                    "way": way.value,
                    "structure": structure.name,
                    "n": overlap.measured + overlap.missed,
                    "missed": overlap.missed,
                    "DSC mean ± SD": overlap.shown(3),
                    "95HD mm mean ± SD": distance.shown(2),
                }
            )
    return rows
