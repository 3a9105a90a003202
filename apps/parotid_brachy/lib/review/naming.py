"""Which structure a value in a client's label map means.

A shifted name is harm: it gives one organ's dose to another. A map that names its segments itself
is read by those names (``imaging.segments``); for the others clients send a list of names beside
the map, and two of them count differently:

- Python and OHIF send ``idx``, the value in the map.
- 3D Slicer's MONAI Label module (``onSaveLabel``) exports the k-th listed segment with value k, but
  counts ``idx`` among all segments, also those that it leaves out (background, scribbles).

Where both ways of counting explain a map and do not mean the same, the map is refused.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from parotid_brachy.lib.anatomy import STRUCTURES, Structure, structure_called
from parotid_brachy.lib.errors import InputRefusedError
from parotid_brachy.lib.imaging.segments import NO_STRUCTURES, is_no_structure
from parotid_brachy.lib.imaging.stored_image import quoted

_MOST_NAMES: Final = 255
_LONGEST_NAME: Final = 200
_LARGEST_VALUE: Final = 255


@dataclass(frozen=True)
class ListReading:
    """How the list of names beside a map is to be read.

    Attributes:
        idx_is_value: the list comes from somewhere that surely numbers by value.
        listed_is_contoured: a structure that is listed and has no voxels is empty on purpose;
            else the list is a palette, of which only what has voxels was contoured.
    """

    idx_is_value: bool = False
    listed_is_contoured: bool = True


OF_A_CLIENT: Final = ListReading()
OF_VALUES: Final = ListReading(idx_is_value=True)
OF_A_PALETTE: Final = ListReading(idx_is_value=True, listed_is_contoured=False)


@dataclass(frozen=True)
class Naming:
    """What the values of a map mean.

    Attributes:
        values: the project's value, by the map's; 0 where it is no part of the contours.
        contoured: in the project's order; those without voxels are empty on purpose.
        ignored: names that are no structure's; only the background and scribbles have voxels.
    """

    values: Mapping[int, int]
    contoured: tuple[Structure, ...]
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Entry:
    """One line of the list; ``structure`` is None for names of nothing and for unknown ones."""

    name: str
    idx: int
    structure: Structure | None

    @property
    def is_left_out(self) -> bool:
        return is_no_structure(self.name)


def of_values(present: Collection[int], *, what: str) -> Naming:
    """The meaning of a map without names: its values are the project's.

    Args:
        present: the map's values.
        what: case and file, for messages.

    Raises:
        InputRefusedError: a value is no structure's.
    """
    known = {structure.value: structure for structure in STRUCTURES}
    unknown = sorted(set(present) - {0, *known})
    if unknown:
        message = (
            f"{what}: values {unknown[:8]} belong to no structure. Save labels 1-"
            f"{max(known)} in the order of the app's list, or name them (label_info)."
        )
        raise InputRefusedError(message)
    contoured = tuple(one for value, one in known.items() if value in present)
    return Naming({one.value: one.value for one in contoured}, contoured)


def of_list(
    label_info: object,
    present: Collection[int],
    *,
    what: str,
    reading: ListReading = OF_A_CLIENT,
) -> Naming:
    """The meaning of a map beside which a list of names was sent.

    Args:
        label_info: ``[{"name", "idx"}, ...]``, unchecked.
        present: the map's values.
        what: case and file, for messages.
        reading: where the list comes from.

    Raises:
        InputRefusedError: the list is damaged, names a structure twice or voxels unknown, or can
            be understood in two ways; says what to do.
    """
    entries = _entries(label_info, what)
    used = sorted(set(present) - {0})
    by_idx = {entry.idx: entry for entry in entries if entry.idx}
    meant = _chosen(by_idx, _by_rank(entries, reading), used, what)
    for value, entry in meant.items():
        if entry.structure is None and not entry.is_left_out:
            raise _unknown(entry, value, what)
    listed = [entry.structure for entry in entries if entry.structure is not None]
    found = {entry.structure for entry in meant.values()}
    contoured = [one for one in listed if reading.listed_is_contoured or one in found]
    return Naming(
        {value: entry.structure.value if entry.structure else 0 for value, entry in meant.items()},
        in_order(contoured, what=what),
        tuple(entry.name for entry in entries if entry.structure is None),
    )


def in_order(structures: Sequence[Structure], *, what: str) -> tuple[Structure, ...]:
    """Structures in the project's order.

    Raises:
        InputRefusedError: one is named twice.
    """
    for one in structures:
        if structures.count(one) > 1:
            message = (
                f"{what}: '{one.name}' is named twice. Keep one segment of that name, join the "
                "other's voxels to it or delete it."
            )
            raise InputRefusedError(message)
    return tuple(one for one in STRUCTURES if one in structures)


def _chosen(
    by_idx: Mapping[int, _Entry], by_rank: Mapping[int, _Entry], used: Sequence[int], what: str
) -> dict[int, _Entry]:
    """The entry that each used value means, by whichever way of counting explains them all."""
    readings = [
        {value: way[value] for value in used}
        for way in (by_idx, by_rank)
        if all(value in way for value in used)
    ]
    if not readings:
        unnamed = [value for value in used if value not in by_idx]
        message = (
            f"{what}: values {unnamed[:8]} have no name in the list sent with the map "
            f"({_told(by_idx)}). List every structure with its value, or save as .seg.nrrd."
        )
        raise InputRefusedError(message)
    first, other = readings[0], readings[-1]
    for value in used:
        if first[value] != other[value]:
            message = (
                f"{what}: its names can be understood in two ways: value {value} is "
                f"{quoted(first[value].name)} by idx, but {quoted(other[value].name)} by the place "
                "in the list. To make it clear, list every structure (empty ones too), delete the "
                "background and scribble segments, or save as .seg.nrrd; then save again."
            )
            raise InputRefusedError(message)
    return first


def _by_rank(entries: Sequence[_Entry], reading: ListReading) -> dict[int, _Entry]:
    """Entries by their place in the list, where 3D Slicer's module can have written it.

    Its numbers rise, are never behind the place, and belong to no segment that it leaves out.
    """
    is_slicers = not reading.idx_is_value and all(
        entry.idx >= place and entry.name not in NO_STRUCTURES
        for place, entry in enumerate(entries, start=1)
    )
    rises = all(a.idx < b.idx for a, b in itertools.pairwise(entries))
    return dict(enumerate(entries, start=1)) if is_slicers and rises else {}


def _entries(label_info: object, what: str) -> list[_Entry]:
    if isinstance(label_info, (str, bytes)) or not isinstance(label_info, Sequence):
        message = f"{what}: label_info is no list. Send [{{'name': ..., 'idx': ...}}, ...]."
        raise InputRefusedError(message)
    if len(label_info) > _MOST_NAMES:
        message = f"{what}: label_info has {len(label_info)} names; at most {_MOST_NAMES} are read."
        raise InputRefusedError(message)
    entries = [_entry(one, what) for one in label_info]
    for entry in entries:
        if [other.idx for other in entries].count(entry.idx) > 1:
            message = f"{what}: label_info gives the value {entry.idx} to two names. Number anew."
            raise InputRefusedError(message)
    in_order([entry.structure for entry in entries if entry.structure is not None], what=what)
    return entries


def _entry(one: object, what: str) -> _Entry:
    name = one.get("name") if isinstance(one, Mapping) else None
    idx = _whole(one.get("idx")) if isinstance(one, Mapping) else None
    if not isinstance(name, str) or len(name) > _LONGEST_NAME or idx is None:
        message = (
            f"{what}: label_info has {quoted(one)}; each name needs the whole number of its value, "
            "{'name': ..., 'idx': ...}."
        )
        raise InputRefusedError(message)
    entry = _Entry(name, idx, structure_called(name))
    least = 0 if entry.is_left_out else 1
    if not least <= entry.idx <= _LARGEST_VALUE:
        message = (
            f"{what}: label_info gives {quoted(name)} the value {quoted(entry.idx)}; values "
            f"are 1 to {_LARGEST_VALUE} (0 is the background)."
        )
        raise InputRefusedError(message)
    return entry


def _whole(number: object) -> int | None:
    """A whole number, also one that JSON wrote as 3.0."""
    if isinstance(number, float) and number.is_integer():
        return int(number)
    return number if isinstance(number, int) and not isinstance(number, bool) else None


def _unknown(entry: _Entry, value: int, what: str) -> InputRefusedError:
    known = ", ".join(structure.name for structure in STRUCTURES)
    return InputRefusedError(
        f"{what}: {quoted(entry.name)} (value {value}) is no structure and has voxels. "
        f"Delete it, or name it one of: {known}."
    )


def _told(entries: Mapping[int, _Entry]) -> str:
    told = ", ".join(f"{value} is {quoted(entry.name)}" for value, entry in entries.items())
    return told[:300] or "the list is empty"
