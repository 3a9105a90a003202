"""Who is told how far a step is."""

from __future__ import annotations

from typing import Protocol

from parotid_brachy.lib.retraining.job_status import Phase
from parotid_brachy.lib.segmentation.progress import Progress


class StoppedError(Exception):
    """Somebody wants the job to stop."""


class Watcher(Protocol):
    """Who is told how far a step is, and may end it by raising."""

    def in_phase(self, phase: Phase, share: float) -> None:
        """Told the phase, and how much of it is done, 0 to 1."""

    def after_epoch(self, progress: Progress) -> None:
        """Told of each epoch."""

    def before_iteration(self) -> None:
        """Asked before each iteration."""
