"""A plausible seed implant for studies, so that every test case has a plan. For no patient.

Parallel needles enter from the side of the face, along the patient's x axis, in a hexagonal
pattern; seeds may stand one spacing apart in each, inside the gland, away from its edge, from
bone and from air. Of these places one after the other is taken, each where the gland lacks most
dose, until its D90 is the prescription; then all strengths are scaled so that it is so exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from parotid_brachy.lib.anatomy import GLAND
from parotid_brachy.lib.dosimetry.dose_grid import dose_at_gy
from parotid_brachy.lib.dosimetry.dvh import require_prescription
from parotid_brachy.lib.dosimetry.plan import Seed, SeedPlan
from parotid_brachy.lib.dosimetry.seed_model import SeedModel
from parotid_brachy.lib.dosimetry.tg43 import activity_mci, strength_u
from parotid_brachy.lib.errors import InputRefusedError
from parotid_brachy.lib.imaging.volume import FloatArray, Volume

_NEEDLE_LPS: Final = (1.0, 0.0, 0.0)


@dataclass(frozen=True)
class PlannerSettings:
    """How an implant is laid out.

    Attributes:
        prescription_gy: wanted as D90 of the gland; our choice.
        wanted_mci: apparent activity of a seed, the middle of the protocol's 0.6 to 0.8.
        possible_mci: activities outside of which no plan is made.
        spacing_mm: least distance between seeds and between needles.
        margin_mm: least distance of a seed's centre from the gland's edge.
        from_bone_mm: least distance from bone.
        bone_hu: CT numbers from here on are bone, or metal.
        air_hu: CT numbers up to here are air.
    """

    prescription_gy: float = 120.0
    wanted_mci: float = 0.7
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
    if not gland.any():
        message = f"{volume.case}: no {GLAND.title.lower()} to implant. Contour it first."
        raise InputRefusedError(message)
    box = ndimage.find_objects(gland)[0]
    padded = tuple(slice(max(0, one.start - 8), one.stop + 8) for one in box)
    room = _room(gland[padded], volume.voxels[padded], volume.grid.spacing_kji_mm, chosen)
    start = np.asarray([one.start for one in padded], dtype=np.float64)
    at = np.argwhere(gland).astype(np.float64)
    # Every n-th voxel: D90 within a fraction of a per cent, at a tenth of the time.
    sample = volume.grid.to_lps_mm(at[:: max(1, len(at) // 2000), ::-1])
    centre = volume.grid.to_lps_mm(at[:, ::-1]).mean(axis=0)
    places = _lattice(centre, sample, chosen.spacing_mm)
    inside = places[_is_in(room, volume.grid.to_index(places)[:, ::-1] - start)]
    if not len(inside):
        message = (
            f"{volume.case}: the gland of {gland.sum() * volume.grid.voxel_ml:.2f} ml has no room "
            f"for a seed {chosen.margin_mm:g} mm from its edge and {chosen.from_bone_mm:g} mm from "
            "bone."
        )
        raise InputRefusedError(message)
    taken, d90 = _choose(volume.case, inside, sample, model, chosen)
    needed = chosen.wanted_mci * chosen.prescription_gy / d90
    if not chosen.possible_mci[0] <= needed <= chosen.possible_mci[1]:
        message = (
            f"{volume.case}: {len(taken)} seeds would need {needed:.2f} mCi each for "
            f"{chosen.prescription_gy:g} Gy; {chosen.possible_mci[0]:g} to "
            f"{chosen.possible_mci[1]:g} mCi is possible. Give a plan of your own."
        )
        raise InputRefusedError(message)
    return _plan(volume.case, taken, needed, model)


def _choose(
    name: str,
    places: FloatArray,
    sample: FloatArray,
    model: SeedModel,
    settings: PlannerSettings,
) -> tuple[FloatArray, float]:
    """Takes places one by one, each where it helps most, until the gland's D90 is prescribed.

    What helps is dose up to the prescription, averaged over the gland: where enough is, more
    counts nothing.

    Returns:
        The places, and D90 with the wanted activity.
    """
    of_place = np.stack(
        [
            dose_at_gy(_plan(name, one[None], settings.wanted_mci, model), model, sample)
            for one in places
        ]
    )
    dose = np.zeros(len(sample))
    free = np.ones(len(places), dtype=np.bool_)
    d90 = 0.0
    while d90 < settings.prescription_gy and free.any():
        useful = np.minimum(dose + of_place, settings.prescription_gy).mean(axis=1)
        best = int(np.where(free, useful, -1.0).argmax())
        free[best] = False
        dose += of_place[best]
        d90 = float(np.quantile(dose, 0.1, method="lower"))
    return places[~free], d90


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
    """Number and activity of the seeds, for a report."""
    activities = {round(activity_mci(model, one.air_kerma_strength_u), 3) for one in plan.seeds}
    shown = ", ".join(f"{one:.3g}" for one in sorted(activities))
    return f"{len(plan.seeds)} seeds of {shown} mCi"
