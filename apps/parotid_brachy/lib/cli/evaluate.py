"""``parotid evaluate``: predictions of several methods against references."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from parotid_brachy.lib.anatomy import STRUCTURES
from parotid_brachy.lib.errors import UsageError

if TYPE_CHECKING:
    from parotid_brachy.lib.evaluation.cohort import Cohort
    from parotid_brachy.lib.report.evaluation_folder import EvaluationOptions

_METHOD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,39}")
_REACH_CUTS: Final = ("at_reference_gland", "at_own_gland", "none")


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
    from parotid_brachy.lib.evaluation.cohort import find_images, match_cohort
    from parotid_brachy.lib.evaluation.metrics import ReachCut
    from parotid_brachy.lib.report.evaluation_folder import EvaluationOptions

    methods = parse_methods(args.predictions)
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
    images, found = (None, ()) if args.images is None else find_images(args.images)
    options = EvaluationOptions(
        methods=tuple(methods),
        structures=tuple(s for s in STRUCTURES if s.name in args.structures),
        reach_cut=ReachCut(args.reach_cut),
        readers=tuple(args.readers),
        jobs=args.jobs,
        images=images,
    )
    cohort = replace(cohort, problems=(*cohort.problems, *found))
    return evaluate(cohort, options, args.output)


def evaluate(cohort: Cohort, options: EvaluationOptions, output: Path) -> int:
    """Evaluates with a progress bar, says what is wrong; the exit code.

    Raises:
        UsageError: the output folder cannot be written to.
    """
    from tqdm import tqdm

    from parotid_brachy.lib.report.evaluation_folder import REPORT, write_evaluation

    with tqdm(total=len(cohort.cases), unit="case", disable=None, file=sys.stderr) as bar:
        table, problems = write_evaluation(cohort, options, output, bar.update)
    for problem in problems:
        print(f"parotid: {problem.message}", file=sys.stderr)
    print(f"{output / REPORT}: {len(table.cases)} cases, {len(options.methods)} methods")
    return 1 if problems else 0


def parse_methods(
    given: Sequence[str], *, option: str = "--predictions", of: str = "DIR"
) -> dict[str, Path]:
    """Paths by name, from NAME=PATH.

    Args:
        given: as on the command line.
        option: where it was given, for messages.
        of: what the path is called there.

    Raises:
        UsageError: a name that none can have, or one that is given twice.
    """
    methods: dict[str, Path] = {}
    for text in given:
        name, equals, path = text.partition("=")
        if not equals or not path or not _METHOD.fullmatch(name):
            message = (
                f"{option} {text!r}: give NAME={of}, the name of letters, digits, spaces, "
                "'.', '_' and '-', 40 at most"
            )
            raise UsageError(message)
        if name in methods:
            message = f"{option}: {name} is given twice"
            raise UsageError(message)
        methods[name] = Path(path)
    return methods
