"""``parotid train``: trains one step from a folder of images and label maps."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from parotid_brachy.lib.segmentation.presets import PRESET_NAMES, Preset, Step, preset_for

if TYPE_CHECKING:
    from parotid_brachy.lib.segmentation.progress import Progress


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "train",
        help="train the gland, the organs-at-risk or the one-step model",
        description=(
            "Trains one step from a folder of CT images and a folder of label maps (values 1-7, "
            "see README); a contoured.json beside the maps may say which structures a case's map "
            "tells of: {case: [name, ...]}. Stop it with Ctrl-C; go on with --resume. The new "
            "model version lies in OUTPUT/version; 'parotid models add' takes it into the registry."
        ),
    )
    parser.add_argument(
        "--step", required=True, choices=[step.value for step in Step], help="which model"
    )
    parser.add_argument(
        "--images",
        required=True,
        action="append",
        type=Path,
        metavar="DIR",
        help="folder of <case>.nii.gz; may be given several times, with as many --labels",
    )
    parser.add_argument(
        "--labels",
        required=True,
        action="append",
        type=Path,
        metavar="DIR",
        help="folder of <case>.nii.gz, or of left_full/ and right_full/ with such files",
    )
    parser.add_argument("--output", required=True, type=Path, metavar="DIR")
    parser.add_argument(
        "--preset",
        default="compact",
        choices=PRESET_NAMES,
        help=(
            "compact (default; CPU), paper (the protocol's networks; GPU), or for the one step the "
            "protocol's comparisons unet3d and vnet"
        ),
    )
    parser.add_argument(
        "--virtual-surgery",
        action=argparse.BooleanOptionalAction,
        help="take away part of the gland in some patches (default: the preset's, not with paper)",
    )
    parser.add_argument(
        "--field-of-view",
        action=argparse.BooleanOptionalAction,
        help="let the scan end inside some patches (default: the preset's, not with paper)",
    )
    parser.add_argument("--epochs", type=_positive, metavar="N", help="default: the preset's")
    parser.add_argument(
        "--iterations", type=_positive, metavar="N", help="per epoch; default: the preset's"
    )
    parser.add_argument(
        "--start-from",
        type=Path,
        metavar="DIR",
        help="start with the weights of this version (its folder)",
    )
    parser.add_argument("--resume", action="store_true", help="go on from the last epoch")
    parser.add_argument(
        "--hold-out",
        action="append",
        default=[],
        metavar="CASE",
        help="a case that is not trained on; may be given several times",
    )
    parser.add_argument(
        "--repeat",
        action="append",
        default=[],
        type=_positive,
        metavar="N",
        help="how often the cases of a folder count; once per --images, in their order",
    )
    parser.add_argument(
        "--validation-share",
        type=_share,
        default=0.15,
        metavar="SHARE",
        help="share of the patients whose loss is only watched (default 0.15; 0: train on all)",
    )
    parser.add_argument(
        "--provenance",
        default="not stated",
        metavar="TEXT",
        help="what the data is and its licence, for the manifest",
    )
    parser.add_argument(
        "--processes",
        type=_not_negative,
        default=0,
        metavar="N",
        help="worker processes for augmentation (0: none, reproducible)",
    )
    parser.add_argument("--seed", type=_not_negative, default=0, metavar="N")
    parser.set_defaults(run=run)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        message = f"{text} is not a positive number"
        raise argparse.ArgumentTypeError(message)
    return value


def _not_negative(text: str) -> int:
    value = int(text)
    if not 0 <= value < 2**32:
        message = f"{text} is not in 0 ... 2^32 - 1"
        raise argparse.ArgumentTypeError(message)
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1:  # NaN fails too
        message = f"{text} is not in 0 ... 1"
        raise argparse.ArgumentTypeError(message)
    return value


def _preset(args: argparse.Namespace) -> Preset:
    preset = preset_for(args.preset, Step(args.step))
    for name in ("virtual_surgery", "field_of_view"):
        if getattr(args, name) is not None:
            preset = replace(preset, **{name: getattr(args, name)})
    return preset


def run(args: argparse.Namespace) -> int:
    """Trains; returns the exit code."""
    from tqdm import tqdm

    from parotid_brachy.lib.segmentation.training import TrainingPlan, train

    plan = TrainingPlan(
        preset=_preset(args),
        images=tuple(args.images),
        labels=tuple(args.labels),
        output=args.output,
        epochs=args.epochs,
        iterations=args.iterations,
        repeats=tuple(args.repeat),
        validation_share=args.validation_share,
        held_out=tuple(args.hold_out),
        provenance=args.provenance,
        start_from=args.start_from,
        processes=args.processes,
        seed=args.seed,
    )
    sampling = tqdm(unit="case", file=sys.stderr, desc="sampling", leave=False)

    def on_case(done: int, total: int) -> None:
        sampling.total = total
        sampling.update(done - sampling.n)

    def on_progress(progress: Progress) -> None:
        sampling.close()
        minutes = progress.seconds_left / 60
        dice = " ".join(f"{name} {value:.2f}" for name, value in progress.dice.items())
        tqdm.write(
            f"epoch {progress.epoch}/{progress.epochs}, {minutes:.0f} min left, "
            f"loss {progress.train_loss:.3f}, DSC {dice}",
            file=sys.stderr,
        )

    try:
        version = train(plan, resume=args.resume, on_progress=on_progress, on_case=on_case)
    except KeyboardInterrupt:
        sys.stderr.write(f"\nstopped; go on with --resume (output: {args.output})\n")
        return 1
    finally:
        sampling.close()
    sys.stdout.write(f"{version}\n")
    return 0
