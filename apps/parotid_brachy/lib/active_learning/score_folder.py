"""What was found out about each case, kept as files; all of it can be computed again.

One small JSON file for each case and method, ``METHOD/CASE.json``. It is a cache beside the version
store, not part of it: nothing of it is in an export, and a damaged file counts as none.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from parotid_brachy.lib.errors import StoreFullError
from parotid_brachy.lib.imaging.atomic import write_atomically

logger = logging.getLogger(__name__)

_FORMAT: Final = "parotid-brachy case score 1"
_ENDING: Final = ".json"
_MOST_BYTES: Final = 1024**2
_SEEN: Final = ("image", "side")


@dataclass(frozen=True)
class CaseScore:
    """What a method found out about a case.

    Attributes:
        case: its id.
        made_by: the model versions that it was found out with.
        version: number of the version of the case's contours that it is about; None: it is about
            the image, or about what the models would propose.
        at: when, in UTC.
        values: JSON values, whatever the method keeps.
        image: what its image's file was known by; None: not known.
        side: of the cancer, as it was recorded then; None: it was not.
    """

    case: str
    made_by: str
    version: int | None
    at: datetime
    values: Mapping[str, Any]
    image: str | None = None
    side: str | None = None


class ScoreFolder:
    """The scores of a folder of studies; safe for several processes.

    Args:
        folder: where they lie; made when the first one is kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, method: str, score: CaseScore) -> None:
        """Keeps a score in the place of an earlier one.

        Raises:
            StoreFullError: it cannot be written.
        """
        content = {
            "format": _FORMAT,
            "case": score.case,
            "made_by": score.made_by,
            "version": score.version,
            "at": score.at.isoformat(),
            "values": dict(score.values),
            "image": score.image,
            "side": score.side,
        }
        path = self._path(method, score.case)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, json.dumps(content, allow_nan=False).encode())
        except OSError as error:
            message = f"{score.case}: its score could not be kept ({error.strerror})"
            raise StoreFullError(message) from error

    def find(self, method: str, case: str) -> CaseScore | None:
        """What a method found out about a case; None: nothing yet, or it cannot be read."""
        path = self._path(method, case)
        try:
            return _read(path, case)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
            logger.warning("%s: its %s score counts as none: %s", case, method, error)
            return None

    def all_of(self, method: str) -> dict[str, CaseScore]:
        """Everything that a method found out, by case."""
        try:
            names = sorted(path.name for path in (self.folder / method).iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return {}
        cases = (
            name.removesuffix(_ENDING)
            for name in names
            if name.endswith(_ENDING) and not name.startswith(".")
        )
        found = ((case, self.find(method, case)) for case in cases)
        return {case: score for case, score in found if score is not None}

    def _path(self, method: str, case: str) -> Path:
        return self.folder / method / f"{case}{_ENDING}"


def _read(path: Path, case: str) -> CaseScore:
    if path.stat().st_size > _MOST_BYTES:
        message = "it is too large"
        raise ValueError(message)
    told = json.loads(path.read_bytes())
    if told["format"] != _FORMAT or told["case"] != case:
        message = "it is another case's, or of another format"
        raise ValueError(message)
    version, at, values = told["version"], datetime.fromisoformat(told["at"]), told["values"]
    if version is not None and type(version) is not int:
        message = "its version is no number"
        raise TypeError(message)
    if at.tzinfo is None or not isinstance(values, dict):
        message = "its time or values are none"
        raise ValueError(message)
    image, side = (None if (text := told.get(name)) is None else str(text) for name in _SEEN)
    return CaseScore(told["case"], str(told["made_by"]), version, at, values, image, side)
