"""The review's answers and requests as REST has them: models for validation and for OpenAPI."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from parotid_brachy.lib.review.records import (
    Case,
    JournalEntry,
    Level,
    Note,
    Page,
    ReviewStatus,
    Version,
)
from parotid_brachy.lib.review.roles import Role
from parotid_brachy.lib.review.states import Action, CaseState

Item = TypeVar("Item")
Row = TypeVar("Row")


class PageOf(BaseModel, Generic[Row]):
    """A part of a list; ``next_offset`` is null on the last page."""

    items: list[Row]
    total: int
    offset: int
    next_offset: int | None

    @classmethod
    def of(cls, page: Page[Item], shown: Callable[[Item], Row]) -> PageOf[Row]:
        """A page of the core, each item shown as a row."""
        end = page.offset + len(page.items)
        return cls(
            items=[shown(item) for item in page.items],
            total=page.total,
            offset=page.offset,
            next_offset=end if end < page.total else None,
        )


class Me(BaseModel):
    """Who is asking."""

    name: str
    role: Role
    is_proved: bool = Field(description="by a token; else it is only what the client says")


class CaseRow(BaseModel):
    """A case and where it is."""

    case: str
    image: str
    state: CaseState
    consensus: bool
    present: bool = Field(description="the image lies in the folder of studies")
    created: datetime
    changed: datetime
    initial_author: str | None
    reviewer: str | None
    approved_by: str | None
    approved_at: datetime | None
    approved_version: int | None

    @classmethod
    def of(cls, case: Case) -> CaseRow:
        """A case of the core."""
        return cls(
            case=case.id,
            image=case.image_name,
            state=case.state,
            consensus=case.is_consensus,
            present=case.is_present,
            created=case.created,
            changed=case.changed,
            initial_author=case.initial_author,
            reviewer=case.reviewer,
            approved_by=case.approved_by,
            approved_at=case.approved_at,
            approved_version=case.approved_version,
        )


class NoteRow(BaseModel):
    """A senior's word on a version."""

    model_config = ConfigDict(from_attributes=True)

    version: int
    reviewer: str
    status: ReviewStatus
    level: Level
    comment: str
    created: datetime

    @classmethod
    def of(cls, note: Note) -> NoteRow:
        """A note of the core."""
        return cls.model_validate(note)


class VersionRow(BaseModel):
    """One immutable label map of a case."""

    case: str
    version: int
    tag: str
    kind: str
    author: str
    created: datetime
    sha256: str
    bytes: int
    received_sha256: str | None = Field(description="of the file that the client sent")
    volumes_ml: dict[str, float] = Field(
        description="contoured structures; 0 is empty on purpose, missing is not contoured"
    )
    made_from: int | None
    withdrawn: bool
    notes: list[NoteRow]

    @classmethod
    def of(cls, version: Version, notes: list[Note]) -> VersionRow:
        """A version of the core, with the notes on it."""
        return cls(
            case=version.case,
            version=version.number,
            tag=version.tag,
            kind=version.kind.value,
            author=version.author,
            created=version.created,
            sha256=version.file.sha256,
            bytes=version.file.size_bytes,
            received_sha256=None if version.received is None else version.received.sha256,
            volumes_ml=dict(version.volumes_ml),
            made_from=version.parent,
            withdrawn=version.is_withdrawn,
            notes=[NoteRow.of(note) for note in notes if note.version == version.number],
        )


class CaseDetail(CaseRow):
    """A case with its versions."""

    versions: list[VersionRow]


class Transition(BaseModel):
    """What a reader does with a case."""

    model_config = ConfigDict(extra="forbid")

    action: Action = Field(
        description="comment, return, resume, approve, reopen, withdraw or withdraw_correction; "
        "contours are saved through /datastore/label"
    )
    tag: str | None = Field(None, description="which version, by its tag: final, version_1, ...")
    version: int | None = Field(
        None, description="its number; refused if the tag points at another by now"
    )
    level: Level = Level.NONE
    comment: str = Field("", max_length=4000, description="the reason, where one is needed")


class Consensus(BaseModel):
    """Whether a case belongs to the consensus set."""

    model_config = ConfigDict(extra="forbid")

    consensus: bool


class JournalRow(BaseModel):
    """One entry of the hash-chained journal."""

    model_config = ConfigDict(from_attributes=True)

    sequence: int
    at: datetime
    actor: str
    action: str
    case: str | None
    details: Mapping[str, Any]
    hash: str

    @classmethod
    def of(cls, entry: JournalEntry) -> JournalRow:
        """An entry of the core."""
        return cls.model_validate(entry)
