import pydoc

import pytest
import torch

from parotid_brachy.lib.segmentation.architectures import architecture, build_network
from parotid_brachy.lib.segmentation.presets import PRESETS, NetworkKind, Step, preset_for

every_preset = pytest.mark.parametrize("preset", PRESETS, ids=lambda p: f"{p.name}-{p.step.value}")


def _network(preset):
    with torch.device("meta"):
        return build_network(
            architecture(preset),
            channels=preset.channels,
            classes=preset.classes,
            deep_supervision=preset.network.has_deep_supervision,
            initialise=False,
        )


@every_preset
def test_an_architecture_names_classes_that_exist(preset):
    plan = architecture(preset)
    assert pydoc.locate(plan["network_class_name"]) is not None
    for name in plan["_kw_requires_import"]:
        path = plan["arch_kwargs"][name]
        assert path is None or pydoc.locate(path) is not None


@pytest.mark.parametrize("step", [Step.GLAND, Step.ORGANS_AT_RISK])
def test_the_paper_network_is_the_protocols(step):
    network = _network(preset_for("paper", step))
    assert len(network.encoder.stages) == 6
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(30.5, abs=0.1)
    norms = {type(m).__name__ for m in network.modules() if "Norm" in type(m).__name__}
    assert norms - {"ConvDropoutNormReLU"} == {"AdaptiveLayerInstanceNorm"}
    pools = [m for m in network.modules() if "Pool" in type(m).__name__]
    assert not pools  # strided convolutions go down, transposed ones up


@every_preset
def test_a_network_answers_its_patch_at_every_output(preset):
    answer = _network(preset)(torch.empty(1, preset.channels, *preset.patch_kji, device="meta"))
    outputs = answer if preset.network.has_deep_supervision else [answer]
    assert len(outputs) == len(preset.deep_supervision_weights)
    assert outputs[0].shape == (1, preset.classes, *preset.patch_kji)


def test_the_comparisons_are_monais_networks():
    from monai.networks.nets.basic_unet import BasicUNet
    from monai.networks.nets.vnet import VNet

    for name, kind in (("unet3d", BasicUNet), ("vnet", VNet)):
        assert isinstance(_network(preset_for(name, Step.ONE_STEP)), kind)


@pytest.mark.parametrize("name", ["unet3d", "vnet"])
def test_each_levels_feature_maps_are_the_presets(name):
    preset = preset_for(name, Step.ONE_STEP)
    by_size = {}

    def note(module, inputs, output):
        if isinstance(module, torch.nn.Conv3d) and output.shape[2] <= preset.patch_kji[0]:
            by_size.setdefault(output.shape[2], []).append(output.shape[1])

    network = _network(preset)
    for module in network.modules():
        module.register_forward_hook(note)
    network(torch.empty(1, preset.channels, *preset.patch_kji, device="meta"))
    first = preset.patch_kji[0]
    for level, features in enumerate(preset.features):
        assert by_size[first >> level][0] == features


@pytest.mark.parametrize("name", ["unet3d", "vnet"])
def test_a_network_without_deep_supervision_refuses_it(name):
    preset = preset_for(name, Step.ONE_STEP)
    assert preset.network is not NetworkKind.NNUNET
    with pytest.raises(TypeError, match="deep_supervision"):
        build_network(architecture(preset), channels=2, classes=8, deep_supervision=True)
