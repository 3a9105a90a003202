"""Table E.1-1 of PS3.15: what each attribute gets under the basic profile and its options.

The table is data (``data/confidentiality_profile.csv``), which names its source and edition.
"""

from __future__ import annotations

import csv
import enum
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Final

from parotid_brachy.lib.errors import StoreError

_FILE: Final = "confidentiality_profile.csv"
_TAG: Final = re.compile(r"[0-9A-Fx]{4},[0-9A-Fx]{4}")


class Option(enum.Enum):
    """Options of the profile (PS3.15, section E.3), as the table's columns name them."""

    RETAIN_UIDS = "retain_uids"
    RETAIN_DEVICE_IDENTITY = "retain_device_identity"
    RETAIN_INSTITUTION_IDENTITY = "retain_institution_identity"
    RETAIN_PATIENT_CHARACTERISTICS = "retain_patient_characteristics"
    RETAIN_FULL_DATES = "retain_full_dates"
    RETAIN_MODIFIED_DATES = "retain_modified_dates"
    CLEAN_DESCRIPTORS = "clean_descriptors"
    CLEAN_STRUCTURED_CONTENT = "clean_structured_content"
    CLEAN_GRAPHICS = "clean_graphics"


class Action(enum.Enum):
    """Action codes (PS3.15, Table E.1-1a)."""

    DUMMY = "D"
    EMPTY = "Z"
    REMOVE = "X"
    KEEP = "K"
    CLEAN = "C"
    UID = "U"
    EMPTY_OR_DUMMY = "Z/D"
    REMOVE_OR_EMPTY = "X/Z"
    REMOVE_OR_DUMMY = "X/D"
    REMOVE_OR_EMPTY_OR_DUMMY = "X/Z/D"
    REMOVE_OR_EMPTY_OR_UIDS = "X/Z/U*"


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        tag: ``gggg,eeee`` in capitals, with x where any digit is meant.
        name: the attribute's.
        basic: action of the basic profile.
        options: action of those options that say something about it.
    """

    tag: str
    name: str
    basic: Action
    options: Mapping[Option, Action]


@dataclass(frozen=True)
class ProfileTable:
    """The whole table.

    Attributes:
        rows: in the order of tags; the last is the one for private attributes.
        by_tag: rows of one tag each, by its number.
        patterns: rows of repeating groups.
    """

    rows: tuple[Row, ...]
    by_tag: Mapping[int, Row]
    patterns: tuple[tuple[re.Pattern[str], Row], ...]

    def row_of(self, tag: int) -> Row | None:
        """The row for a tag of a public attribute, if it is listed."""
        found = self.by_tag.get(tag)
        # Curves and overlays (PS3.5, section 7.6) are the only repeating groups of the table.
        if found is None and tag >> 24 in (0x50, 0x60):
            text = f"{tag >> 16:04X},{tag & 0xFFFF:04X}"
            for pattern, row in self.patterns:
                if pattern.fullmatch(text):
                    return row
        return found


@lru_cache(maxsize=1)
def profile_table() -> ProfileTable:
    """The table that the package brings.

    Raises:
        StoreError: the file is missing or damaged.
    """
    try:
        rows = tuple(_rows(data_text(_FILE)))
    except (KeyError, ValueError) as error:
        raise StoreError(f"{_FILE}: damaged ({error}). Install the package again.") from error
    by_tag, patterns = {}, []
    for row in rows:
        if not _TAG.fullmatch(row.tag):
            continue
        if "x" in row.tag:
            patterns.append((re.compile(row.tag.replace("x", "[0-9A-F]")), row))
        else:
            by_tag[int(row.tag.replace(",", ""), 16)] = row
    return ProfileTable(rows, by_tag, tuple(patterns))


def data_text(name: str) -> str:
    """A data file of this package.

    Raises:
        StoreError: it is missing.
    """
    try:
        return (resources.files(__package__) / "data" / name).read_text(encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{name}: cannot be read ({error}). Install the package again.") from error


def _rows(text: str) -> Iterator[Row]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for fields in csv.DictReader(lines):
        options = {option: fields[option.value] for option in Option}
        yield Row(
            fields["tag"],
            fields["name"],
            Action(fields["basic"]),
            {option: Action(code) for option, code in options.items() if code},
        )
