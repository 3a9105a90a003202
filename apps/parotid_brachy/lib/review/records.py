"""What the version store holds, as values: cases, versions, notes, journal entries."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Generic, TypeVar

from parotid_brachy.lib.review.states import CaseFacts, CaseState

Item = TypeVar("Item")

STORE_FOLDER: Final = ".parotid"
"""Where in a folder of studies the version store lies."""

DRAFT_TAG: Final = "original"
INITIAL_TAG: Final = "final"
CORRECTION_PREFIX: Final = "version_"
"""The tags that stock clients see: newest draft, newest initial contours, a senior's versions."""


class Kind(enum.Enum):
    """How a version came about."""

    DRAFT = "draft"
    INITIAL = "initial"
    CORRECTION = "correction"


class ReviewStatus(enum.Enum):
    """A version's review, in the stock Reviewer's words."""

    NONE = ""
    APPROVED = "approved"
    FLAGGED = "flagged"


class Level(enum.Enum):
    """How hard a case was to contour, in the stock Reviewer's words."""

    NONE = ""
    EASY = "easy"
    MEDIUM = "medium"
    HARD = "hard"


@dataclass(frozen=True)
class StoredFile:
    """A durable file of the store, named by its content.

    Attributes:
        sha256: of the content, in hexadecimal digits.
        size_bytes: of the content.
        ending: such as ``.seg.nrrd``; belongs to the content's name.
    """

    sha256: str
    size_bytes: int
    ending: str


@dataclass(frozen=True)
class Version:
    """One immutable label map of a case.

    Attributes:
        case: the case's id.
        number: 1, 2, ... within the case, never given twice.
        tag: under which stock clients find it, as long as no newer one has the tag.
        kind: draft, initial contours or correction.
        author: the reader; for a draft, whoever asked the model for it.
        created: in UTC.
        file: the label map as the project writes it (``.seg.nrrd``, values of ``anatomy``).
        received: what the client sent, byte for byte; None for drafts.
        volumes_ml: each contoured structure by name; 0 where it is empty on purpose. What is
            missing was not contoured.
        parent: number of the version that it was made from, as far as known.
        info: what else the client or the model said.
        is_withdrawn: taken out of the clients' sight; never deleted.
    """

    case: str
    number: int
    tag: str
    kind: Kind
    author: str
    created: datetime
    file: StoredFile
    received: StoredFile | None
    volumes_ml: Mapping[str, float]
    parent: int | None = None
    info: Mapping[str, Any] = field(default_factory=dict)
    is_withdrawn: bool = False


@dataclass(frozen=True)
class Note:
    """A senior's word on a version; the newest is what clients see as ``segmentationMeta``.

    Attributes:
        case: the case's id.
        version: the version's number.
        reviewer: who said it.
        status: approved, flagged or neither.
        level: how hard the case was.
        comment: free text.
        created: in UTC.
    """

    case: str
    version: int
    reviewer: str
    status: ReviewStatus
    level: Level
    comment: str
    created: datetime


@dataclass(frozen=True)
class Case:
    """A case as the store knows it.

    Attributes:
        id: the image id.
        image_name: the image's file name in the folder of studies.
        state: where it is.
        is_consensus: contoured by every reader, apart from the study.
        is_present: whether the image was there when the folder was last looked at.
        created: when it was first seen, in UTC.
        changed: when something was last done with it, in UTC.
        initial_author: who made the newest initial contours.
        reviewer: the senior who did something with it last.
        approved_by: who approved, where it is approved.
        approved_at: when.
        approved_version: the number of the version that is approved.
        image_info: what clients and strategies noted about the image.
    """

    id: str
    image_name: str
    state: CaseState
    is_consensus: bool
    is_present: bool
    created: datetime
    changed: datetime
    initial_author: str | None = None
    reviewer: str | None = None
    approved_by: str | None = None
    approved_at: datetime | None = None
    approved_version: int | None = None
    image_info: Mapping[str, Any] = field(default_factory=dict)

    @property
    def facts(self) -> CaseFacts:
        """What the state table has to know of it."""
        return CaseFacts(
            case=self.id,
            state=self.state,
            is_consensus=self.is_consensus,
            initial_author=self.initial_author,
            approved_by=self.approved_by,
            approved_at=self.approved_at,
            reviewer=self.reviewer,
        )


@dataclass(frozen=True)
class CaseOverview:
    """A case with what clients see of it.

    Attributes:
        case: the case.
        versions: by tag: original, final, version_1, version_2, ...
        notes: the newest note of those versions, by tag; missing where there is none.
    """

    case: Case
    versions: Mapping[str, Version]
    notes: Mapping[str, Note]


@dataclass(frozen=True)
class CaseFilter:
    """Which cases; every condition given must hold.

    Attributes:
        states: in one of these states; empty: any.
        is_consensus: True: consensus cases only, False: study cases only.
        initial_author: whose initial contours are this reader's.
        contains: text that the id contains, upper and lower case alike.
        is_present: cases whose image is there.
    """

    states: Sequence[CaseState] = ()
    is_consensus: bool | None = None
    initial_author: str | None = None
    contains: str = ""
    is_present: bool | None = True


@dataclass(frozen=True)
class JournalEntry:
    """One line of the journal.

    Attributes:
        sequence: 1, 2, ... without a gap.
        at: in UTC.
        actor: a reader's name, or ``server``.
        action: what was done.
        case: the case concerned, if any.
        details: JSON values.
        previous_hash: of the entry before; 64 zeros for the first.
        hash: SHA-256 over all the above.
    """

    sequence: int
    at: datetime
    actor: str
    action: str
    case: str | None
    details: Mapping[str, Any]
    previous_hash: str
    hash: str


@dataclass(frozen=True)
class HandOver:
    """Two versions of a case whose agreement says something.

    Attributes:
        case: the case's id.
        before: number of the draft, or of the initial contours.
        after: number of the initial contours, or of what was approved.
        kind: ``draft_to_initial`` or ``initial_to_approved``.
    """

    case: str
    before: int
    after: int
    kind: str


@dataclass(frozen=True)
class KeptAgreement:
    """What was computed for a hand-over.

    Attributes:
        hand_over: which versions were compared.
        rows: JSON objects, as :mod:`.agreement` made them.
    """

    hand_over: HandOver
    rows: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Counts:
    """How far the present cases are.

    Attributes:
        by_state: how many cases are in each state; every state has its number.
        by_tag: how many cases have a label map under each tag.
    """

    by_state: Mapping[CaseState, int]
    by_tag: Mapping[str, int]


@dataclass(frozen=True)
class Page(Generic[Item]):
    """A part of a list.

    Attributes:
        items: of this page.
        total: how many there are in all.
        offset: the first item's place in the whole list.
    """

    items: Sequence[Item]
    total: int
    offset: int
