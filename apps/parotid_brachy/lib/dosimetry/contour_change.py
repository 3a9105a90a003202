"""What a change of one case's contours means in Gray: two label maps under one seed plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from parotid_brachy.lib.anatomy import STRUCTURES, Structure
from parotid_brachy.lib.dosimetry.comparison import DoseScore
from parotid_brachy.lib.dosimetry.dvh import Dvh, require_prescription
from parotid_brachy.lib.dosimetry.plan import SeedPlan
from parotid_brachy.lib.dosimetry.reach_cut import DoseCut, cut_maps
from parotid_brachy.lib.dosimetry.seed_model import SeedModel
from parotid_brachy.lib.dosimetry.voxel_dose import dose_at_voxels_gy
from parotid_brachy.lib.errors import GeometryError
from parotid_brachy.lib.imaging.label_box import Index, LabelBox, common_box
from parotid_brachy.lib.imaging.volume import FloatArray, Grid

CHANGED: Final = (
    "dmean_gy",
    "dmin_gy",
    "dmax_gy",
    "d0_1cc_gy",
    "d1cc_gy",
    "d2cc_gy",
    "d90_gy",
    "v100_percent",
    "volume_ml",
)
"""Of the columns of ``dvh.csv``, those whose change says something."""
_BEFORE: Final = "before"
_AFTER: Final = "after"


@dataclass(frozen=True)
class StructureDose:
    """A structure's dose in one of the two maps.

    Attributes:
        score: its metrics, as in ``dvh.csv``; none of them where the map lacks the structure.
        is_at_image_edge: it reaches the CT's last voxels, so that the CT may have only a part of
            it: its doses are then of that part.
    """

    score: DoseScore
    is_at_image_edge: bool

    @property
    def is_there(self) -> bool:
        """Whether the map has the structure."""
        return self.score.dvh is not None


@dataclass(frozen=True)
class StructureChange:
    """A structure's dose in both maps.

    Attributes:
        structure: which.
        before: in the older map.
        after: in the newer map.
    """

    structure: Structure
    before: StructureDose
    after: StructureDose

    @property
    def is_in_one_only(self) -> bool:
        """Whether one of the maps lacks the structure: there is nothing to subtract then."""
        return self.before.is_there != self.after.is_there

    def change(self) -> dict[str, float | None]:
        """The newer map's metrics less the older one's; None where either has none."""
        old, new = self.before.score.values(), self.after.score.values()
        pairs = {column: (old[column], new[column]) for column in CHANGED}
        return {
            column: None if a is None or b is None else b - a for column, (a, b) in pairs.items()
        }


def contour_changes(
    plan: SeedPlan,
    model: SeedModel,
    before: LabelBox,
    after: LabelBox,
    *,
    case: str = "",
    prescription_gy: float | None = None,
    cut: DoseCut = DoseCut.NONE,
) -> tuple[StructureChange, ...]:
    """Compares the doses of two maps of a case, structure by structure.

    The dose is calculated at the centres of those voxels that either map gives to a structure,
    and nowhere else; each voxel stands for its own volume.

    Args:
        plan: the seeds, in the maps' coordinates.
        model: of the seeds.
        before: the older map.
        after: the newer map, on the same grid.
        case: for messages.
        prescription_gy: for V100; None: none is known.
        cut: where organs at risk end; the older map is the reference.

    Returns:
        A line for each structure that either map holds after the cut, in the order of ``anatomy``.

    Raises:
        GeometryError: the maps lie on two grids.
        InputRefusedError: no possible prescription, or too much to calculate.
    """
    require_prescription(prescription_gy)
    grid = before.grid
    if not grid.is_same_as(after.grid):
        message = f"{case}: the two maps lie on two grids"
        raise GeometryError(message)
    box = common_box(before, after)
    if box is None:
        return ()
    start, stop = box
    part = grid.cropped(start[::-1], stop[::-1])
    maps = {_BEFORE: before.within(start, stop), _AFTER: after.within(start, stop)}
    maps = cut_maps(maps, _BEFORE, part, cut)
    gy = _dose(plan, model, maps[_BEFORE] | maps[_AFTER], part)

    def dose_of(name: str, structure: Structure) -> StructureDose:
        mask = maps[name] == structure.value
        values = gy[mask]
        dvh = Dvh.of_voxels(structure, values, grid.voxel_ml) if values.size else None
        score = DoseScore(case, name, structure, dvh, prescription_gy)
        return StructureDose(score, bool(values.size) and _is_at_edge(mask, start, grid))

    changes = (
        StructureChange(structure, dose_of(_BEFORE, structure), dose_of(_AFTER, structure))
        for structure in STRUCTURES
    )
    return tuple(one for one in changes if one.before.is_there or one.after.is_there)


def _dose(plan: SeedPlan, model: SeedModel, held: NDArray[np.uint8], part: Grid) -> FloatArray:
    """Gy where anything is held, 0 elsewhere, in the shape of ``held``."""
    result = np.zeros(held.shape)
    kji = np.argwhere(held)
    points = part.to_lps_mm(kji[:, ::-1].astype(np.float64))
    result[tuple(kji.T)] = dose_at_voxels_gy(plan, model, points)
    return result


def _is_at_edge(mask: NDArray[np.bool_], start: Index, grid: Grid) -> bool:
    for axis, (first, size) in enumerate(zip(start, grid.shape_kji, strict=True)):
        other = tuple(a for a in range(3) if a != axis)
        where = np.flatnonzero(mask.any(axis=other)) + first
        if where[0] == 0 or where[-1] == size - 1:
            return True
    return False
