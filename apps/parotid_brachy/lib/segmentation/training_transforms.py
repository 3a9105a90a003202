"""The transforms of the training's patches: nnU-Net's, with ours after the spatial one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms

from parotid_brachy.lib.anatomy import GLAND, MASTOID_PROCESS, Structure
from parotid_brachy.lib.segmentation.augmentation import (
    Augmentations,
    Channel,
    Intensities,
    strong_transforms,
)
from parotid_brachy.lib.segmentation.planning import switches
from parotid_brachy.lib.segmentation.presets import Preset

ROTATION_RAD: Final = np.deg2rad(25.0)
"""By how much presets with strong augmentation turn a patch, either way, about each axis."""


def with_own_transforms(
    composed: ComposeTransforms,
    preset: Preset,
    plans: dict[str, Any],
    *,
    patch_kji: Sequence[int],
    rotation: tuple[float, float],
    dummy_2d: bool,
) -> ComposeTransforms:
    """Puts ours (docs/augmentation.md) into nnU-Net's transforms.

    Args:
        composed: nnU-Net's.
        preset: says how strong.
        plans: switches of what can be switched, and nnU-Net's intensities.
        patch_kji: what the network sees, in voxels.
        rotation: least and greatest angle, radians.
        dummy_2d: whether nnU-Net turns and stretches slices only.
    """
    transforms = composed.transforms
    if preset.strong_augmentation:
        transforms = [_strong_spatial_transform(patch_kji, rotation), *transforms[1:]]
    # Where nnU-Net turns slices only, it goes to two dimensions and back for that.
    spatial = 3 if dummy_2d else 1
    switched = {**switches(preset), **plans.get("augmentation", {})}
    own = strong_transforms(
        Intensities(_channels(preset, plans)),
        Augmentations(appearance=preset.strong_augmentation, **switched),
        gland_value=_value_of(GLAND, preset),
        mastoid_value=_value_of(MASTOID_PROCESS, preset),
    )
    return ComposeTransforms([*transforms[:spatial], *own, *transforms[spatial:]])


def _value_of(structure: Structure, preset: Preset) -> int | None:
    structures = preset.structures
    return structures.index(structure) + 1 if structure in structures else None


def _strong_spatial_transform(
    patch_kji: Sequence[int], rotation: tuple[float, float]
) -> SpatialTransform:
    return SpatialTransform(
        patch_kji,
        patch_center_dist_from_border=0,
        random_crop=False,
        p_elastic_deform=0.1,
        p_rotation=0.5,
        rotation=rotation,
        p_scaling=0.4,
        scaling=(0.8, 1.25),
        p_synchronize_scaling_across_axes=0.7,
        bg_style_seg_sampling=False,
        border_mode_seg="constant",
        padding_value_seg=-1,
    )


def _channels(preset: Preset, plans: dict[str, Any]) -> tuple[Channel, ...]:
    if preset.windows:
        return tuple(Channel.of_window(window) for window in preset.windows)
    properties = plans["foreground_intensity_properties_per_channel"]["0"]
    return (Channel.of_ct_scheme(properties),)
