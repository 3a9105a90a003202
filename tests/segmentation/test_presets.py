import math
from dataclasses import asdict

import pytest

from parotid_brachy.lib.anatomy import GLAND, ORGANS_AT_RISK
from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.segmentation.presets import (
    PRESET_NAMES,
    PRESETS,
    TWO_STEP_PRESET_NAMES,
    NetworkKind,
    Normalisation,
    Optimiser,
    Step,
    Window,
    halving_weights,
    preset_for,
)

every_preset = pytest.mark.parametrize("preset", PRESETS, ids=lambda p: f"{p.name}-{p.step.value}")
paper_presets = pytest.mark.parametrize(
    "preset", [p for p in PRESETS if p.name == "paper"], ids=lambda p: p.step.value
)


@every_preset
def test_a_patch_is_divisible_by_its_strides(preset):
    for axis, size in enumerate(preset.patch_kji):
        coarsest = size / math.prod(stride[axis] for stride in preset.strides)
        assert coarsest == int(coarsest) >= (4 if preset.network is NetworkKind.NNUNET else 2)


@every_preset
def test_there_is_one_stride_per_level_and_one_loss_weight_per_decoder_output(preset):
    assert len(preset.strides) == len(preset.features)
    assert preset.strides[0] == [1, 1, 1]
    deep = preset.network.has_deep_supervision
    assert len(preset.deep_supervision_weights) == (len(preset.features) - 1 if deep else 1)


@paper_presets
def test_paper_is_the_protocols_configuration(preset):
    assert preset.features == (32, 64, 128, 256, 320, 320)
    assert preset.normalisation is Normalisation.ADAPTIVE_LAYER_INSTANCE
    assert preset.deep_supervision_weights == (1, 1 / 2, 1 / 4, 1 / 8, 1 / 16)
    assert (preset.optimiser, preset.momentum) == (Optimiser.SGD_POLY, 0.99)
    assert (preset.initial_lr, preset.batch_size) == (1e-3, 2)
    assert (preset.iterations, preset.epochs) == (250, 1000)


@pytest.mark.parametrize(
    ("step", "patch_kji", "structures"),
    [
        (Step.GLAND, (56, 256, 128), (GLAND,)),
        (Step.ORGANS_AT_RISK, (32, 256, 160), ORGANS_AT_RISK),
    ],
)
def test_papers_patches_and_structures_are_the_protocols(step, patch_kji, structures):
    preset = preset_for("paper", step)
    assert preset.patch_kji == patch_kji
    assert preset.structures == structures


def test_loss_weights_halve_from_one():
    assert halving_weights(3) == (1.0, 0.5, 0.25)


def test_every_step_has_its_presets():
    assert PRESET_NAMES == ("paper", "compact", "unet3d", "vnet")
    assert TWO_STEP_PRESET_NAMES == ("paper", "compact")
    for step in Step:
        names = [p.name for p in PRESETS if p.step is step]
        assert names == list(PRESET_NAMES if step is Step.ONE_STEP else TWO_STEP_PRESET_NAMES)


@pytest.mark.parametrize("name", ["unet3d", "vnet"])
def test_a_comparison_differs_from_compacts_one_step_in_its_network_alone(name):
    """Same sampling, augmentation, pre- and post-processing, as the protocol compares."""
    own = asdict(preset_for(name, Step.ONE_STEP))
    compact = asdict(preset_for("compact", Step.ONE_STEP))
    allowed = {"name", "network", "patch_kji", "features", "normalisation"}
    assert {key for key in own if own[key] != compact[key]} <= {
        *allowed,
        "deep_supervision_weights",
    }


def test_a_comparison_is_for_the_one_step():
    with pytest.raises(UsageError, match=r"no preset 'vnet' for step gland; .*: paper, compact$"):
        preset_for("vnet", Step.GLAND)


def test_surgery_and_field_of_view_are_on_everywhere_but_in_the_protocol():
    for preset in PRESETS:
        on = preset.name != "paper"
        assert (preset.virtual_surgery, preset.field_of_view) == (on, on)


def test_an_unknown_preset_is_refused_by_name():
    with pytest.raises(UsageError, match=r"'huge'.*gland.*paper, compact"):
        preset_for("huge", Step.GLAND)


def test_sgd_decays_by_the_poly_rule():
    preset = preset_for("paper", Step.GLAND)
    assert preset.scheduled_lr(0, 1000) == 1e-3
    assert preset.scheduled_lr(500, 1000) == pytest.approx(1e-3 * 0.5**0.9)
    assert preset.scheduled_lr(999, 1000) == pytest.approx(1e-3 * 0.001**0.9)


def test_adamw_decays_by_a_cosine_to_a_hundredth():
    preset = preset_for("compact", Step.GLAND)
    assert preset.scheduled_lr(0, 40) == pytest.approx(preset.initial_lr)
    assert preset.scheduled_lr(20, 40) == pytest.approx(preset.initial_lr * 0.505)
    assert preset.scheduled_lr(40, 40) == pytest.approx(preset.initial_lr / 100)


def test_a_window_clips_and_scales():
    import numpy as np

    channel = Window(-200.0, 250.0, 100.0).apply(np.float32([-1000, -200, 30, 250, 3000]))
    assert channel.dtype == np.float32
    assert channel.tolist() == pytest.approx([-2.0, -2.0, 0.3, 2.5, 2.5])


def test_only_the_second_step_looks_at_the_region_of_interest():
    assert [step for step in Step if step.crops_to_roi] == [Step.ORGANS_AT_RISK]
