"""Grades as a table that a person fills in, or a script."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Final

from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.evaluation.grading.grades import NOT_GRADABLE, Grade
from parotid_brachy.lib.evaluation.grading.ledger import Ledger
from parotid_brachy.lib.evaluation.grading.study import Study

COLUMNS: Final = ("item", "structure", "grade", "reason", "comment")
_NEEDED: Final = frozenset(COLUMNS[:3])
_MOST_BYTES: Final = 64 * 2**20
_FORMULAE: Final = tuple("=+-@\uff1d\uff0b\uff0d\uff20'")
"""What a formula begins with, also in full width, and what keeps a text from being one."""


def sheet_csv(study: Study, grader: str) -> bytes:
    """A sheet of all items in a grader's order, with what he or she has graded so far.

    Raises:
        UsageError: nobody of that name grades here.
        StoreError: the grades cannot be read.
    """
    given = Ledger(study).current(grader)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for item in study.order_of(grader):
        for structure in study.structures:
            kept = given.get((item, structure.name))
            told = ("", "", "") if kept is None else told_grade(kept.grade)
            writer.writerow((item, structure.name, *told))
    return text.getvalue().encode()


def told_grade(grade: Grade) -> tuple[str, str, str]:
    """Grade, reason and comment as texts that no spreadsheet takes for formulae."""
    number = NOT_GRADABLE if grade.grade is None else str(grade.grade)
    return number, _plain(grade.reason), _plain(grade.comment)


def read_sheet(path: Path) -> tuple[Grade, ...]:
    """Reads a sheet; rows without a grade are not graded yet.

    Args:
        path: CSV in UTF-8 with commas or semicolons; a first row names the columns.

    Raises:
        UsageError: not readable, columns missing, a row that is no grade, or a structure of an
            item twice; naming the row.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            message = f"{path.name}: too large for a sheet of grades"
            raise UsageError(message)
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        message = f"{path.name}: cannot be read ({error}). Give a CSV file in UTF-8"
        raise UsageError(message) from error
    first = text.partition("\n")[0]
    delimiter = ";" if ";" in first and "," not in first else ","
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    grades: dict[tuple[str, str], Grade] = {}
    try:
        missing = sorted(_NEEDED - set(rows.fieldnames or ()))
        if missing:
            message = f"{path.name}: no column {', '.join(missing)}; columns: {', '.join(COLUMNS)}"
            raise UsageError(message)
        for row in rows:
            where = f"{path.name}, line {rows.line_num}"
            if None in row:
                message = f"{where}: more cells than columns; put texts with commas into quotes"
                raise UsageError(message)
            try:
                grade = _grade({name: (row.get(name) or "").strip() for name in COLUMNS})
            except UsageError as error:
                message = f"{where}: {error}"
                raise UsageError(message) from error
            if grade is None:
                continue
            key = (grade.item, grade.structure)
            if key in grades:
                message = f"{where}: {grade.item}, {grade.structure} stands here twice"
                raise UsageError(message)
            grades[key] = grade
    except csv.Error as error:
        message = f"{path.name}, line {rows.line_num}: no CSV ({error})"
        raise UsageError(message) from error
    return tuple(grades.values())


def _grade(cells: dict[str, str]) -> Grade | None:
    text = cells["grade"]
    if not text:
        if cells["reason"] or cells["comment"]:
            message = "a reason or comment without a grade; grade it or leave the row empty"
            raise UsageError(message)
        return None
    if text not in {"0", "1", "2", "3", NOT_GRADABLE}:
        message = f"{text[:20]!r} is no grade; give 0, 1, 2, 3 or {NOT_GRADABLE!r}"
        raise UsageError(message)
    return Grade(
        item=cells["item"],
        structure=cells["structure"],
        grade=None if text == NOT_GRADABLE else int(text),
        reason=_unplain(cells["reason"]),
        comment=_unplain(cells["comment"]),
    )


def _plain(text: str) -> str:
    # A carriage return that no quotes enclose ends a row, and begins one that may be a formula.
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return f"'{text}" if text.startswith("\t") or text.lstrip().startswith(_FORMULAE) else text


def _unplain(text: str) -> str:
    return text.removeprefix("'")
