"""Model versions for tests that need one, without a training.

Their networks are narrow (a few features) on a coarse grid, but otherwise the presets': same
levels, same windows, same files. An *untrained* one answers noise; a *planted* one knows the head
of ``planted_head`` by its CT numbers, so that the two steps have one right answer on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tests.imaging.heads import grid_of, positions_of

from parotid_brachy.lib.anatomy import GLAND, MANDIBULAR_RAMUS, Side
from parotid_brachy.lib.imaging.volume import Grid, Volume
from parotid_brachy.lib.segmentation.architectures import build_network
from parotid_brachy.lib.segmentation.planning import CONFIGURATION, override_plans
from parotid_brachy.lib.segmentation.presets import Preset, Step, preset_for
from parotid_brachy.lib.segmentation.registry import Registry, write_version
from parotid_brachy.lib.segmentation.weights import distinct_names

TWO_STEPS = (Step.GLAND, Step.ORGANS_AT_RISK)
FALLBACK_SPACING_KJI_MM = (2.0, 1.0, 1.0)
"""Working grid where the preset leaves it to the training data."""


def planner_output(preset: Preset, spacing_kji_mm: tuple[float, float, float]) -> dict[str, Any]:
    """Plans as nnU-Net's planner writes them, before the preset's overrides."""
    channels = preset.channels
    scheme = "NoNormalization" if preset.windows else "CTNormalization"
    resampling = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    configuration = {
        "data_identifier": "nnUNetPlans_3d_fullres",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 7,
        "patch_size": [96, 96, 96],
        "median_image_size_in_voxels": [100.0, 110.0, 60.0],
        "spacing": list(spacing_kji_mm),
        "normalization_schemes": [scheme] * channels,
        "use_mask_for_norm": [False] * channels,
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": resampling,
        "resampling_fn_seg_kwargs": {**resampling, "is_seg": True, "order": 1},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": {**resampling, "order": 1},
        "architecture": {"network_class_name": "the planner's own choice"},
        "batch_dice": False,
    }
    fingerprint = {
        "max": 2000.0,
        "mean": 60.0,
        "median": 50.0,
        "min": -1000.0,
        "percentile_00_5": -900.0,
        "percentile_99_5": 1500.0,
        "std": 250.0,
    }
    return {
        "dataset_name": f"Dataset001_{preset.step.value}",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": list(spacing_kji_mm),
        "original_median_shape_after_transp": [100, 110, 60],
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [1, 0, 2],
        "transpose_backward": [1, 0, 2],
        "configurations": {"2d": {}, CONFIGURATION: configuration},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {
            str(n): dict(fingerprint) for n in range(channels)
        },
    }


@dataclass(frozen=True)
class Size:
    """What makes a network quick: few features, a coarse working grid, a small patch."""

    features: tuple[int, ...]
    spacing_kji_mm: tuple[float, float, float]
    patch_kji: tuple[int, int, int]


SMALL = {
    Step.GLAND: Size((3,) * 5, (4.0, 4.0, 4.0), (32, 32, 32)),
    Step.ORGANS_AT_RISK: Size((3,) * 5, (3.0, 2.0, 2.0), (24, 40, 40)),
    Step.ONE_STEP: Size((3,) * 5, (4.0, 4.0, 4.0), (32, 32, 32)),
}


def plans_of(preset: Preset, size: Size | None = None) -> dict[str, Any]:
    """A version's plans, of the preset's own size or of another."""
    spacing = preset.spacing_kji_mm or FALLBACK_SPACING_KJI_MM
    plans = override_plans(planner_output(preset, spacing), preset, spacing)
    if size is not None:
        configuration = plans["configurations"][CONFIGURATION]
        network = configuration["architecture"]["arch_kwargs"]
        network["features_per_stage"] = list(size.features)
        configuration["spacing"] = list(size.spacing_kji_mm)
        configuration["patch_size"] = list(size.patch_kji)
    return plans


def description_of(preset: Preset) -> dict[str, Any]:
    """A version's ``dataset.json``."""
    labels = {"background": 0}
    labels.update({s.name: value for value, s in enumerate(preset.structures, start=1)})
    if preset.step.crops_to_roi:
        labels["ignore"] = len(preset.structures) + 1
    channels = {str(n): "noNorm" for n in range(len(preset.windows))} or {"0": "CT"}
    return {
        "channel_names": channels,
        "labels": labels,
        "numTraining": 1,
        "file_ending": ".nrrd",
        "overwrite_image_reader_writer": "SimpleITKIO",
    }


def network_of(preset: Preset, plans: dict[str, Any], *, seed: int) -> torch.nn.Module:
    """The network of a version's plans, with nnU-Net's initial weights."""
    network = plans["configurations"][CONFIGURATION]["architecture"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_network(network, channels=preset.channels, classes=preset.classes)


def weights_of(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A network's weights, each tensor once."""
    state = network.state_dict()
    return {name: state[name].detach().clone() for name in distinct_names(network)}


def write_untrained(
    folder: Path, step: Step, *, preset: str = "compact", seed: int = 0, small: bool = True
) -> Path:
    """Writes a version with random weights, as a training would.

    Args:
        folder: the version's folder.
        step: which network.
        preset: its preset's name.
        seed: of the weights.
        small: quick to run, for ``compact``; else of the preset's own size.
    """
    chosen = preset_for(preset, step)
    plans = plans_of(chosen, SMALL[step] if small else None)
    network = network_of(chosen, plans, seed=seed)
    # Logits of a trained network's size, a few units.
    with torch.no_grad():
        network.decoder.seg_layers[-1].weight.mul_(3.0)
    return write_version(
        folder,
        preset=chosen,
        weights=weights_of(network),
        plans=plans,
        description=description_of(chosen),
        manifest={"training": {"cases": ["phantom"], "provenance": "not trained, for tests"}},
    )


def untrained_registry(
    root: Path, *, seed: int = 0, steps: Sequence[Step] = TWO_STEPS, name: str = "untrained"
) -> Registry:
    """A registry with a champion per step whose weights are random.

    Args:
        root: an empty folder; versions are put together beside it and copied in.
        seed: of the weights.
        steps: which networks.
        name: of the versions.
    """
    return _registry(
        root,
        {step: write_untrained(_draft_of(root, step), step, seed=seed) for step in steps},
        name,
    )


def planted_registry(
    root: Path, *, steps: Sequence[Step] = TWO_STEPS, name: str = "planted"
) -> Registry:
    """A registry with a champion per step that knows the structures of ``planted_head``.

    Anything near ``GLAND_HU`` is the gland; whatever a network labels besides knows anything near
    ``RAMUS_HU`` as the mandibular ramus, and nothing else.
    """
    return _registry(
        root, {step: _write_planted(_draft_of(root, step), step) for step in steps}, name
    )


def _draft_of(root: Path, step: Step) -> Path:
    return root.with_name(f"{root.name}-drafts") / step.value


def _registry(root: Path, folders: dict[Step, Path], name: str) -> Registry:
    registry = Registry(root)
    for step, folder in folders.items():
        registry.add(folder, name=name)
        registry.promote(step, name)
    return registry


TISSUE_HU = -150.0
RAMUS_HU = 300.0
GLAND_HU = 1500.0
GLAND_CENTRE_MM = (52.0, 12.0, 0.0)
"""Distance from the midplane, then y and z in LPS."""


def planted_head(
    grid: Grid | None = None,
    *,
    left_radius_mm: float = 14.0,
    right_radius_mm: float = 18.0,
    case: str = "planted",
) -> Volume:
    """An ellipsoid of a head with a ball for each gland and a bar for each ramus in front of it.

    A radius of 0 leaves that side's gland out. The bar reaches farther up and down than the seeds
    reach from the gland.
    """
    where = grid or grid_of((96, 84, 80), (2.0, 2.5, 2.5))
    return Volume(where, planted_hu(positions_of(where), left_radius_mm, right_radius_mm), case)


def planted_hu(
    lps_mm: NDArray[np.float64], left_radius_mm: float, right_radius_mm: float
) -> NDArray[np.int16]:
    """CT numbers of the planted head at positions in LPS millimetres."""
    x, y, z = lps_mm[..., 0], lps_mm[..., 1], lps_mm[..., 2]
    hu = np.full(x.shape, -1000.0)
    hu[(x / 85) ** 2 + (y / 95) ** 2 + (z / 95) ** 2 < 1] = TISSUE_HU
    depth, row, level = GLAND_CENTRE_MM
    for sign, radius in ((1, left_radius_mm), (-1, right_radius_mm)):
        bar = (np.abs(x - sign * 45) < 5) & (np.abs(y + 18) < 7) & (np.abs(z) < 50)
        hu[bar] = RAMUS_HU
        ball = (x - sign * depth) ** 2 + (y - row) ** 2 + (z - level) ** 2 < radius**2
        hu[ball] = GLAND_HU
    return hu.astype(np.int16)


def ball_ml(radius_mm: float) -> float:
    """Volume of a ball."""
    return 4 / 3 * np.pi * radius_mm**3 / 1000


def side_of_smaller(volume: Volume) -> Side:
    """The side with fewer gland voxels."""
    x = positions_of(volume.grid)[..., 0]
    gland = volume.voxels == GLAND_HU
    return Side.LEFT if (gland & (x > 0)).sum() < (gland & (x < 0)).sum() else Side.RIGHT


_FAINT = 3e-4
"""Input scale so small that instance normalisation's epsilon outweighs the variance.

What is left of the normalisation is the subtraction of the patch's mean.
"""
_EPSILON = 1e-5


def _write_planted(folder: Path, step: Step) -> Path:
    preset = preset_for("compact", step)
    plans = plans_of(preset, SMALL[step])
    network = network_of(preset, plans, seed=0)
    with torch.no_grad():
        for value in network.parameters():
            value.zero_()
        first, second = network.encoder.stages[0][0].convs
        # HU over the mean of the patch: in the wide window only the gland stands out so far, in
        # the soft tissue window both bright structures do.
        _plant(first, 0, 0, threshold=2.2)
        _plant(first, 1, 1, threshold=1.1)
        third, fourth = network.decoder.stages[-1].convs
        skip = third.conv.in_channels // 2
        _plant(second, 0, 0, threshold=0.0)
        _plant(second, 1, 1, threshold=0.0)
        # Round the gland its edge is as bright as a ramus, by partial volume.
        _plant(second, 2, 0, threshold=0.0)
        second.conv.weight[2, 0] = _FAINT / 9
        for channel in (0, 1, 2):
            _plant(third, channel, skip + channel, threshold=0.0)
            _plant(fourth, channel, channel, threshold=0.0)
        last = network.decoder.seg_layers[-1]
        gland = preset.structures.index(GLAND) + 1
        last.weight[gland, 0] = 100.0
        last.bias[1:] = -100.0
        last.bias[gland] = -15.0
        if MANDIBULAR_RAMUS in preset.structures:
            ramus = preset.structures.index(MANDIBULAR_RAMUS) + 1
            last.weight[ramus, 1], last.weight[ramus, 2] = 40.0, -200.0
            last.bias[ramus] = -12.0
    return write_version(
        folder,
        preset=preset,
        weights=weights_of(network),
        plans=plans,
        description=description_of(preset),
        manifest={"training": {"cases": ["planted"], "provenance": "planted, for tests"}},
    )


def _plant(block: Any, to: int, source: int, *, threshold: float) -> None:
    """Makes a block's channel ``leaky_relu(input - mean - threshold)`` of one input channel."""
    block.conv.weight[to, source, 1, 1, 1] = _FAINT
    block.norm.weight[to] = _EPSILON**0.5 / _FAINT
    block.norm.bias[to] = -threshold
