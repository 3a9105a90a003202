"""Blind grading as REST has it: what a grader may see, and what he or she sends."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field, StrictInt

from parotid_brachy.lib.evaluation.grading.grades import SCALE, Grade, KeptGrade
from parotid_brachy.lib.evaluation.grading.ledger import Closing
from parotid_brachy.lib.evaluation.grading.progress import Progress
from parotid_brachy.lib.evaluation.grading.study import Item, Study

_MOST_GRADES = 16


class ClosingRow(BaseModel):
    """When and by whom a study was closed."""

    model_config = ConfigDict(from_attributes=True)

    by: str
    at: str
    is_incomplete: bool

    @classmethod
    def of(cls, closing: Closing | None) -> ClosingRow | None:
        """A closing of the core; None: the study is open."""
        return None if closing is None else cls.model_validate(closing)


class ProgressRow(BaseModel):
    """How far a grader has come."""

    model_config = ConfigDict(from_attributes=True)

    grader: str
    items: int
    items_done: int
    grades: int
    grades_wanted: int

    @classmethod
    def of(cls, progress: Progress) -> ProgressRow:
        """A progress of the core."""
        return cls.model_validate(progress)


class StudyRow(BaseModel):
    """A study in which the asking reader grades."""

    study: str
    progress: ProgressRow
    closing: ClosingRow | None


class StructureRow(BaseModel):
    """A structure that is graded."""

    name: str
    title: str
    colour: tuple[int, int, int] = Field(description="of its outlines in the pictures, sRGB")


class ItemRow(BaseModel):
    """One item of the list, in the asking reader's order."""

    item: str
    is_done: bool


class StudyDetail(StudyRow):
    """A study as its grader may know it."""

    scale: list[str] = Field(description="what each grade means; the grade is the index")
    structures: list[StructureRow]
    items: list[ItemRow]
    next_item: str | None

    @classmethod
    def of_study(
        cls,
        name: str,
        study: Study,
        progress: Progress,
        closing: Closing | None,
    ) -> StudyDetail:
        """A study, and how far the asking reader has come in it."""
        waiting = set(progress.open_items)
        return cls(
            study=name,
            progress=ProgressRow.of(progress),
            closing=ClosingRow.of(closing),
            scale=list(SCALE),
            structures=[
                StructureRow(name=one.name, title=one.title, colour=one.colour)
                for one in study.structures
            ],
            items=[
                ItemRow(item=item, is_done=item not in waiting)
                for item in study.order_of(progress.grader)
            ],
            next_item=progress.next_item,
        )


class KeptGradeRow(BaseModel):
    """A grade of the asking reader's that counts."""

    structure: str
    grade: int | None
    reason: str
    comment: str
    at: str


class ItemDetail(BaseModel):
    """An item for its grader."""

    item: str
    place: int = Field(description="in the asking reader's order, from 1")
    pictures: list[str] = Field(description="the plane of each; their numbers count from 0")
    contoured: list[str] = Field(description="structures that the map has")
    grades: list[KeptGradeRow] = Field(description="the asking reader's own, so far")

    @classmethod
    def of(
        cls, study: Study, item: Item, grader: str, given: Mapping[tuple[str, str], KeptGrade]
    ) -> ItemDetail:
        """An item, with what a grader has said of it so far."""
        return cls(
            item=item.id,
            place=study.order_of(grader).index(item.id) + 1,
            pictures=list(item.pictures),
            contoured=list(item.contoured),
            grades=[
                KeptGradeRow(
                    structure=kept.grade.structure,
                    grade=kept.grade.grade,
                    reason=kept.grade.reason,
                    comment=kept.grade.comment,
                    at=kept.at,
                )
                for (name, _), kept in given.items()
                if name == item.id
            ],
        )


class NextItem(BaseModel):
    """The first item in the asking reader's order that is not done; null: all are."""

    item: ItemDetail | None


class GivenGrade(BaseModel):
    """What a grader says of a structure."""

    model_config = ConfigDict(extra="forbid")

    structure: str
    grade: StrictInt | None = Field(description="0 to 3; null: not gradable, with a reason")
    reason: str = ""
    comment: str = ""


class GivenGrades(BaseModel):
    """Grades of an item; all are kept or none."""

    model_config = ConfigDict(extra="forbid")

    grader: str = Field(
        max_length=64,
        description="whose grades these are, as the client shows it; whoever else has logged in "
        "meanwhile is refused",
    )
    grades: list[GivenGrade] = Field(min_length=1, max_length=_MOST_GRADES)

    def of_item(self, item: str) -> list[Grade]:
        """Grades of the core.

        Raises:
            UsageError: one of them is no grade.
        """
        return [
            Grade(
                item=item,
                structure=one.structure,
                grade=one.grade,
                reason=one.reason,
                comment=one.comment,
            )
            for one in self.grades
        ]


class Close(BaseModel):
    """Ends the grading for good."""

    model_config = ConfigDict(extra="forbid")

    incomplete: bool = Field(False, strict=True, description="although grades are missing")


class StudyProgress(BaseModel):
    """How far all graders have come; nothing of their grades."""

    graders: list[ProgressRow]
    closing: ClosingRow | None
