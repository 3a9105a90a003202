"""How much two contours of a case agree, structure by structure, and where they differ.

Computed at each hand-over (draft to initial contours, initial to approved contours), it shows what
the pre-labelling saves and whether the readers agree.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from parotid_brachy.lib.anatomy import STRUCTURES, Structure
from parotid_brachy.lib.errors import GeometryError
from parotid_brachy.lib.evaluation.overlap import Mask, Outcome, Score, dsc, hd95_mm
from parotid_brachy.lib.imaging.volume import Grid

_Box = tuple[slice, slice, slice]


class Contoured(enum.Enum):
    """Which of two label maps are about a structure at all."""

    BOTH = "both"
    ONLY_BEFORE = "only_before"
    ONLY_AFTER = "only_after"


@dataclass(frozen=True)
class Contours:
    """One label map of a case.

    Attributes:
        labels: the project's values, shape ``(k, j, i)``.
        contoured: names of the structures that it is about, also those that are empty on purpose;
            the names of a version's volumes.
        by: the reader, where several are compared.
    """

    labels: NDArray[np.uint8]
    contoured: Collection[str]
    by: str = ""


@dataclass(frozen=True)
class SliceRange:
    """Neighbouring slices that changed.

    Attributes:
        first_k: index of the first of them.
        last_k: index of the last, which is one of them too.
        inferior_mm: lowest LPS z of the voxels that changed in them.
        superior_mm: highest LPS z.
    """

    first_k: int
    last_k: int
    inferior_mm: float
    superior_mm: float


@dataclass(frozen=True)
class AgreementRow:
    """Agreement on one structure.

    Attributes:
        structure: its name.
        contoured: which of the maps are about it; unless both are, there is nothing to compare,
            and both scores are not applicable.
        dsc: Dice similarity coefficient.
        hd95_mm: 95th percentile Hausdorff distance.
        before_ml: volume in the earlier map.
        after_ml: volume in the later map.
        added_ml: in the later map only.
        removed_ml: in the earlier map only.
        changed_slices: where voxels were added or removed.
        elapsed_s: between the two maps; the time that reader and case waited is part of it, so
            that it is an upper bound of the work.
    """

    structure: str
    contoured: Contoured
    dsc: Score
    hd95_mm: Score
    before_ml: float
    after_ml: float
    added_ml: float
    removed_ml: float
    changed_slices: tuple[SliceRange, ...]
    elapsed_s: float | None = None

    @property
    def is_unchanged(self) -> bool:
        """Whether not a voxel differs."""
        return not self.changed_slices

    def to_json(self) -> dict[str, Any]:
        """JSON values, of which :meth:`from_json` makes the same row."""
        return {
            "structure": self.structure,
            "contoured": self.contoured.value,
            "dsc": _score_to_json(self.dsc),
            "hd95_mm": _score_to_json(self.hd95_mm),
            "before_ml": self.before_ml,
            "after_ml": self.after_ml,
            "added_ml": self.added_ml,
            "removed_ml": self.removed_ml,
            "changed_slices": [
                {
                    "first_k": one.first_k,
                    "last_k": one.last_k,
                    "inferior_mm": one.inferior_mm,
                    "superior_mm": one.superior_mm,
                }
                for one in self.changed_slices
            ],
            "elapsed_s": self.elapsed_s,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> AgreementRow:
        """The row of which :meth:`to_json` made these values.

        Raises:
            KeyError, TypeError, ValueError: they are no row's.
        """
        rest = {name: values[name] for name in _PLAIN_FIELDS}
        return cls(
            contoured=Contoured(values["contoured"]),
            dsc=_score_from_json(values["dsc"]),
            hd95_mm=_score_from_json(values["hd95_mm"]),
            changed_slices=tuple(SliceRange(**one) for one in values["changed_slices"]),
            **rest,
        )


_PLAIN_FIELDS = ("structure", "before_ml", "after_ml", "added_ml", "removed_ml", "elapsed_s")


def agreement(
    before: Contours, after: Contours, grid: Grid, *, elapsed_s: float | None = None
) -> list[AgreementRow]:
    """Compares two label maps of a case.

    Args:
        before: the earlier one, such as the draft.
        after: the later one.
        grid: where both lie.
        elapsed_s: seconds between the two.

    Returns:
        A row for each structure that either is about, in the project's order.

    Raises:
        GeometryError: a map does not fit the grid.
    """
    for one in (before, after):
        if one.labels.shape != grid.shape_kji:
            message = (
                f"labels of shape {one.labels.shape} on a grid of shape {grid.shape_kji} (k, j, i)"
            )
            raise GeometryError(message)
    whole = _box(before.labels, after.labels)
    parts = [one.labels[whole] for one in (before, after)]
    boxes = [ndimage.find_objects(part, max_label=len(STRUCTURES)) for part in parts]
    rows = []
    for structure in STRUCTURES:
        found = [box for own in boxes if (box := own[structure.value - 1]) is not None]
        box = _union(found)
        masks = [part[box] == structure.value for part in parts]
        names = [structure.name in one.contoured for one in (before, after)]
        if any(names):
            corner = [own.start + outer.start for own, outer in zip(box, whole, strict=True)]
            part = _Part(_cropped(grid, corner, masks[0].shape), corner[0])
            rows.append(_row(structure, masks, _contoured(*names), part, elapsed_s))
    return rows


@dataclass(frozen=True)
class _Part:
    """A part of the image's grid, and its first slice's index in the image."""

    grid: Grid
    first_k: int


def _row(
    structure: Structure,
    masks: list[Mask],
    contoured: Contoured,
    part: _Part,
    elapsed_s: float | None,
) -> AgreementRow:
    grid = part.grid
    before, after = masks
    nothing = Score(Outcome.NOT_APPLICABLE, None)
    is_compared = contoured is Contoured.BOTH

    def ml(mask: Mask) -> float:
        return int(np.count_nonzero(mask)) * grid.voxel_ml

    return AgreementRow(
        structure=structure.name,
        contoured=contoured,
        dsc=dsc(before, after) if is_compared else nothing,
        hd95_mm=hd95_mm(before, after, grid) if is_compared else nothing,
        before_ml=ml(before),
        after_ml=ml(after),
        added_ml=ml(after & ~before),
        removed_ml=ml(before & ~after),
        changed_slices=_slice_ranges(before != after, part),
        elapsed_s=elapsed_s,
    )


def _slice_ranges(changed: Mask, part: _Part) -> tuple[SliceRange, ...]:
    slices = np.flatnonzero(changed.any(axis=(1, 2)))
    ranges = []
    for run in np.split(slices, np.flatnonzero(np.diff(slices) > 1) + 1) if slices.size else []:
        first, last = int(run[0]), int(run[-1])
        kji = np.argwhere(changed[first : last + 1]) + np.array((first, 0, 0))
        z_mm = part.grid.to_lps_mm(kji[:, ::-1].astype(np.float64))[:, 2]
        ends = (part.first_k + first, part.first_k + last)
        ranges.append(SliceRange(*ends, float(z_mm.min()), float(z_mm.max())))
    return tuple(ranges)


def _contoured(is_before: bool, is_after: bool) -> Contoured:
    if is_before and is_after:
        return Contoured.BOTH
    return Contoured.ONLY_BEFORE if is_before else Contoured.ONLY_AFTER


def _box(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> _Box:
    """The smallest box that holds what either map contours; one voxel where neither does."""
    used = (a | b) != 0
    slices = []
    for axis in range(3):
        hit = np.flatnonzero(used.any(axis=tuple(n for n in range(3) if n != axis)))
        slices.append(slice(int(hit[0]), int(hit[-1]) + 1) if hit.size else slice(0, 1))
    return (slices[0], slices[1], slices[2])


def _union(boxes: list[_Box]) -> _Box:
    if not boxes:
        return (slice(0, 1), slice(0, 1), slice(0, 1))
    k, j, i = (
        slice(min(box[axis].start for box in boxes), max(box[axis].stop for box in boxes))
        for axis in range(3)
    )
    return (k, j, i)


def _cropped(grid: Grid, corner_kji: list[int], shape_kji: tuple[int, ...]) -> Grid:
    start = tuple(corner_kji[::-1])
    return grid.cropped(start, tuple(np.add(start, shape_kji[::-1]).tolist()))


def _score_to_json(score: Score) -> dict[str, Any]:
    return {"outcome": score.outcome.value, "value": score.value}


def _score_from_json(values: Mapping[str, Any]) -> Score:
    return Score(Outcome(values["outcome"]), values["value"])
