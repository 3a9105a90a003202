"""Coded terms (PS3.3, section 8.8): kept whole where they are a public scheme's, else replaced."""

from __future__ import annotations

import re
from typing import Final

from parotid_brachy.lib.dicom.deidentification.descriptors import is_harmless_text

_SCHEMES: Final = {
    "DCM": re.compile(r"1[0-9]{5}"),
    "SRT": re.compile(r"[A-Z]-[0-9A-F]{5}"),
    "SNM3": re.compile(r"[A-Z]-[0-9A-F]{5}"),
    "99SDM": re.compile(r"[A-Z]-[0-9A-F]{5}"),
    "UCUM": re.compile(r"[A-Za-z0-9\[\]{}./%^*-]{1,8}"),
    "LN": re.compile(r"[0-9]{1,5}-[0-9]"),
    "RADLEX": re.compile(r"RID[0-9]{1,5}"),
    "SCT": re.compile(r"[0-9]{6,18}"),
}
_LOOSE: Final = frozenset({"UCUM"})
"""Schemes whose values are texts themselves: they must be harmless, not only well formed."""
# Verhoeff's check digit, which every SNOMED CT identifier ends with (SNOMED CT Release File
# Specification, section 5.3): a date or a telephone number has it by chance, one in ten.
_DIHEDRAL: Final = tuple(
    tuple(
        (a + b) % 5
        if a < 5 and b < 5
        else 5 + (a + b) % 5
        if a < 5
        else 5 + (a - b) % 5
        if b < 5
        else (a - b) % 5
        for b in range(10)
    )
    for a in range(10)
)
_PERMUTATION: Final = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)


def is_public_code(value: str, scheme: str) -> bool:
    """Whether a code can be one of a public coding scheme, by its form.

    Args:
        value: the code value.
        scheme: the coding scheme's designator.
    """
    pattern = _SCHEMES.get(scheme.strip())
    term = value.strip()
    if pattern is None or not pattern.fullmatch(term):
        return False
    if scheme.strip() == "SCT":
        return _has_check_digit(term)
    return scheme.strip() not in _LOOSE or is_harmless_text(term)


def _has_check_digit(number: str) -> bool:
    check = 0
    for place, digit in enumerate(reversed(number)):
        value = int(digit)
        for _ in range(place % 8):
            value = _PERMUTATION[value]
        check = _DIHEDRAL[check][value]
    return check == 0
