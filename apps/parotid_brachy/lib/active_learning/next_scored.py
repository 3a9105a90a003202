"""In which order cases are offered by what was found out about them."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from parotid_brachy.lib.active_learning.case_scoring import newest_contours
from parotid_brachy.lib.active_learning.difference import differences
from parotid_brachy.lib.active_learning.score_folder import CaseScore
from parotid_brachy.lib.active_learning.scorers import APPEARANCE, EXPECTED_EDIT
from parotid_brachy.lib.review.next_case import TO_CONTOUR, TO_REVIEW, CaseOrder, Offer, next_case
from parotid_brachy.lib.review.records import CaseOverview
from parotid_brachy.lib.review.states import CaseState


class ScoredOrder(enum.Enum):
    """Which of the waiting cases comes first; those without a score come last."""

    LARGEST_EXPECTED_EDIT = "largest_expected_edit"
    """Reader 1: where most of the contours at hand, or proposed, will have to be changed."""
    MOST_DIFFERENT = "most_different"
    """Reader 1: what looks least like any approved case."""
    LEAST_CERTAIN_SUBMISSION = "least_certain_submission"
    """The senior reader: the submission that differs most from what the models make of the case."""

    @property
    def method(self) -> str:
        """What is to be found out about the cases first."""
        return APPEARANCE if self is ScoredOrder.MOST_DIFFERENT else EXPECTED_EDIT

    @property
    def states(self) -> Sequence[CaseState]:
        """Of the cases that are offered."""
        return TO_REVIEW if self is ScoredOrder.LEAST_CERTAIN_SUBMISSION else TO_CONTOUR

    @property
    def without_scores(self) -> CaseOrder:
        """The order of cases without a score."""
        if self is ScoredOrder.LEAST_CERTAIN_SUBMISSION:
            return CaseOrder.OLDEST_SUBMISSION
        return CaseOrder.FIRST


_UNSCORED: Final = "not scored yet (POST /scoring/{}): {}"
_NOTHING_LEARNED: Final = "no approved case is scored yet that it could differ from: {}"


def next_scored(
    cases: Iterable[CaseOverview], order: ScoredOrder, scores: Mapping[str, CaseScore]
) -> Offer | None:
    """The case that comes first; None if none waits. Consensus cases are never offered.

    Args:
        cases: present ones, with their tagged versions.
        order: which comes first; ties go by id.
        scores: by case, of the order's method.
    """
    known = [one for one in cases if not one.case.is_consensus]
    waiting = {one.case.id: one for one in known if one.case.state in order.states}
    if order is ScoredOrder.MOST_DIFFERENT:
        ranked = _by_difference(known, waiting, scores)
    else:
        ranked = _by_edit(waiting, scores)
    if ranked:
        _, case, reason = min(ranked, key=lambda rank: (-rank[0], rank[1]))
        return Offer(case, reason)
    offer = next_case(known, order.without_scores)
    if offer is None:
        return None
    if scores and order is ScoredOrder.MOST_DIFFERENT:
        return Offer(offer.case, _NOTHING_LEARNED.format(offer.reason))
    return Offer(offer.case, _UNSCORED.format(order.method, offer.reason))


def _by_edit(
    waiting: Mapping[str, CaseOverview], scores: Mapping[str, CaseScore]
) -> list[tuple[float, str, str]]:
    ranked = []
    for case, one in waiting.items():
        score = scores.get(case)
        ml = None if score is None else score.values.get("expected_edit_ml")
        if score is None or not isinstance(ml, int | float):
            continue
        version = newest_contours(one)
        is_old = score.version != (None if version is None else version.number)
        since = ", before its newest contours" if is_old else ""
        ranked.append((float(ml), case, f"{ml:.1f} ml are expected to change{since}"))
    return ranked


def _by_difference(
    known: Sequence[CaseOverview],
    waiting: Mapping[str, CaseOverview],
    scores: Mapping[str, CaseScore],
) -> list[tuple[float, str, str]]:
    newest = max(scores.values(), key=lambda score: score.at, default=None)
    if newest is None:
        return []
    # Vectors of different model versions cannot be compared.
    vectors = {
        case: np.asarray(score.values.get("vector", ()), dtype=np.float32)
        for case, score in scores.items()
        if score.made_by == newest.made_by
    }
    length = len(newest.values.get("vector", ()))
    vectors = {case: vector for case, vector in vectors.items() if vector.shape == (length,)}
    approved = [one.case.id for one in known if one.case.state is CaseState.APPROVED]
    return [
        (
            found.sd,
            case,
            f"{found.sd:.2f} SD from {found.nearest}, the approved one most like it",
        )
        for case, found in differences(vectors, approved, waiting).items()
    ]
