"""Retrainings as clients get them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from parotid_brachy.lib.retraining.job_folder import JobFolder


class StepResultRow(BaseModel):
    """What became of one step of a job."""

    model_config = ConfigDict(from_attributes=True)

    step: str
    version: str
    champion: str | None
    promoted: bool
    reasons: list[str]
    comparison: dict[str, Any] | None


class JobRow(BaseModel):
    """A job: what was asked for, and how far it is."""

    id: str
    task: str
    preset: str
    state: str
    progress: float
    step: str | None
    phase: str | None
    epoch: int
    epochs: int
    learning_rate: float | None
    train_loss: float | None
    validation_loss: float | None
    dice: dict[str, float]
    seconds_left: float | None
    message: str
    why: str
    asked_by: str
    asked_at: datetime
    begun_at: datetime | None
    ended_at: datetime | None
    results: list[StepResultRow]

    @classmethod
    def of(cls, folder: JobFolder) -> JobRow:
        """What is on disk."""
        job, status = folder.job, folder.status
        told = status.to_json()
        own = {name: told[name] for name in cls.model_fields if name in told}
        return cls(
            **own,
            id=folder.id,
            task=job.choice.task.value,
            preset=job.choice.preset,
            why=job.why,
            asked_by=job.asked_by.name,
            asked_at=job.asked_at,
        )


class JobDetail(JobRow):
    """A job with all that was chosen and the end of its log."""

    choice: dict[str, Any]
    policy: dict[str, Any]
    log: list[str]
