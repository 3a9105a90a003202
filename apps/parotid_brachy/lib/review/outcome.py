"""What found label maps and the seniors' words on them make of a case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from parotid_brachy.lib.review.found import UNKNOWN_READER, Found, FoundReview
from parotid_brachy.lib.review.records import Kind, ReviewStatus, Version
from parotid_brachy.lib.review.states import CaseState, ReviewPolicy


@dataclass(frozen=True)
class Approval:
    """An approval that somebody gave elsewhere.

    Attributes:
        version: number of the approved version.
        by: who approved.
        at: when, in UTC.
    """

    version: int
    by: str
    at: datetime


@dataclass(frozen=True)
class Outcome:
    """Where a case stands after its label maps were brought in.

    Attributes:
        state: of the case.
        initial_author: who made the initial contours, if there are any.
        reviewer: the senior who did something with it last.
        approval: where it is approved.
        reservations: what was noted and does not hold here, in words.
    """

    state: CaseState
    initial_author: str | None = None
    reviewer: str | None = None
    approval: Approval | None = None
    reservations: tuple[str, ...] = ()

    def standing(self, review: FoundReview, version: Version) -> ReviewStatus:
        """The status of a review as far as it holds here: clients never see two approved."""
        approved = None if self.approval is None else self.approval.version
        holds = {
            ReviewStatus.APPROVED: approved == version.number,
            ReviewStatus.FLAGGED: self.state is CaseState.RETURNED,
        }
        return review.status if holds.get(review.status, True) else ReviewStatus.NONE


_WITHOUT_REVIEW: Final = {
    Kind.CORRECTION: CaseState.IN_REVIEW,
    Kind.INITIAL: CaseState.SUBMITTED,
    Kind.DRAFT: CaseState.DRAFTED,
}

Kept = Sequence[tuple[Found, Version]]


def outcome_of(kept: Kept, *, policy: ReviewPolicy) -> Outcome:
    """Where a case stands.

    The newest word counts: approved or flagged. A correction that was saved after it, and on which
    nothing was said, is still in review. An approval holds if it is of contours that a reader made,
    and not the approver's own.

    Args:
        kept: the case's maps with their versions, at least one, the newest of a tag last.
        policy: whether an approval of one's own contours holds.
    """
    current = list({found.tag: (found, version) for found, version in kept}.values())
    kinds = {found.kind for found, _ in current}
    author = next((found.author for found, _ in current if found.kind is Kind.INITIAL), None)
    unreviewed = next(state for kind, state in _WITHOUT_REVIEW.items() if kind in kinds)
    said = [
        (found.review, found, version)
        for found, version in current
        if found.review is not None and found.review.status is not ReviewStatus.NONE
    ]
    corrections = [found for found, _ in current if found.kind is Kind.CORRECTION]
    if not said:
        reviewer = corrections[-1].author if corrections else None
        return Outcome(unreviewed, author, reviewer)
    review, found, version = max(said, key=lambda one: (one[0].at, one[2].number))
    later = [one for one in corrections if one.created > review.at and one is not found]
    fault = _fault(review, found, author, later, policy)
    if review.status is ReviewStatus.APPROVED and not fault:
        approval = Approval(version.number, review.reviewer, review.at)
        return Outcome(CaseState.APPROVED, author, review.reviewer, approval)
    flagged = review.status is ReviewStatus.FLAGGED and not later and Kind.INITIAL in kinds
    state = CaseState.RETURNED if flagged else unreviewed
    if state is CaseState.SUBMITTED:
        state = CaseState.IN_REVIEW  # a senior has begun
    return Outcome(state, author, review.reviewer, None, (fault,) if fault else ())


def _fault(
    review: FoundReview,
    found: Found,
    author: str | None,
    later: Sequence[Found],
    policy: ReviewPolicy,
) -> str:
    """Why an approval does not hold; empty if it does."""
    if review.status is not ReviewStatus.APPROVED:
        return ""
    what = f"{found.tag} was approved by {review.reviewer}"
    if found.kind is Kind.DRAFT:
        return f"{what}, but it is a model's draft; only contours that a reader made are approved"
    if later:
        return f"{what}, but {later[-1].tag} was saved after that; it waits for a review"
    is_own = review.reviewer == author and author != UNKNOWN_READER
    if is_own and not policy.has_one_reader:
        return f"{what}, whose own contours these are; somebody else has to approve them"
    return ""
