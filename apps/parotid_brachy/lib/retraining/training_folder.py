"""A snapshot as a folder that a training reads: ``images/``, ``labels/`` and ``snapshot.json``.

``labels/contoured.json`` tells trainings what each map is about. The maps are the store's own
files under the cases' names, byte for byte: what a training notes as a label map's hash is the
version's. Cases of the test part are told of, but not laid out.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
from pathlib import Path
from typing import Any, Final

from parotid_brachy.lib.errors import ParotidBrachyError, TrainingError
from parotid_brachy.lib.imaging.atomic import synchronise_folder, write_atomically
from parotid_brachy.lib.imaging.file_hash import sha256_of
from parotid_brachy.lib.imaging.files import case_of
from parotid_brachy.lib.retraining.snapshot import LeftOut, Snapshot, SnapshotCase
from parotid_brachy.lib.review.case_ids import is_case_id
from parotid_brachy.lib.review.intake import KEPT_ENDING
from parotid_brachy.lib.review.splits import Part
from parotid_brachy.lib.review.store import VersionStore
from parotid_brachy.lib.review.study_images import StudyImages
from parotid_brachy.lib.segmentation.presets import Step
from parotid_brachy.lib.segmentation.training_cases import CONTOURED, read_contoured

IMAGES: Final = "images"
LABELS: Final = "labels"
SNAPSHOT: Final = "snapshot.json"
_FORMAT: Final = "parotid-brachy snapshot 1"


def materialise(
    snapshot: Snapshot, folder: Path, *, store: VersionStore, images: StudyImages
) -> Path:
    """Lays a snapshot out; whole or not there afterwards.

    Files are hard links where the file system allows it, so that neither an image that is taken
    away nor a change of the store disturbs a training; else symbolic links.

    Args:
        snapshot: what to lay out.
        folder: must not exist, or hold this very snapshot already, which is then checked.
        store: that the snapshot was taken of.
        images: likewise.

    Returns:
        The folder.

    Raises:
        TrainingError: the folder holds something else, a file is away by now, or the disk is full.
    """
    if os.path.lexists(folder):
        if read_training_folder(folder).sha256 != snapshot.sha256:
            message = f"{folder}: holds another snapshot. Take another folder, or remove it."
            raise TrainingError(message)
        return folder
    partial = folder.with_name(f".{folder.name}.{secrets.token_hex(8)}.part")
    try:
        for name in (IMAGES, LABELS):
            (partial / name).mkdir(parents=True)
        for case in (one for one in snapshot.cases if one.part is not Part.TEST):
            version = store.version(case.case, case.version)
            _link(store.path_of(version.file), partial / LABELS / f"{case.case}{KEPT_ENDING}")
            _link(images.path_of(case.case), partial / IMAGES / _image_name(case))
        told = json.dumps(_contoured(snapshot), indent=1).encode()
        write_atomically(partial / LABELS / CONTOURED, told)
        content = json.dumps(to_json(snapshot), indent=1).encode()
        write_atomically(partial / SNAPSHOT, content)
        read_training_folder(partial)
        for name in (IMAGES, LABELS):
            synchronise_folder(partial / name)
        partial.rename(folder)
        synchronise_folder(folder.parent)
    except (OSError, ParotidBrachyError) as error:
        message = f"{folder}: the training set cannot be laid out ({error})"
        raise TrainingError(message) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def read_training_folder(folder: Path) -> Snapshot:
    """The snapshot that a folder holds, every label map compared with its hash.

    Raises:
        TrainingError: something is missing, damaged or not what the snapshot says.
    """
    try:
        snapshot = from_json(json.loads((folder / SNAPSHOT).read_text(encoding="utf-8")))
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        message = f"{folder / SNAPSHOT}: no snapshot that can be read ({error})"
        raise TrainingError(message) from error
    if read_contoured(folder / LABELS) != {k: {*v} for k, v in _contoured(snapshot).items()}:
        message = f"{folder / LABELS / CONTOURED}: not what the snapshot says. Take one anew."
        raise TrainingError(message)
    for case in (one for one in snapshot.cases if one.part is not Part.TEST):
        path = folder / LABELS / f"{case.case}{KEPT_ENDING}"
        image = folder / IMAGES / _image_name(case)
        is_image = image.is_file()
        with contextlib.suppress(OSError):
            if is_image and sha256_of(path) == case.sha256:
                continue
        missing = path if is_image else image
        message = (
            f"{missing}: missing, or not version {case.version} of {case.case}. "
            "Remove the folder, and take a snapshot anew."
        )
        raise TrainingError(message)
    return snapshot


def to_json(snapshot: Snapshot) -> dict[str, Any]:
    """JSON values, of which :func:`from_json` makes the same snapshot."""
    return {
        "format": _FORMAT,
        "sha256": snapshot.sha256,
        "step": snapshot.step.value,
        "cases": [case.to_json() for case in snapshot.cases],
        "left_out": [{"case": one.case, "reason": one.reason} for one in snapshot.left_out],
    }


def from_json(values: Any) -> Snapshot:
    """The snapshot of which :func:`to_json` made these values.

    Raises:
        KeyError, TypeError, ValueError: they are none, or not what their hash says.
    """
    snapshot = Snapshot(
        Step(values["step"]),
        tuple(SnapshotCase.from_json(case) for case in values["cases"]),
        tuple(LeftOut(one["case"], one["reason"]) for one in values["left_out"]),
    )
    if values["format"] != _FORMAT or values["sha256"] != snapshot.sha256:
        message = "not what its own hash says"
        raise ValueError(message)
    for case in snapshot.cases:
        if not is_case_id(case.case) or case_of(Path(case.image)) != case.case:
            message = f"no case can be called {case.case[:60]!r}, with image {case.image[:60]!r}"
            raise ValueError(message)
    return snapshot


def _contoured(snapshot: Snapshot) -> dict[str, list[str]]:
    return {one.case: sorted(one.contoured) for one in snapshot.cases if one.part is not Part.TEST}


def _image_name(case: SnapshotCase) -> str:
    """The image's name, its suffix in small letters, as trainings look for it."""
    return case.case + case.image[len(case.case) :].lower()


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source.resolve(), target)
    except FileExistsError:
        raise
    except OSError:  # another file system, or one without hard links
        target.symlink_to(source.resolve())
