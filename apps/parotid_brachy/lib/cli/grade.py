"""``parotid grade``: blind grading of contours, 0 to 3, by several graders."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from parotid_brachy.lib.cli import grade_create
from parotid_brachy.lib.errors import UsageError

if TYPE_CHECKING:
    from parotid_brachy.lib.evaluation.grading.grades import Grade
    from parotid_brachy.lib.evaluation.grading.study import Study


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "grade",
        help="let contours be graded blind, 0 to 3",
        description="Makes a blind grading study of several methods and the manual contours, "
        "takes grades, and, once it is closed, reports them unmasked.",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    grade_create.register(actions)
    for name, run, text in (
        ("next", _next, "the first item that a grader has not finished"),
        ("enter", _enter, "grade an item"),
        ("sheet", _sheet, "write a grader's items as a CSV file to fill in"),
        ("import", _import, "take the grades of such a file, all or none"),
    ):
        action = _of_study(actions, name, text, run)
        action.add_argument("--grader", required=True, metavar="NAME", help="whose grades")
        if name == "enter":
            action.add_argument("item", metavar="ITEM", help="the item's id")
            action.add_argument(
                "grades",
                nargs="+",
                metavar="STRUCTURE=GRADE",
                help="0, 1, 2 or 3; or na:REASON where it is not gradable",
            )
            action.add_argument("--comment", default="", metavar="TEXT", help="on these grades")
        if name == "sheet":
            action.add_argument("-o", "--output", type=Path, required=True, metavar="FILE")
        if name == "import":
            action.add_argument("file", type=Path, metavar="FILE")
    _of_study(actions, "status", "how far every grader has come", _status)
    close = _of_study(actions, "close", "end the grading for good", _close)
    close.add_argument(
        "--incomplete", action="store_true", help="although grades are missing; the report says so"
    )
    report = _of_study(actions, "report", "tables and a page of a closed study", _report)
    report.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")


def _of_study(
    actions: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    text: str,
    run: object,
) -> argparse.ArgumentParser:
    action = actions.add_parser(name, help=text)
    action.add_argument("study", type=Path, metavar="STUDY", help="the study's folder")
    action.set_defaults(run=run)
    return action


def _next(args: argparse.Namespace) -> int:
    from parotid_brachy.lib.evaluation.grading.ledger import Ledger
    from parotid_brachy.lib.evaluation.grading.progress import progress_of

    study = _study(args)
    progress = progress_of(study, args.grader)
    if progress.next_item is None:
        print(f"all {progress.items} items are graded")
        return 0
    item = study.item(progress.next_item)
    given = Ledger(study).current(args.grader)
    is_open = [s.name for s in study.structures if (item.id, s.name) not in given]
    print(f"item {item.id} ({progress.items_done} of {progress.items} done)")
    print(f"map {study.map_of(item)}")
    print(f"image {study.image_of(item)}")
    print(f"pictures {study.picture_of(item, 0)} and the {len(item.pictures) - 1} after it")
    print(f"to grade: {' '.join(is_open)}")
    return 0


def _enter(args: argparse.Namespace) -> int:
    from parotid_brachy.lib.evaluation.grading.ledger import Ledger

    study = _study(args)
    grades = [_grade(args.item, text, args.comment) for text in args.grades]
    Ledger(study).add(args.grader, grades)
    print(f"item {args.item}: {len(grades)} grades kept")
    return 0


def _grade(item: str, text: str, comment: str) -> Grade:
    from parotid_brachy.lib.evaluation.grading.grades import Grade

    structure, _, value = text.partition("=")
    if value.startswith("na:"):
        return Grade(item=item, structure=structure, grade=None, reason=value[3:], comment=comment)
    if value not in {"0", "1", "2", "3"}:
        message = f"{text[:60]!r}: give STRUCTURE=0 to 3, or STRUCTURE=na:REASON"
        raise UsageError(message)
    return Grade(item=item, structure=structure, grade=int(value), comment=comment)


def _sheet(args: argparse.Namespace) -> int:
    from parotid_brachy.lib.evaluation.grading.sheets import sheet_csv
    from parotid_brachy.lib.imaging.atomic import write_atomically

    study = _study(args)
    try:
        write_atomically(args.output, sheet_csv(study, args.grader))
    except OSError as error:
        message = f"{args.output}: cannot be written ({error})"
        raise UsageError(message) from error
    print(f"{args.output}: {len(study.items)} items")
    return 0


def _import(args: argparse.Namespace) -> int:
    from parotid_brachy.lib.evaluation.grading.ledger import Ledger
    from parotid_brachy.lib.evaluation.grading.sheets import read_sheet

    study = _study(args)
    grades = read_sheet(args.file)
    kept = Ledger(study).add(args.grader, grades)
    print(f"{args.file}: {len(grades)} grades, {kept} of them new")
    return 0


def _status(args: argparse.Namespace) -> int:
    from parotid_brachy.lib.evaluation.grading.ledger import Ledger
    from parotid_brachy.lib.evaluation.grading.progress import progress_of

    study = _study(args)
    for grader in study.graders:
        progress = progress_of(study, grader)
        print(
            f"{grader}: {progress.items_done} of {progress.items} items, "
            f"{progress.grades} of {progress.grades_wanted} grades"
        )
    closing = Ledger(study).closing()
    if closing is None:
        print("open")
    else:
        print(f"closed by {closing.by} at {closing.at}")
    return 0


def _close(args: argparse.Namespace) -> int:
    from parotid_brachy.lib.cli.actor import person_at_the_keyboard
    from parotid_brachy.lib.evaluation.grading.ledger import Ledger
    from parotid_brachy.lib.evaluation.grading.study import read_key

    study = _study(args)
    read_key(study)  # a study that cannot be unmasked is better left open
    closing = Ledger(study).close(person_at_the_keyboard().name, incomplete=args.incomplete)
    left = "; grades are missing" if closing.is_incomplete else ""
    print(f"closed at {closing.at}{left}")
    return 0


def _report(args: argparse.Namespace) -> int:
    from parotid_brachy.lib.evaluation.grading.results import unmask
    from parotid_brachy.lib.report.grading_page import REPORT, write_grading_report

    results = unmask(_study(args))
    write_grading_report(results, args.output)
    print(f"{args.output / REPORT}: {len(results.grades)} grades, {results.cases} cases")
    return 0


def _study(args: argparse.Namespace) -> Study:
    from parotid_brachy.lib.evaluation.grading.study import read_study

    return read_study(args.study)
