"""The protocol's formulas on small numbers, against what ``paper`` does.

J Contemp Brachytherapy 2022;14:527-535, "Model", written out here independently of the code; where
the protocol leaves a choice to nnU-Net, Isensee et al., Nat Methods 2021;18:203-211.
"""

import math

import blosc2
import numpy as np
import pytest
import torch
from dynamic_network_architectures.building_blocks.simple_conv_blocks import ConvDropoutNormReLU
from tests.segmentation.versions import Size, description_of, plans_of, write_untrained

from parotid_brachy.lib.anatomy import Side
from parotid_brachy.lib.imaging.roi import Box, canonical_grid
from parotid_brachy.lib.segmentation.architectures import architecture, build_network
from parotid_brachy.lib.segmentation.backends import Backend
from parotid_brachy.lib.segmentation.model import Model
from parotid_brachy.lib.segmentation.networks import AdaptiveLayerInstanceNorm
from parotid_brachy.lib.segmentation.planning import (
    CONFIGURATION,
    load_plans,
    plan_and_preprocess,
    workspace_for,
    write_description,
    write_sample,
)
from parotid_brachy.lib.segmentation.presets import PRESETS, Step, preset_for
from parotid_brachy.lib.segmentation.registry import read_version
from parotid_brachy.lib.segmentation.trainer import ParotidTrainer
from parotid_brachy.lib.segmentation.training_data import Sample

TWO_STEPS = (Step.GLAND, Step.ORGANS_AT_RISK)
PATCHES_ZYX = {Step.GLAND: (56, 256, 128), Step.ORGANS_AT_RISK: (32, 256, 160)}
FEATURE_MAPS = [min(32 * 2**level, 320) for level in range(6)]
SPACING = (2.0, 1.0, 1.0)
both_steps = pytest.mark.parametrize("step", TWO_STEPS, ids=lambda step: step.value)


pytestmark = pytest.mark.usefixtures("nnunets_variables_restored")


@pytest.fixture
def trainer_of(tmp_path):
    def make(step):
        preset = preset_for("paper", step)
        workspace = workspace_for(tmp_path, preset)
        workspace.activate()
        samples = workspace.preprocessed / "nnUNetPlans_3d_fullres"
        samples.mkdir(parents=True, exist_ok=True)
        (samples / "case.b2nd").touch()  # nnU-Net tells from the names how samples are stored
        plans = plans_of(preset, Size((2,) * 6, SPACING, PATCHES_ZYX[step]))
        cpu = torch.device("cpu")
        trainer = ParotidTrainer(plans, CONFIGURATION, 0, description_of(preset), cpu)
        trainer.initialize()
        return trainer

    return make


def _network_on_paper(preset):
    with torch.device("meta"):
        return build_network(
            architecture(preset),
            channels=1,
            classes=preset.classes,
            deep_supervision=True,
            initialise=False,
        )


@both_steps
def test_ct_is_clipped_at_the_foregrounds_percentiles_and_standardised(tmp_path, step):
    """Clip to 0.5 and 99.5 %, subtract the mean, divide by the standard deviation.

    Of the structures' voxels: beyond them lies air that no reader judged in step 2's sample.
    """
    preset = preset_for("paper", step)
    grid = canonical_grid(
        Box((0.0, 0.0, 0.0), (24.0, 26.0, 40.0)), side=Side.LEFT, spacing_mm=(1.0, 1.0, 2.0)
    )
    rng = np.random.default_rng(0)
    hu = rng.normal(-300.0, 400.0, grid.shape_kji).astype(np.float32)
    targets = np.zeros(grid.shape_kji, np.uint8)
    targets[4:12, 4:16, 4:16] = 1
    hu[targets == 1] = rng.uniform(-90.0, 190.0, int((targets == 1).sum()))
    if step.crops_to_roi:
        targets[14:] = len(preset.structures) + 1
        hu[14:] = -1000.0
    workspace = workspace_for(tmp_path, preset)
    write_sample(Sample("a__left", "a", grid, hu, targets), preset, workspace)
    write_description(preset, 1, workspace)
    plan_and_preprocess(preset, SPACING, workspace, processes=1)
    plans, _ = load_plans(workspace)
    found = plans["foreground_intensity_properties_per_channel"]["0"]
    foreground = hu[targets == 1]
    low, high = np.percentile(foreground, (0.5, 99.5))
    assert found["mean"] == pytest.approx(foreground.mean(), abs=1.0)
    assert found["std"] == pytest.approx(foreground.std(), rel=0.01)
    assert found["percentile_00_5"] == pytest.approx(low, abs=3)
    assert found["percentile_99_5"] == pytest.approx(high, abs=3)

    expected = np.clip(hu, found["percentile_00_5"], found["percentile_99_5"])
    expected = (expected - found["mean"]) / found["std"]
    (stored,) = workspace.preprocessed.glob("*/a__left.b2nd")
    np.testing.assert_allclose(blosc2.open(str(stored))[:][0], expected, atol=1e-4)


def test_prediction_normalises_as_training_does(tmp_path):
    folder = write_untrained(tmp_path / "v", Step.GLAND, preset="paper", small=False)
    version = read_version(folder)
    stated = version.read_json("plans.json")["foreground_intensity_properties_per_channel"]["0"]
    hu = np.float32([-3000, -800, 0, 60, 700, 3000])
    expected = [
        (min(max(float(v), stated["percentile_00_5"]), stated["percentile_99_5"]) - stated["mean"])
        / stated["std"]
        for v in hu
    ]
    model = Model(version, torch.device("cpu"), Backend.TORCH)
    assert model.channels(hu.reshape(1, 1, -1)).ravel().tolist() == pytest.approx(expected)


@both_steps
def test_the_loss_is_dice_and_cross_entropy_one_to_one(trainer_of, step):
    """Two voxels of one structure: p = e^a / (e^a + e^0 + ...) by hand, at the finest output."""
    trainer = trainer_of(step)
    classes = trainer._preset.classes
    logits = torch.full((2, classes, 1, 1, 2), -40.0, dtype=torch.float64)
    logits[:, 0] = 0.0
    logits[:, 1, ..., 0], logits[:, 1, ..., 1] = 1.5, -0.5
    target = torch.tensor([1.0, 0.0]).view(1, 1, 1, 1, 2).expand(2, 1, 1, 1, 2)
    p_first, p_second = (math.exp(a) / (math.exp(a) + 1) for a in (1.5, -0.5))
    entropy = -(math.log(p_first) + math.log(1 - p_second)) / 2
    dice = (2 * p_first + 1e-5) / (p_first + p_second + 1 + 1e-5)
    # The other organs are neither there nor found: their Dice is 1.
    expected = entropy - (dice + classes - 2) / (classes - 1)
    certain = torch.full((2, classes, 1, 1, 2), -40.0, dtype=torch.float64)
    certain[:, 0] = 40.0
    nothing = torch.zeros(2, 1, 1, 1, 2)
    result = trainer.loss([logits, *[certain] * 4], [target, *[nothing] * 4])
    # What is certain and right costs -1 (Dice) + 0 (cross entropy), weighed 1/2 ... 1/16.
    assert float(result) == pytest.approx(expected - (1 / 2 + 1 / 4 + 1 / 8 + 1 / 16), abs=1e-4)


@both_steps
def test_output_d_of_five_weighs_1_by_2_to_the_d_minus_1(trainer_of, step):
    trainer = trainer_of(step)
    classes = trainer._preset.classes
    wrong = torch.zeros(2, classes, 1, 1, 2, dtype=torch.float64)
    right = wrong.clone()
    right[:, 0] = 80.0
    target = torch.zeros(2, 1, 1, 1, 2)

    def loss(outputs):
        return float(trainer.loss(outputs, [target] * 5))

    base = loss([right] * 5)
    costs = [loss([wrong if n == d else right for n in range(5)]) - base for d in range(5)]
    assert [cost / costs[0] for cost in costs] == pytest.approx(
        [1 / 2 ** (d - 1) for d in range(1, 6)]
    )
    with pytest.raises(IndexError):
        trainer.loss([right] * 6, [target] * 6)


def test_sgd_steps_with_nesterov_momentum_099(trainer_of):
    """Two steps on one weight: v = 0.99 v + g; w = w - lr (g + 0.99 v)."""
    trainer = trainer_of(Step.GLAND)
    optimiser = trainer.optimizer
    (group,) = optimiser.param_groups
    decay = group["weight_decay"]
    weight = next(p for p in trainer.network.parameters() if p.ndim == 5)
    place = (0,) * 5
    w, v = float(weight[place]), 0.0
    for gradient in (0.3, -0.1):
        optimiser.zero_grad()
        weight.grad = torch.full_like(weight, gradient)
        optimiser.step()
        g = gradient + decay * w
        v = 0.99 * v + g
        w -= 1e-3 * (g + 0.99 * v)
        assert float(weight.detach()[place]) == pytest.approx(w, abs=1e-7)


@both_steps
def test_the_learning_rate_falls_from_1e_3_by_the_poly_rule_over_1000_epochs(trainer_of, step):
    trainer = trainer_of(step)
    (group,) = trainer.optimizer.param_groups
    for epoch in (0, 1, 250, 999):
        trainer.lr_scheduler.step(epoch)
        assert group["lr"] == pytest.approx(1e-3 * (1 - epoch / 1000) ** 0.9, rel=1e-12)


@both_steps
def test_batches_iterations_epochs_and_patches(trainer_of, step):
    trainer = trainer_of(step)
    assert trainer.batch_size == 2
    assert (trainer.num_iterations_per_epoch, trainer.num_epochs) == (250, 1000)
    assert tuple(trainer.configuration_manager.patch_size) == PATCHES_ZYX[step]
    own = plans_of(preset_for("paper", step))["configurations"][CONFIGURATION]
    assert (tuple(own["patch_size"]), own["batch_size"]) == (PATCHES_ZYX[step], 2)


@pytest.mark.parametrize(
    "preset", [p for p in PRESETS if p.name == "paper"], ids=lambda p: p.step.value
)
def test_each_level_has_two_convolutions_each_normalised_and_rectified(preset):
    network = _network_on_paper(preset)
    assert [stage[0].convs[0].conv.out_channels for stage in network.encoder.stages] == FEATURE_MAPS
    decoder = zip(network.decoder.stages, FEATURE_MAPS[-2::-1], strict=True)
    levels = [
        (stage[0], features)
        for stage, features in zip(network.encoder.stages, FEATURE_MAPS, strict=True)
    ]
    for stage, features in (*levels, *decoder):
        assert len(stage.convs) == 2
        for block in stage.convs:
            assert isinstance(block, ConvDropoutNormReLU)
            conv, norm, nonlinearity = block.all_modules
            assert isinstance(conv, torch.nn.Conv3d)
            assert isinstance(norm, AdaptiveLayerInstanceNorm)
            assert isinstance(nonlinearity, torch.nn.LeakyReLU)
            assert conv.out_channels == norm.rho.shape[1] == features


@both_steps
def test_strided_convolutions_go_down_and_transposed_ones_up(step):
    preset = preset_for("paper", step)
    network = _network_on_paper(preset)
    sizes = [PATCHES_ZYX[step]]
    for stage in network.encoder.stages[1:]:
        first, second = (block.conv for block in stage[0].convs)
        assert max(first.stride) == 2
        assert set(second.stride) == {1}
        sizes.append(tuple(n // s for n, s in zip(sizes[-1], first.stride, strict=True)))
    assert all(isinstance(up, torch.nn.ConvTranspose3d) for up in network.decoder.transpconvs)
    outputs = network(torch.empty(2, 1, *PATCHES_ZYX[step], device="meta"))
    assert [tuple(output.shape[2:]) for output in outputs] == sizes[:-1]
    assert len(outputs) == 5
