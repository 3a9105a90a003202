"""Slices put in order by where they lie, and the grid that they make up (PS3.3, C.7.6.2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parotid_brachy.lib.errors import GeometryError
from parotid_brachy.lib.imaging.ct_checks import grid_of_affine, require_ct_grid
from parotid_brachy.lib.imaging.dicom_slice import CtSlice
from parotid_brachy.lib.imaging.limits import FileLimits
from parotid_brachy.lib.imaging.volume import Grid

_SAME_POSITION_MM = 0.01
_GAP = 0.05
"""Share of the slice distance by which a single distance may differ from the usual one."""
_SAME_DIRECTION = 1e-3


@dataclass(frozen=True)
class LocatedSeries:
    """One series whose slices make up a grid.

    Attributes:
        name: of folder or series, for messages.
        grid: of the volume.
        slices: in the grid's order, along k.
    """

    name: str
    grid: Grid
    slices: tuple[CtSlice, ...]

    def is_continued_by(self, one: CtSlice) -> bool:
        """Whether a slice lies where the next one beyond either end would."""
        first = self.slices[0]
        turned = np.abs(np.asarray(first.orientation) - np.asarray(one.orientation)).max()
        if turned > _SAME_DIRECTION or first.size_ij != one.size_ij:
            return False
        i, j, k = self.grid.to_index(np.asarray(one.position_lps_mm))
        beyond = min(abs(k + 1.0), abs(k - len(self.slices)))
        return bool(max(abs(i), abs(j), beyond) < 2 * _GAP)


def stacked(slices: Sequence[CtSlice], name: str, limits: FileLimits) -> LocatedSeries:
    """The series that slices make up.

    Args:
        slices: of one series, at least one, in any order.
        name: of the series, for messages.
        limits: bounds for grids.

    Raises:
        GeometryError: they do not make up one; names the slices at fault.
    """
    _require_same_plane(slices, name)
    first = slices[0]
    normal = first.normal
    along = {one.path: float(normal @ np.asarray(one.position_lps_mm)) for one in slices}
    ordered = sorted(slices, key=lambda one: along[one.path])
    if len(ordered) < limits.least_size:
        message = (
            f"{name}: {len(ordered)} slices are not a volume; at least {limits.least_size} are "
            "needed. Give the whole series."
        )
        raise GeometryError(message)
    distances = np.diff([along[one.path] for one in ordered])
    _require_even(distances, ordered, name)
    start, stop = (np.asarray(one.position_lps_mm) for one in (ordered[0], ordered[-1]))
    step = (stop - start) / (len(ordered) - 1)
    _require_straight(step, ordered, name, limits)
    affine = np.eye(4)
    affine[:3, 0] = np.asarray(first.orientation[:3]) * first.spacing_ij_mm[0]
    affine[:3, 1] = np.asarray(first.orientation[3:]) * first.spacing_ij_mm[1]
    affine[:3, 2] = step
    affine[:3, 3] = start
    size = (*first.size_ij, len(ordered))
    grid = grid_of_affine(affine, size, name=name, shear=limits.shear)
    require_ct_grid(grid, limits, name=name)
    return LocatedSeries(name, grid, tuple(ordered))


def _require_straight(
    step: NDArray[Any], ordered: list[CtSlice], name: str, limits: FileLimits
) -> None:
    """Every slice lies straight above the one before it: on a line, at right angles to them.

    Raises:
        GeometryError: one lies beside the others, or the gantry was tilted.
    """
    positions = np.asarray([one.position_lps_mm for one in ordered])
    ideal = positions[0] + np.arange(len(ordered))[:, None] * step
    strayed = np.abs(positions - ideal).max(axis=1)
    length = float(np.linalg.norm(step))
    if strayed.max() > 2 * _GAP * length:
        # An end that lies beside the others pulls the line; the odd one is off the middle's.
        usual = np.median(np.diff(positions, axis=0), axis=0)
        bent = positions - np.arange(len(ordered))[:, None] * usual
        off = np.abs(bent - np.median(bent, axis=0)).max(axis=1)
        worst = int(off.argmax())
        message = (
            f"{name}: {ordered[worst].path.name} lies {off[worst]:.2f} mm beside the line of the "
            "other slices. Export the series again."
        )
        raise GeometryError(message)
    sine = float(np.linalg.norm(np.cross(step, ordered[0].normal))) / length
    if sine > limits.shear:
        message = (
            f"{name}: the axes are not at right angles: from {ordered[0].path.name} to "
            f"{ordered[-1].path.name} the slices shift sideways "
            f"({np.degrees(np.arcsin(min(sine, 1.0))):.2f} degrees: a tilted gantry). "
            "Resample it to a straight grid first."
        )
        raise GeometryError(message)


def _require_same_plane(slices: Sequence[CtSlice], name: str) -> None:
    """Refuses slices that differ from the others; names the odd one out, not just the second.

    Raises:
        GeometryError: they differ.
    """
    usual = Counter(_plane(one) for one in slices).most_common(1)[0][0]
    first = next(one for one in slices if _plane(one) == usual)
    for one in slices:
        turned = np.abs(np.asarray(first.orientation) - np.asarray(one.orientation)).max()
        for what, differs in (
            ("orientation", turned > _SAME_DIRECTION),
            ("size", first.size_ij != one.size_ij),
            ("pixel spacing", not np.allclose(first.spacing_ij_mm, one.spacing_ij_mm, rtol=1e-4)),
            ("frame of reference", first.frame_uid != one.frame_uid),
        ):
            if differs:
                message = (
                    f"{name}: {first.path.name} and {one.path.name} differ in {what}. "
                    "Give the slices of one series only."
                )
                raise GeometryError(message)


def _plane(one: CtSlice) -> tuple[object, ...]:
    turned = tuple(round(value, 2) for value in one.orientation)
    return (turned, one.size_ij, tuple(round(v, 3) for v in one.spacing_ij_mm), one.frame_uid)


def _require_even(distances: NDArray[Any], ordered: list[CtSlice], name: str) -> None:
    doubled = np.flatnonzero(distances < _SAME_POSITION_MM)
    if doubled.size:
        pair = " and ".join(one.path.name for one in ordered[doubled[0] : doubled[0] + 2])
        message = (
            f"{name}: {pair} lie at the same place (such pairs: {doubled.size}). "
            "Remove the doubles, or give one series (one phase, one reconstruction) only."
        )
        raise GeometryError(message)
    usual = float(np.median(distances))
    off = np.abs(distances - usual)
    if off.max() > _GAP * usual + _SAME_POSITION_MM:
        where = int(off.argmax())
        pair = " and ".join(one.path.name for one in ordered[where : where + 2])
        message = (
            f"{name}: uneven slices, {distances[where]:.3f} mm between {pair} and {usual:.3f} mm "
            "elsewhere (a slice is missing?). Export the whole series again."
        )
        raise GeometryError(message)
