"""The infer tasks of the app, in the order in which clients list them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from parotid_brachy.lib.infers.contours import ContoursTask
from parotid_brachy.lib.infers.models import WarmModels
from parotid_brachy.lib.infers.one_step import OneStepTask
from parotid_brachy.lib.infers.organs_at_risk import OrgansAtRiskTask
from parotid_brachy.lib.infers.parotid_gland import ParotidGlandTask
from parotid_brachy.lib.infers.task import LabelMapTask
from parotid_brachy.lib.infers.two_step import TwoStepTask
from parotid_brachy.lib.segmentation.backends import best_backend, best_device
from parotid_brachy.lib.segmentation.model import Model
from parotid_brachy.lib.segmentation.registry import ModelVersion, Registry

_TASKS: Final = (TwoStepTask, ParotidGlandTask, OrgansAtRiskTask, OneStepTask)


def warm_models(model_dir: Path) -> WarmModels[Model]:
    """The model versions in a folder, on the best device."""
    device = best_device()

    def load(version: ModelVersion) -> Model:
        return Model(version, device, best_backend(device))

    return WarmModels(Registry(model_dir), load)


def infer_tasks(models: WarmModels[Model]) -> dict[str, LabelMapTask]:
    """The tasks over model versions, the default first.

    A task without a model to serve is not shown to clients, and says why when it is asked for.
    """
    tasks: dict[str, LabelMapTask] = {task.name: task(models) for task in _TASKS}
    return {**tasks, ContoursTask.name: ContoursTask()}
