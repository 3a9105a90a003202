"""One case of a dose comparison: its plan, its doses, its own files."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from parotid_brachy.lib.anatomy import Structure
from parotid_brachy.lib.dosimetry.comparison import DoseScore
from parotid_brachy.lib.dosimetry.dvh import Dvh, dose_volume_histograms
from parotid_brachy.lib.dosimetry.plan import SeedPlan, require_near
from parotid_brachy.lib.dosimetry.planner import PlannerSettings, plan_implant, plan_summary
from parotid_brachy.lib.dosimetry.reach_cut import DoseCut, cut_maps
from parotid_brachy.lib.dosimetry.seed_model import PROTOCOL_MODEL, SeedModel, load_seed_model
from parotid_brachy.lib.dosimetry.seeds_file import write_seeds
from parotid_brachy.lib.errors import InputRefusedError, ParotidBrachyError, UsageError
from parotid_brachy.lib.evaluation.cohort import Problem
from parotid_brachy.lib.imaging.atomic import write_atomically
from parotid_brachy.lib.imaging.files import read_label_map, read_volume
from parotid_brachy.lib.imaging.label_box import LabelBox, common_box
from parotid_brachy.lib.imaging.volume import Grid, Volume
from parotid_brachy.lib.report.dose_folder import (
    DoseOptions,
    dose_for,
    read_seed_plan,
    scores_of,
)
from parotid_brachy.lib.report.dvh_figure import draw_dvh

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CohortDoseCase:
    """What belongs to one case of a cohort, and where its own files go.

    Attributes:
        case: its id.
        image: CT, file or DICOM folder.
        labels: label maps by set of contours.
        names: of all sets of the cohort, the reference first.
        seeds: its plan; None: one is made in the reference's gland.
        cuts: where organs at risk end; the figure shows the first.
        options: how to calculate.
        output: the cohort's folder, with ``seeds/`` and ``figures/``.
        threads: of the processor that it may use; None: all.
    """

    case: str
    image: Path
    labels: Mapping[str, Path]
    names: tuple[str, ...]
    seeds: Path | None
    cuts: tuple[DoseCut, ...]
    options: DoseOptions
    output: Path
    threads: int | None = None

    @property
    def prescription_gy(self) -> float:
        """Stated, or the planner's."""
        return self.options.prescription_gy or PlannerSettings().prescription_gy


@dataclass(frozen=True)
class CohortDoses:
    """What came of one case.

    Attributes:
        case: its id.
        scores: of every cut, set and structure; none where it was refused.
        plan: what its plan is, in words.
        figure: its histograms, PNG.
        problems: what a person must look at.
    """

    case: str
    scores: tuple[DoseScore, ...] = ()
    plan: str = ""
    figure: bytes = b""
    problems: tuple[Problem, ...] = ()


def calculate_case(one: CohortDoseCase) -> CohortDoses:
    """Calculates a case and writes its files; whatever goes wrong is this case's problem."""
    if one.threads is not None:
        torch.set_num_threads(one.threads)
    try:
        return _calculated(one)
    except (ParotidBrachyError, OSError, MemoryError) as error:
        told = str(error) or type(error).__name__
    except Exception as error:
        # A fault of ours in one case must not cost the others.
        logger.exception("%s", one.case)
        told = f"not calculated ({type(error).__name__}: {error})"
    message = told if told.startswith(f"{one.case}:") else f"{one.case}: {told}"
    return CohortDoses(one.case, problems=(Problem(one.case, message),))


def lost_case(one: CohortDoseCase) -> CohortDoses:
    """The result of a case whose process was ended from outside."""
    message = (
        f"{one.case}: not calculated, because a process was ended from outside (out of memory?). "
        "Run again with fewer jobs."
    )
    return CohortDoses(one.case, problems=(Problem(one.case, message),))


def _calculated(one: CohortDoseCase) -> CohortDoses:
    volume = read_volume(one.image, case=one.case)
    maps = {name: read_label_map(path, volume.grid) for name, path in one.labels.items()}
    reference = one.names[0]
    if reference not in maps:
        message = f"{one.case}: without the reference there is nothing to compare with"
        raise UsageError(message)
    plan, model, what = _plan_of(one, volume, maps[reference])
    require_near(plan, volume.grid, one.case)
    maps, grid = _cropped(one.case, maps, volume.grid)
    cut = {wanted: cut_maps(maps, reference, grid, wanted) for wanted in one.cuts}
    every = {
        f"{wanted.value} {name}": labels for wanted in cut for name, labels in cut[wanted].items()
    }
    dose = dose_for(plan, model, one.options.spacing_mm, every, grid)
    found: dict[DoseCut, dict[str, dict[Structure, Dvh]]] = {
        wanted: {
            name: dose_volume_histograms(dose, labels, grid) for name, labels in cut[wanted].items()
        }
        for wanted in one.cuts
    }
    scores = [
        score
        for wanted in one.cuts
        for score in scores_of(one.case, found[wanted], one.prescription_gy, cut=wanted)
    ]
    figure = draw_dvh(found[one.cuts[0]], title=one.case)
    write_seeds(plan, one.output / "seeds" / f"{one.case}.csv")
    write_atomically(one.output / "figures" / f"dvh_{one.case}.png", figure)
    missing = tuple(
        Problem(one.case, f"{one.case}: no contours {name}; the case has no pair for it")
        for name in one.names
        if name not in maps
    )
    return CohortDoses(one.case, tuple(scores), what, figure, missing)


def _cropped(
    case: str, maps: Mapping[str, NDArray[np.uint8]], grid: Grid
) -> tuple[dict[str, NDArray[np.uint8]], Grid]:
    """The maps on the part of the grid in which any of them holds something."""
    boxes = {name: LabelBox.of(labels, grid) for name, labels in maps.items()}
    common = common_box(*boxes.values())
    if common is None:
        raise InputRefusedError(f"{case}: no set of contours holds a structure")
    start, stop = common
    cropped = {name: box.within(start, stop) for name, box in boxes.items()}
    return cropped, grid.cropped(start[::-1], stop[::-1])


def _plan_of(
    one: CohortDoseCase, volume: Volume, reference: NDArray[np.uint8]
) -> tuple[SeedPlan, SeedModel, str]:
    if one.seeds is not None:
        plan, model = read_seed_plan(one.seeds, one.options.model)
        return plan, model, f"{plan_summary(plan, model)}, given"
    settings = PlannerSettings(prescription_gy=one.prescription_gy)
    model = one.options.model or load_seed_model(PROTOCOL_MODEL)
    plan = plan_implant(volume, reference, model, settings)
    return plan, model, f"{plan_summary(plan, model)}, made here for study purposes"
