import json

import pytest
from tests.segmentation.versions import SMALL, description_of, plans_of

from parotid_brachy.lib.errors import ModelRefusedError
from parotid_brachy.lib.segmentation.architectures import architecture
from parotid_brachy.lib.segmentation.planning import CONFIGURATION
from parotid_brachy.lib.segmentation.presets import PRESETS, Step, preset_for
from parotid_brachy.lib.segmentation.trusted_plans import require_trusted

PRESET = preset_for("compact", Step.ORGANS_AT_RISK)
OTHER = preset_for("paper", Step.ORGANS_AT_RISK)


@pytest.mark.parametrize("preset", PRESETS, ids=lambda p: f"{p.name}-{p.step.value}")
def test_plans_that_a_training_writes_are_trusted(preset):
    require_trusted(plans_of(preset), description_of(preset), preset)


def test_another_size_is_trusted_since_presets_change():
    require_trusted(plans_of(PRESET, SMALL[PRESET.step]), description_of(PRESET), PRESET)


def _set(path, value):
    def damage(plans):
        *folders, last = path
        for key in folders:
            plans = plans[key]
        plans[last] = value

    return damage


_ARCHITECTURE = ("configurations", CONFIGURATION, "architecture")
_KWARGS = (*_ARCHITECTURE, "arch_kwargs")
HOSTILE = {
    "a class": _set((*_ARCHITECTURE, "network_class_name"), "os.system"),
    "a convolution": _set((*_KWARGS, "conv_op"), "subprocess.Popen"),
    "a norm": _set((*_KWARGS, "norm_op"), "builtins.eval"),
    "a dropout": _set((*_KWARGS, "dropout_op"), "os.system"),
    "an activation": _set((*_KWARGS, "nonlin"), "shutil.rmtree"),
    "a further import": _set((*_ARCHITECTURE, "_kw_requires_import"), ["conv_op", "strides"]),
    "arguments of the norm": _set((*_KWARGS, "norm_op_kwargs"), {"eps": 1.0}),
    "a further argument": _set((*_KWARGS, "deep_supervision"), "os.system"),
    "a label manager": _set(("label_manager",), "../../evil"),
    "features without end": _set((*_KWARGS, "features_per_stage"), [10**6] * 5),
    "features that are no numbers": _set((*_KWARGS, "features_per_stage"), ["16"] * 5),
    "too many levels": _set((*_KWARGS, "n_stages"), 10**9),
    "levels that are no number": _set((*_KWARGS, "n_stages"), None),
    "true for a level": _set((*_KWARGS, "n_conv_per_stage"), [True] * 5),
    "a huge kernel": _set((*_KWARGS, "kernel_sizes"), [[999, 999, 999]] * 5),
    "a stride of 0": _set((*_KWARGS, "strides"), [[0, 0, 0]] * 5),
    "a huge patch": _set(("configurations", CONFIGURATION, "patch_size"), [100_000] * 3),
    "a patch of too many voxels": _set(("configurations", CONFIGURATION, "patch_size"), [512] * 3),
    "a negative patch": _set(("configurations", CONFIGURATION, "patch_size"), [-56, 72, 72]),
    "an indivisible patch": _set(("configurations", CONFIGURATION, "patch_size"), [57, 72, 72]),
    "a flat patch": _set(("configurations", CONFIGURATION, "patch_size"), [72, 72]),
    "a spacing of 0": _set(("configurations", CONFIGURATION, "spacing"), [0.0, 1.0, 1.0]),
    "a spacing of NaN": _set(
        ("configurations", CONFIGURATION, "spacing"), [float("nan"), 1.0, 1.0]
    ),
    "a spacing of nothing": _set(("configurations", CONFIGURATION, "spacing"), [1e-6] * 3),
    "no configuration": _set(("configurations",), {}),
    "configurations as a list": _set(("configurations",), []),
    "an architecture as text": _set(_ARCHITECTURE, "os.system"),
    "no arguments": _set(_KWARGS, None),
}


@pytest.mark.parametrize("damage", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_plans_are_refused(damage):
    plans = json.loads(json.dumps(plans_of(PRESET)))
    damage(plans)
    with pytest.raises(ModelRefusedError, match="its plans"):
        require_trusted(plans, description_of(PRESET), PRESET)


COMPARISONS = {
    "another class": ("unet3d", _set((*_ARCHITECTURE, "network_class_name"), "os.system")),
    "monai's own class": (
        "vnet",
        _set((*_ARCHITECTURE, "network_class_name"), "monai.networks.nets.vnet.VNet"),
    ),
    "an import": ("unet3d", _set((*_ARCHITECTURE, "_kw_requires_import"), ["features_per_stage"])),
    "an argument": ("vnet", _set((*_KWARGS, "dropout_dim"), 1)),
    "features without end": ("unet3d", _set((*_KWARGS, "features_per_stage"), [10**6] * 5)),
    "features that halve to none": ("unet3d", _set((*_KWARGS, "features_per_stage"), [1] * 5)),
    "a level more": ("unet3d", _set((*_KWARGS, "features_per_stage"), [16] * 6)),
    "an indivisible patch": (
        "vnet",
        _set(("configurations", CONFIGURATION, "patch_size"), [32, 64, 72]),
    ),
    "another preset's network": ("vnet", _set(_ARCHITECTURE, architecture(PRESET))),
}


@pytest.mark.parametrize(("name", "damage"), COMPARISONS.values(), ids=COMPARISONS.keys())
def test_hostile_plans_of_a_comparison_are_refused(name, damage):
    preset = preset_for(name, Step.ONE_STEP)
    plans = json.loads(json.dumps(plans_of(preset)))
    require_trusted(plans, description_of(preset), preset)
    damage(plans)
    with pytest.raises(ModelRefusedError, match="its plans"):
        require_trusted(plans, description_of(preset), preset)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, "5"])
def test_intensities_that_are_no_numbers_are_refused(value):
    plans = plans_of(OTHER)
    plans["foreground_intensity_properties_per_channel"]["0"]["mean"] = value
    with pytest.raises(ModelRefusedError, match="its plans"):
        require_trusted(plans, description_of(OTHER), OTHER)


def _two_swapped(labels):
    labels["skin"], labels["auricula"] = labels["auricula"], labels["skin"]


def _one_renamed(labels):
    labels["mandible"] = labels.pop("mandibular_ramus")


def _one_missing(labels):
    del labels["parotid_gland"]


@pytest.mark.parametrize("damage", [_two_swapped, _one_renamed, _one_missing])
def test_labels_that_are_not_the_presets_are_refused(damage):
    description = description_of(PRESET)
    damage(description["labels"])
    with pytest.raises(ModelRefusedError, match="labels"):
        require_trusted(plans_of(PRESET), description, PRESET)


def test_plans_of_one_preset_are_not_those_of_another():
    with pytest.raises(ModelRefusedError, match="norm_op"):
        require_trusted(plans_of(OTHER), description_of(OTHER), PRESET)
