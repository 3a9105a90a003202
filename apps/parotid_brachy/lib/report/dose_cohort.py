"""The dose comparison of a cohort: tables, figures and report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from parotid_brachy.lib.anatomy import GLAND, Structure
from parotid_brachy.lib.dosimetry.comparison import DoseScore, dose_differences
from parotid_brachy.lib.dosimetry.dvh import Dvh, dose_volume_histograms
from parotid_brachy.lib.dosimetry.plan import SeedPlan, require_near
from parotid_brachy.lib.dosimetry.planner import PlannerSettings, plan_implant, plan_summary
from parotid_brachy.lib.dosimetry.seed_model import PROTOCOL_MODEL, load_seed_model
from parotid_brachy.lib.dosimetry.seeds_file import write_seeds
from parotid_brachy.lib.errors import ParotidBrachyError, UsageError
from parotid_brachy.lib.imaging.atomic import write_atomically
from parotid_brachy.lib.imaging.files import VOLUME_SUFFIXES, case_of, read_label_map, read_volume
from parotid_brachy.lib.imaging.roi import cut_at_reach
from parotid_brachy.lib.report.dose_folder import (
    DoseOptions,
    dose_for,
    read_seed_plan,
    scores_of,
)
from parotid_brachy.lib.report.dose_page import dose_page
from parotid_brachy.lib.report.dose_tables import differences_csv, dvh_csv
from parotid_brachy.lib.report.dvh_figure import draw_dvh
from parotid_brachy.lib.report.evaluation_page import Picture

_MOST_PICTURES: Final = 6
"""On the page; every case has its own file."""


@dataclass(frozen=True)
class DoseCohort:
    """A folder of cases.

    Attributes:
        reference: name of the set of contours that others are compared with.
        names: of all sets, the reference first.
        cases: CT of each case, by id.
        labels: label maps by case and set.
        seeds: plans by case, where there are.
        problems: what in the folder belongs to no case.
        is_cut: whether organs at risk count only within the seeds' reach of the reference's gland.
    """

    reference: str
    names: tuple[str, ...]
    cases: Mapping[str, Path]
    labels: Mapping[str, Mapping[str, Path]]
    seeds: Mapping[str, Path]
    problems: tuple[str, ...]
    is_cut: bool = True


def find_cohort(folder: Path, reference: str | None) -> DoseCohort:
    """Looks for ``images/CASE``, ``labels/NAME/CASE.nii.gz`` and ``seeds/CASE.csv|.dcm``.

    Args:
        folder: of the cohort.
        reference: name of the reference set; None: ``manual``, or else the first.

    Raises:
        UsageError: no images, no labels, or no set of that name.
    """
    images = _by_case(folder / "images", VOLUME_SUFFIXES, folders=True)
    sets = sorted(one for one in _children(folder / "labels") if one.is_dir())
    names = [one.name for one in sets]
    if not images or not names:
        message = f"{folder}: images/ and labels/NAME/ with at least one case are needed"
        raise UsageError(message)
    chosen = reference or ("manual" if "manual" in names else names[0])
    if chosen not in names:
        message = f"--reference {chosen}: no such folder in labels/ ({', '.join(names)})"
        raise UsageError(message)
    ordered = (chosen, *(name for name in names if name != chosen))
    by_set = {one.name: _by_case(one, VOLUME_SUFFIXES) for one in sets}
    labels = {
        case: {name: by_set[name][case] for name in ordered if case in by_set[name]}
        for case in images
    }
    problems = [
        f"{case}: contours {name} without an image; left out"
        for name in ordered
        for case in sorted(by_set[name].keys() - images.keys())
    ]
    seeds = _by_case(folder / "seeds", (".csv", ".dcm"))
    return DoseCohort(chosen, ordered, images, labels, seeds, tuple(problems))


def write_cohort(
    cohort: DoseCohort, options: DoseOptions, output: Path, on_case: Callable[[], object]
) -> list[str]:
    """Calculates all cases and writes dvh.csv, differences.csv, report.html, seeds/ and figures/.

    Args:
        cohort: what to calculate.
        options: how.
        output: folder for the results.
        on_case: called after each case.

    Returns:
        What could not be done, each beginning with its case; the other cases are whole.

    Raises:
        OSError: a file cannot be written.
    """
    prescription = _prescription(options)
    problems = list(cohort.problems)
    scores: list[DoseScore] = []
    plans, pictures = [], []
    for folder in ("seeds", "figures"):
        (output / folder).mkdir(parents=True, exist_ok=True)
    for case in cohort.cases:
        try:
            found, plan, what = _calculate(cohort, case, options, problems)
        except ParotidBrachyError as error:
            told = str(error)
            problems.append(told if told.startswith(f"{case}:") else f"{case}: {told}")
        else:
            scores += scores_of(case, found, prescription)
            plans.append((case, what))
            write_seeds(plan, output / "seeds" / f"{case}.csv")
            picture = Picture(f"dvh_{case}.png", case, draw_dvh(found, title=case))
            write_atomically(output / "figures" / picture.name, picture.png)
            pictures.append(picture)
        on_case()
    differences = dose_differences(scores, cohort.reference)
    write_atomically(output / "dvh.csv", dvh_csv(scores))
    write_atomically(output / "differences.csv", differences_csv(differences))
    page = dose_page(
        scores,
        differences,
        reference=cohort.reference,
        plans=plans,
        pictures=pictures[:_MOST_PICTURES],
        problems=problems,
    )
    write_atomically(output / "report.html", page.encode())
    return problems


def _calculate(
    cohort: DoseCohort, case: str, options: DoseOptions, problems: list[str]
) -> tuple[dict[str, dict[Structure, Dvh]], SeedPlan, str]:
    volume = read_volume(cohort.cases[case], case=case)
    maps = {}
    for name in cohort.names:
        path = cohort.labels[case].get(name)
        if path is None:
            problems.append(f"{case}: no contours {name}; the case has no pair for it")
        else:
            maps[name] = read_label_map(path, volume.grid)
    if cohort.reference not in maps:
        message = f"{case}: without the reference there is nothing to compare with"
        raise UsageError(message)
    if case in cohort.seeds:
        (plan, model), origin = read_seed_plan(cohort.seeds[case], options.model), "given"
    else:
        settings = PlannerSettings(prescription_gy=_prescription(options))
        model = options.model or load_seed_model(PROTOCOL_MODEL)
        plan = plan_implant(volume, maps[cohort.reference], model, settings)
        origin = "made here for study purposes"
    require_near(plan, volume.grid, case)
    gland = maps[cohort.reference] == GLAND.value
    if cohort.is_cut and gland.any():
        maps = {name: cut_at_reach(one, gland, volume.grid) for name, one in maps.items()}
    dose = dose_for(plan, model, options.spacing_mm, maps, volume.grid)
    found = {
        name: dose_volume_histograms(dose, labels, volume.grid) for name, labels in maps.items()
    }
    return found, plan, f"{plan_summary(plan, model)}, {origin}"


def _prescription(options: DoseOptions) -> float:
    return options.prescription_gy or PlannerSettings().prescription_gy


def _children(folder: Path) -> list[Path]:
    try:
        return [one for one in folder.iterdir() if not one.name.startswith(".")]
    except OSError:
        return []


def _by_case(folder: Path, suffixes: tuple[str, ...], *, folders: bool = False) -> dict[str, Path]:
    found = {}
    for one in sorted(_children(folder)):
        if one.is_dir() and folders:
            found[one.name] = one
        elif one.name.lower().endswith(suffixes):
            case = one.stem if one.suffix.lower() in {".csv", ".dcm"} else case_of(one)
            found[case] = one
    return found
