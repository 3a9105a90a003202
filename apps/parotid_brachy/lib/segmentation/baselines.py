"""The networks that the protocol compares with, MONAI's, under the arguments that plans give."""

from __future__ import annotations

from collections.abc import Sequence

from monai.networks.nets.basic_unet import BasicUNet
from monai.networks.nets.vnet import VNet


class UNet3D(BasicUNet):
    """3D U-Net: five levels of two convolutions, max-pooling down, transposed convolutions up.

    After Cicek et al. (MICCAI 2016), with MONAI's instance normalisation in place of the batch's.

    Args:
        input_channels: of the image.
        num_classes: background included.
        features_per_stage: feature maps of the five levels, finest first.
    """

    def __init__(
        self, input_channels: int, num_classes: int, features_per_stage: Sequence[int]
    ) -> None:
        finest = features_per_stage[0]
        super().__init__(
            spatial_dims=3,
            in_channels=input_channels,
            out_channels=num_classes,
            features=(*features_per_stage, finest),
        )


class VNet3D(VNet):
    """V-Net (Milletari et al., 3DV 2016): residual blocks of 5 x 5 x 5 convolutions, dropout.

    Its feature maps (16 to 256) are fixed.

    Args:
        input_channels: of the image; a divisor of 16.
        num_classes: background included.
    """

    def __init__(self, input_channels: int, num_classes: int) -> None:
        super().__init__(spatial_dims=3, in_channels=input_channels, out_channels=num_classes)
