"""A team's table of sides, days of surgery and seed plans, as a CSV file."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from parotid_brachy.lib.anatomy import Side
from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.review.clinical_facts import ClinicalFacts

_KEYS: Final = ("patient_id", "case", "series_uid")
_FACTS: Final = ("side", "surgery_date", "seed_plan")
_SIDES: Final = {**{side.value: side for side in Side}, "l": Side.LEFT, "r": Side.RIGHT}
_LARGEST_BYTES: Final = 4 * 1024**2
_MOST_ROWS: Final = 50_000
_LONGEST_PLAN: Final = 128
_SHOWN: Final = 40
_MOST_COMPLAINTS: Final = 10
_FIRST_YEAR: Final = 1950


@dataclass(frozen=True)
class SideRow:
    """One line of the table.

    Attributes:
        line: its number in the file.
        facts: what it states.
    """

    line: int
    facts: ClinicalFacts


class SideTable:
    """Facts by patient, case or series.

    Args:
        rows: by the word that each line begins with.
    """

    def __init__(self, rows: Mapping[str, SideRow]) -> None:
        self._rows = rows
        self._used: set[int] = set()

    def row_of(self, *words: str) -> SideRow | None:
        """The row of the first word that has one; it then counts as used."""
        for word in words:
            row = self._rows.get(word.strip())
            if word.strip() and row is not None:
                self._used.add(row.line)
                return row
        return None

    def unused(self) -> list[int]:
        """Numbers of the lines that nobody asked for."""
        return sorted(row.line for row in self._rows.values() if row.line not in self._used)


def read_side_table(path: Path) -> SideTable:
    """Reads a table: a header, then one line for each patient, case or series.

    Columns: ``patient_id``, ``case`` or ``series_uid`` (one of them), and any of ``side`` (left,
    right), ``surgery_date`` (YYYY-MM-DD or YYYYMMDD) and ``seed_plan``; parted by commas or
    semicolons, in UTF-8.

    Raises:
        UsageError: it cannot be read, or holds what it must not; names the lines.
    """
    lines = _text_of(path).splitlines(keepends=True)
    delimiter = ";" if lines and ";" in lines[0] and "," not in lines[0] else ","
    reader = csv.reader(io.StringIO("".join(lines)), delimiter=delimiter, strict=True)
    rows: dict[str, SideRow] = {}
    complaints: list[str] = []
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        key = _key_of(header, path)
        for cells in reader:
            line = reader.line_num
            if not any(cell.strip() for cell in cells):
                continue
            if len(rows) >= _MOST_ROWS:
                complaints.append(f"more than {_MOST_ROWS} lines")
                break
            _add(rows, complaints, dict(zip(header, cells, strict=False)), key, line)
            if len(cells) != len(header):
                complaints.append(
                    f"line {line}: {len(cells)} columns, the header has {len(header)}"
                )
    except csv.Error as error:
        complaints.append(f"line {reader.line_num}: {error}")
    if complaints:
        more = len(complaints) - _MOST_COMPLAINTS
        told = "; ".join(complaints[:_MOST_COMPLAINTS]) + (f"; and {more} more" if more > 0 else "")
        raise UsageError(f"{path.name}: {told}. Nothing was imported; correct the table.")
    return SideTable(rows)


def parsed_side(text: str) -> Side | None:
    """A side in words; None: none is stated.

    Raises:
        UsageError: neither left nor right.
    """
    word = text.strip().lower()
    if word and word not in _SIDES:
        raise UsageError(f"side {text[:_SHOWN]!r} is neither left nor right")
    return _SIDES[word] if word else None


def parsed_date(text: str) -> date | None:
    """A day, as YYYY-MM-DD or YYYYMMDD; None: none is stated.

    Raises:
        UsageError: no such day, or before any brachytherapy of this kind.
    """
    word = text.strip()
    if not word:
        return None
    digits = word.replace("-", "")
    is_formed = word in (digits, f"{digits[:4]}-{digits[4:6]}-{digits[6:]}")
    stated = digits if is_formed and len(digits) == 8 and digits.isascii() else "none"
    try:
        day = date(int(stated[:4]), int(stated[4:6]), int(stated[6:]))
    except ValueError as error:
        message = f"date {text[:_SHOWN]!r} is not YYYY-MM-DD"
        raise UsageError(message) from error
    if day.year < _FIRST_YEAR:
        raise UsageError(f"date {word} is before {_FIRST_YEAR}")
    return day


def parsed_plan(text: str) -> str:
    """The name or UID of a seed plan.

    Raises:
        UsageError: too long, or with signs that no name has.
    """
    word = text.strip()
    if len(word) > _LONGEST_PLAN or not word.isprintable():
        message = (
            f"seed plan {text[:_SHOWN]!r} is no name or UID of up to {_LONGEST_PLAN} characters"
        )
        raise UsageError(message)
    return word


def _text_of(path: Path) -> str:
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            message = f"{path.name}: larger than {_LARGEST_BYTES // 1024**2} MiB, no table of sides"
            raise UsageError(message)
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        message = f"{path.name}: not in UTF-8 (byte {error.start}). Save the table as CSV UTF-8."
        raise UsageError(message) from error


def _key_of(header: Sequence[str], path: Path) -> str:
    keys = [name for name in header if name in _KEYS]
    unknown = sorted(set(header) - {*_KEYS, *_FACTS})
    has_doubles = len(set(header)) != len(header)
    if len(keys) != 1 or unknown or has_doubles or not set(header) & set(_FACTS):
        fault = f"; it has {', '.join(map(repr, header))[:200]}" if header else "; it is empty"
        message = (
            f"{path.name}: the header needs one of {', '.join(_KEYS)} and any of "
            f"{', '.join(_FACTS)}, each once{fault}"
        )
        raise UsageError(message)
    return keys[0]


def _add(
    rows: dict[str, SideRow],
    complaints: list[str],
    cells: Mapping[str, str],
    key: str,
    line: int,
) -> None:
    word = cells.get(key, "").strip()
    if not word:
        complaints.append(f"line {line}: no {key}")
        return
    if word in rows:
        complaints.append(f"line {line}: the same {key} as line {rows[word].line}")
        return
    try:
        facts = ClinicalFacts(
            parsed_side(cells.get("side", "")),
            parsed_date(cells.get("surgery_date", "")),
            parsed_plan(cells.get("seed_plan", "")),
        )
    except UsageError as error:
        complaints.append(f"line {line}: {error}")
        return
    rows[word] = SideRow(line, facts)
