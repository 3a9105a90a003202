"""What an exported object says about its contours, besides where they lie."""

from __future__ import annotations

import enum
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from parotid_brachy.lib.anatomy import Side
from parotid_brachy.lib.errors import UsageError

ALGORITHM: Final = "parotid-brachy"
"""Names the program where an object asks for the algorithm."""

_LONGEST_NAME: Final = 64
_SPELLED_OUT: Final = str.maketrans(
    {"ß": "ss", "æ": "ae", "Æ": "Ae", "œ": "oe", "Œ": "Oe", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L"}
)
"""Latin letters that are no plain letter with an accent."""
_NO_PART_OF_A_NAME: Final = frozenset("\\^=")
"""Characters that mean something within a Person Name or between values (PS3.5, section 6.2)."""


class Origin(enum.Enum):
    """How contours came about; the values are DICOM's words.

    Segment Algorithm Type (0062,0008) and ROI Generation Algorithm (3006,0036) share them.
    """

    DRAFT = "AUTOMATIC"
    """A model proposed them and nobody touched them."""
    CORRECTED = "SEMIAUTOMATIC"
    """A reader corrected a draft."""
    MANUAL = "MANUAL"
    """A reader drew them without a draft."""


@dataclass(frozen=True)
class Approval:
    """A senior reader's approval.

    Attributes:
        reviewer: who approved.
        at: when, with a time zone.
    """

    reviewer: str
    at: datetime

    def __post_init__(self) -> None:
        """Refuses what no Person Name or date can be."""
        _require_name(self.reviewer, "reviewer")
        _require_aware(self.at)


@dataclass(frozen=True)
class ContourContent:
    """Who made which contours, how, and of which side.

    Attributes:
        case: the case's id.
        side: the patient's side that was contoured.
        origin: how the contours came about.
        made: when the object is made, with a time zone.
        reader: who contoured; may be missing for drafts only.
        approval: by whom and when approved; None: not approved.
        algorithm_version: of the program, for drafts and corrected drafts.
    """

    case: str
    side: Side
    origin: Origin
    made: datetime
    reader: str = ""
    approval: Approval | None = None
    algorithm_version: str = ""

    def __post_init__(self) -> None:
        """Refuses contours of readers without a reader, and names that DICOM cannot hold."""
        if self.reader:
            _require_name(self.reader, "reader")
        elif self.origin is not Origin.DRAFT:
            message = (
                f"{self.case}: {self.origin.name.lower()} contours are some reader's; name the "
                "reader"
            )
            raise UsageError(message)
        _require_aware(self.made)

    @property
    def creator(self) -> str:
        """Who made the contours: the reader, else the program."""
        return person_name(self.reader) or ALGORITHM

    @property
    def algorithm(self) -> str:
        """The program and its version, at most 64 characters."""
        return f"{ALGORITHM} {self.algorithm_version}".strip()[:_LONGEST_NAME]

    @property
    def description(self) -> str:
        """One line for people, at most 64 characters."""
        state = "approved" if self.approval else self.origin.name.lower()
        return f"Parotid region, {self.side.value}, {state} contours"


def person_name(name: str) -> str:
    """A reader's name as objects carry it: in the default character set, so without accents.

    dcmqi copies the series' character set and takes plain text only; the store's journal has the
    name as it is.
    """
    plain = unicodedata.normalize("NFKD", name.translate(_SPELLED_OUT))
    return "".join(one for one in plain if not unicodedata.combining(one))


def _require_name(name: str, what: str) -> None:
    """Refuses what is no Person Name, even without accents.

    Raises:
        UsageError: says what is allowed.
    """
    plain = person_name(name)
    is_plain = plain.isascii() and plain.isprintable() and not _NO_PART_OF_A_NAME & set(plain)
    if not is_plain or not plain.strip() or len(plain) > _LONGEST_NAME:
        message = (
            f"{what} {name[:60]!r}: in DICOM objects use up to {_LONGEST_NAME} Latin letters, "
            "digits, spaces and signs other than \\ ^ ="
        )
        raise UsageError(message)


def _require_aware(at: datetime) -> None:
    if at.tzinfo is None:
        message = f"{at}: a time without a time zone"
        raise UsageError(message)
