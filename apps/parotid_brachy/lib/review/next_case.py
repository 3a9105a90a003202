"""In which order the cases that wait for a reader are offered."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from parotid_brachy.lib.anatomy import GLAND
from parotid_brachy.lib.review.records import DRAFT_TAG, INITIAL_TAG, CaseOverview
from parotid_brachy.lib.review.states import CaseState

TO_CONTOUR: Final = (CaseState.NEW, CaseState.DRAFTED, CaseState.RETURNED)
"""Reader 1's turn."""
TO_REVIEW: Final = (CaseState.SUBMITTED, CaseState.IN_REVIEW, CaseState.REOPENED)
"""The senior reader's turn."""


class CaseOrder(enum.Enum):
    """Which of the waiting cases comes first."""

    FIRST = "first"
    """Reader 1: returned ones, then by id."""
    SMALLEST_GLAND = "smallest_gland"
    """Reader 1: the smallest gland in its draft, where little is left to hold on to; cases whose
    draft found none before all others, cases without a draft last."""
    OLDEST_SUBMISSION = "oldest_submission"
    """The senior reader: whose initial contours wait longest."""


@dataclass(frozen=True)
class Offer:
    """A case that is offered.

    Attributes:
        case: its id.
        reason: why it comes now, for a person.
    """

    case: str
    reason: str


def next_case(cases: Iterable[CaseOverview], order: CaseOrder) -> Offer | None:
    """The case that comes first; None if none waits. Consensus cases are never offered.

    Args:
        cases: present ones, with their tagged versions.
        order: which comes first; ties go by id.
    """
    wanted = TO_REVIEW if order is CaseOrder.OLDEST_SUBMISSION else TO_CONTOUR
    waiting = [one for one in cases if one.case.state in wanted and not one.case.is_consensus]
    ranked = [(*_ranked(one, order), one.case.id) for one in waiting]
    if not ranked:
        return None
    _, reason, case = min(ranked, key=lambda rank: (rank[0], rank[2]))
    return Offer(case, reason)


def _ranked(one: CaseOverview, order: CaseOrder) -> tuple[tuple[float, float], str]:
    """What a case is sorted by, smallest first, and what is said of it."""
    if order is CaseOrder.FIRST:
        is_returned = one.case.state is CaseState.RETURNED
        return (float(not is_returned), 0.0), "returned" if is_returned else "by its id"
    if order is CaseOrder.SMALLEST_GLAND:
        draft = one.versions.get(DRAFT_TAG)
        if draft is None or GLAND.name not in draft.volumes_ml:
            return (1.0, 0.0), "no draft says how large its gland is"
        ml = draft.volumes_ml[GLAND.name]
        return (0.0, ml), f"gland of {ml:.1f} ml in its draft" if ml else "no gland in its draft"
    initial = one.versions.get(INITIAL_TAG)
    since = one.case.changed if initial is None else initial.created
    return (0.0, since.timestamp()), f"submitted {since:%Y-%m-%d %H:%M} UTC"
