"""The dose comparison of a cohort: which files belong to it, tables, figures and report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from parotid_brachy.lib.dosimetry.comparison import DoseScore, dose_differences
from parotid_brachy.lib.dosimetry.reach_cut import DoseCut
from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.evaluation.case_processes import each_in_processes
from parotid_brachy.lib.evaluation.cohort import Problem
from parotid_brachy.lib.imaging.atomic import write_atomically
from parotid_brachy.lib.imaging.files import VOLUME_SUFFIXES, case_of
from parotid_brachy.lib.report.dose_cohort_case import (
    CohortDoseCase,
    CohortDoses,
    calculate_case,
    lost_case,
)
from parotid_brachy.lib.report.dose_folder import DoseOptions
from parotid_brachy.lib.report.dose_page import dose_page
from parotid_brachy.lib.report.dose_tables import differences_csv, dvh_csv
from parotid_brachy.lib.report.evaluation_page import Picture

_MOST_PICTURES: Final = 6
"""On the page; every case has its own file."""
_PLAN_SUFFIXES: Final = (".csv", ".dcm")


@dataclass(frozen=True)
class DoseCohort:
    """A folder of cases.

    Attributes:
        reference: name of the set of contours that others are compared with.
        names: of all sets, the reference first.
        cases: CT of each case, by id.
        labels: label maps by case and set.
        seeds: plans by case, where there are.
        problems: what in the folder belongs to no case, and cases of which a file is there twice.
        ambiguous: the latter cases; they are not calculated.
        cuts: where organs at risk end; a table for each.
        jobs: processes.
    """

    reference: str
    names: tuple[str, ...]
    cases: Mapping[str, Path]
    labels: Mapping[str, Mapping[str, Path]]
    seeds: Mapping[str, Path]
    problems: tuple[Problem, ...]
    ambiguous: frozenset[str] = frozenset()
    cuts: tuple[DoseCut, ...] = (DoseCut.REFERENCE,)
    jobs: int = 1


@dataclass(frozen=True)
class _Folder:
    """The files of a folder by case, and those that are a case's a second time."""

    files: dict[str, Path] = field(default_factory=dict)
    doubles: list[Problem] = field(default_factory=list)


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
    if not images.files or not names:
        message = f"{folder}: images/ and labels/NAME/ with at least one case are needed"
        raise UsageError(message)
    chosen = reference or ("manual" if "manual" in names else names[0])
    if chosen not in names:
        message = f"--reference {chosen}: no such folder in labels/ ({', '.join(names)})"
        raise UsageError(message)
    ordered = (chosen, *(name for name in names if name != chosen))
    by_set = {one.name: _by_case(one, VOLUME_SUFFIXES) for one in sets}
    seeds = _by_case(folder / "seeds", _PLAN_SUFFIXES)
    doubles = [one for found in (images, *by_set.values(), seeds) for one in found.doubles]
    strays = [
        Problem(case, f"{case}: {what} without an image; left out")
        for what, found in (
            *((f"contours {name}", by_set[name]) for name in ordered),
            ("a plan in seeds/", seeds),
        )
        for case in sorted(found.files.keys() - images.files.keys())
    ]
    labels = {
        case: {name: by_set[name].files[case] for name in ordered if case in by_set[name].files}
        for case in images.files
    }
    return DoseCohort(
        chosen,
        ordered,
        images.files,
        labels,
        seeds.files,
        tuple(doubles + strays),
        frozenset(one.case for one in doubles),
    )


def write_cohort(
    cohort: DoseCohort, options: DoseOptions, output: Path, on_case: Callable[[], object]
) -> list[Problem]:
    """Calculates all cases and writes dvh.csv, differences.csv, report.html, seeds/ and figures/.

    Args:
        cohort: what to calculate.
        options: how.
        output: folder for the results.
        on_case: called after each case.

    Returns:
        What could not be done; the other cases are whole.

    Raises:
        UsageError: the folder cannot be written to.
    """
    try:
        for folder in ("seeds", "figures"):
            (output / folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{output}: cannot be written to ({error})") from error
    done = []
    work = _work(cohort, options, output)
    for one in each_in_processes(calculate_case, work, jobs=cohort.jobs, lost=lost_case):
        done.append(one)
        on_case()
    done.sort(key=lambda one: one.case)
    problems = [*cohort.problems, *(problem for one in done for problem in one.problems)]
    _write(cohort, done, problems, output)
    return problems


def _work(cohort: DoseCohort, options: DoseOptions, output: Path) -> list[CohortDoseCase]:
    return [
        CohortDoseCase(
            case=case,
            image=image,
            labels=cohort.labels[case],
            names=cohort.names,
            seeds=cohort.seeds.get(case),
            cuts=cohort.cuts,
            options=options,
            output=output,
            # Processes that each use every processor only wait for one another.
            threads=1 if cohort.jobs > 1 else None,
        )
        for case, image in cohort.cases.items()
        if case not in cohort.ambiguous
    ]


def _write(
    cohort: DoseCohort, done: list[CohortDoses], problems: list[Problem], output: Path
) -> None:
    whole = [one for one in done if one.scores]
    scores: list[DoseScore] = [score for one in whole for score in one.scores]
    differences = dose_differences(scores, cohort.reference)
    page = dose_page(
        scores,
        differences,
        reference=cohort.reference,
        plans=[(one.case, one.plan) for one in whole],
        pictures=[
            Picture(f"dvh_{one.case}.png", one.case, one.figure) for one in whole[:_MOST_PICTURES]
        ],
        problems=[one.message for one in problems],
    )
    try:
        # The report goes last: while it is an earlier run's, so is what it shows.
        write_atomically(output / "dvh.csv", dvh_csv(scores))
        write_atomically(output / "differences.csv", differences_csv(differences))
        write_atomically(output / "report.html", page.encode())
    except OSError as error:
        raise UsageError(f"{output}: cannot be written to ({error})") from error


def _children(folder: Path) -> list[Path]:
    try:
        return [one for one in folder.iterdir() if not one.name.startswith(".")]
    except OSError:
        return []


def _by_case(folder: Path, suffixes: tuple[str, ...], *, folders: bool = False) -> _Folder:
    found = _Folder()
    for one in sorted(_children(folder)):
        if one.is_dir() and folders:
            case = one.name
        elif not one.is_dir() and one.name.lower().endswith(suffixes):
            case = one.stem if one.suffix.lower() in _PLAN_SUFFIXES else case_of(one)
        else:
            continue
        first = found.files.setdefault(case, one)
        if first != one:
            message = (
                f"{case}: {folder.name}/ has both {first.name} and {one.name}; not calculated. "
                "Leave the one that is meant"
            )
            found.doubles.append(Problem(case, message))
    return found
