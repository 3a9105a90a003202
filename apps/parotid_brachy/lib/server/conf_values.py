"""The values that follow ``--conf KEY``, each read as what it should be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from parotid_brachy.lib.errors import UsageError

_YES_NO: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class ConfValues:
    """The values that follow ``--conf``, each read as what it should be."""

    def __init__(self, conf: Mapping[str, Any]) -> None:
        self._conf = conf

    def text(self, key: str) -> str:
        """A text without spaces round it; empty where nothing is given."""
        return str(self._conf.get(key, "")).strip()

    def number(self, key: str, default: float, bounds: tuple[float, float]) -> float:
        """A number within bounds."""
        text = self.text(key)
        least, most = bounds
        try:
            number = float(text) if text else default
        except ValueError as error:
            raise nonsense(key, text, "a number") from error
        if not least <= number <= most:
            raise nonsense(key, text, f"a number of {least:g} to {most:g}")
        return number

    def yes_no(self, key: str, *, default: bool = False) -> bool:
        """Yes or no, in the usual words."""
        text = self.text(key).lower() or str(default).lower()
        if text not in _YES_NO:
            raise nonsense(key, text, "true or false")
        return _YES_NO[text]


def nonsense(key: str, value: str, wanted: str) -> UsageError:
    """The error about a value of ``--conf``."""
    return UsageError(f"{key} {value[:80]!r}: must be {wanted}")
