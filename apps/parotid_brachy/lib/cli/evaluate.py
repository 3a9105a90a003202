"""``parotid evaluate``: predictions of several methods against references."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from parotid_brachy.lib.anatomy import STRUCTURES, structure_named
from parotid_brachy.lib.errors import ParotidBrachyError, UsageError

if TYPE_CHECKING:
    from parotid_brachy.lib.evaluation.case_scores import ScoreRow
    from parotid_brachy.lib.evaluation.cohort import Cohort, CohortCase, Problem
    from parotid_brachy.lib.evaluation.tables import ScoreTable
    from parotid_brachy.lib.report.evaluation_page import Picture

_METHOD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,39}")
_REACH_CUTS: Final = ("at_reference_gland", "at_own_gland", "none")
_BOX_PLOTS: Final = ("dsc", "hd95_mm", "surface_dsc_1mm")
_PANELS: Final = 2


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "evaluate",
        help="score label maps against references, with a report",
        description="Scores label maps against references of the same case id. Writes metrics.csv, "
        "tests.csv, report.html and figures/*.png; those of an earlier run are replaced. A "
        "missing prediction is a miss of every structure.",
    )
    parser.add_argument(
        "--references", type=Path, required=True, metavar="DIR", help="label maps, CASE.nii.gz"
    )
    parser.add_argument(
        "--predictions",
        nargs="+",
        required=True,
        metavar="NAME=DIR",
        help="a method's label maps; the others are tested against the first",
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="where the results go"
    )
    parser.add_argument(
        "--images", type=Path, metavar="DIR", help="CTs, for pictures of best and worst cases"
    )
    parser.add_argument(
        "--readers",
        nargs="+",
        default=(),
        metavar="NAME",
        help="which of the predictions are human readers'",
    )
    parser.add_argument(
        "--structures",
        nargs="+",
        choices=tuple(structure.name for structure in STRUCTURES),
        default=tuple(structure.name for structure in STRUCTURES),
        metavar="NAME",
        help="what the references label (default: all seven)",
    )
    parser.add_argument(
        "--reach-cut",
        choices=_REACH_CUTS,
        default=_REACH_CUTS[0],
        help="at whose gland organs at risk are cut 17 mm away (default: at_reference_gland)",
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=os.cpu_count() or 1,
        metavar="N",
        help="processes (default: one for each processor)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Evaluates; 0 if everything was, 1 if something was missing or refused.

    Raises:
        UsageError: a wrong name, a missing folder, or an output among the inputs.
    """
    from parotid_brachy.lib.evaluation.cohort import match_cohort

    methods = _methods(args.predictions)
    unknown = [name for name in args.readers if name not in methods]
    if unknown:
        message = f"--readers {unknown[0]}: no prediction of that name ({', '.join(methods)})"
        raise UsageError(message)
    if args.jobs < 1:
        message = f"--jobs {args.jobs}: give 1 or more"
        raise UsageError(message)
    inputs = [args.references, *methods.values(), *([args.images] if args.images else [])]
    if any(args.output.resolve() == folder.resolve() for folder in inputs):
        message = f"{args.output} is an input. Choose another output folder"
        raise UsageError(message)
    cohort = match_cohort(args.references, methods)
    try:
        (args.output / "figures").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"{args.output}: cannot be made ({error}). Choose another output folder"
        raise UsageError(message) from error
    return _evaluate(args, cohort, tuple(methods))


def _methods(given: Sequence[str]) -> dict[str, Path]:
    methods: dict[str, Path] = {}
    for text in given:
        name, equals, folder = text.partition("=")
        if not equals or not folder or not _METHOD.fullmatch(name):
            message = (
                f"--predictions {text!r}: give NAME=DIR, the name of letters, digits, spaces, "
                "'.', '_' and '-', 40 at most"
            )
            raise UsageError(message)
        if name in methods:
            message = f"--predictions: {name} is given twice"
            raise UsageError(message)
        methods[name] = Path(folder)
    return methods


def _evaluate(args: argparse.Namespace, cohort: Cohort, methods: Sequence[str]) -> int:
    from parotid_brachy.lib.evaluation.tables import (
        ScoreTable,
        metrics_csv,
        run_tests,
        tests_csv,
    )
    from parotid_brachy.lib.imaging.atomic import write_atomically
    from parotid_brachy.lib.report.evaluation_page import evaluation_page

    structures = tuple(s for s in STRUCTURES if s.name in args.structures)
    problems = list(cohort.problems)
    rows, refused = _score(args, cohort)
    problems.extend(refused)
    table = ScoreTable(rows, methods, structures)
    tests = run_tests(table)
    box_plots = _box_plots(table) if table.cases else []
    panels: list[Picture] = []
    if args.images is not None:
        panels, missing = _draw_panels(args.images, table, cohort)
        problems.extend(missing)
    page = evaluation_page(
        table,
        tests,
        problems=problems,
        readers=args.readers,
        box_plots=box_plots,
        panels=panels,
        reach_cut=args.reach_cut,
    )
    try:
        # The report goes last: while it is an earlier run's, so is what it shows.
        write_atomically(args.output / "metrics.csv", metrics_csv(table))
        write_atomically(args.output / "tests.csv", tests_csv(tests))
        _replace_figures(args.output / "figures", [*box_plots, *panels])
        write_atomically(args.output / "report.html", page.encode())
    except OSError as error:
        message = f"{args.output}: cannot be written to ({error})"
        raise UsageError(message) from error
    for problem in problems:
        print(f"parotid: {problem.message}", file=sys.stderr)
    print(f"{args.output / 'report.html'}: {len(table.cases)} cases, {len(methods)} methods")
    return 1 if problems else 0


def _score(args: argparse.Namespace, cohort: Cohort) -> tuple[list[ScoreRow], list[Problem]]:
    from tqdm import tqdm

    from parotid_brachy.lib.evaluation.case_scores import score_cases
    from parotid_brachy.lib.evaluation.metrics import ReachCut

    rows: list[ScoreRow] = []
    problems: list[Problem] = []
    scored = score_cases(
        cohort.cases,
        structures=[structure_named(name) for name in dict.fromkeys(args.structures)],
        reach_cut=ReachCut(args.reach_cut),
        jobs=args.jobs,
    )
    for one in tqdm(scored, total=len(cohort.cases), unit="case", disable=None, file=sys.stderr):
        rows.extend(one.rows)
        problems.extend(one.problems)
    return rows, sorted(problems, key=lambda problem: (problem.case, problem.message))


def _box_plots(table: ScoreTable) -> list[Picture]:
    from parotid_brachy.lib.report.box_plots import draw_box_plots
    from parotid_brachy.lib.report.evaluation_page import TITLES, Picture

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
    folder: Path, table: ScoreTable, cohort: Cohort
) -> tuple[list[Picture], list[Problem]]:
    """The best and the most challenging cases by the first method."""
    from parotid_brachy.lib.evaluation.cohort import Problem, find_images
    from parotid_brachy.lib.report.evaluation_page import Picture

    images, found = find_images(folder)
    problems = list(found)
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
    from parotid_brachy.lib.errors import NotFoundError
    from parotid_brachy.lib.imaging.files import read_label_map, read_volume
    from parotid_brachy.lib.report.picture import draw_comparison

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
    from parotid_brachy.lib.imaging.atomic import write_atomically

    for kind in ("box_*.png", "best_*.png", "challenging_*.png"):
        for stale in folder.glob(kind):
            stale.unlink()
    for picture in pictures:
        write_atomically(folder / picture.name, picture.png)
