"""What experiment tracking is told of a step: settings, curves, and what the gate said."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from parotid_brachy.lib.retraining.job import Job
from parotid_brachy.lib.retraining.job_status import StepResult
from parotid_brachy.lib.retraining.snapshot import Snapshot
from parotid_brachy.lib.retraining.tracking import Outcome, Tracking
from parotid_brachy.lib.review.splits import Part
from parotid_brachy.lib.segmentation.presets import Preset
from parotid_brachy.lib.segmentation.progress import Progress

EXPERIMENTS: Final = "experiments"
"""Within the version store's folder: ``mlflow.db``, and ``tensorboard/`` with a folder a run."""


def begin_tracking(store_folder: Path, job: Job, preset: Preset, snapshot: Snapshot) -> Tracking:
    """Begins a step's run, or goes on with it."""
    folder = store_folder / EXPERIMENTS
    key = f"{job.id}-{preset.step.value}"
    choice = job.choice
    return Tracking.begin(
        folder,
        experiment=f"parotid_brachy {preset.step.value}",
        run_name=job.id,
        key=key,
        parameters={
            "task": choice.task.value,
            "preset": preset.name,
            "beginning": choice.beginning.value,
            "epochs": choice.epochs or preset.epochs,
            "iterations": choice.iterations or preset.iterations,
            "initial_lr": preset.initial_lr,
            "optimiser": preset.optimiser.value,
            "batch_size": preset.batch_size,
            "virtual_surgery": str(preset.virtual_surgery),
            "field_of_view": str(preset.field_of_view),
            "seed": choice.seed,
            "snapshot_sha256": snapshot.sha256,
            **{f"{part.value}_patients": len(snapshot.patients(part)) for part in Part},
        },
        tensorboard=folder / "tensorboard" / key,
    )


def track_epoch(tracking: Tracking, progress: Progress) -> None:
    """Notes an epoch."""
    tracking.epoch(
        progress.epoch,
        {
            "train_loss": progress.train_loss,
            "validation_loss": progress.validation_loss,
            "learning_rate": progress.learning_rate,
            "seconds": progress.seconds,
            **{f"dice/{name}": value for name, value in progress.dice.items()},
        },
    )


def end_tracking(tracking: Tracking, result: StepResult) -> None:
    """Notes how the candidate compared, and what became of it."""
    rows: list[Mapping[str, Any]] = [] if result.comparison is None else result.comparison["rows"]
    metrics = {
        f"gate/{who}_dsc/{row['structure']}": float(row[f"{who}_dsc"])
        for row in rows
        for who in ("champion", "candidate")
        if row[f"{who}_dsc"] is not None
    }
    tags = {
        "version": result.version,
        "champion": result.champion or "none",
        "promoted": str(result.promoted),  # why is the journal's to say: it names cases
    }
    tracking.end(Outcome.FINISHED, tags=tags, metrics=metrics)
