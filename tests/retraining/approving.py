"""Cases that two readers have dealt with, as a training wants them."""

from __future__ import annotations

from tests.review.studies import ANNA, SENIOR, Desk, sent

from parotid_brachy.lib.anatomy import GLAND, SKIN
from parotid_brachy.lib.review.records import ReviewStatus, Version
from parotid_brachy.lib.review.reviewing import Review

GLAND_AND_SKIN = (SKIN.value, GLAND.value)


def submit(desk: Desk, case: str, *values: int) -> Version:
    """Reader 1's initial contours; another map for each case of :func:`case_names`."""
    content = sent(*(values or GLAND_AND_SKIN), at=slice_of(case))
    return desk.workflow.save(case, content, ANNA, tag="final")


def slice_of(case: str) -> int:
    """Where the contours of a case begin."""
    return 2 + int(case[-2:])


def approve(desk: Desk, *cases: str, values: tuple[int, ...] = GLAND_AND_SKIN) -> None:
    """Initial contours that a senior approves as they are, case by case."""
    for case in cases:
        submit(desk, case, *values)
        desk.workflow.review(case, "final", Review(ReviewStatus.APPROVED), SENIOR)


def case_names(count: int) -> tuple[str, ...]:
    """case00, case01 ..."""
    return tuple(f"case{n:02}" for n in range(count))
