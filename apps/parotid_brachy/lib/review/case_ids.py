"""Which ids a case can have: names of files, and never a path."""

from __future__ import annotations

import re
from typing import Final

_CASE_ID: Final = re.compile(r"(?!\.)[\w .,()+-]+(?<![ .])")
_LONGEST_BYTES: Final = 200
"""File systems take 255 bytes for a name; endings and temporary names need some."""


def is_case_id(text: str) -> bool:
    """Whether a case can be called so.

    Letters and digits of any script, spaces and ``_ . , ( ) + -``; no leading dot, no dot or space
    at the end, at most 200 bytes.
    """
    return _CASE_ID.fullmatch(text) is not None and len(text.encode()) <= _LONGEST_BYTES
