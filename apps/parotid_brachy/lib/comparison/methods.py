"""The methods that are compared, as published: two steps, and three networks in one step."""

from __future__ import annotations

import enum

from parotid_brachy.lib.segmentation.presets import Preset, Step, preset_for


class Method(enum.Enum):
    """A way from a CT to a label map (J Contemp Brachytherapy 2022;14:527-535, "Comparison")."""

    TWO_STEP = "two_step"
    ONE_STEP = "one_step"
    UNET3D = "unet3d"
    VNET = "vnet"

    def presets(self, nnunet_preset: str) -> tuple[Preset, ...]:
        """The networks to train, in the order in which they are used.

        Args:
            nnunet_preset: the preset of the two methods that are nnU-Net's, ``compact`` or
                ``paper``; the other two have their own, in ``compact``'s framework.

        Raises:
            UsageError: there is no such preset.
        """
        if self is Method.TWO_STEP:
            steps = (Step.GLAND, Step.ORGANS_AT_RISK)
            return tuple(preset_for(nnunet_preset, step) for step in steps)
        name = nnunet_preset if self is Method.ONE_STEP else self.value
        return (preset_for(name, Step.ONE_STEP),)
