"""What a version's plans and description may say before nnU-Net acts on them.

Plans name Python classes, which nnU-Net imports and calls, and sizes, which it allocates. Only
the classes of our presets and sizes that a network of ours can have get past here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from parotid_brachy.lib.errors import ModelRefusedError
from parotid_brachy.lib.segmentation.architectures import architecture
from parotid_brachy.lib.segmentation.planning import CONFIGURATION
from parotid_brachy.lib.segmentation.presets import NetworkKind, Preset

_SIZES: Final = frozenset(
    {
        "n_stages",
        "features_per_stage",
        "kernel_sizes",
        "strides",
        "n_conv_per_stage",
        "n_conv_per_stage_decoder",
    }
)
_LEVELS: Final = (2, 8)
_FEATURES: Final = (1, 512)
_HALVED: Final = (2, 512)
"""The 3D U-Net halves its feature maps on the way up."""
_CONVOLUTIONS: Final = (1, 4)
_STRIDES: Final = (1, 2)
_KERNEL: Final = (1, 3)
_PATCH: Final = (1, 512)
_PATCH_VOXELS: Final = 4_000_000
"""The protocol's largest patch has 1.8 million."""
_SPACING_MM: Final = (0.2, 10.0)
_INTENSITIES: Final = ("mean", "std", "percentile_00_5", "percentile_99_5")
_LABEL_MANAGER: Final = "LabelManager"


def require_trusted(
    plans: Mapping[str, Any], description: Mapping[str, Any], preset: Preset
) -> None:
    """Refuses plans or a description that no training with this preset writes.

    Args:
        plans: nnU-Net's plans.
        description: nnU-Net's ``dataset.json``.
        preset: the preset that the manifest names.

    Raises:
        ModelRefusedError: says which entry is wrong and what may be there.
    """
    try:
        configuration = plans["configurations"][CONFIGURATION]
        _require_network(configuration["architecture"], architecture(preset))
        _require_sizes(configuration, _trusted_strides(configuration["architecture"], preset))
        _require("label_manager", plans["label_manager"], _LABEL_MANAGER)
        if not preset.windows:
            _require_intensities(plans["foreground_intensity_properties_per_channel"]["0"])
        _require_labels(description["labels"], preset)
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        message = f"its plans describe no network of ours ({type(error).__name__}: {error})"
        raise ModelRefusedError(message) from error


def _require(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        message = f"its plans say {found!r} for {what}, only {wanted!r} may be there"
        raise ModelRefusedError(message)


def _require_network(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Classes and their arguments are the preset's; sizes may be, within bounds, others."""
    own, kwargs = found["arch_kwargs"], wanted["arch_kwargs"]
    _require("network_class_name", found["network_class_name"], wanted["network_class_name"])
    _require("_kw_requires_import", found["_kw_requires_import"], wanted["_kw_requires_import"])
    _require("arch_kwargs", sorted(own), sorted(kwargs))
    for name in sorted(set(kwargs) - _SIZES):
        _require(name, own[name], kwargs[name])


def _trusted_strides(found: Mapping[str, Any], preset: Preset) -> Sequence[Sequence[int]]:
    """The strides of a network whose sizes per level are within bounds."""
    own, levels = found["arch_kwargs"], len(preset.features)
    if preset.network is NetworkKind.NNUNET:
        _require_levels(own)
        strides: Sequence[Sequence[int]] = own["strides"]
        return strides
    if preset.network is NetworkKind.UNET_3D:
        _require_whole("features_per_stage", own["features_per_stage"], _HALVED, count=levels)
    return preset.strides


def _require_levels(own: Mapping[str, Any]) -> None:
    levels = own["n_stages"]
    _require_whole("n_stages", [levels], _LEVELS, count=1)
    _require_whole("features_per_stage", own["features_per_stage"], _FEATURES, count=levels)
    _require_whole("n_conv_per_stage", own["n_conv_per_stage"], _CONVOLUTIONS, count=levels)
    decoder = own["n_conv_per_stage_decoder"]
    _require_whole("n_conv_per_stage_decoder", decoder, _CONVOLUTIONS, count=levels - 1)
    for name, bounds in (("kernel_sizes", _KERNEL), ("strides", _STRIDES)):
        _require(f"the number of {name}", len(own[name]), levels)
        for each in own[name]:
            _require_whole(name, each, bounds, count=3)


def _require_sizes(configuration: Mapping[str, Any], strides: Sequence[Sequence[int]]) -> None:
    patch = configuration["patch_size"]
    _require_whole("patch_size", patch, _PATCH, count=3)
    if math.prod(patch) > _PATCH_VOXELS:
        message = f"its plans want patches of {patch} voxels, {_PATCH_VOXELS:,} are allowed"
        raise ModelRefusedError(message)
    for axis, size in enumerate(patch):
        _require(
            "patch_size by its strides, remainder", size % math.prod(s[axis] for s in strides), 0
        )
    spacing = configuration["spacing"]
    low, high = _SPACING_MM
    if len(spacing) != 3 or not all(low <= float(value) <= high for value in spacing):
        message = f"its plans want a spacing of {spacing} mm; {low} to {high} mm may be"
        raise ModelRefusedError(message)


def _require_whole(
    what: str, values: Sequence[Any], bounds: tuple[int, int], *, count: int
) -> None:
    low, high = bounds
    whole = all(type(value) is int and low <= value <= high for value in values)
    if not whole or len(values) != count:
        message = f"its plans say {values!r} for {what}; {count} of {low} to {high} may be there"
        raise ModelRefusedError(message)


def _require_intensities(properties: Mapping[str, Any]) -> None:
    for name in _INTENSITIES:
        if not math.isfinite(properties[name]):
            message = f"its plans say {properties[name]} for the intensities' {name}"
            raise ModelRefusedError(message)


def _require_labels(labels: Mapping[str, Any], preset: Preset) -> None:
    """The network's values mean the preset's structures, in its order."""
    wanted = {"background": 0}
    wanted.update({s.name: value for value, s in enumerate(preset.structures, start=1)})
    found = {name: value for name, value in labels.items() if name != "ignore"}
    _require("labels", found, wanted)
