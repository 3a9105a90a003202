"""A running average of a network's weights, kept instead of the last ones."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from parotid_brachy.lib.segmentation.weights import distinct_names


class RunningAverage:
    """Exponential moving average of weights, with a short memory at the start.

    Args:
        decay: how much of the average stays, an iteration.

    Attributes:
        weights: by name, each tensor once; empty before the first iteration.
        iterations: how many went in.
    """

    def __init__(self, decay: float) -> None:
        self._decay = decay
        self.weights: dict[str, torch.Tensor] = {}
        self.iterations = 0

    def restore(self, weights: Mapping[str, torch.Tensor], iterations: int) -> None:
        """Goes on from where an average stood."""
        self.weights = dict(weights)
        self.iterations = iterations

    @torch.no_grad()
    def add(self, network: nn.Module) -> None:
        """Takes an iteration's weights in."""
        self.iterations += 1
        decay = min(self._decay, (1 + self.iterations) / (10 + self.iterations))
        now = network.state_dict()
        for name in distinct_names(network):
            if name not in self.weights:
                self.weights[name] = now[name].detach().clone()
            else:
                self.weights[name].lerp_(now[name], 1 - decay)
