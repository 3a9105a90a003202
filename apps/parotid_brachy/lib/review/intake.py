"""What a client sent becomes a checked label map with the project's names and values.

Everything that arrives is hostile, or at least unchecked: a map is kept only if it can be read,
lies on its image's grid, holds whole numbers, and each voxel's structure is known beyond doubt.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from parotid_brachy.lib.anatomy import STRUCTURES, Structure, structure_called
from parotid_brachy.lib.errors import GeometryError, InputRefusedError, TooLargeError
from parotid_brachy.lib.imaging.ct_checks import grid_of_affine
from parotid_brachy.lib.imaging.files import read_label_map
from parotid_brachy.lib.imaging.label_encoding import nrrd_bytes
from parotid_brachy.lib.imaging.segments import (
    placed,
    present_values,
    segments_of,
    values_of_segments,
)
from parotid_brachy.lib.imaging.stored_image import StoredImage
from parotid_brachy.lib.imaging.volume import Grid
from parotid_brachy.lib.review.naming import (
    OF_A_CLIENT,
    ListReading,
    in_order,
    of_list,
    of_values,
)
from parotid_brachy.lib.review.received_map import IntakeLimits, ReceivedMap, read_received

KEPT_ENDING: Final = ".seg.nrrd"
LIMITS: Final = IntakeLimits()
Labels = NDArray[np.uint8]


class NamesFrom(enum.Enum):
    """How it is known what a map's values mean."""

    FILE = "file"
    """The file names its segments itself."""
    LIST = "list"
    """A list of names was sent with it."""
    VALUES = "values"
    """Nobody said; they are the project's own values."""


@dataclass(frozen=True)
class Intake:
    """A checked label map.

    Attributes:
        labels: the project's values, shape ``(k, j, i)`` of the image's grid.
        volumes_ml: of each contoured structure by name; 0.0 where it is empty on purpose.
        content: the file that is kept: a ``.seg.nrrd`` that names exactly the contoured
            structures. The same map and structures give the same bytes.
        ending: of that file.
        ignored: names that were sent and are no structure's; of these, only MONAI Label's
            background and scribbles can have had voxels.
        names_from: how it is known what the values mean.
    """

    labels: Labels
    volumes_ml: Mapping[str, float]
    content: bytes
    ending: str
    ignored: tuple[str, ...] = ()
    names_from: NamesFrom = NamesFrom.VALUES


def take_in(
    received: bytes | Path,
    *,
    name: str,
    grid: Grid,
    label_info: Sequence[Mapping[str, Any]] | None,
    case: str,
    reading: ListReading = OF_A_CLIENT,
    limits: IntakeLimits = LIMITS,
) -> Intake:
    """Checks what a client sent.

    A map lies on the image's grid if the sizes are equal and no corner is off by more than 0.01 mm
    (:meth:`Grid.is_same_as`); 3D Slicer's segmentations may hold a part of that lattice.

    Args:
        received: the file's bytes, or where it lies.
        name: what the client called it; its ending tells the format. ``.bin`` is OHIF's: one byte
            a voxel, i fastest, and nothing else.
        grid: the image's grid.
        label_info: the client's list of ``{"name", "idx"}``; not looked at where the file names
            its segments itself. Without it the values are the project's.
        case: the case's id, for messages.
        reading: how the list is to be read.
        limits: bounds of what is taken.

    Raises:
        InputRefusedError: it cannot be read, or what it means is not known beyond doubt.
        GeometryError: it does not lie on the image's grid.
        TooLargeError: it is, or unpacks to, more than is taken.
        StoreFullError: there is no room to unpack it.
    """
    try:
        given = read_received(received, name=name, grid=grid, limits=limits)
        if given.header is not None and given.names_segments:
            named = _named_by_file(given, given.header, grid, limits)
        else:
            named = _named_by_list(given, label_info, reading)
        _require_contoured(named.contoured, given.name)
    except (InputRefusedError, TooLargeError) as refused:
        # What reads files knows their names; whose they are is known here.
        raise type(refused)(f"{case}: {refused}") from refused
    result = intake_of(named.labels, grid, named.contoured, case=case)
    return replace(result, ignored=named.ignored, names_from=named.names_from)


def intake_of(labels: Labels, grid: Grid, contoured: Sequence[Structure], *, case: str) -> Intake:
    """A label map with the project's values, such as a model's draft.

    Args:
        labels: shape ``grid.shape_kji``.
        grid: the image's grid.
        contoured: what the map is about; a structure without voxels is empty on purpose.
        case: the case's id, for messages.

    Raises:
        GeometryError: the array does not fit the grid.
        InputRefusedError: it has values of other structures.
    """
    if labels.shape != grid.shape_kji or labels.dtype != np.uint8:
        message = (
            f"{case}: labels of shape {labels.shape} and type {labels.dtype} on a grid of shape "
            f"{grid.shape_kji} (k, j, i); uint8 on the image's grid is needed"
        )
        raise GeometryError(message)
    counts = present_values(labels)
    ordered = in_order(contoured, what=case)
    others = sorted(set(counts) - {0, *(one.value for one in ordered)})
    if others:
        message = f"{case}: values {others[:8]} are none of the structures named for the map"
        raise InputRefusedError(message)
    volumes = {one.name: counts.get(one.value, 0) * grid.voxel_ml for one in ordered}
    return Intake(labels, volumes, nrrd_bytes(labels, grid, segments=ordered), KEPT_ENDING)


def labels_of(path: Path, grid: Grid) -> Labels:
    """Reads a kept file back.

    Args:
        path: a file with an :attr:`Intake.content`.
        grid: the image's grid.

    Returns:
        The project's values, shape ``grid.shape_kji``.

    Raises:
        InputRefusedError, GeometryError: it is damaged, or another image's.
    """
    return read_label_map(path, grid)


@dataclass(frozen=True)
class _Named:
    """A map whose values are the project's."""

    labels: Labels
    contoured: Sequence[Structure]
    ignored: tuple[str, ...]
    names_from: NamesFrom


def _require_contoured(contoured: Sequence[Structure], name: str) -> None:
    if not contoured:
        known = ", ".join(structure.name for structure in STRUCTURES)
        message = (
            f"{name}: holds no structure and names none, so that nothing was contoured. To save "
            f"an empty structure on purpose, send its name with it: {known}."
        )
        raise InputRefusedError(message)


def _named_by_list(given: ReceivedMap, label_info: object, reading: ListReading) -> _Named:
    present = present_values(given.voxels)
    is_listed = label_info is not None and label_info != []
    if is_listed:
        naming = of_list(label_info, present, what=given.name, reading=reading)
    else:
        naming = of_values(present, what=given.name)
    table = np.zeros(256, dtype=np.uint8)
    for value, own in naming.values.items():
        table[value] = own
    names_from = NamesFrom.LIST if is_listed else NamesFrom.VALUES
    return _Named(table[given.voxels], naming.contoured, naming.ignored, names_from)


def _named_by_file(
    given: ReceivedMap, header: StoredImage, grid: Grid, limits: IntakeLimits
) -> _Named:
    segments = [(one.name, structure_called(one.name)) for one in segments_of(header)]
    contoured = in_order([one for _, one in segments if one is not None], what=given.name)
    shear = limits.file.shear
    own = grid_of_affine(header.affine_lps, header.size_ijk, name=given.name, shear=shear)
    labels = placed(values_of_segments(given.voxels, header), own, grid, name=given.name)
    ignored = tuple(name for name, one in segments if one is None)
    return _Named(labels, contoured, ignored, NamesFrom.FILE)
