import numpy as np
import pytest
import torch

from parotid_brachy.lib.segmentation.networks import AdaptiveLayerInstanceNorm


def _by_the_formula(x, rho, gamma, beta, eps=1e-5):
    """gamma * (rho * IN(x) + (1 - rho) * LN(x)) + beta, written out."""
    result = np.empty_like(x)
    for n, sample in enumerate(x):
        layer = (sample - sample.mean()) / np.sqrt(sample.var() + eps)
        for c, channel in enumerate(sample):
            instance = (channel - channel.mean()) / np.sqrt(channel.var() + eps)
            share = np.clip(rho[c], 0, 1)
            result[n, c] = gamma[c] * (share * instance + (1 - share) * layer[c]) + beta[c]
    return result


@pytest.mark.parametrize("rho", [(0.0, 0.3, 1.0), (-0.5, 0.9, 2.0)], ids=["inside", "clipped"])
def test_adaptive_normalisation_follows_the_formula(rho):
    rng = np.random.default_rng(1)
    x = rng.normal(5.0, [[[[[1.0]]], [[[2.0]]], [[[9.0]]]]], (2, 3, 2, 3, 4))
    gamma, beta = (1.5, -1.0, 0.2), (0.1, 0.0, -3.0)
    layer = AdaptiveLayerInstanceNorm(3).double()
    with torch.no_grad():
        for own, values in ((layer.rho, rho), (layer.gamma, gamma), (layer.beta, beta)):
            own.copy_(torch.tensor(values, dtype=torch.float64).view(1, 3, 1, 1, 1))
        result = layer(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(result, _by_the_formula(x, rho, gamma, beta), rtol=1e-9, atol=1e-9)


def test_rho_outside_its_range_gets_no_gradient_further_out():
    layer = AdaptiveLayerInstanceNorm(1, initial_rho=1.5)
    layer(torch.randn(1, 1, 2, 2, 2)).square().sum().backward()
    assert layer.rho.grad.abs().sum() == 0


def test_a_constant_input_stays_finite():
    result = AdaptiveLayerInstanceNorm(2)(torch.full((1, 2, 2, 2, 2), 7.0))
    assert torch.isfinite(result).all()
    assert result.abs().max() < 1e-2
