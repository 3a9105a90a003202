"""``parotid compare``: the two steps against the other networks, on one split."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.segmentation.presets import TWO_STEP_PRESET_NAMES

if TYPE_CHECKING:
    from parotid_brachy.lib.comparison.run import Comparison

_METHODS: Final = ("two_step", "one_step", "unet3d", "vnet")


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "compare",
        help="train the methods on the same cases and compare them on others",
        description="Trains the two-step method, the segmentation-only nnU-Net, a 3D U-Net and a "
        "V-Net on the same cases, labels the same test cases with each, and writes the report of "
        "'parotid evaluate' with what each cost (cost.csv). Stop it with Ctrl-C; the same call "
        "goes on.",
    )
    parser.add_argument(
        "--images", type=Path, required=True, metavar="DIR", help="CTs, CASE.nii.gz"
    )
    parser.add_argument(
        "--labels",
        type=Path,
        required=True,
        metavar="DIR",
        help="label maps, CASE.nii.gz, or left_full/ and right_full/ with such files",
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="where everything goes"
    )
    parser.add_argument(
        "--methods",
        nargs="+",
        choices=_METHODS,
        default=_METHODS,
        metavar="METHOD",
        help=f"of {', '.join(_METHODS)} (default: all); the others are tested against the first",
    )
    parser.add_argument(
        "--preset",
        choices=TWO_STEP_PRESET_NAMES,
        default="compact",
        help="of two_step and one_step (default: compact)",
    )
    parser.add_argument("--epochs", type=int, metavar="N", help="default: the presets'")
    parser.add_argument(
        "--iterations", type=int, metavar="N", help="per epoch; default: the presets'"
    )
    parser.add_argument(
        "--test",
        nargs="+",
        default=(),
        metavar="CASE",
        help="cases to test on, and not to train on (default: a share, drawn by the seed)",
    )
    parser.add_argument(
        "--test-share",
        type=float,
        default=0.3,
        metavar="SHARE",
        help="share of the patients to test on (default: 0.3)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument(
        "--processes",
        type=int,
        default=0,
        metavar="N",
        help="worker processes for augmentation (default: 0, reproducible)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Compares; 0 if everything was done, 1 if a test case was refused by a method.

    Raises:
        UsageError: an option that makes no sense.
        ConflictError: the output folder holds another comparison.
        TrainingError: a method cannot be trained.
    """
    from parotid_brachy.lib.comparison.methods import Method
    from parotid_brachy.lib.comparison.run import ComparisonPlan, compare

    _check(args)
    plan = ComparisonPlan(
        images=args.images,
        labels=args.labels,
        output=args.output,
        methods=tuple(Method(name) for name in args.methods),
        nnunet_preset=args.preset,
        test=tuple(args.test),
        test_share=args.test_share,
        epochs=args.epochs,
        iterations=args.iterations,
        seed=args.seed,
        processes=args.processes,
    )
    return _report(compare(plan, _tell), args.output)


def _check(args: argparse.Namespace) -> None:
    for name, least in (("epochs", 1), ("iterations", 1), ("seed", 0), ("processes", 0)):
        value = getattr(args, name)
        if value is not None and not least <= value < 2**32:
            message = f"--{name} {value}: give {least} or more"
            raise UsageError(message)
    if not 0 < args.test_share < 1:  # NaN fails too
        message = f"--test-share {args.test_share}: give a number between 0 and 1"
        raise UsageError(message)


def _tell(what: str, told: Any) -> None:
    """A line for each thing that is done; cases that are sampled only now and then."""
    from parotid_brachy.lib.comparison.work import Labelled, Sampled
    from parotid_brachy.lib.segmentation.progress import Progress

    if isinstance(told, Progress):
        dice = " ".join(f"{name} {value:.2f}" for name, value in told.dice.items())
        line = (
            f"epoch {told.epoch}/{told.epochs}, {told.seconds_left / 60:.0f} min left, "
            f"loss {told.train_loss:.3f}, DSC {dice}"
        )
    elif isinstance(told, Labelled):
        line = f"{told.name}: {told.refused or f'{told.seconds:.1f} s'}"
    elif isinstance(told, Sampled) and (told.done % 10 == 0 or told.done == told.total):
        line = f"{told.done} of {told.total} cases read"
    else:
        return
    print(f"{what}: {line}", file=sys.stderr, flush=True)


def _report(comparison: Comparison, output: Path) -> int:
    from parotid_brachy.lib.cli.evaluate import evaluate
    from parotid_brachy.lib.comparison.costs import costs_csv
    from parotid_brachy.lib.evaluation.cohort import match_cohort
    from parotid_brachy.lib.imaging.atomic import write_atomically
    from parotid_brachy.lib.report.cost_table import cost_section
    from parotid_brachy.lib.report.evaluation_folder import EvaluationOptions

    write_atomically(output / "cost.csv", costs_csv(comparison.costs))
    for reason in comparison.refused:
        print(f"parotid: {reason}", file=sys.stderr)
    options = EvaluationOptions(
        methods=tuple(comparison.predictions),
        jobs=os.cpu_count() or 1,
        images={one.name.casefold(): one.image for one in comparison.items},
        sections=cost_section(comparison.costs),
    )
    cohort = match_cohort(comparison.references, comparison.predictions)
    return evaluate(cohort, options, output)
