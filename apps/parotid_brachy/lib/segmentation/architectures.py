"""Networks in nnU-Net's notation: what a preset's plans say, and the network that plans describe.

Everything that needs a network builds it here: training, prediction, measurements and tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from torch import nn

from parotid_brachy.lib.segmentation.presets import NetworkKind, Normalisation, Preset

_OWN: Final = "parotid_brachy.lib.segmentation"
_NORMALISATION_LAYERS: Final = {
    Normalisation.INSTANCE: "torch.nn.modules.instancenorm.InstanceNorm3d",
    Normalisation.ADAPTIVE_LAYER_INSTANCE: f"{_OWN}.networks.AdaptiveLayerInstanceNorm",
}


def architecture(preset: Preset) -> dict[str, Any]:
    """The network of a preset in nnU-Net's notation."""
    if preset.network is NetworkKind.UNET_3D:
        sizes = {"features_per_stage": list(preset.features)}
        return _baseline("UNet3D", sizes)
    if preset.network is NetworkKind.VNET:
        return _baseline("VNet3D", {})
    return _plain_unet(preset)


def build_network(
    architecture: Mapping[str, Any],
    *,
    channels: int,
    classes: int,
    deep_supervision: bool = False,
    initialise: bool = True,
) -> nn.Module:
    """Builds the network that plans describe.

    Args:
        architecture: of plans that are our own, or have passed ``require_trusted``: it names
            classes, which are imported and called.
        channels: of the input.
        classes: of the output, background included.
        deep_supervision: whether it answers at every level of the decoder, finest first.
        initialise: sets nnU-Net's initial weights, where the network has such; not needed where
            weights are put in anyway.
    """
    network: nn.Module = get_network_from_plans(
        architecture["network_class_name"],
        architecture["arch_kwargs"],
        architecture["_kw_requires_import"],
        channels,
        classes,
        allow_init=initialise,
        # None: networks without deep supervision have no such argument.
        deep_supervision=deep_supervision or None,
    )
    return network


def _baseline(name: str, sizes: dict[str, Any]) -> dict[str, Any]:
    return {
        "network_class_name": f"{_OWN}.baselines.{name}",
        "arch_kwargs": sizes,
        "_kw_requires_import": [],
    }


def _plain_unet(preset: Preset) -> dict[str, Any]:
    """Two convolutions a level, strided ones down, transposed ones up."""
    levels = len(preset.features)
    instance = preset.normalisation is Normalisation.INSTANCE
    norm_kwargs = {"eps": 1e-05, "affine": True} if instance else {"eps": 1e-05}
    return {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {
            "n_stages": levels,
            "features_per_stage": list(preset.features),
            "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": [[3, 3, 3]] * levels,
            "strides": preset.strides,
            "n_conv_per_stage": [2] * levels,
            "n_conv_per_stage_decoder": [2] * (levels - 1),
            "conv_bias": True,
            "norm_op": _NORMALISATION_LAYERS[preset.normalisation],
            "norm_op_kwargs": norm_kwargs,
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }
