"""MONAI Label's train tasks: what clients list, choose options of, and start."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from monailabel.interfaces.tasks.train import TrainTask

from parotid_brachy.lib.errors import TrainingError
from parotid_brachy.lib.retraining.job import Task
from parotid_brachy.lib.retraining.job_status import JobState
from parotid_brachy.lib.review.roles import Reader, Role
from parotid_brachy.lib.trainers.retraining import Retraining

_SUMMARIES: Final = {
    Task.TWO_STEP: "Retrains both steps on approved contours: gland, then organs at risk",
    Task.PAROTID_GLAND: "Retrains the first step, the gland, on approved contours",
    Task.ORGANS_AT_RISK: "Retrains the second step, the organs at risk, on approved contours",
    Task.ONE_STEP: "Retrains the segmentation-only model on approved contours",
}
_PAUSE_S: Final = 1.0
_SERVER: Final = Reader("server", Role.ADMIN)


class RetrainingTask(TrainTask):
    """One of the trainings that clients may start.

    Args:
        task: what is trained.
        retraining: of the server.
    """

    def __init__(self, task: Task, retraining: Retraining) -> None:
        super().__init__(_SUMMARIES[task])
        self._task = task
        self._retraining = retraining

    def config(self) -> dict[str, Any]:
        """The options that clients show."""
        return self._retraining.options(self._task)

    def stats(self) -> dict[str, Any]:
        """Progress and accuracy."""
        return self._retraining.stats(self._task)

    def __call__(self, request: Mapping[str, Any], datastore: Any = None) -> dict[str, Any]:
        """Trains, and comes back when that has ended.

        Raises:
            TrainingError: it was stopped or has failed.
        """
        del datastore
        queue = self._retraining.queue
        folder = self._retraining.start(self._task, request, _SERVER, enqueue=True)
        while folder.status.state.is_open:
            time.sleep(_PAUSE_S)
            queue.look_after()
        status = folder.status
        if status.state is not JobState.DONE:
            message = f"training {folder.id}: {status.state.value}: {status.message}"
            raise TrainingError(message)
        return self.stats()


def train_tasks(retraining: Retraining) -> dict[str, RetrainingTask]:
    """The train tasks by name, the default first."""
    return {task.value: RetrainingTask(task, retraining) for task in Task}
