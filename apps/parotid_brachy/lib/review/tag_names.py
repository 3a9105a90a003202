"""The tags under which stock clients find versions: names of folders, and never a path."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.review.records import CORRECTION_PREFIX, DRAFT_TAG, INITIAL_TAG

_TAG: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}(?<!\.)")
_CORRECTION: Final = re.compile(rf"{CORRECTION_PREFIX}([0-9]{{1,9}})")

_CLIENTS_CORRECTION: Final = re.compile(rf"{CORRECTION_PREFIX}([1-9][0-9]{{0,3}})")


def correction_number(tag: str) -> int | None:
    """The number of a correction's tag as clients send it, 1 to 9999; None: it is no such tag."""
    correction = _CLIENTS_CORRECTION.fullmatch(tag)
    return None if correction is None else int(correction[1])


def require_tag(case: str, tag: str) -> None:
    """Refuses what no tag can be.

    Raises:
        UsageError: names case and tag.
    """
    if not _TAG.fullmatch(tag):
        message = f"{case}: tag {tag[:70]!r}: up to 64 letters, digits and _ . - are needed"
        raise UsageError(message)


def order_of(tag: str) -> tuple[int, str]:
    """Drafts first, then initial contours, then corrections by their number.

    The stock Reviewer takes the last one for the newest.
    """
    correction = _CORRECTION.fullmatch(tag)
    if correction is not None:
        return (int(correction[1]) + 1, tag)
    return ((DRAFT_TAG, INITIAL_TAG).index(tag) if tag in (DRAFT_TAG, INITIAL_TAG) else -1, tag)


def following_correction(used: Iterable[str]) -> str:
    """The tag of the next correction: one above the highest among those ever used."""
    numbers = [int(match[1]) for tag in used if (match := _CORRECTION.fullmatch(tag))]
    return f"{CORRECTION_PREFIX}{max(numbers, default=0) + 1}"
