"""The scale on which contours are graded, and what one grade says.

Source: J Contemp Brachytherapy 2022;14:527-535: two oncologists, 0 to 3; 2 and more is clinically
acceptable.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from parotid_brachy.lib.errors import UsageError

SCALE: Final = (
    "severe error",
    "moderate error, minor correctable",
    "mild error, clinically insignificant",
    "precise",
)
"""What each grade means; a grade is the index."""
ACCEPTABLE: Final = 2
"""The least grade that is clinically acceptable."""
NOT_GRADABLE: Final = "not gradable"
LONGEST_TEXT: Final = 1000


@dataclass(frozen=True, kw_only=True)
class Grade:
    """What a grader says of one structure of one item.

    Attributes:
        item: the item's id.
        structure: the structure's name.
        grade: 0 to 3; None: not gradable.
        reason: why it is not gradable; empty with a grade.
        comment: whatever else there is to say; may be empty.
    """

    item: str
    structure: str
    grade: int | None
    reason: str = ""
    comment: str = ""

    def __post_init__(self) -> None:
        """Refuses what is no grade.

        Raises:
            UsageError: another number, a reason too many or too few, or a text that is too long.
        """
        where = f"{self.item[:40]}, {self.structure[:40]}"
        is_number = isinstance(self.grade, int) and not isinstance(self.grade, bool)
        if self.grade is not None and not (is_number and 0 <= self.grade < len(SCALE)):
            message = f"{where}: {str(self.grade)[:20]!r} is no grade; give 0, 1, 2 or 3"
            raise UsageError(message)
        if self.grade is None and not self.reason.strip():
            message = f"{where}: not gradable needs a reason"
            raise UsageError(message)
        if self.grade is not None and self.reason:
            message = f"{where}: a grade has no reason; write it into the comment"
            raise UsageError(message)
        for text in (self.reason, self.comment):
            if len(text) > LONGEST_TEXT:
                message = f"{where}: texts have up to {LONGEST_TEXT} characters"
                raise UsageError(message)
            # SQLite takes NUL for a text's end, and UTF-8 has no halves of characters.
            if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
                message = f"{where}: the text has NUL or half a character"
                raise UsageError(message)


@dataclass(frozen=True, kw_only=True)
class KeptGrade:
    """A grade as it is kept.

    Attributes:
        number: its place among all grades; a later one of the same grader counts instead.
        grader: whose it is.
        at: when it was given, ISO 8601, UTC.
        grade: what was said.
    """

    number: int
    grader: str
    at: str
    grade: Grade
