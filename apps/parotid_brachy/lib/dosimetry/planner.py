"""A plausible seed implant for studies, so that every test case has a plan. For no patient.

Parallel needles enter from the side of the face, along the patient's x axis, in a hexagonal
pattern; seeds may stand one spacing apart in each, inside the gland, away from its edge, from
bone and from air. Of these places one after the other is taken, each where the gland lacks most
dose, until its D90 is the prescription; then all strengths are scaled so that it is so exactly.
Where the pattern has no places left and the seeds would be stronger than the protocol's, it is
shifted to where most places are, and seeds fill the gaps that it leaves.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from parotid_brachy.lib.anatomy import GLAND, GLAND_PLAUSIBLE_ML
from parotid_brachy.lib.dosimetry.dvh import require_prescription
from parotid_brachy.lib.dosimetry.plan import Seed, SeedPlan
from parotid_brachy.lib.dosimetry.seed_model import SeedModel
from parotid_brachy.lib.dosimetry.tg43 import activity_mci, strength_u
from parotid_brachy.lib.dosimetry.voxel_dose import dose_by_place_gy
from parotid_brachy.lib.errors import InputRefusedError
from parotid_brachy.lib.imaging.volume import FloatArray, Volume

PROTOCOL_MCI: Final = (0.6, 0.8)
"""The protocol's apparent activities of a seed."""
LARGEST_GLAND_ML: Final = 1.25 * GLAND_PLAUSIBLE_ML[1]
"""No plan is laid in more: it is no parotid gland, and its seeds would take minutes to place."""
_NEEDLE_LPS: Final = (1.0, 0.0, 0.0)
_SAMPLED: Final = 2000
"""Voxels of the gland whose dose is looked at: D90 within a fraction of a per cent."""
_MOST_PLACES: Final = 1000
"""Looked at for one plan; a gland of 60 ml has 600 in the pattern."""
_SHIFTS: Final = tuple(itertools.product((0.0, 1 / 3, 2 / 3), repeat=3))
"""Of the pattern, in spacings along x, y, z; the first is none."""


@dataclass(frozen=True)
class PlannerSettings:
    """How an implant is laid out.

    Attributes:
        prescription_gy: wanted as D90 of the gland; our choice.
        wanted_mci: apparent activity of a seed, the middle of the protocol's.
        protocol_mci: activities that are aimed at.
        possible_mci: activities outside of which no plan is made.
        spacing_mm: least distance between seeds, and between the pattern's needles.
        margin_mm: least distance of a seed's centre from the gland's edge.
        from_bone_mm: least distance from bone.
        bone_hu: CT numbers from here on are bone, or metal.
        air_hu: CT numbers up to here are air.
    """

    prescription_gy: float = 120.0
    wanted_mci: float = 0.7
    protocol_mci: tuple[float, float] = PROTOCOL_MCI
    possible_mci: tuple[float, float] = (0.3, 1.2)
    spacing_mm: float = 5.0
    margin_mm: float = 2.0
    from_bone_mm: float = 2.0
    bone_hu: float = 300.0
    air_hu: float = -300.0


def plan_implant(
    volume: Volume,
    labels: NDArray[np.uint8],
    model: SeedModel,
    settings: PlannerSettings | None = None,
) -> SeedPlan:
    """Places seeds of one strength in the gland of a label map.

    Args:
        volume: the CT.
        labels: values of ``anatomy`` on its grid.
        model: of the seeds.
        settings: how; else the defaults.

    Returns:
        A plan whose D90 of the gland is the prescription; the same for the same input.

    Raises:
        InputRefusedError: no gland, no room for a seed in it, or no possible strength.
    """
    chosen = settings or PlannerSettings()
    require_prescription(chosen.prescription_gy)
    gland = labels == GLAND.value
    _require_gland(volume, gland)
    box = ndimage.find_objects(gland)[0]
    padded = tuple(slice(max(0, one.start - 8), one.stop + 8) for one in box)
    room = _room(gland[padded], volume.voxels[padded], volume.grid.spacing_kji_mm, chosen)
    start = np.asarray([one.start for one in padded], dtype=np.float64)
    at = np.argwhere(gland[box]).astype(np.float64) + [one.start for one in box]
    in_gland = volume.grid.to_lps_mm(at[:, ::-1])
    sample = in_gland[:: -(-len(at) // _SAMPLED)]

    def pattern(shift: tuple[float, ...]) -> FloatArray:
        centre = in_gland.mean(axis=0) + np.asarray(shift) * chosen.spacing_mm
        places = _lattice(centre, sample, chosen.spacing_mm)
        return places[_is_in(room, volume.grid.to_index(places)[:, ::-1] - start)]

    choice = _Choice(sample, model, chosen)
    choice.take(pattern(_SHIFTS[0]))
    if choice.needed_mci() > chosen.protocol_mci[1]:
        filled = _Choice(sample, model, chosen)
        filled.take(max(map(pattern, _SHIFTS), key=len))
        filled.take(volume.grid.to_lps_mm((np.argwhere(room) + start)[:, ::-1]))
        choice = min(choice, filled, key=_Choice.needed_mci)
    if not choice.taken:
        message = (
            f"{volume.case}: the gland of {gland.sum() * volume.grid.voxel_ml:.2f} ml has no room "
            f"for a seed {chosen.margin_mm:g} mm from its edge and {chosen.from_bone_mm:g} mm from "
            "bone."
        )
        raise InputRefusedError(message)
    taken, needed = choice.settled()
    if not chosen.possible_mci[0] <= needed <= chosen.possible_mci[1]:
        message = (
            f"{volume.case}: {len(taken)} seeds would need {needed:.2f} mCi each for "
            f"{chosen.prescription_gy:g} Gy; {chosen.possible_mci[0]:g} to "
            f"{chosen.possible_mci[1]:g} mCi is possible. Give a plan of your own."
        )
        raise InputRefusedError(message)
    return _plan(volume.case, taken, needed, model)


def _require_gland(volume: Volume, gland: NDArray[np.bool_]) -> None:
    ml = float(np.count_nonzero(gland)) * volume.grid.voxel_ml
    if ml == 0.0:
        message = f"{volume.case}: no {GLAND.title.lower()} to implant. Contour it first."
        raise InputRefusedError(message)
    if ml > LARGEST_GLAND_ML:
        message = (
            f"{volume.case}: a {GLAND.title.lower()} of {ml:.0f} ml; more than "
            f"{LARGEST_GLAND_ML:.0f} ml are none. Correct its contours, or give a plan of your own."
        )
        raise InputRefusedError(message)


class _Choice:
    """Takes places one by one, each where it helps most, until the gland's D90 is prescribed.

    What helps is dose up to the prescription, averaged over the gland: where enough is, more
    counts nothing.

    Args:
        sample: points of the gland, shape (n, 3), LPS.
        model: of the seeds.
        settings: of the plan.
    """

    def __init__(self, sample: FloatArray, model: SeedModel, settings: PlannerSettings) -> None:
        self.taken: list[FloatArray] = []
        self._sample = sample
        self._model = model
        self._settings = settings
        self._dose = np.zeros(len(sample))
        self._d90s: list[float] = []

    def take(self, places: FloatArray) -> None:
        """Takes of these places what is needed and as far from the others as seeds must be."""
        wanted = self._settings
        for one in self.taken:
            places = places[self._is_apart(places, one)]
        places = places[:: max(1, -(-len(places) // _MOST_PLACES))]
        strength = strength_u(self._model, wanted.wanted_mci)
        seed = Seed((0.0, 0.0, 0.0), strength, _NEEDLE_LPS)
        of_place = dose_by_place_gy(seed, self._model, places, self._sample)
        free = np.ones(len(places), dtype=np.bool_)
        while self.needed_mci() > wanted.wanted_mci and free.any():
            left = np.flatnonzero(free)
            useful = np.minimum(self._dose + of_place[left], wanted.prescription_gy).mean(axis=1)
            best = int(left[useful.argmax()])
            free &= self._is_apart(places, places[best])
            self.taken.append(places[best])
            self._dose += of_place[best]
            self._d90s.append(float(np.quantile(self._dose, 0.1, method="lower")))

    def needed_mci(self, seeds: int | None = None) -> float:
        """Activity with which the first seeds taken, or all, give the prescription."""
        count = len(self.taken) if seeds is None else seeds
        d90 = self._d90s[count - 1] if count else 0.0
        wanted = self._settings
        return wanted.wanted_mci * wanted.prescription_gy / d90 if d90 > 0.0 else np.inf

    def settled(self) -> tuple[FloatArray, float]:
        """The places, and their activity; one less, where the last made too weak seeds of all."""
        low, high = self._settings.protocol_mci
        count = len(self.taken)
        if self.needed_mci() < low and self.needed_mci(count - 1) <= high:
            count -= 1
        return np.stack(self.taken[:count]), self.needed_mci(count)

    def _is_apart(self, places: FloatArray, one: FloatArray) -> NDArray[np.bool_]:
        least = self._settings.spacing_mm - 1e-6
        apart: NDArray[np.bool_] = ((places - one) ** 2).sum(axis=1) >= least**2
        return apart


def _room(
    gland: NDArray[np.bool_],
    hu: NDArray[Any],
    spacing_kji_mm: tuple[float, float, float],
    settings: PlannerSettings,
) -> NDArray[np.bool_]:
    """Where a seed's centre may be."""
    # Padded, so that the array's end is no gland.
    inside = ndimage.distance_transform_edt(np.pad(gland, 1), sampling=spacing_kji_mm)
    deep: NDArray[np.bool_] = inside[1:-1, 1:-1, 1:-1] >= settings.margin_mm
    bone = hu >= settings.bone_hu
    if bone.any():
        deep &= ndimage.distance_transform_edt(~bone, sampling=spacing_kji_mm) >= (
            settings.from_bone_mm
        )
    room: NDArray[np.bool_] = deep & (hu > settings.air_hu)
    return room


def _lattice(centre: FloatArray, points: FloatArray, spacing_mm: float) -> FloatArray:
    """Needles in a hexagonal pattern over y and z round a centre; seeds along x, shape (n, 3)."""
    reach = np.abs(points - centre).max(axis=0) + spacing_mm
    rows_mm = spacing_mm * np.sqrt(3.0) / 2.0
    row_count, column_count, seed_count = (
        int(np.ceil(one))
        for one in (reach[2] / rows_mm, reach[1] / spacing_mm, reach[0] / spacing_mm)
    )
    rows, columns, seeds = np.meshgrid(
        np.arange(-row_count, row_count + 1),
        np.arange(-column_count, column_count + 1),
        np.arange(-seed_count, seed_count + 1),
        indexing="ij",
    )
    shifted = columns + 0.5 * (rows % 2)
    steps = np.stack([seeds * spacing_mm, shifted * spacing_mm, rows * rows_mm], axis=-1)
    return np.asarray(steps.reshape(-1, 3) + centre, dtype=np.float64)


def _is_in(room: NDArray[np.bool_], kji: FloatArray) -> NDArray[np.bool_]:
    nearest = np.rint(kji).astype(np.int64)
    is_on = np.all((nearest >= 0) & (nearest < room.shape), axis=1)
    result = np.zeros(len(kji), dtype=np.bool_)
    result[is_on] = room[tuple(nearest[is_on].T)]
    return result


def _plan(name: str, places: FloatArray, mci: float, model: SeedModel) -> SeedPlan:
    strength = strength_u(model, mci)
    seeds = tuple(Seed((float(x), float(y), float(z)), strength, _NEEDLE_LPS) for x, y, z in places)
    return SeedPlan(name, model.key, seeds)


def plan_summary(plan: SeedPlan, model: SeedModel) -> str:
    """Number and activity of the seeds, for a report; told where it is not the protocol's."""
    activities = {round(activity_mci(model, one.air_kerma_strength_u), 3) for one in plan.seeds}
    shown = ", ".join(f"{one:.3g}" for one in sorted(activities))
    low, high = PROTOCOL_MCI
    is_usual = all(low <= one <= high for one in activities)
    remark = "" if is_usual else f" (not the protocol's {low:g} to {high:g})"
    return f"{len(plan.seeds)} seeds of {shown} mCi{remark}"
