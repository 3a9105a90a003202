"""Dose-volume histograms of the structures of a label map.

The dose is taken linearly at the centre of every voxel of the structure; each stands for its own
volume. A voxel outside the dose grid has no dose: it is left out, and told by the covered fraction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from parotid_brachy.lib.anatomy import STRUCTURES, Structure
from parotid_brachy.lib.dosimetry.dose_grid import DoseGrid
from parotid_brachy.lib.errors import GeometryError, InputRefusedError
from parotid_brachy.lib.imaging.volume import FloatArray, Grid

_EDGE: Final = 1e-6
"""Of a voxel: rounding does not put a point beyond the grid's last centres."""


@dataclass(frozen=True, eq=False)
class Dvh:
    """One structure's dose.

    Attributes:
        structure: which.
        volume_ml: of the structure, covered or not.
        covered_fraction: of its voxels, those within the dose grid, 0 to 1.
        sorted_gy: dose of every covered voxel, highest first, shape (n,).
        voxel_ml: what each stands for.
    """

    structure: Structure
    volume_ml: float
    covered_fraction: float
    sorted_gy: FloatArray
    voxel_ml: float

    @classmethod
    def of_voxels(cls, structure: Structure, gy: FloatArray, voxel_ml: float) -> Dvh:
        """A structure whose every voxel's dose is known, shape (n,), n > 0, in any order."""
        return cls(structure, len(gy) * voxel_ml, 1.0, np.sort(gy)[::-1], voxel_ml)

    @property
    def is_partial(self) -> bool:
        """Whether the dose grid leaves a part of the structure out."""
        return self.covered_fraction < 1.0

    @property
    def dmean_gy(self) -> float | None:
        """Mean dose; None where nothing is covered."""
        return float(self.sorted_gy.mean()) if self.sorted_gy.size else None

    @property
    def dmin_gy(self) -> float | None:
        """Lowest dose; None where nothing is covered."""
        return float(self.sorted_gy[-1]) if self.sorted_gy.size else None

    @property
    def dmax_gy(self) -> float | None:
        """Highest dose; None where nothing is covered."""
        return float(self.sorted_gy[0]) if self.sorted_gy.size else None

    def d_hottest_gy(self, volume_ml: float) -> float | None:
        """Lowest dose in the hottest ``volume_ml``; None where the structure has less."""
        count = max(1, math.ceil(volume_ml / self.voxel_ml - 1e-9))
        return float(self.sorted_gy[count - 1]) if count <= self.sorted_gy.size else None

    def d_percent_gy(self, percent: float) -> float | None:
        """Dose that ``percent`` of the structure gets at least, such as D90."""
        count = max(1, math.ceil(self.sorted_gy.size * percent / 100.0 - 1e-9))
        return float(self.sorted_gy[count - 1]) if self.sorted_gy.size else None

    def v_percent(self, dose_gy: float) -> float | None:
        """Share of the structure that gets a dose at least, in per cent: V100 at prescription."""
        if not self.sorted_gy.size:
            return None
        return 100.0 * float(np.count_nonzero(self.sorted_gy >= dose_gy)) / self.sorted_gy.size

    def cumulative_percent(self, doses_gy: FloatArray) -> FloatArray:
        """Share of the structure that gets each dose at least, in per cent, same shape."""
        if not self.sorted_gy.size:
            return np.zeros_like(doses_gy)
        below = np.searchsorted(self.sorted_gy[::-1], doses_gy, side="left")
        return np.asarray(100.0 * (1.0 - below / self.sorted_gy.size))

    def differential_ml(self, edges_gy: FloatArray) -> FloatArray:
        """Volume between neighbouring doses, ml, shape (edges - 1,); the last edge included."""
        counts, _ = np.histogram(self.sorted_gy, bins=edges_gy)
        return np.asarray(counts * self.voxel_ml, dtype=np.float64)


def dose_volume_histograms(
    dose: DoseGrid,
    labels: NDArray[np.uint8],
    grid: Grid,
    structures: Sequence[Structure] = STRUCTURES,
) -> dict[Structure, Dvh]:
    """Histograms of those structures that the map holds.

    Args:
        dose: of the plan, in the same LPS coordinates as the map.
        labels: values of ``anatomy``, shape ``grid.shape_kji``.
        grid: of the map; any orientation.
        structures: which to look for.

    Raises:
        GeometryError: the map is not of the grid's shape.
    """
    if labels.shape != grid.shape_kji:
        message = f"label map of shape {labels.shape} on a grid of {grid.shape_kji}"
        raise GeometryError(message)
    found = {}
    boxes = ndimage.find_objects(labels, max_label=max(one.value for one in STRUCTURES))
    for structure in structures:
        box = boxes[structure.value - 1]
        if box is not None:
            kji = np.argwhere(labels[box] == structure.value)
            kji += np.asarray([one.start for one in box])
            found[structure] = _histogram(dose, structure, kji, grid)
    return found


def require_prescription(prescription_gy: float | None) -> None:
    """Refuses what nobody prescribes.

    Raises:
        InputRefusedError: not between 1 and 1000 Gy.
    """
    if prescription_gy is not None and not 1.0 <= prescription_gy <= 1000.0:
        message = f"a prescription of {prescription_gy} Gy; 1 to 1000 Gy is possible."
        raise InputRefusedError(message)


def _histogram(dose: DoseGrid, structure: Structure, kji: NDArray[np.int64], grid: Grid) -> Dvh:
    points = grid.to_lps_mm(kji[:, ::-1].astype(np.float64))
    index = dose.grid.to_index(points)
    last = np.asarray(dose.grid.size_ijk) - 1.0
    is_covered = np.all((index >= -_EDGE) & (index <= last + _EDGE), axis=1)
    at = np.clip(index[is_covered], 0.0, last).T[::-1]
    values = ndimage.map_coordinates(dose.gy, at, output=np.float64, order=1, mode="nearest")
    return Dvh(
        structure,
        volume_ml=len(kji) * grid.voxel_ml,
        covered_fraction=float(np.count_nonzero(is_covered)) / len(kji),
        sorted_gy=np.sort(values)[::-1],
        voxel_ml=grid.voxel_ml,
    )
