"""Which images and label maps of a folder belong together, and what the maps tell of."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from parotid_brachy.lib.anatomy import STRUCTURES, Side
from parotid_brachy.lib.errors import TrainingError

CONTOURED: Final = "contoured.json"
"""Beside label maps: of which structures each case's map tells. In a training's workspace: the
same by sample, of those that lack structures of the preset."""
_LARGEST_JSON: Final = 16 * 1024**2
SUFFIXES: Final = (".nii.gz", ".nii", ".nrrd", ".mha")
_LABEL_SUFFIXES: Final = (".seg.nrrd", *SUFFIXES)
_SIDE_FOLDERS: Final = {
    Side.LEFT: ("left_full", "left_roi17", "left"),
    Side.RIGHT: ("right_full", "right_roi17", "right"),
}


@dataclass(frozen=True)
class TrainingCase:
    """One side of one patient.

    Attributes:
        case: the image's id; both sides of a patient share it, and so never part in a split.
        side: the labelled side; None where one map holds whatever was labelled, to be told from
            the labels' position.
        image: CT file.
        labels: label map with values 0-7 on the image's grid.
        contoured: names of the structures that a reader looked for; None where for all. What the
            map holds of others is not believed.
    """

    case: str
    side: Side | None
    image: Path
    labels: Path
    contoured: frozenset[str] | None = None


def case_id(path: Path) -> str:
    """A file's case id: its name without the image suffix."""
    for suffix in SUFFIXES:
        if path.name.endswith(suffix):
            return path.name[: -len(suffix)]
    return path.name


def find_cases(images: Path, labels: Path) -> list[TrainingCase]:
    """Pairs images with label maps by case id.

    Args:
        images: folder of ``<case>.nii.gz`` (or .nrrd, .mha).
        labels: folder of ``<case>.nii.gz`` (or .seg.nrrd, as 3D Slicer and the version store
            write it, .nrrd, .mha), or with one folder per side
            (``left_full``, ``left_roi17`` or ``left``, and ``right...``; the first that has the
            case is taken). Beside the maps, ``contoured.json`` may say of which structures a
            case's map tells: ``{case: [structure name, ...]}``. Of cases that it does not name,
            every structure was contoured.

    Raises:
        TrainingError: a folder is missing, no image has a label map, or what says which
            structures were contoured cannot be understood.
    """
    for folder in (images, labels):
        if not folder.is_dir():
            message = f"{folder}: no such folder"
            raise TrainingError(message)
    found = []
    contoured: dict[Path, dict[str, frozenset[str]]] = {}

    def add(case: str, side: Side | None, image: Path, path: Path) -> None:
        told = contoured.setdefault(path.parent, read_contoured(path.parent))
        found.append(TrainingCase(case, side, image, path, told.get(case)))

    for image in sorted(path for path in images.iterdir() if path.name.endswith(SUFFIXES)):
        case = case_id(image)
        for side, folders in _SIDE_FOLDERS.items():
            path = next((p for name in folders if (p := _map_of(labels / name, case))), None)
            if path is not None:
                add(case, side, image, path)
        flat = _map_of(labels, case)
        if flat is not None:
            add(case, None, image, flat)
    if not found:
        message = f"no image in {images} has a label map of the same name in {labels}"
        raise TrainingError(message)
    return found


def read_contoured(folder: Path) -> dict[str, frozenset[str]]:
    """What ``contoured.json`` in a folder of label maps says; nothing where there is none.

    Raises:
        TrainingError: it is no object of lists of structures' names.
    """
    path = folder / CONTOURED
    if not path.is_file():
        return {}
    known = {structure.name for structure in STRUCTURES}
    try:
        if path.stat().st_size > _LARGEST_JSON:
            message = f"{path}: larger than {_LARGEST_JSON:,} bytes"
            raise TrainingError(message)
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        message = f"{path}: not readable as JSON ({error}). Correct it or remove it"
        raise TrainingError(message) from error
    if not isinstance(content, dict):
        message = (
            f"{path}: holds no JSON object {{case: [structure, ...]}}. Correct it or remove it"
        )
        raise TrainingError(message)
    for case, names in content.items():
        if not isinstance(names, list) or not all(type(n) is str and n in known for n in names):
            message = (
                f"{path}: case {case} says {names!r}; a list of names may be there, of "
                f"{', '.join(sorted(known))}"
            )
            raise TrainingError(message)
    return {case: frozenset(names) for case, names in content.items()}


def _map_of(folder: Path, case: str) -> Path | None:
    return next(
        (p for suffix in _LABEL_SUFFIXES if (p := folder / (case + suffix)).is_file()), None
    )
