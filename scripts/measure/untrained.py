"""Model versions with random weights, for measuring seconds where nothing was trained.

Their networks, patches and working grids are the presets' own, so that they cost what trained
ones cost; what they answer is noise.
"""

from __future__ import annotations

from typing import Any

import torch

from parotid_brachy.lib.segmentation.architectures import architecture, build_network
from parotid_brachy.lib.segmentation.planning import CONFIGURATION, override_plans
from parotid_brachy.lib.segmentation.presets import Preset, Step, preset_for
from parotid_brachy.lib.segmentation.registry import Registry, write_version
from parotid_brachy.lib.segmentation.weights import distinct_names

NAME = "untrained"
PLANNING_CT_SPACING_KJI_MM = (2.0, 0.98, 0.98)
"""Where a preset takes its working grid from the training data: the protocol's planning CTs."""


def add_untrained(registry: Registry, preset_name: str, step: Step, *, seed: int = 0) -> None:
    """Adds a version with random weights and makes it the champion."""
    preset = preset_for(preset_name, step)
    draft = registry.root / "drafts" / step.value
    write_version(
        draft,
        preset=preset,
        weights=_weights(preset, seed),
        plans=_plans(preset),
        description=_description(preset),
        manifest={"training": {"cases": [], "provenance": "not trained: random weights"}},
    )
    registry.add(draft, name=NAME)
    registry.promote(step, NAME)


def _plans(preset: Preset) -> dict[str, Any]:
    """What nnU-Net's planner would have written, as far as prediction reads it."""
    spacing = preset.spacing_kji_mm or PLANNING_CT_SPACING_KJI_MM
    channels = preset.channels
    resampling = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    planned = {
        "data_identifier": f"nnUNetPlans_{CONFIGURATION}",
        "preprocessor_name": "DefaultPreprocessor",
        "normalization_schemes": ["NoNormalization"] * channels,
        "use_mask_for_norm": [False] * channels,
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": resampling,
        "resampling_fn_seg_kwargs": {**resampling, "is_seg": True, "order": 1},
        "resampling_fn_probabilities_kwargs": {**resampling, "order": 1},
        "median_image_size_in_voxels": list(preset.patch_kji),
        "batch_dice": True,
    }
    intensity = {"percentile_00_5": -900.0, "percentile_99_5": 1500.0, "mean": 60.0, "std": 250.0}
    plans = {
        "dataset_name": f"Dataset001_{preset.step.value}",
        "plans_name": "nnUNetPlans",
        "image_reader_writer": "SimpleITKIO",
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "configurations": {CONFIGURATION: planned},
        "foreground_intensity_properties_per_channel": {str(n): intensity for n in range(channels)},
    }
    return override_plans(plans, preset, spacing)


def _description(preset: Preset) -> dict[str, Any]:
    labels = {"background": 0}
    labels.update({s.name: value for value, s in enumerate(preset.structures, start=1)})
    channels = {str(n): "noNorm" for n in range(len(preset.windows))} or {"0": "CT"}
    return {
        "channel_names": channels,
        "labels": labels,
        "numTraining": 0,
        "file_ending": ".nrrd",
        "overwrite_image_reader_writer": "SimpleITKIO",
    }


def _weights(preset: Preset, seed: int) -> dict[str, torch.Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_network(
            architecture(preset), channels=preset.channels, classes=preset.classes
        )
    state = network.state_dict()
    return {name: state[name].detach().clone() for name in distinct_names(network)}
