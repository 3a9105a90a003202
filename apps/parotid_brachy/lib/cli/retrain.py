"""``parotid retrain``: what ``POST /train/`` does, without a server."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from parotid_brachy.lib.cli.models import SHIPPED
from parotid_brachy.lib.cli.store import add_store_options

if TYPE_CHECKING:
    from parotid_brachy.lib.retraining.job import Job, JobPolicy, TrainingChoice
    from parotid_brachy.lib.retraining.job_folder import JobFolder
    from parotid_brachy.lib.retraining.job_queue import JobQueue
    from parotid_brachy.lib.retraining.job_status import JobStatus

_TASKS: Final = ("two_step", "parotid_gland", "organs_at_risk", "one_step")
_PAUSE_S: Final = 0.5


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "retrain",
        help="train on the approved contours of a folder of studies",
        description=(
            "Takes a snapshot of the approved contours, trains on it, compares the result with "
            "the version that serves on the fixed validation patients, and promotes it if it "
            "passes the gate. A server over the same folder may run; both share one queue. "
            "Ctrl-C stops the training; --resume goes on with it."
        ),
    )
    add_store_options(parser)
    parser.add_argument(
        "--models", type=Path, default=SHIPPED, metavar="DIR", help="registry (default: the app's)"
    )
    parser.add_argument("--task", choices=_TASKS, default="two_step", help="default: two_step")
    parser.add_argument("--preset", metavar="NAME", help="default: the preset that serves")
    parser.add_argument("--epochs", type=int, metavar="N", help="default: the preset's")
    parser.add_argument(
        "--iterations", type=int, metavar="N", help="per epoch; default: the preset's"
    )
    parser.add_argument(
        "--from-scratch", action="store_true", help="begin with random weights, not the champion's"
    )
    for name, what in (
        ("virtual-surgery", "take away part of the gland in some patches"),
        ("field-of-view", "let the scan end inside some patches"),
    ):
        parser.add_argument(
            f"--{name}", action=argparse.BooleanOptionalAction, help=f"{what} (default: preset's)"
        )
    parser.add_argument(
        "--folds",
        type=int,
        default=3,
        metavar="N",
        help="networks that find the glands of patients whom every version has seen (default 3)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument(
        "--allow-initial",
        action="store_true",
        help="train on initial contours too, where nothing is approved yet",
    )
    parser.add_argument(
        "--fewest-validation-patients",
        type=int,
        default=3,
        metavar="N",
        help="promote nothing by itself on fewer (default 3)",
    )
    parser.add_argument(
        "--margin-dsc",
        type=float,
        default=0.01,
        metavar="X",
        help="by how much a structure's mean DSC may be lower (default 0.01)",
    )
    parser.add_argument(
        "--keep", type=int, default=5, metavar="N", help="old candidates to keep (default 5)"
    )
    parser.add_argument(
        "--no-promote", action="store_true", help="leave every promotion to a person"
    )
    parser.add_argument("--resume", metavar="JOB", help="go on with a job that stopped or failed")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Trains; returns the exit code: 0 done, 1 stopped or failed."""
    from contextlib import closing

    from parotid_brachy.lib.cli.actor import person_at_the_keyboard
    from parotid_brachy.lib.cli.store import existing_store
    from parotid_brachy.lib.retraining.job_queue import JobQueue, Trainers

    with closing(existing_store(args)) as store:
        folder = store.folder.resolve()
    trainers = Trainers(args.studies.resolve(), args.models.resolve(), args.database, niceness=0)
    queue = JobQueue(folder, trainers)
    actor = person_at_the_keyboard()
    if args.resume is None:
        job = queue.add(_choice(args), _policy(args), actor)
    else:
        queue.resume(args.resume)
        job = queue.job(args.resume)
    try:
        status = _follow(queue, job)
    except KeyboardInterrupt:
        sys.stderr.write(f"\nstopping; go on with --resume {job.id}\n")
        queue.stop(job.id, actor.name)
        status = _follow(queue, job)
    return _told(job.job, status)


def _choice(args: argparse.Namespace) -> TrainingChoice:
    from parotid_brachy.lib.retraining.job import Beginning, Task, TrainingChoice
    from parotid_brachy.lib.retraining.preset_choice import preset_that_serves
    from parotid_brachy.lib.segmentation.registry import Registry

    task = Task(args.task)
    return TrainingChoice(
        task=task,
        preset=args.preset or preset_that_serves(Registry(args.models), task),
        epochs=args.epochs,
        iterations=args.iterations,
        beginning=Beginning.SCRATCH if args.from_scratch else Beginning.CHAMPION,
        virtual_surgery=args.virtual_surgery,
        field_of_view=args.field_of_view,
        folds=args.folds,
        seed=args.seed,
    )


def _policy(args: argparse.Namespace) -> JobPolicy:
    from parotid_brachy.lib.retraining.gate import GatePolicy
    from parotid_brachy.lib.retraining.job import JobPolicy
    from parotid_brachy.lib.retraining.snapshot import SnapshotPolicy

    return JobPolicy(
        snapshot=SnapshotPolicy(allows_initial=args.allow_initial),
        gate=GatePolicy(
            margin_dsc=args.margin_dsc, fewest_patients=args.fewest_validation_patients
        ),
        promotes=not args.no_promote,
        keep=args.keep,
    )


def _follow(queue: JobQueue, folder: JobFolder) -> JobStatus:
    """Looks after the queue until the job has ended, with a bar on stderr."""
    from tqdm import tqdm

    with tqdm(
        total=100.0, file=sys.stderr, bar_format="{l_bar}{bar}| {elapsed}{postfix}", leave=False
    ) as bar:
        while True:
            queue.look_after()
            status = folder.status
            bar.set_description(_phase(status))
            bar.n = round(100 * status.progress, 1)
            bar.set_postfix_str(_numbers(status))
            if not status.state.is_open:
                return status
            time.sleep(_PAUSE_S)


def _phase(status: JobStatus) -> str:
    parts = [status.state.value]
    if status.step is not None:
        parts.append(status.step.value)
    if status.phase is not None:
        parts.append(status.phase.value)
    return " ".join(parts)


def _numbers(status: JobStatus) -> str:
    if not status.epochs or status.train_loss is None:
        return ""
    dice = " ".join(f"{name} {value:.2f}" for name, value in status.dice.items())
    left = "" if status.seconds_left is None else f", {status.seconds_left / 60:.0f} min left"
    return f"epoch {status.epoch}/{status.epochs}{left}, loss {status.train_loss:.3f}, DSC {dice}"


def _told(job: Job, status: JobStatus) -> int:
    for result in status.results:
        verdict = "serves now" if result.promoted else "does not serve"
        sys.stdout.write(f"{result.step.value}/{result.version}: {verdict}\n")
        sys.stdout.writelines(f"  {reason}\n" for reason in result.reasons)
    if status.state.value != "done":
        sys.stderr.write(f"training {job.id} {status.state.value}: {status.message}\n")
        return 1
    return 0
