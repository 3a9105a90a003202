"""A network's weights, out of it and into it, each tensor once.

nnU-Net's networks hold every layer under several names (a block keeps its convolution beside the
sequence that contains it, the decoder keeps the encoder), so that a state dict names most tensors
four times. Versions keep the first name of each.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

import torch
from torch import nn

from parotid_brachy.lib.errors import ModelRefusedError


def distinct_names(network: nn.Module) -> list[str]:
    """The first name of every parameter and buffer, counters left out."""
    return [name for name, _ in _tensors(network)]


def put_weights(network: nn.Module, weights: Mapping[str, torch.Tensor]) -> None:
    """Sets all weights of a network, in place.

    Args:
        network: to be filled.
        weights: by name; a tensor's further names may be there too, and are not looked at.

    Raises:
        ModelRefusedError: a tensor is missing, foreign, of another shape, or not finite.
    """
    foreign = sorted(set(weights) - set(network.state_dict()))
    if foreign:
        message = f"the network has no {foreign[0]!r} ({len(foreign)} such tensors)"
        raise ModelRefusedError(message)
    with torch.no_grad():
        for name, own in _tensors(network):
            value = weights.get(name)
            if value is None:
                message = f"{name!r} is missing"
                raise ModelRefusedError(message)
            if value.shape != own.shape:
                message = f"{name!r} has shape {tuple(value.shape)}, not {tuple(own.shape)}"
                raise ModelRefusedError(message)
            if not value.is_floating_point() or not torch.isfinite(value.float()).all():
                message = f"{name!r} holds values that are not finite numbers"
                raise ModelRefusedError(message)
            own.copy_(value)


def _tensors(network: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    for name, tensor in itertools.chain(network.named_parameters(), network.named_buffers()):
        # Batch normalisation counts its batches and never reads the count.
        if tensor.is_floating_point():
            yield name, tensor
