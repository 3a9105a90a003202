"""Which preset a task is trained with, where nobody has chosen."""

from __future__ import annotations

from typing import Final

from parotid_brachy.lib.errors import ParotidBrachyError
from parotid_brachy.lib.retraining.job import Task
from parotid_brachy.lib.segmentation.presets import PRESETS
from parotid_brachy.lib.segmentation.registry import Registry

_DEFAULT: Final = "compact"


def preset_names(task: Task) -> list[str]:
    """The presets that all steps of a task have."""
    names = dict.fromkeys(preset.name for preset in PRESETS)
    return [
        name
        for name in names
        if all(any(p.name == name and p.step is step for p in PRESETS) for step in task.steps)
    ]


def preset_that_serves(registry: Registry, task: Task) -> str:
    """The preset of the champion of the task's last step; the default where none serves."""
    try:
        name = str(registry.champion(task.steps[-1]).manifest.get("preset"))
    except ParotidBrachyError:
        return _DEFAULT
    return name if name in preset_names(task) else _DEFAULT
