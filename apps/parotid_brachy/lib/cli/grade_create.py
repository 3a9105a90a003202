"""``parotid grade create``: makes a blind grading study, in a folder or for a server."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from parotid_brachy.lib.anatomy import ORGANS_AT_RISK, STRUCTURES
from parotid_brachy.lib.cli.evaluate import parse_methods
from parotid_brachy.lib.errors import UsageError

_NAMES = tuple(structure.name for structure in STRUCTURES)


def register(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the action."""
    create = actions.add_parser("create", help="make a study")
    create.add_argument("--images", type=Path, required=True, metavar="DIR", help="CTs")
    create.add_argument(
        "--references",
        type=Path,
        required=True,
        metavar="DIR",
        help="manual contours, CASE.nii.gz; graded as a control",
    )
    create.add_argument(
        "--predictions",
        nargs="+",
        required=True,
        metavar="NAME=DIR",
        help="a method's label maps",
    )
    create.add_argument(
        "--graders", nargs="+", required=True, metavar="NAME", help="as they log in"
    )
    create.add_argument(
        "--structures",
        nargs="+",
        choices=_NAMES,
        default=tuple(structure.name for structure in ORGANS_AT_RISK),
        metavar="NAME",
        help="what is graded (default: the six organs at risk)",
    )
    create.add_argument(
        "--incomplete",
        action="store_true",
        help="leave cases out that cannot be shown, and grade missing maps as empty ones",
    )
    place = create.add_mutually_exclusive_group(required=True)
    place.add_argument("-o", "--output", type=Path, metavar="STUDY", help="a new folder")
    place.add_argument(
        "--name", metavar="NAME", help="under which the server of --studies offers it to graders"
    )
    create.add_argument("--studies", type=Path, metavar="DIR", help="folder of studies of a server")
    create.set_defaults(run=_create)


def _create(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from parotid_brachy.lib.evaluation.grading.making import StudyPlan, make_study
    from parotid_brachy.lib.evaluation.grading.study import read_study
    from parotid_brachy.lib.report.grading_pictures import draw_item
    from parotid_brachy.lib.review.roles import checked_reader_name

    output = _place(args)
    plan = StudyPlan(
        images=args.images,
        references=args.references,
        predictions=parse_methods(args.predictions),
        graders=tuple(checked_reader_name(name) for name in args.graders),
        structures=tuple(s for s in STRUCTURES if s.name in args.structures),
        allows_problems=args.incomplete,
    )
    with tqdm(unit="case", disable=None, file=sys.stderr) as bar:

        def on_case(count: int) -> None:
            if bar.total is None:
                bar.reset(total=count)
            else:
                bar.update()

        problems = make_study(plan, output, draw_item, on_case)
    for problem in problems:
        print(f"parotid: {problem.message}", file=sys.stderr)
    if not output.is_dir():
        print("parotid: no study was made; mend this or add --incomplete", file=sys.stderr)
        return 1
    study = read_study(output)
    print(f"{output}: {len(study.items)} items for {', '.join(study.graders)}")
    if args.studies is not None:
        _tell_unknown(args.studies, study.graders)
    return 1 if problems else 0


def _place(args: argparse.Namespace) -> Path:
    from parotid_brachy.lib.evaluation.grading.offered import OfferedStudies
    from parotid_brachy.lib.review.records import STORE_FOLDER

    if (args.name is None) != (args.studies is None):
        message = "--studies DIR and --name NAME go together; or give --output alone"
        raise UsageError(message)
    if args.name is None:
        output: Path = args.output
        return output
    if not args.studies.is_dir():
        message = f"--studies {args.studies}: there is no such folder"
        raise UsageError(message)
    return OfferedStudies(args.studies / STORE_FOLDER).new_folder(args.name)


def _tell_unknown(studies: Path, graders: Sequence[str]) -> None:
    """Tells of graders who cannot log in as they are called, if the server has a readers file."""
    from parotid_brachy.lib.review.readers import ReadersFile, readers_file_of

    readers = ReadersFile(readers_file_of(studies))
    known = {record.name for record in readers.all()}
    for name in graders if known else ():
        if name not in known:
            print(
                f"parotid: grader {name!r} is not in {readers.path.name}; whoever grades must be "
                "called so there, or by the identity provider",
                file=sys.stderr,
            )
