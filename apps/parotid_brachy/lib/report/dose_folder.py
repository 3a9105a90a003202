"""The files of one case's dose: dose.nii.gz, dvh.csv, dvh.png and, with a DICOM CT, RTDOSE."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from parotid_brachy.lib.anatomy import STRUCTURES, Structure
from parotid_brachy.lib.dicom.dose.dose_writing import write_dose
from parotid_brachy.lib.dicom.dose.plan_reading import read_plan
from parotid_brachy.lib.dicom.dose.plan_writing import write_plan
from parotid_brachy.lib.dicom.source_series import read_source_series
from parotid_brachy.lib.dosimetry.comparison import DoseScore
from parotid_brachy.lib.dosimetry.dose_grid import DoseGrid, LpsBox, dose_grid
from parotid_brachy.lib.dosimetry.dvh import Dvh, dose_volume_histograms
from parotid_brachy.lib.dosimetry.plan import SeedPlan, require_near
from parotid_brachy.lib.dosimetry.reach_cut import DoseCut
from parotid_brachy.lib.dosimetry.seed_model import PROTOCOL_MODEL, SeedModel, load_seed_model
from parotid_brachy.lib.dosimetry.seeds_file import read_seeds
from parotid_brachy.lib.imaging.atomic import write_atomically
from parotid_brachy.lib.imaging.files import read_grid, read_label_map
from parotid_brachy.lib.imaging.volume import Grid, to_image
from parotid_brachy.lib.report.dose_tables import dvh_csv
from parotid_brachy.lib.report.dvh_figure import draw_dvh

ROUND_SEEDS_MM = 40.0
"""The dose grid holds everything so near to a seed, and all contours beside."""


@dataclass(frozen=True)
class DoseCase:
    """What belongs to one case.

    Attributes:
        name: for messages and tables.
        image: CT, file or DICOM folder.
        seeds: table or RTPLAN.
        labels: label maps by the name of their set of contours.
    """

    name: str
    image: Path
    seeds: Path
    labels: Mapping[str, Path]


@dataclass(frozen=True)
class DoseOptions:
    """How doses are calculated.

    Attributes:
        model: of the seeds, where the caller states it.
        spacing_mm: of the dose grid.
        prescription_gy: for V100; None: none is known.
    """

    model: SeedModel | None = None
    spacing_mm: float = 1.0
    prescription_gy: float | None = None


def write_case(case: DoseCase, options: DoseOptions, output: Path) -> list[DoseScore]:
    """Calculates one case and writes its files; those of an earlier run are replaced.

    Raises:
        InputRefusedError: an image, plan or map that must not be worked on.
        GeometryError: a map on another grid than the CT's, or a plan far from the CT.
        OSError: a file cannot be written.
    """
    grid = read_grid(case.image)
    plan, model = read_seed_plan(case.seeds, options.model)
    require_near(plan, grid, case.name)
    maps = {name: read_label_map(path, grid) for name, path in case.labels.items()}
    dose = dose_for(plan, model, options.spacing_mm, maps, grid)
    found = {name: dose_volume_histograms(dose, one, grid) for name, one in maps.items()}
    scores = scores_of(case.name, found, options.prescription_gy)
    output.mkdir(parents=True, exist_ok=True)
    write_dose_volume(dose, output / "dose.nii.gz")
    write_atomically(output / "dvh.csv", dvh_csv(scores))
    write_atomically(output / "dvh.png", draw_dvh(found, title=case.name))
    if case.image.is_dir():
        made = datetime.now(tz=timezone.utc)
        series = read_source_series(case.image)
        uid = write_plan(plan, model, series, output / "rtplan.dcm", made=made)
        write_dose(dose, series, output / "rtdose.dcm", plan_uid=uid, made=made)
    return scores


def read_seed_plan(path: Path, stated: SeedModel | None) -> tuple[SeedPlan, SeedModel]:
    """A table of seeds (``.csv``), or else a DICOM plan, with the model of its seeds.

    Args:
        path: of the file.
        stated: the seeds' model, where the caller knows it. Else a DICOM plan says which, and a
            table is of the protocol's.

    Raises:
        InputRefusedError: neither, or a plan of seeds that are not known.
    """
    if path.suffix.lower() == ".csv":
        model = stated or load_seed_model(PROTOCOL_MODEL)
        return read_seeds(path, model), model
    plan = read_plan(path, stated)
    return plan, stated or load_seed_model(plan.model)


def dose_for(
    plan: SeedPlan,
    model: SeedModel,
    spacing_mm: float,
    maps: Mapping[str, NDArray[np.uint8]],
    image: Grid,
) -> DoseGrid:
    """The dose round the seeds and over all that is contoured."""
    places = np.asarray([seed.position_lps_mm for seed in plan.seeds])
    low, high = places.min(axis=0) - ROUND_SEEDS_MM, places.max(axis=0) + ROUND_SEEDS_MM
    for labels in maps.values():
        held = [np.flatnonzero(labels.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
        if len(held[0]):
            part = image.cropped(
                tuple(int(one[0]) for one in held[::-1]),
                tuple(int(one[-1]) + 1 for one in held[::-1]),
            )
            box = LpsBox.of_grid(part)
            low, high = np.minimum(low, box.low_lps_mm), np.maximum(high, box.high_lps_mm)
    around = LpsBox(
        (float(low[0]), float(low[1]), float(low[2])),
        (float(high[0]), float(high[1]), float(high[2])),
    )
    return dose_grid(plan, model, spacing_mm=spacing_mm, around=around)


def scores_of(
    case: str,
    found: Mapping[str, Mapping[Structure, Dvh]],
    prescription_gy: float | None,
    *,
    cut: DoseCut = DoseCut.NONE,
) -> list[DoseScore]:
    """A score for each structure that any set has; a set without it has an empty one."""
    held = [one for one in STRUCTURES if any(one in sets for sets in found.values())]
    return [
        DoseScore(case, name, structure, sets.get(structure), prescription_gy, cut)
        for name, sets in found.items()
        for structure in held
    ]


def write_dose_volume(dose: DoseGrid, path: Path) -> None:
    """Writes Gy as NIfTI, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    with TemporaryDirectory() as folder:
        written = Path(folder) / "dose.nii.gz"
        sitk.WriteImage(to_image(dose.gy, dose.grid), str(written), useCompression=True)
        write_atomically(path, written.read_bytes())
