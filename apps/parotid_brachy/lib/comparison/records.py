"""What a comparison writes down on its way, so that it can be gone on with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, TypeVar

from parotid_brachy.lib.comparison.child import Peak
from parotid_brachy.lib.comparison.work import Labelled
from parotid_brachy.lib.errors import ConflictError
from parotid_brachy.lib.imaging.atomic import write_atomically

_PEAK: Final = "peak.json"
_LABELLED: Final = "labelled.json"

_Record = TypeVar("_Record", Peak, Labelled)


def keep_training_peak(peak: Peak, folder: Path) -> None:
    """Writes the memory of a training that is done into its folder."""
    _write(folder / _PEAK, asdict(peak))


def training_peak(folder: Path) -> Peak | None:
    """What ``keep_training_peak`` wrote; None where that training is not done.

    Raises:
        ConflictError: the file is damaged.
    """
    content = _read(folder / _PEAK, folder)
    return None if content is None else _made(Peak, content, folder)


def keep_labelling(
    outcomes: Sequence[Labelled], peak: Peak, weights: Sequence[str], folder: Path
) -> None:
    """Writes that all test items are labelled, and by which weights (SHA-256)."""
    content = {
        "weights_sha256": list(weights),
        "outcomes": [asdict(one) for one in outcomes],
        "peak": asdict(peak),
    }
    _write(folder / _LABELLED, content)


def kept_labelling(
    weights: Sequence[str], names: Sequence[str], folder: Path
) -> tuple[list[Labelled], Peak] | None:
    """What ``keep_labelling`` wrote of these weights and items; None where they are to be done.

    Raises:
        ConflictError: the file is damaged.
    """
    content = _read(folder / _LABELLED, folder)
    if content is None or content.get("weights_sha256") != list(weights):
        return None
    outcomes = [_made(Labelled, one, folder) for one in content.get("outcomes", ())]
    if [one.name for one in outcomes] != list(names):
        return None
    return outcomes, _made(Peak, content.get("peak"), folder)


def _write(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())


def _read(path: Path, folder: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(folder, str(error)) from error
    if not isinstance(content, dict):
        raise _damaged(folder, f"{path.name} holds no object")
    return content


def _made(kind: type[_Record], content: Any, folder: Path) -> _Record:
    try:
        return kind(**content)
    except TypeError as error:
        raise _damaged(folder, str(error)) from error


def _damaged(folder: Path, why: str) -> ConflictError:
    return ConflictError(f"{folder}: its records are damaged ({why}). Remove it to do it again")
