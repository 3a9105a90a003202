"""Making a grading study: masking label maps, and sealing what they are.

What a grader gets must not tell one method from another. So all maps of a case are written anew on
one grid, the CT's part round everything that any method contours, uncompressed: same header, same
size. Structures that are not graded are taken out, and all pictures of a case show the same planes.
Nor must it tell the case more than its anatomy does: every grid begins at one point, since a place
in the scanner is as good as a name to who has the CT.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from parotid_brachy.lib.anatomy import ORGANS_AT_RISK, Structure
from parotid_brachy.lib.errors import ParotidBrachyError, UsageError
from parotid_brachy.lib.evaluation.cohort import (
    CohortCase,
    Problem,
    find_images,
    match_cohort,
)
from parotid_brachy.lib.evaluation.grading.ledger import make_ledger
from parotid_brachy.lib.evaluation.grading.shuffling import grading_order
from parotid_brachy.lib.evaluation.grading.study import (
    CONTROL,
    Item,
    Masked,
    Study,
    StudyKey,
    write_study,
)
from parotid_brachy.lib.imaging.atomic import synchronise_folder, write_atomically
from parotid_brachy.lib.imaging.files import read_label_map, read_volume
from parotid_brachy.lib.imaging.label_encoding import nifti_bytes
from parotid_brachy.lib.imaging.nifti_image import write_nifti
from parotid_brachy.lib.imaging.roi import Box
from parotid_brachy.lib.imaging.volume import Grid, Volume

SHOWN_ROUND_MM: Final = 25.0
"""How much of the CT is shown beyond what any method contours."""
_ONE_TIME: Final = 0
"""When every file was changed, as the file system tells it."""
_OWNER_ONLY: Final = 0o700

_ONE_PLACE: Final = (0.0, 0.0, 0.0)
"""Where the first voxel of every image and map lies, LPS millimetres."""

Labels = NDArray[np.uint8]


@dataclass(frozen=True)
class Picture:
    """A picture of an item.

    Attributes:
        plane: axial, coronal or sagittal.
        png: the file.
    """

    plane: str
    png: bytes


Draw = Callable[[Volume, Labels, Sequence[Structure], Box], Sequence[Picture]]
"""Draws an item: its CT, its map, what is graded, and the box that all its case's maps fill."""


@dataclass(frozen=True, kw_only=True)
class StudyPlan:
    """What a study is made of.

    Attributes:
        images: folder of CTs.
        references: folder of the manual contours, which are graded as a control.
        predictions: folder of each method's label maps.
        graders: names of those who grade.
        structures: what is graded.
        allows_problems: a case that cannot be shown is left out, and of a method without a map
            an empty one is graded; else nothing is made.
    """

    images: Path
    references: Path
    predictions: Mapping[str, Path]
    graders: tuple[str, ...]
    structures: tuple[Structure, ...] = ORGANS_AT_RISK
    allows_problems: bool = False


def make_study(
    plan: StudyPlan, output: Path, draw: Draw, on_case: Callable[[int], None]
) -> tuple[Problem, ...]:
    """Makes a study's folder, whole or not at all.

    Args:
        plan: what of.
        output: a folder that does not exist yet.
        draw: draws pictures of an item.
        on_case: called with the number of all cases before the first, and after each.

    Returns:
        What a person must look at. Without ``allows_problems``, nothing was made if there is any.

    Raises:
        UsageError: names that are taken or missing, a folder that is missing or there already.
        StoreError: the grades' file cannot be made.
    """
    _check(plan, output)
    images, problems = find_images(plan.images)
    cohort = match_cohort(plan.references, plan.predictions)
    found = [*cohort.problems, *problems]
    found += [
        Problem(case.case, f"{case.case}: there is no CT. It cannot be graded; add it.")
        for case in cohort.cases
        if case.case.casefold() not in images
    ]
    if found and not plan.allows_problems:
        return tuple(found)
    making = _Making(plan, output.with_name(f".{output.name[:80]}.{secrets.token_hex(8)}.tmp"))
    try:
        making.folder.mkdir(parents=True, mode=_OWNER_ONLY)
        for name in ("items", "images", "pictures"):
            (making.folder / name).mkdir()
        # In the order of the ids' own randomness: what is made first says nothing.
        cases = sorted(cohort.cases, key=lambda _: secrets.token_bytes(16))
        on_case(len(cases))
        for case in cases:
            image = images.get(case.case.casefold())
            # An ambiguous map has no entry, and has been told of.
            if image is not None and plan.predictions.keys() <= case.predictions.keys():
                try:
                    making.add(case, image, draw)
                except ParotidBrachyError as error:
                    found.append(Problem(case.case, f"{case.case}: left out. {error}"))
            on_case(len(cases))
        if making.items and (plan.allows_problems or not found):
            making.finish()
            making.folder.rename(output)
            synchronise_folder(output.parent)
        elif plan.allows_problems:
            found.append(Problem("", "no case is left to grade; no study was made."))
    except OSError as error:
        message = f"{output}: cannot be made ({error}). Choose another output folder"
        raise UsageError(message) from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(making.folder)
    return tuple(found)


def _check(plan: StudyPlan, output: Path) -> None:
    seen = {CONTROL}
    for name in plan.predictions:
        if name.casefold() in seen:
            message = f"method {name!r}: the name is taken ({CONTROL!r} is the references')"
            raise UsageError(message)
        seen.add(name.casefold())
    if not plan.graders or len({name.casefold() for name in plan.graders}) < len(plan.graders):
        message = f"graders {', '.join(plan.graders)}: name each once, and at least one"
        raise UsageError(message)
    if not plan.structures:
        message = "no structure to grade"
        raise UsageError(message)
    if os.path.lexists(output):
        message = f"{output}: is there already. Choose another folder; a study is never changed"
        raise UsageError(message)
    if not output.parent.is_dir():
        message = f"{output}: {output.parent} is no folder"
        raise UsageError(message)


class _Making:
    """A study while it is made.

    Args:
        plan: what of.
        folder: where it grows.
    """

    def __init__(self, plan: StudyPlan, folder: Path) -> None:
        self._plan = plan
        self.folder = folder
        self.items: dict[str, Item] = {}
        self._masked: dict[str, Masked] = {}
        self._values = [structure.value for structure in plan.structures]

    def add(self, case: CohortCase, image: Path, draw: Draw) -> None:
        """Adds all items of a case.

        Raises:
            InputRefusedError, GeometryError: an image or map cannot be read; nothing was added.
            OSError: the folder cannot be written to.
        """
        volume = read_volume(image, case=case.case)
        maps: dict[str, Labels] = {}
        for method in (*self._plan.predictions, CONTROL):
            path = case.reference if method == CONTROL else case.predictions[method]
            maps[method] = self._graded_part(path, volume.grid)
        union = np.logical_or.reduce([labels > 0 for labels in maps.values()])
        part = _part_shown(union, volume.grid)
        ijk = part[::-1]
        cropped = volume.grid.cropped(
            tuple(axis.start for axis in ijk), tuple(axis.stop for axis in ijk)
        )
        own = replace(cropped, origin_lps_mm=_ONE_PLACE)
        filled = Box.of_mask(union[part], own) if union.any() else Box.of_grid(own)
        shown = Volume(own, np.ascontiguousarray(volume.voxels[part]), "image")
        token = secrets.token_hex(16)
        write_nifti(self.folder / "images" / f"{token}.nii.gz", shown)
        for method in sorted(maps, key=lambda _: secrets.token_bytes(16)):
            labels = np.ascontiguousarray(maps[method][part])
            item = self._write(labels, shown, token, draw(shown, labels, self._structures, filled))
            self.items[item.id] = item
            self._masked[item.id] = Masked(case.case, method)

    def finish(self) -> None:
        """Draws the orders, and writes study, key and an empty file of grades."""
        secret = secrets.token_bytes(32)
        by_case: dict[str, list[str]] = {}
        for name in sorted(self.items):
            by_case.setdefault(self._masked[name].case, []).append(name)
        orders = {
            grader: grading_order(by_case, secret=secret, grader=grader)
            for grader in self._plan.graders
        }
        methods = (*self._plan.predictions, CONTROL)
        study = Study(
            self.folder, self._plan.graders, self._structures, self.items, orders, key_sha256=""
        )
        make_ledger(self.folder)
        write_study(study, StudyKey(secret.hex(), methods, self._masked))
        for path in self.folder.rglob("*"):
            os.utime(path, (_ONE_TIME, _ONE_TIME))

    @property
    def _structures(self) -> tuple[Structure, ...]:
        return self._plan.structures

    def _graded_part(self, path: Path | None, grid: Grid) -> Labels:
        if path is None:
            return np.zeros(grid.shape_kji, dtype=np.uint8)
        labels = read_label_map(path, grid)
        labels[~np.isin(labels, self._values)] = 0
        return labels

    def _write(
        self, labels: Labels, shown: Volume, token: str, pictures: Sequence[Picture]
    ) -> Item:
        name = secrets.token_hex(16)
        content = gzip.decompress(nifti_bytes(labels, shown.grid))
        write_atomically(self.folder / "items" / f"{name}.nii", content)
        for number, picture in enumerate(pictures):
            write_atomically(self.folder / "pictures" / f"{name}-{number:02d}.png", picture.png)
        planes = tuple(picture.plane for picture in pictures)
        present = set(np.unique(labels).tolist())
        contoured = tuple(s.name for s in self._structures if s.value in present)
        return Item(name, token, planes, contoured, hashlib.sha256(content).hexdigest())


def _part_shown(union: NDArray[np.bool_], grid: Grid) -> tuple[slice, slice, slice]:
    """The part of a grid that is shown (k, j, i); where nothing is contoured, it is the whole."""
    if not union.any():
        whole = tuple(slice(0, size) for size in union.shape)
        return (whole[0], whole[1], whole[2])
    part = []
    for axis, spacing_mm in enumerate(grid.spacing_kji_mm):
        others = tuple(other for other in range(3) if other != axis)
        where = np.flatnonzero(union.any(axis=others))
        margin = int(np.ceil(SHOWN_ROUND_MM / spacing_mm))
        low, high = max(int(where[0]) - margin, 0), int(where[-1]) + 1 + margin
        part.append(slice(low, min(high, union.shape[axis])))
    return (part[0], part[1], part[2])
