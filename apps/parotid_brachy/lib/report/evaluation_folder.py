"""An evaluation's folder: tables, figures and the page, from matched label maps."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from parotid_brachy.lib.anatomy import STRUCTURES, Structure
from parotid_brachy.lib.errors import NotFoundError, ParotidBrachyError, UsageError
from parotid_brachy.lib.evaluation.case_scores import ScoreRow, score_cases
from parotid_brachy.lib.evaluation.cohort import Cohort, CohortCase, Problem, with_misses
from parotid_brachy.lib.evaluation.metrics import ReachCut
from parotid_brachy.lib.evaluation.tables import (
    ScoreTable,
    metrics_csv,
    run_tests,
    surface_metrics_csv,
    tests_csv,
)
from parotid_brachy.lib.imaging.atomic import write_atomically
from parotid_brachy.lib.imaging.files import read_label_map, read_volume
from parotid_brachy.lib.report.box_plots import draw_box_plots
from parotid_brachy.lib.report.evaluation_page import TITLES, Picture, evaluation_page
from parotid_brachy.lib.report.picture import draw_comparison

_BOX_PLOTS: Final = ("dsc", "hd95_mm", "surface_dsc_1mm")
_PANELS: Final = 2
REPORT: Final = "report.html"


@dataclass(frozen=True)
class EvaluationOptions:
    """How to evaluate.

    Attributes:
        methods: in the order in which they are shown; the others are tested against the first.
        structures: what the references label.
        reach_cut: at whose gland organs at risk are cut.
        readers: methods that are human readers.
        jobs: processes.
        images: CTs by case id, case-folded, for pictures; None draws none.
        sections: further parts of the page, HTML that is escaped already.
    """

    methods: tuple[str, ...]
    structures: tuple[Structure, ...] = STRUCTURES
    reach_cut: ReachCut = ReachCut.AT_REFERENCE_GLAND
    readers: tuple[str, ...] = ()
    jobs: int = 1
    images: Mapping[str, Path] | None = None
    sections: Sequence[str] = field(default=())


def prepare_folder(output: Path) -> None:
    """Makes the folder, before hours are spent on what goes there.

    Raises:
        UsageError: it cannot be made.
    """
    try:
        (output / "figures").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"{output}: cannot be made ({error}). Choose another output folder"
        raise UsageError(message) from error


def write_evaluation(
    cohort: Cohort,
    options: EvaluationOptions,
    output: Path,
    on_case: Callable[[], None],
) -> tuple[ScoreTable, tuple[Problem, ...]]:
    """Scores a cohort and writes metrics.csv, tests.csv, figures/*.png and report.html.

    Args:
        cohort: matched label maps.
        options: how to evaluate.
        output: the folder; what an earlier evaluation left in it is replaced.
        on_case: called when a case is scored.

    Returns:
        The scores, and everything that a person must look at.

    Raises:
        UsageError: the folder cannot be written to.
    """
    prepare_folder(output)
    cohort = with_misses(cohort, options.methods)
    problems = list(cohort.problems)
    rows, refused = _score(cohort, options, on_case)
    problems.extend(refused)
    table = ScoreTable(rows, options.methods, options.structures)
    tests = run_tests(table)
    box_plots = _box_plots(table) if table.cases else []
    panels: list[Picture] = []
    if options.images is not None:
        panels, missing = _draw_panels(options.images, table, cohort)
        problems.extend(missing)
    page = evaluation_page(
        table,
        tests,
        problems=problems,
        readers=options.readers,
        box_plots=box_plots,
        panels=panels,
        sections=options.sections,
        reach_cut=options.reach_cut.value,
    )
    try:
        # The report goes last: while it is an earlier run's, so is what it shows.
        write_atomically(output / "metrics.csv", metrics_csv(table))
        write_atomically(output / "surface_metrics.csv", surface_metrics_csv(table))
        write_atomically(output / "tests.csv", tests_csv(tests))
        _replace_figures(output / "figures", [*box_plots, *panels])
        write_atomically(output / REPORT, page.encode())
    except OSError as error:
        message = f"{output}: cannot be written to ({error})"
        raise UsageError(message) from error
    return table, tuple(problems)


def _score(
    cohort: Cohort, options: EvaluationOptions, on_case: Callable[[], None]
) -> tuple[list[ScoreRow], list[Problem]]:
    rows: list[ScoreRow] = []
    problems: list[Problem] = []
    scored = score_cases(
        cohort.cases,
        structures=options.structures,
        reach_cut=options.reach_cut,
        jobs=options.jobs,
    )
    for one in scored:
        rows.extend(one.rows)
        problems.extend(one.problems)
        on_case()
    return rows, sorted(problems, key=lambda problem: (problem.case, problem.message))


def _box_plots(table: ScoreTable) -> list[Picture]:
    pictures = []
    for metric in _BOX_PLOTS:
        values = {
            method: [
                [v for v in table.values(method, structure, metric) if v is not None]
                for structure in table.structures
            ]
            for method in table.methods
        }
        groups = [structure.title for structure in table.structures]
        png = draw_box_plots(values, groups, label=TITLES[metric])
        caption = f"{TITLES[metric]}: quartiles, median (line) and mean (diamond)."
        pictures.append(Picture(f"box_{metric}.png", caption, png))
    return pictures


def _draw_panels(
    images: Mapping[str, Path], table: ScoreTable, cohort: Cohort
) -> tuple[list[Picture], list[Problem]]:
    """The best and the most challenging cases by the first method."""
    problems: list[Problem] = []
    cases = {one.case: one for one in cohort.cases}
    ranking = table.ranking()
    worst = ranking[:_PANELS]
    best = [case for case in reversed(ranking) if case not in worst][:_PANELS]
    pictures = []
    for kind, chosen in (("best", best), ("challenging", worst)):
        for number, case in enumerate(chosen, 1):
            mean = table.case_mean(table.methods[0], case)
            title = f"{case}: {kind} case {number}, mean DSC {mean:.3f}"
            try:
                png = _panel(images, cases[case], title)
            except (ParotidBrachyError, OSError) as error:
                problems.append(Problem(case, f"{case}: no picture: {error}"))
                continue
            pictures.append(Picture(f"{kind}_{number}.png", title, png))
    return pictures, problems


def _panel(images: Mapping[str, Path], one: CohortCase, title: str) -> bytes:
    image = images.get(one.case.casefold())
    if image is None:
        message = "there is no image of this case. Add it to the folder of images"
        raise NotFoundError(message)
    volume = read_volume(image, case=one.case)
    maps = {"reference": read_label_map(one.reference, volume.grid)}
    for method, path in one.predictions.items():
        if path is not None:
            # One that is refused has been reported; the others are worth a look.
            with contextlib.suppress(ParotidBrachyError):
                maps[method] = read_label_map(path, volume.grid)
    return draw_comparison(volume, maps, title=title)


def _replace_figures(folder: Path, pictures: Sequence[Picture]) -> None:
    for kind in ("box_*.png", "best_*.png", "challenging_*.png"):
        for stale in folder.glob(kind):
            stale.unlink()
    for picture in pictures:
        write_atomically(folder / picture.name, picture.png)
