"""The retrainings of one server: what clients may ask for, and what they are told."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from parotid_brachy.lib.errors import ModelRefusedError, ParotidBrachyError
from parotid_brachy.lib.retraining.job import JobPolicy, Task
from parotid_brachy.lib.retraining.job_folder import JobFolder
from parotid_brachy.lib.retraining.job_queue import JobQueue
from parotid_brachy.lib.retraining.job_status import JobState
from parotid_brachy.lib.retraining.preset_choice import preset_that_serves
from parotid_brachy.lib.review.roles import Reader
from parotid_brachy.lib.segmentation.presets import Step
from parotid_brachy.lib.segmentation.registry import Registry
from parotid_brachy.lib.trainers.options import parse_choice, shown_options

_LOG_LINES: Final = 20
_WORDS: Final = {
    JobState.QUEUED: "SUBMITTED",
    JobState.RUNNING: "RUNNING",
    JobState.STOPPED: "STOPPED",
    JobState.FAILED: "ERROR",
    JobState.DONE: "DONE",
}
"""The states in MONAI Label's words."""


class Retraining:
    """What train tasks and routes have in common.

    Args:
        queue: of the trainings.
        registry: of the model versions.
        policy: what the team has agreed on.
    """

    def __init__(self, queue: JobQueue, registry: Registry, policy: JobPolicy) -> None:
        self.queue = queue
        self.policy = policy
        self._registry = registry

    def preset_of(self, task: Task) -> str:
        """The preset that serves, else the default."""
        return preset_that_serves(self._registry, task)

    def options(self, task: Task) -> dict[str, Any]:
        """The options that clients show."""
        return shown_options(task, self.preset_of(task))

    def start(
        self,
        task: Task,
        request: Mapping[str, Any],
        asked_by: Reader,
        *,
        enqueue: bool,
        why: str = "",
    ) -> JobFolder:
        """Asks for a training and starts it, if the device is free.

        Raises:
            UsageError: an option is nonsense.
            ConflictError: another training runs or waits, and this one may not wait.
        """
        choice = parse_choice(task, request, default_preset=self.preset_of(task))
        folder = self.queue.add(choice, self.policy, asked_by, enqueue=enqueue, why=why)
        self.queue.look_after()
        return folder

    def stats(self, task: Task) -> dict[str, Any]:
        """What clients draw progress and accuracy from, in MONAI Label's words.

        While any training runs it is that one's, since 3D Slicer shows one task's only.
        """
        jobs = self.queue.jobs()
        running = [job for job in jobs if job.status.state is JobState.RUNNING]
        own = [job for job in jobs if job.job.choice.task is task]
        accuracy = self._accuracy(task)
        best = {} if accuracy is None else {"best_metric": accuracy}
        shown = next(iter(running[-1:] or own[-1:]), None)
        if shown is None:
            return best
        status = shown.status
        begun = status.begun_at or shown.job.asked_at
        ended = {"total_time": str(status.ended_at - begun)} if status.ended_at else {}
        return {
            "version": shown.id,
            "model": shown.job.choice.task.value,
            "start_ts": _local(begun),
            "epoch": status.epoch,
            "total_epochs": max(1, status.epochs),
            "train": {"loss": status.train_loss, "learning_rate": status.learning_rate},
            "eval": {"loss": status.validation_loss, **status.dice},
            **best,
            **ended,
        }

    def _accuracy(self, task: Task) -> float | None:
        """Mean DSC of the champions on the validation patients, as their gate found it."""
        means = [self._accuracy_of(step) for step in task.steps]
        known = [mean for mean in means if mean is not None]
        return round(sum(known) / len(known), 4) if known else None

    def _accuracy_of(self, step: Step) -> float | None:
        try:
            metrics = self._registry.champion(step).manifest.get("metrics")
        except (ParotidBrachyError, ModelRefusedError):
            return None
        decision = metrics.get("decision") if isinstance(metrics, Mapping) else None
        table = decision.get("comparison") if isinstance(decision, Mapping) else None
        rows = table.get("rows", []) if isinstance(table, Mapping) else []
        values = [row["candidate_dsc"] for row in rows if row.get("candidate_dsc") is not None]
        return sum(values) / len(values) if values else None


def task_values(folder: JobFolder) -> dict[str, Any]:
    """A job as MONAI Label's clients know background tasks."""
    job, status = folder.job, folder.status
    request = {"model": job.choice.task.value, **job.to_json()["choice"]}
    ended = {"end_ts": _local(status.ended_at)} if status.ended_at else {}
    return {
        "id": folder.id,
        "status": _WORDS[status.state],
        "request": request,
        "start_ts": _local(status.begun_at or job.asked_at),
        **ended,
        "details": [*log_tail(folder, _LOG_LINES), *filter(None, (status.message,))],
    }


def log_tail(folder: JobFolder, lines: int) -> list[str]:
    """The last lines of what a trainer said."""
    try:
        with folder.log.open(encoding="utf-8", errors="replace") as log:
            return [line.rstrip() for line in deque(log, maxlen=lines)]
    except OSError:
        return []


def _local(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"
