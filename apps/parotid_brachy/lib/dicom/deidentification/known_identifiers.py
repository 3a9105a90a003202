"""A second look: what identified the patient in one attribute may have been copied to another."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_LEAST_CHARACTERS: Final = 4
"""Shorter ones occur anywhere by chance."""
_LEAST_IDEOGRAMS: Final = 2
"""Of a text in another script than Latin letters: names of two characters are usual."""
_LEAST_DIGITS: Final = 6
_PARTS: Final = re.compile(r"[\^=\s,;]+")


class KnownIdentifiers:
    """Names, numbers and dates that were taken out of one object."""

    def __init__(self) -> None:
        self._texts: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def add(self, values: Iterable[str], *, is_name: bool = False) -> None:
        """Remembers values; of a name, each part."""
        for value in values:
            text = value.strip(" \0").casefold()
            parts = _PARTS.split(text) if is_name else [text]
            self._texts.update(filter(_is_telling, parts))
        self._pattern = None

    def is_within(self, text: str) -> bool:
        """Whether a text contains one of them."""
        if self._pattern is None:
            # Longest first is not needed: any one will do.
            words = "|".join(map(re.escape, sorted(self._texts)))
            self._pattern = re.compile(words or r"(?!)")
        return self._pattern.search(text.casefold()) is not None

    def is_number(self, content: bytes) -> bool:
        """Whether a number, as it is stored, is one of them (a record's number, a date)."""
        text = content.decode("latin-1").strip(" \0").casefold()
        return len(text) >= _LEAST_DIGITS and text in self._texts

    def is_in_bytes(self, content: bytes) -> bool:
        """Whether bytes that should be numbers spell one of them, in any common encoding."""
        encodings = ("latin-1", "utf-8", "utf-16-le", "utf-16-be")
        return any(self.is_within(content.decode(name, errors="ignore")) for name in encodings)


def _is_telling(text: str) -> bool:
    return len(text) >= (_LEAST_CHARACTERS if text.isascii() else _LEAST_IDEOGRAMS)
