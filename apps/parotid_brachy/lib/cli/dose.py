"""``parotid dose``: dose of a seed implant to the structures of label maps."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from parotid_brachy.lib.cli.evaluate import parse_methods
from parotid_brachy.lib.errors import UsageError

if TYPE_CHECKING:
    from parotid_brachy.lib.dosimetry.seed_model import SeedModel


_CUTS: Final = ("reference", "both", "none")


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "dose",
        help="dose of a seed implant to the contoured structures",
        description="Calculates the TG-43 dose of a permanent seed implant and the dose-volume "
        "histograms of label maps under it: of one case (--image, --seeds, --labels), or of a "
        "cohort (--cohort DIR with images/, labels/NAME/ and, where there are plans, seeds/). A "
        "case of a cohort without a plan gets one for study purposes. Research use only.",
    )
    parser.add_argument("--image", type=Path, metavar="CT", help="a CT, file or DICOM folder")
    parser.add_argument(
        "--seeds", type=Path, metavar="CSV|RTPLAN", help="the seeds, as a table or a DICOM plan"
    )
    parser.add_argument(
        "--labels", nargs="+", default=(), metavar="NAME=MAP", help="label maps on the CT's grid"
    )
    parser.add_argument("--cohort", type=Path, metavar="DIR", help="a folder of many cases")
    parser.add_argument(
        "--reference",
        metavar="NAME",
        help="the contours that others are compared with, and that plans are laid in "
        "(default: manual, or else the first)",
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="where the results go"
    )
    parser.add_argument(
        "--spacing-mm", type=float, default=1.0, metavar="MM", help="of the dose grid (default: 1)"
    )
    parser.add_argument(
        "--prescription-gy",
        type=float,
        metavar="GY",
        help="for V100 and for plans that are made here (default for these: 120)",
    )
    parser.add_argument(
        "--seed-model",
        metavar="NAME|JSON",
        help="of the seeds (default: what a DICOM plan says; of a table 6711)",
    )
    parser.add_argument(
        "--whole-organs",
        action="store_true",
        help="with --cohort: the same as --cut none",
    )
    parser.add_argument(
        "--cut",
        nargs="+",
        choices=_CUTS,
        metavar="WHERE",
        help="with --cohort: organs at risk of all contours end 17 mm from the reference's gland "
        "(reference, the default), from every set's gland (both), or as they are contoured (none); "
        "several give a table each",
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=os.cpu_count() or 1,
        metavar="N",
        help="with --cohort: processes (default: one for each processor)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Calculates; 0 if everything was done, 1 if a case was refused.

    Raises:
        UsageError: options that do not belong together, or a missing folder.
        ParotidBrachyError: the one case that was asked for is refused.
    """
    from parotid_brachy.lib.dosimetry.dvh import require_prescription
    from parotid_brachy.lib.dosimetry.seed_model import load_seed_model

    is_single = args.image is not None or args.seeds is not None or bool(args.labels)
    if (args.cohort is None) != is_single:
        message = "give either --image, --seeds and --labels, or --cohort"
        raise UsageError(message)
    if is_single and (args.image is None or args.seeds is None or not args.labels):
        message = "one case needs --image, --seeds and --labels"
        raise UsageError(message)
    if args.whole_organs and args.cut:
        message = "--whole-organs is --cut none; give one of them"
        raise UsageError(message)
    if args.jobs < 1:
        message = f"--jobs {args.jobs}: give 1 or more"
        raise UsageError(message)
    require_prescription(args.prescription_gy)
    model = None if args.seed_model is None else load_seed_model(args.seed_model)
    try:
        args.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{args.output} cannot be written to ({error}).") from error
    return _one(args, model) if is_single else _cohort(args, model)


def _one(args: argparse.Namespace, model: SeedModel | None) -> int:
    from parotid_brachy.lib.report.dose_folder import DoseCase, DoseOptions, write_case

    labels = parse_methods(args.labels, option="--labels", of="MAP")
    case = DoseCase("case", args.image, args.seeds, labels)
    options = DoseOptions(model, args.spacing_mm, args.prescription_gy)
    scores = write_case(case, options, args.output)
    partial = [
        f"{one.name} {one.structure.name}" for one in scores if one.dvh and one.dvh.is_partial
    ]
    if partial:
        print(f"parotid: not wholly in the dose grid: {', '.join(partial)}", file=sys.stderr)
    print(f"{args.output / 'dvh.csv'}: {len(scores)} structures")
    return 0


def _cohort(args: argparse.Namespace, model: SeedModel | None) -> int:
    from tqdm import tqdm

    from parotid_brachy.lib.dosimetry.reach_cut import DoseCut
    from parotid_brachy.lib.report.dose_cohort import find_cohort, write_cohort
    from parotid_brachy.lib.report.dose_folder import DoseOptions

    words = ("none",) if args.whole_organs else args.cut or _CUTS[:1]
    cuts = tuple(DoseCut(word) for word in dict.fromkeys(words))
    cohort = replace(find_cohort(args.cohort, args.reference), cuts=cuts, jobs=args.jobs)
    if args.output.resolve() == args.cohort.resolve():
        message = f"{args.output} is the input. Choose another output folder"
        raise UsageError(message)
    options = DoseOptions(model, args.spacing_mm, args.prescription_gy)
    total = len(cohort.cases.keys() - cohort.ambiguous)
    with tqdm(total=total, unit="case", disable=None, file=sys.stderr) as bar:
        problems = write_cohort(cohort, options, args.output, bar.update)
    for problem in problems:
        print(f"parotid: {problem.message}", file=sys.stderr)
    done = len(cohort.cases.keys() - {problem.case for problem in problems})
    print(f"{args.output / 'report.html'}: {done} of {len(cohort.cases)} cases without a fault")
    return 1 if problems else 0
