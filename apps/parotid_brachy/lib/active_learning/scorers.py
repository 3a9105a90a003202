"""What is found out about a case: expected edit, appearance, quality of the serving models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from parotid_brachy.lib.active_learning.expected_edit import (
    POSES,
    Pose,
    Propose,
    ensemble,
    expected_edit,
)
from parotid_brachy.lib.anatomy import GLAND, STRUCTURES, Side, structure_named
from parotid_brachy.lib.errors import GlandNotFoundError
from parotid_brachy.lib.evaluation.metrics import score_structures
from parotid_brachy.lib.imaging.half_head import find_midplane, labels_of_side
from parotid_brachy.lib.imaging.roi import Box
from parotid_brachy.lib.imaging.volume import Volume
from parotid_brachy.lib.review.next_case import TO_CONTOUR, TO_REVIEW
from parotid_brachy.lib.review.states import CaseState
from parotid_brachy.lib.segmentation.two_step import TwoStepOptions

EXPECTED_EDIT: Final = "expected_edit"
APPEARANCE: Final = "appearance"
MODEL_QUALITY: Final = "model_quality"

_DIGITS: Final = 4


@dataclass(frozen=True)
class CaseAtHand:
    """A case that is to be scored.

    Attributes:
        volume: its CT.
        contours: its newest contours, values of ``anatomy`` on the CT's grid; None: there are none.
        contoured: names of the structures that they are about.
        side: of the cancer, where it is recorded.
    """

    volume: Volume
    contours: NDArray[np.uint8] | None
    contoured: tuple[str, ...]
    side: Side | None


class Scorer(Protocol):
    """Finds something out about cases, one by one.

    Attributes:
        method: its name.
        states: of the cases that it is for.
        made_by: the model versions that it uses.
        needs_contours: whether it passes over cases without any.
        is_about_contours: whether contours that were saved since make a score an old one.
        passed_over: cases that it says nothing about.
    """

    method: str
    states: Sequence[CaseState]
    made_by: str
    needs_contours: bool
    is_about_contours: bool
    passed_over: frozenset[str]

    def score(self, case: CaseAtHand) -> Mapping[str, Any]:
        """JSON values.

        Raises:
            ParotidBrachyError: this case cannot be scored.
        """
        ...


class ExpectedEditScorer:
    """What a reader may expect to change: of the newest contours, or of what would be proposed.

    Args:
        propose: labels a volume with the models that serve.
        made_by: their versions.
        poses: of the ensemble's further members.
    """

    method = EXPECTED_EDIT
    states: Sequence[CaseState] = (*TO_CONTOUR, *TO_REVIEW)
    needs_contours = False
    is_about_contours = True
    passed_over: frozenset[str] = frozenset()

    def __init__(self, propose: Propose, made_by: str, poses: Sequence[Pose] = POSES) -> None:
        self.made_by = made_by
        self._propose = propose
        self._poses = poses

    def score(self, case: CaseAtHand) -> dict[str, Any]:
        """``expected_edit_ml``, by structure too, and how many members there were.

        Where nothing is contoured and no member finds a gland, it is None: everything is to be
        contoured, and how much that is nobody knows.
        """
        members = ensemble(case.volume, self._propose, case.side, self._poses)
        contours = members[0] if case.contours is None else case.contours
        # What a reader has not contoured yet is not what he or she would have to change.
        about = [structure_named(name) for name in case.contoured] or STRUCTURES
        found = expected_edit(contours, members, case.volume.grid, about)
        is_empty = not contours.any() and not any((one == GLAND.value).any() for one in members)
        return {
            "expected_edit_ml": None if is_empty else round(found.ml, _DIGITS),
            "by_structure_ml": {
                structure.name: round(ml, _DIGITS)
                for structure, ml in found.ml_by_structure.items()
            },
            "members": found.members,
        }


class AppearanceScorer:
    """What a case looks like, as a vector.

    Args:
        propose: labels a volume with the models that serve, which finds a gland without contours.
        describe: the vector of a volume, the gland's box and its side.
        made_by: the version that describes.
    """

    method = APPEARANCE
    states: Sequence[CaseState] = tuple(CaseState)
    needs_contours = False
    is_about_contours = False
    passed_over: frozenset[str] = frozenset()

    def __init__(
        self,
        propose: Propose,
        describe: Callable[[Volume, Box, Side], NDArray[np.float32]],
        made_by: str,
    ) -> None:
        self.made_by = made_by
        self._propose = propose
        self._describe = describe

    def score(self, case: CaseAtHand) -> dict[str, Any]:
        """``vector``.

        Raises:
            GlandNotFoundError: neither contours nor models have a gland to look round.
        """
        side, gland, proposed = case.side, None, None
        if side is None:
            proposed = self._propose(case.volume, TwoStepOptions())
            side = Side(proposed.report.side) if proposed.report.side else None
        if side is not None and case.contours is not None:
            gland = _gland_on_side(case.contours, case.volume, side)
        if gland is None or not gland.any():
            proposed = proposed or self._propose(case.volume, TwoStepOptions(side=side))
            gland = np.asarray(proposed.labels == GLAND.value)
        if not gland.any() or side is None:
            message = f"{case.volume.case}: no gland, round which the case could be described"
            raise GlandNotFoundError(message)
        vector = self._describe(case.volume, Box.of_mask(gland, case.volume.grid), side)
        return {"vector": [float(f"{value:.5g}") for value in vector.tolist()]}


def _gland_on_side(contours: NDArray[np.uint8], volume: Volume, side: Side) -> NDArray[np.bool_]:
    """The contoured gland; of one on each side, whose middle is the spine, that of the side."""
    gland = np.where(contours == GLAND.value, contours, np.uint8(0))
    midplane = find_midplane(volume)
    if midplane.is_believed:
        own = labels_of_side(gland, volume.grid, midplane, side)
        gland = own if own.any() else gland
    return np.asarray(gland > 0)


class ModelQualityScorer:
    """How near the serving models come to contours that are approved.

    Args:
        propose: labels a volume with the models that serve, also beyond reach of the gland that
            they find: the cut is at the approved one.
        made_by: their versions.
        seen: cases that they were trained on, which would flatter them.
    """

    method = MODEL_QUALITY
    states: Sequence[CaseState] = (CaseState.APPROVED,)
    needs_contours = True
    is_about_contours = True

    def __init__(self, propose: Propose, made_by: str, seen: frozenset[str]) -> None:
        self.made_by = made_by
        self.passed_over = seen
        self._propose = propose

    def score(self, case: CaseAtHand) -> dict[str, Any]:
        """By structure: status, DSC, 95HD, surface DSC at 1 mm (docs/evaluation.md)."""
        # What the models would cut at their own gland is cut at the approved one below.
        options = TwoStepOptions(side=case.side, keep_beyond_reach=True)
        proposed = self._propose(case.volume, options).labels
        wanted = [one for one in STRUCTURES if one.name in case.contoured]
        contours = np.zeros_like(proposed) if case.contours is None else case.contours
        found = score_structures(contours, proposed, case.volume.grid, wanted)
        return {
            "structures": {
                structure.name: {
                    "status": metrics.status.value,
                    "dsc": metrics.dsc,
                    "hd95_mm": metrics.hd95_mm,
                    "surface_dsc_1mm": metrics.surface_dsc_1mm,
                }
                for structure, metrics in found.items()
            }
        }


SCORERS: Final[Mapping[str, type[ExpectedEditScorer | AppearanceScorer | ModelQualityScorer]]] = {
    scorer.method: scorer for scorer in (ExpectedEditScorer, AppearanceScorer, ModelQualityScorer)
}
"""What each method is about."""
