"""Shifting dates (PS3.15, section E.3.6, with modified dates), and checking times."""

from __future__ import annotations

import datetime as dt
import re
from typing import Final

_DATE: Final = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")
_TIME: Final = re.compile(r"([01]\d|2[0-3])(?::?[0-5]\d(?::?([0-5]\d|60)(\.\d{1,6})?)?)?")
_DATE_TIME: Final = re.compile(r"(\d{8})(\d{2,6}(?:\.\d{1,6})?)?([+-]\d{4})?")


def shifted_date(text: str, *, days: int) -> str | None:
    """A date (DA), so many days later; None if it is none that can be shifted."""
    found = _DATE.fullmatch(text.strip())
    if found is None:
        return None
    try:
        date = dt.date(int(found[1]), int(found[2]), int(found[3]))
        moved = date + dt.timedelta(days=days)
    except (ValueError, OverflowError):
        return None
    return f"{moved.year:04d}{moved.month:02d}{moved.day:02d}"


def shifted_date_time(text: str, *, days: int) -> str | None:
    """A date with its time (DT), so many days later; None if its day is not stated.

    The offset from UTC, which tells the place, is left out.
    """
    found = _DATE_TIME.fullmatch(text.strip())
    if found is None:
        return None
    date = shifted_date(found[1], days=days)
    time = found[2] or ""
    if date is None or (time and not is_time(time)):
        return None
    return date + time


def is_time(text: str) -> bool:
    """Whether a text is a time of day (TM), and nothing else."""
    return _TIME.fullmatch(text.strip()) is not None
