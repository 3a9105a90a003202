"""``parotid phantom``: synthetic head CTs with the truth of all seven structures."""

from __future__ import annotations

import argparse
from pathlib import Path

_RANDOM, _NONE = "random", "none"


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "phantom",
        help="draw synthetic head CTs with truth",
        description=(
            "Draws synthetic head CTs from anatomy: OUTPUT/<case>.nii.gz or OUTPUT/<case>/*.dcm, "
            "the truth in OUTPUT/labels/{left,right}_{full,roi17}/<case>.nii.gz and what was drawn "
            "in OUTPUT/labels/<case>.json. Case and image follow from the seed alone: "
            "--count 3 --seed 5 draws phantom_0005 to phantom_0007."
        ),
    )
    parser.add_argument("--count", type=int, default=1, metavar="N", help="how many (default 1)")
    parser.add_argument(
        "--seed", type=int, default=1, metavar="S", help="the first one's seed (default 1)"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--format", choices=("nifti", "dicom"), default="nifti", help="of the images"
    )
    parser.add_argument(
        "--after-surgery",
        choices=("left", "right", _NONE, _RANDOM),
        default=_RANDOM,
        metavar="SIDE",
        help="operated side: left, right or none (default: by seed, 70 %% operated)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Draws and writes all phantoms that were asked for."""
    from tqdm import tqdm

    from parotid_brachy.lib.anatomy import Side
    from parotid_brachy.lib.errors import UsageError
    from parotid_brachy.lib.phantom.draw import draw_phantom
    from parotid_brachy.lib.phantom.files import ImageFormat, write_phantom
    from parotid_brachy.lib.phantom.sampling import random_operated_side

    if args.count < 1:
        raise UsageError(f"--count {args.count}: at least 1 phantom is needed")
    if args.seed < 0:
        raise UsageError(f"--seed {args.seed}: a seed is 0 or more")
    try:
        args.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--output {args.output}: {error.strerror}; choose a folder") from error
    for seed in tqdm(range(args.seed, args.seed + args.count), unit="phantom", disable=None):
        if args.after_surgery == _RANDOM:
            side = random_operated_side(seed)
        else:
            side = None if args.after_surgery == _NONE else Side(args.after_surgery)
        phantom = draw_phantom(seed, after_surgery=side)
        write_phantom(phantom, args.output, ImageFormat(args.format))
    return 0
