"""In which order cases are offered by what was found out about them."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from parotid_brachy.lib.active_learning.case_scoring import newest_contours
from parotid_brachy.lib.active_learning.difference import differences
from parotid_brachy.lib.active_learning.score_folder import CaseScore
from parotid_brachy.lib.active_learning.scorers import APPEARANCE, EXPECTED_EDIT
from parotid_brachy.lib.active_learning.summaries import is_without_gland
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
_NO_GLAND: Final = "nothing is contoured, and the models find no gland"
_OLD_CONTOURS: Final = ", before its newest contours"
_OLD_MODELS: Final = ", by models that serve no more"
_NOTHING_LEARNED: Final = "no approved case is scored yet that it could differ from: {}"


def next_scored(
    cases: Iterable[CaseOverview],
    order: ScoredOrder,
    scores: Mapping[str, CaseScore],
    serving: str | None = None,
) -> Offer | None:
    """The case that comes first; None if none waits. Consensus cases are never offered.

    A score of older contours, or by other models than those that serve, comes after current ones,
    and the reason says so.

    Args:
        cases: present ones, with their tagged versions.
        order: which comes first; ties go by id.
        scores: by case, of the order's method.
        serving: what scores of the models that serve are made by; None: not known.
    """
    known = [one for one in cases if not one.case.is_consensus]
    waiting = {one.case.id: one for one in known if one.case.state in order.states}
    if order is ScoredOrder.MOST_DIFFERENT:
        ranked = _by_difference(known, waiting, scores, serving)
    else:
        ranked = _by_edit(waiting, scores, serving)
    if ranked:
        _, case, reason = min(ranked, key=lambda rank: rank[:2])
        return Offer(case, reason)
    offer = next_case(known, order.without_scores)
    if offer is None:
        return None
    if scores and order is ScoredOrder.MOST_DIFFERENT:
        return Offer(offer.case, _NOTHING_LEARNED.format(offer.reason))
    return Offer(offer.case, _UNSCORED.format(order.method, offer.reason))


_Ranked = list[tuple[tuple[bool, float], str, str]]
"""What a case is sorted by, smallest first, its id, and what is said of it."""


def _by_edit(
    waiting: Mapping[str, CaseOverview], scores: Mapping[str, CaseScore], serving: str | None
) -> _Ranked:
    ranked: _Ranked = []
    for case, one in waiting.items():
        score = scores.get(case)
        if score is None:
            continue
        ml = score.values.get("expected_edit_ml")
        if is_without_gland(score):
            ml, reason = np.inf, _NO_GLAND  # all is to be contoured
        elif isinstance(ml, int | float):
            reason = f"{ml:.1f} ml are expected to change"
        else:
            continue
        version = newest_contours(one)
        has_changed = score.version != (None if version is None else version.number)
        is_of_others = serving is not None and score.made_by != serving
        reason += _OLD_CONTOURS if has_changed else ""
        reason += _OLD_MODELS if is_of_others else ""
        ranked.append(((has_changed or is_of_others, -float(ml)), case, reason))
    return ranked


def _by_difference(
    known: Sequence[CaseOverview],
    waiting: Mapping[str, CaseOverview],
    scores: Mapping[str, CaseScore],
    serving: str | None,
) -> _Ranked:
    present = {one.case.id for one in known}
    scores = {case: score for case, score in scores.items() if case in present}
    if not scores:
        return []
    # Vectors of different model versions cannot be compared. While cases are scored anew with
    # another version, those of the one that has described most decide.
    made = Counter(score.made_by for score in scores.values())
    newest = {score.made_by: score.at for score in sorted(scores.values(), key=lambda one: one.at)}
    made_by = max(made, key=lambda name: (made[name], newest[name]))
    vectors = {
        case: np.asarray(score.values.get("vector", ()), dtype=np.float32)
        for case, score in scores.items()
        if score.made_by == made_by
    }
    lengths = Counter(vector.shape for vector in vectors.values() if vector.ndim == 1)
    usual = max(lengths, key=lambda shape: (lengths[shape], shape), default=())
    vectors = {case: vector for case, vector in vectors.items() if vector.shape == usual}
    approved = [one.case.id for one in known if one.case.state is CaseState.APPROVED]
    since = _OLD_MODELS if serving is not None and made_by != serving else ""
    return [
        (
            (bool(since), -found.sd),
            case,
            f"{found.sd:.2f} SD from {found.nearest}, the approved one most like it{since}",
        )
        for case, found in differences(vectors, approved, waiting).items()
    ]
