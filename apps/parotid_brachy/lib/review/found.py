"""Label maps found elsewhere: what is known of each before it is checked and kept."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from parotid_brachy.lib.review.naming import OF_A_CLIENT, ListReading
from parotid_brachy.lib.review.records import (
    CORRECTION_PREFIX,
    DRAFT_TAG,
    INITIAL_TAG,
    Kind,
    Level,
    ReviewStatus,
)
from parotid_brachy.lib.review.roles import READER_NAME

UNKNOWN_READER: Final = "unknown"
"""Who made a map of which nobody noted it."""
_CORRECTION: Final = re.compile(rf"{CORRECTION_PREFIX}([1-9][0-9]{{0,8}})")


@dataclass(frozen=True)
class FoundReview:
    """A senior's word on a found map.

    Attributes:
        status: approved, flagged or neither.
        level: how hard the case was.
        comment: free text.
        reviewer: who said it.
        at: when, in UTC.
    """

    status: ReviewStatus
    level: Level
    comment: str
    reviewer: str
    at: datetime


@dataclass(frozen=True)
class Found:
    """One label map that is to be kept.

    Attributes:
        case: the case's id.
        tag: under which stock clients will find it.
        author: who made it.
        created: when, in UTC.
        path: where it lies; it is read and left as it is.
        source: the same for people, without the machine's folders.
        label_info: the names of its values, if they were noted.
        reading: how these are to be read.
        review: a senior's word on it, if there is one.
        info: what else was noted about it, JSON values.
    """

    case: str
    tag: str
    author: str
    created: datetime
    path: Path
    source: str
    label_info: Sequence[Mapping[str, Any]] | None = None
    reading: ListReading = OF_A_CLIENT
    review: FoundReview | None = None
    info: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> Kind:
        """What its tag makes it."""
        kind = kind_of(self.tag)
        assert kind is not None
        return kind

    def __post_init__(self) -> None:
        """Refuses a tag that clients have no use for."""
        if kind_of(self.tag) is None:
            message = f"{self.source}: tag {self.tag!r} is none of the clients'"
            raise ValueError(message)


@dataclass(frozen=True)
class Complaint:
    """Something that was not taken over, or only with a reservation.

    Attributes:
        source: the file, or the entry.
        reason: why.
    """

    source: str
    reason: str


def kind_of(tag: str) -> Kind | None:
    """What a tag makes of a label map; None: it is no tag of the clients'."""
    if _CORRECTION.fullmatch(tag):
        return Kind.CORRECTION
    return {DRAFT_TAG: Kind.DRAFT, INITIAL_TAG: Kind.INITIAL}.get(tag)


def reader_of(*words: object) -> str:
    """The first of some noted names that a reader can have."""
    for word in words:
        if isinstance(word, str) and READER_NAME.fullmatch(word.strip()):
            return word.strip()
    return UNKNOWN_READER
