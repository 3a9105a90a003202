"""Contours read from an object of any origin, as one label map on the series' grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from parotid_brachy.lib.anatomy import STRUCTURES, Side, Structure
from parotid_brachy.lib.errors import InputRefusedError


@dataclass(frozen=True)
class NamedMask:
    """One structure as an object holds it.

    Attributes:
        name: what the object calls it.
        structure: what it was recognised as.
        side: the patient's side that the object states, if it does.
        mask: where it is, on the series' grid.
    """

    name: str
    structure: Structure
    side: Side | None
    mask: NDArray[np.bool_]


@dataclass(frozen=True)
class NotTaken:
    """Something of the object that is not in the map.

    Attributes:
        name: what the object calls it.
        reason: why.
    """

    name: str
    reason: str


@dataclass(frozen=True)
class Overlap:
    """Two structures that share voxels; the first in the protocol's order keeps them.

    Attributes:
        kept: who has the voxels in the map.
        lost: who has them not.
        voxels: how many.
    """

    kept: Structure
    lost: Structure
    voxels: int


@dataclass(frozen=True)
class ReadContours:
    """What was read.

    Attributes:
        labels: values of ``anatomy`` on the series' grid, [k, j, i].
        sources: what the object calls each structure that is in the map.
        side: the patient's side, where the object states one.
        not_taken: what else the object holds, and why it is not in the map.
        overlaps: structures that share voxels.
    """

    labels: NDArray[np.uint8]
    sources: dict[Structure, str]
    side: Side | None
    not_taken: tuple[NotTaken, ...]
    overlaps: tuple[Overlap, ...]


def chosen_candidates(
    candidates: Sequence[tuple[str, Structure, Side | None]], side: Side | None, *, what: str
) -> tuple[list[int], list[NotTaken], Side | None]:
    """Which of an object's recognised structures are taken.

    One that states no side is taken for the wanted one's: who says which side is wanted says that
    the object is of it.

    Args:
        candidates: name, structure and side of each.
        side: the wanted side; None: the one that the object states.
        what: the object, for messages.

    Returns:
        Indices of those taken, what is not taken, and the side.

    Raises:
        InputRefusedError: no side is wanted and the object has structures of both.
    """
    stated = {one_side for _, _, one_side in candidates if one_side is not None}
    if side is None and len(stated) > 1:
        names = ", ".join(repr(name[:40]) for name, _, s in candidates[:8] if s is not None)
        message = f"{what}: structures of both sides ({names}). Say which side is wanted."
        raise InputRefusedError(message)
    wanted = side if side is not None else next(iter(stated), None)
    left_out: list[NotTaken] = []
    by_structure: dict[Structure, list[int]] = {}
    for index, (name, structure, one_side) in enumerate(candidates):
        if one_side is not None and one_side is not wanted:
            left_out.append(NotTaken(name, f"{one_side.value} side"))
        else:
            by_structure.setdefault(structure, []).append(index)
    taken: list[int] = []
    for structure, indices in by_structure.items():
        if len(indices) == 1:
            taken += indices
        else:
            left_out += [
                NotTaken(
                    candidates[index][0], f"one of {len(indices)} that stand for {structure.title}"
                )
                for index in indices
            ]
    return taken, left_out, wanted


def merged(
    masks: Sequence[NamedMask],
    not_taken: Sequence[NotTaken],
    side: Side | None,
    shape_kji: tuple[int, int, int],
) -> ReadContours:
    """One map of masks; what overlaps is reported.

    Args:
        masks: at most one of each structure.
        not_taken: what is reported besides.
        side: the patient's.
        shape_kji: of the map.
    """
    labels = np.zeros(shape_kji, dtype=np.uint8)
    overlaps: list[Overlap] = []
    left_out = list(not_taken)
    sources: dict[Structure, str] = {}
    known = {structure.value: structure for structure in STRUCTURES}
    for one in sorted(masks, key=lambda named: named.structure.value):
        if not one.mask.any():
            left_out.append(NotTaken(one.name, "empty"))
            continue
        counts = np.bincount(labels[one.mask], minlength=256)
        overlaps += [
            Overlap(known[value], one.structure, int(counts[value]))
            for value in np.flatnonzero(counts).tolist()
            if value
        ]
        labels[one.mask & (labels == 0)] = one.structure.value
        sources[one.structure] = one.name
    return ReadContours(labels, sources, side, tuple(left_out), tuple(overlaps))
