"""From a folder of images and label maps to training samples on canonical working grids."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from parotid_brachy.lib.anatomy import (
    AURICULA,
    GLAND,
    ORGANS_AT_RISK,
    REACH_MM,
    SKIN,
    STRUCTURES,
    Side,
)
from parotid_brachy.lib.errors import InputRefusedError, TrainingError
from parotid_brachy.lib.imaging.files import read_label_map, read_volume
from parotid_brachy.lib.imaging.half_head import find_midplane, half_head_box
from parotid_brachy.lib.imaging.roi import Box, canonical_grid, within_reach
from parotid_brachy.lib.imaging.sampling import sample_ct, sample_labels
from parotid_brachy.lib.imaging.volume import Grid, Volume
from parotid_brachy.lib.segmentation.presets import Preset, Step

logger = logging.getLogger(__name__)

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
_TRAINING_MARGIN_MM = REACH_MM + 18.0
"""Training regions are larger than the region of interest, so that patches can be shifted."""
_SKIN_SHELL_MM = 5.0
_SKIN_RIM_MM = 4.0


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


@dataclass(frozen=True)
class Sample:
    """One side, sampled on its working grid.

    Attributes:
        name: unique among samples.
        case: the patient's case id.
        grid: canonical working grid.
        hu: CT numbers, shape ``grid.shape_kji``.
        targets: network values (1 for the preset's first structure); one more than the last is
            "ignore": the reader said nothing about that voxel.
        contoured: names of the structures that a reader looked for; None where for all. The
            targets hold no other.
    """

    name: str
    case: str
    grid: Grid
    hu: NDArray[np.float32]
    targets: NDArray[np.uint8]
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


def samples_of(case: TrainingCase, preset: Preset, spacing_kji_mm: Any) -> Iterator[Sample]:
    """Samples of a case for a preset: one per side that has what the step learns.

    That is a gland, and for the organs at risk at least one of them: where none is contoured, a
    network would learn that there is none. A gland that no reader contoured still says where the
    region of interest is, but is no target.

    Args:
        case: image and label map.
        preset: decides between half head and region of interest, and which structures count.
        spacing_kji_mm: working grid.

    Raises:
        InputRefusedError: the files cannot be used, or no side has anything to learn from.
    """
    wanted = (GLAND,) if preset.step is Step.GLAND else ORGANS_AT_RISK
    needed = [s.value for s in wanted if case.contoured is None or s.name in case.contoured]
    empty = True
    volume = read_volume(case.image, case=case.case)
    labels = read_label_map(case.labels, volume.grid)
    midplane = find_midplane(volume)
    for side in (case.side,) if case.side else (Side.LEFT, Side.RIGHT):
        own = labels if case.side else _of_side(labels, volume.grid, midplane.x_lps_mm, side)
        if not (own == GLAND.value).any() or not np.isin(own, needed).any():
            continue
        empty = False
        if preset.step.crops_to_roi:
            gland_box = Box.of_mask(own == GLAND.value, volume.grid)
            box = gland_box.grown(_TRAINING_MARGIN_MM).clipped(Box.of_grid(volume.grid))
        else:
            box = half_head_box(volume, side, midplane)
        k, j, i = spacing_kji_mm
        grid = canonical_grid(box, side=side, spacing_mm=(i, j, k))
        name = f"{case.case}__{side.value}"
        yield _sample(name, case, volume, own, grid, preset)
    if empty:
        what = "gland" if preset.step is Step.GLAND else "gland with an organ at risk"
        message = f"{case.labels}: nothing to learn in it (no {what} on its side)"
        raise InputRefusedError(message)


def _of_side(labels: NDArray[np.uint8], grid: Grid, x_lps_mm: float, side: Side) -> Any:
    """The part of a map that lies on one side of the midplane."""
    index = np.argwhere(labels > 0)
    x = grid.to_lps_mm(index[:, ::-1].astype(np.float64))[:, 0]
    keep = index[x > x_lps_mm if side is Side.LEFT else x <= x_lps_mm]
    own = np.zeros_like(labels)
    own[tuple(keep.T)] = labels[tuple(keep.T)]
    return own


def _sample(
    name: str,
    case: TrainingCase,
    volume: Volume,
    own: NDArray[np.uint8],
    grid: Grid,
    preset: Preset,
) -> Sample:
    hu = sample_ct(volume, grid)
    labels = sample_labels(own, volume.grid, grid)
    targets = np.zeros(labels.shape, dtype=np.uint8)
    for value, structure in enumerate(preset.structures, start=1):
        if case.contoured is None or structure.name in case.contoured:
            targets[labels == structure.value] = value
    if preset.step.crops_to_roi:
        unknown = _not_judged(hu, labels, grid) & (targets == 0)
        targets[unknown] = len(preset.structures) + 1
    return Sample(name, case.case, grid, hu, targets, case.contoured)


def _not_judged(
    hu: NDArray[np.float32], labels: NDArray[np.uint8], grid: Grid
) -> NDArray[np.bool_]:
    """Voxels about which the reader's map says nothing.

    A map that was cut at the seeds' reach says nothing beyond it. A full map says nothing about
    the body surface outside the area in which skin was contoured; taken for background, it would
    teach the network that skin is not skin.
    """
    gland = labels == GLAND.value
    organ = (labels > 0) & ~gland
    near = within_reach(gland, grid, reach_mm=REACH_MM + max(grid.spacing_mm))
    if not (organ & ~near).any():
        return np.asarray(~near)
    spacing = grid.spacing_kji_mm
    body = ndimage.binary_fill_holes(hu > -300.0)
    shell = body & (ndimage.distance_transform_edt(body, sampling=spacing) <= _SKIN_SHELL_MM)
    judged = (labels == SKIN.value) | (labels == AURICULA.value)
    if not judged.any():
        return np.asarray(shell)
    far = ndimage.distance_transform_edt(~judged, sampling=spacing) > _SKIN_RIM_MM
    return np.asarray(shell & far)


def median_spacing(cases: Sequence[TrainingCase]) -> tuple[float, float, float]:
    """nnU-Net's rule for the working grid: the median spacing of the training images.

    Returns:
        Millimetres along the patient's z, y, x axes.
    """
    spacings = []
    for case in {case.case: case for case in cases}.values():
        grid = read_volume(case.image, case=case.case).grid
        directions = np.abs(np.asarray(grid.direction).reshape(3, 3))
        spacings.append(directions**2 @ np.asarray(grid.spacing_mm))
    x, y, z = np.median(np.asarray(spacings), axis=0)
    return (float(z), float(y), float(x))
