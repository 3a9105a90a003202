"""How far a retraining has come."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timezone
from typing import Any

from parotid_brachy.lib.segmentation.presets import Step


class JobState(enum.Enum):
    """Where a job is."""

    QUEUED = "queued"
    RUNNING = "running"
    STOPPED = "stopped"
    """Somebody stopped it; it can be continued."""
    FAILED = "failed"
    """It can be continued once the reason is removed."""
    DONE = "done"

    @property
    def is_open(self) -> bool:
        """Whether it will go on by itself."""
        return self in {JobState.QUEUED, JobState.RUNNING}


class Phase(enum.Enum):
    """What a running job is doing for a step."""

    SNAPSHOT = "snapshot"
    FINDING_GLANDS = "finding_glands"
    SAMPLING = "sampling"
    TRAINING = "training"
    COMPARING = "comparing"


@dataclass(frozen=True)
class StepResult:
    """What became of one step.

    Attributes:
        step: which model.
        version: name of the candidate, in the registry.
        champion: name of the version that served before; None: none did.
        promoted: whether the candidate serves now.
        reasons: the gate's.
        comparison: the gate's table as JSON values; None: there was no champion.
    """

    step: Step
    version: str
    champion: str | None
    promoted: bool
    reasons: tuple[str, ...]
    comparison: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class JobStatus:
    """How far a job has come; written by whoever holds the job's lock.

    Attributes:
        state: where it is.
        progress: of the whole job, 0 to 1.
        step: at work.
        phase: of that step.
        epoch: epochs of that step that are done.
        epochs: epochs of that step in all.
        learning_rate: of the last epoch.
        train_loss: likewise.
        validation_loss: likewise.
        dice: per structure, over the validation patches of the last epoch.
        seconds_left: of the training at work, at the mean speed so far.
        message: for a person: why it waits, stopped or failed.
        results: of the steps that are done.
        begun_at: when it first ran, in UTC.
        ended_at: when it was done, stopped or failed.
        updated_at: when this was written.
        pid: of the trainer's process, and of its group.
        deaths: how often in a row the trainer died without an epoch done.
        batch_size: patches per iteration, where the preset's did not fit into memory.
        wants_smaller_batch: the machine ran out of memory.
        oom_kills: of the kernel, when the trainer was started.
    """

    state: JobState = JobState.QUEUED
    progress: float = 0.0
    step: Step | None = None
    phase: Phase | None = None
    epoch: int = 0
    epochs: int = 0
    learning_rate: float | None = None
    train_loss: float | None = None
    validation_loss: float | None = None
    dice: Mapping[str, float] = field(default_factory=dict)
    seconds_left: float | None = None
    message: str = ""
    results: tuple[StepResult, ...] = ()
    begun_at: datetime | None = None
    ended_at: datetime | None = None
    updated_at: datetime | None = None
    pid: int | None = None
    deaths: int = 0
    batch_size: int | None = None
    wants_smaller_batch: bool = False
    oom_kills: int | None = None

    def to_json(self) -> dict[str, Any]:
        """JSON values, of which :meth:`from_json` makes the same status."""
        return {one.name: _plain(getattr(self, one.name)) for one in fields(self)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> JobStatus:
        """The status of which :meth:`to_json` made these values.

        Raises:
            KeyError, TypeError, ValueError: they are no status.
        """
        changed = {
            "state": JobState(values["state"]),
            "step": _or_none(Step, values["step"]),
            "phase": _or_none(Phase, values["phase"]),
            "results": tuple(
                StepResult(**{**one, "step": Step(one["step"]), "reasons": tuple(one["reasons"])})
                for one in values["results"]
            ),
            **{
                name: _or_none(datetime.fromisoformat, values[name])
                for name in ("begun_at", "ended_at", "updated_at")
            },
        }
        return cls(**{**values, **changed})


def now_utc() -> datetime:
    """This moment."""
    return datetime.now(timezone.utc)


def _or_none(make: Any, value: Any) -> Any:
    return None if value is None else make(value)


def _plain(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, StepResult):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return dict(value) if isinstance(value, Mapping) else value
