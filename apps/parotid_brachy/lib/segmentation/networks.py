"""The networks' one part that nnU-Net does not have: adaptive layer-instance normalisation."""

from __future__ import annotations

import torch
from torch import nn


class AdaptiveLayerInstanceNorm(nn.Module):
    """Learned mixture of instance and layer normalisation, per channel.

    ``gamma * (rho * IN(x) + (1 - rho) * LN(x)) + beta`` with rho clipped to [0, 1], as in Kim et
    al., U-GAT-IT (ICLR 2020), which the protocol names; gamma and beta are plain parameters,
    since a segmentation network has no style code to compute them from.

    Args:
        num_features: channels of the input, ``(batch, channels, z, y, x)``.
        eps: added to the variance.
        initial_rho: share of instance normalisation at the start.
    """

    def __init__(self, num_features: int, eps: float = 1e-5, initial_rho: float = 0.9) -> None:
        super().__init__()
        shape = (1, num_features, 1, 1, 1)
        self.eps = eps
        self.rho = nn.Parameter(torch.full(shape, initial_rho))
        self.gamma = nn.Parameter(torch.ones(shape))
        self.beta = nn.Parameter(torch.zeros(shape))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalised ``x``, same shape."""
        # Layer statistics follow from the instance ones, so the input is read only once.
        variance, mean = torch.var_mean(x, dim=(2, 3, 4), keepdim=True, correction=0)
        layer_mean = mean.mean(dim=1, keepdim=True)
        layer_variance = (variance + (mean - layer_mean) ** 2).mean(dim=1, keepdim=True)
        rho = self.rho.clamp(0.0, 1.0)
        instance_scale = rho * torch.rsqrt(variance + self.eps)
        layer_scale = (1 - rho) * torch.rsqrt(layer_variance + self.eps)
        scale = self.gamma * (instance_scale + layer_scale)
        shift = self.beta - self.gamma * (mean * instance_scale + layer_mean * layer_scale)
        return x * scale + shift
