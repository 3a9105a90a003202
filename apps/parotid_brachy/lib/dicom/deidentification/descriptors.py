"""Free text and code strings: what may stay (PS3.15, section E.3.4, clean descriptors).

The rule: a free text is kept, as it is, if every word of it is in a vetted list of harmless
terms, if it has no letters but a-z, and if it has at most three digits in all: no name, no date,
no number of a record or telephone. Else all of it goes: nothing is cut out of a text. A code
string is kept if PS3.3 names it as a term, or if its words pass the same test.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from parotid_brachy.lib.dicom.deidentification.profile_table import data_text

_WORD: Final = re.compile(r"[a-z]+")
_ALLOWED: Final = re.compile(r"[ -~\r\n\t]*")
"""ASCII: a letter beyond it would slip through between the words."""
_MOST_DIGITS: Final = 3
_LONGEST: Final = 1024
_LENGTHS: Final = {"AE": 16, "AS": 4, "CS": 16, "LO": 64, "PN": 64, "SH": 16}
"""PS3.5, Table 6.2-1."""
_LONE_LETTERS: Final = frozenset("lrw")
"""Left, right, with; other single letters may be initials."""


def is_harmless_text(text: str) -> bool:
    """Whether a free text consists of harmless terms only."""
    if len(text) > _LONGEST or _ALLOWED.fullmatch(text) is None:
        return False
    if sum(character.isdigit() for character in text) > _MOST_DIGITS:
        return False
    words = _words("harmless_words.txt")
    return all(word in words or word in _LONE_LETTERS for word in _WORD.findall(text.lower()))


def is_harmless_code(text: str) -> bool:
    """Whether a code string is a term of the standard, or consists of harmless terms."""
    term = text.strip(" \0")
    return term in _terms() or is_harmless_text(term)


def is_well_formed(text: str, vr: str) -> bool:
    """Whether a text has the length and characters of its value representation.

    A damaged length makes a text swallow the elements that follow it.
    """
    return len(text) <= _LENGTHS.get(vr, _LONGEST) and text.isprintable()


@lru_cache(maxsize=1)
def _terms() -> frozenset[str]:
    lines = data_text("defined_terms.txt").splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))


@lru_cache(maxsize=1)
def _words(name: str) -> frozenset[str]:
    lines = [line for line in data_text(name).splitlines() if not line.startswith("#")]
    return frozenset(word for line in lines for word in line.split())
