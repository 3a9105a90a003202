"""The presets' optimisers and learning-rate schedules."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from parotid_brachy.lib.segmentation.presets import Optimiser, Preset


class Schedule:
    """Sets the preset's learning rate; nnU-Net calls ``step`` with the epoch."""

    def __init__(self, optimiser: torch.optim.Optimizer, preset: Preset, epochs: int) -> None:
        self._optimiser = optimiser
        self._preset = preset
        self._epochs = epochs

    def step(self, epoch: int) -> None:
        """Sets the learning rate of an epoch, counted from 0."""
        for group in self._optimiser.param_groups:
            group["lr"] = self._preset.scheduled_lr(epoch, self._epochs)


def optimiser_of(
    preset: Preset, parameters: Iterable[torch.nn.Parameter], *, weight_decay: float
) -> torch.optim.Optimizer:
    """The preset's optimiser."""
    if preset.optimiser is Optimiser.SGD_POLY:
        return torch.optim.SGD(
            parameters,
            preset.initial_lr,
            weight_decay=weight_decay,
            momentum=preset.momentum,
            nesterov=True,
        )
    return torch.optim.AdamW(parameters, preset.initial_lr, weight_decay=weight_decay)
