"""nnU-Net's planning and preprocessing of our samples, with the preset's overrides.

The fingerprint, the plans and the preprocessed files are nnU-Net's own; what the protocol (or a
preset) fixes is then written into the plans, which stay the reproducible artefact.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.pool import ThreadPool
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np
import SimpleITK as sitk

from parotid_brachy.lib.imaging.volume import to_image
from parotid_brachy.lib.segmentation.architectures import architecture
from parotid_brachy.lib.segmentation.fingerprint import judged_intensities
from parotid_brachy.lib.segmentation.presets import Preset
from parotid_brachy.lib.segmentation.training_data import Sample

logger = logging.getLogger(__name__)

CONFIGURATION: Final = "3d_fullres"
_DATASET_ID: Final = 1
_PLANS_NAME: Final = "nnUNetPlans"
_FILE_ENDING: Final = ".nrrd"
_VOXELS_OF_A_CASE: Final = 1e6


@dataclass(frozen=True)
class Workspace:
    """nnU-Net's three folders, under one root of ours."""

    root: Path
    dataset: str

    @property
    def raw(self) -> Path:
        """Images and labels in nnU-Net's layout."""
        return self.root / "raw" / self.dataset

    @property
    def preprocessed(self) -> Path:
        """Plans, splits and preprocessed samples."""
        return self.root / "preprocessed" / self.dataset

    @property
    def results(self) -> Path:
        """Checkpoints and logs."""
        return self.root / "results"

    def activate(self) -> None:
        """Points nnU-Net, which reads its folders from the environment, at this workspace."""
        os.environ["nnUNet_raw"] = str(self.root / "raw")  # noqa: SIM112
        os.environ["nnUNet_preprocessed"] = str(self.root / "preprocessed")  # noqa: SIM112
        os.environ["nnUNet_results"] = str(self.results)  # noqa: SIM112
        for name in ("raw", "preprocessed", "results"):
            (self.root / name).mkdir(parents=True, exist_ok=True)


def workspace_for(root: Path, preset: Preset) -> Workspace:
    """The workspace of a training."""
    return Workspace(root, f"Dataset{_DATASET_ID:03d}_{preset.step.value}")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Sends nnU-Net's prints to the log."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        yield
    for line in filter(None, (line.strip() for line in printed.getvalue().splitlines())):
        logger.debug("nnU-Net: %s", line)


def write_sample(sample: Sample, preset: Preset, workspace: Workspace) -> None:
    """Writes a sample as nnU-Net's raw files."""
    channels = [window.apply(sample.hu) for window in preset.windows] or [sample.hu]
    for folder in ("imagesTr", "labelsTr"):
        (workspace.raw / folder).mkdir(parents=True, exist_ok=True)
    # The files carry the spacing but not the mirrored direction: nnU-Net works on plain arrays.
    for number, channel in enumerate(channels):
        image = to_image(np.asarray(channel, dtype=np.float32), sample.grid)
        image.SetDirection((1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
        path = workspace.raw / "imagesTr" / f"{sample.name}_{number:04d}{_FILE_ENDING}"
        sitk.WriteImage(image, str(path))
    target = to_image(sample.targets, sample.grid)
    target.SetDirection((1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
    path = workspace.raw / "labelsTr" / f"{sample.name}{_FILE_ENDING}"
    sitk.WriteImage(target, str(path), useCompression=True)


def write_description(preset: Preset, count: int, workspace: Workspace) -> None:
    """Writes nnU-Net's ``dataset.json``."""
    labels = {"background": 0}
    for value, structure in enumerate(preset.structures, start=1):
        labels[structure.name] = value
    if preset.step.crops_to_roi:
        labels["ignore"] = len(preset.structures) + 1
    channels = {str(n): "noNorm" for n in range(len(preset.windows))} or {"0": "CT"}
    description = {
        "channel_names": channels,
        "labels": labels,
        "numTraining": count,
        "file_ending": _FILE_ENDING,
        "overwrite_image_reader_writer": "SimpleITKIO",
    }
    (workspace.raw / "dataset.json").write_text(json.dumps(description, indent=2))


def plan_and_preprocess(
    preset: Preset,
    spacing_kji_mm: tuple[float, float, float],
    workspace: Workspace,
    *,
    processes: int,
) -> None:
    """Runs nnU-Net's fingerprint, planner and preprocessing, with the preset's overrides."""
    # Heavy, and wanted by trainings only.
    from nnunetv2.experiment_planning import plan_and_preprocess_api as api  # noqa: PLC0415
    from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import (  # noqa: PLC0415
        DatasetFingerprintExtractor,
    )

    workspace.activate()
    # The planner takes it for a number of threads, and an earlier training may have left a 0.
    os.environ["nnUNet_n_proc_DA"] = str(processes)  # noqa: SIM112
    with quiet(), _without_processes(processes):
        extractor = DatasetFingerprintExtractor(_DATASET_ID, processes, False)
        extractor.show_progress_bar = False
        cases = len(list((workspace.raw / "labelsTr").iterdir()))
        most = extractor.num_foreground_voxels_for_intensitystats
        # nnU-Net draws a hundred million voxels, with replacement, from however few images.
        extractor.num_foreground_voxels_for_intensitystats = min(most, _VOXELS_OF_A_CASE * cases)
        extractor.run(overwrite_existing=True)
        api.plan_experiments([_DATASET_ID], overwrite_target_spacing=spacing_kji_mm)
    path = workspace.preprocessed / f"{_PLANS_NAME}.json"
    plans = override_plans(json.loads(path.read_text()), preset, spacing_kji_mm)
    if preset.step.crops_to_roi and not preset.windows:
        own = judged_intensities(workspace.raw, structures=len(preset.structures))
        plans["foreground_intensity_properties_per_channel"] = {"0": own}
    path.write_text(json.dumps(plans, indent=2))
    with quiet(), _without_processes(processes):
        api.preprocess(
            [_DATASET_ID],
            _PLANS_NAME,
            (CONFIGURATION,),
            (processes,),
            verbose=False,
            show_progress_bar=False,
        )


class _Threads:
    """What nnU-Net asks ``multiprocessing`` for, with threads in the place of processes."""

    Pool = ThreadPool

    @classmethod
    def get_context(cls, method: str) -> type[_Threads]:
        del method
        return cls


@contextlib.contextmanager
def _without_processes(processes: int) -> Iterator[None]:
    """Lets nnU-Net work in this process, where it would start a single other one.

    That one would import torch first, for seconds, and be left over where this one is killed.
    """
    # Heavy, and wanted by trainings only.
    from nnunetv2.experiment_planning.dataset_fingerprint import fingerprint_extractor  # noqa: PLC0415
    from nnunetv2.preprocessing.preprocessors import default_preprocessor  # noqa: PLC0415
    from nnunetv2.utilities import utils  # noqa: PLC0415

    if processes > 1:
        yield
        return
    with contextlib.ExitStack() as stack:
        for module in (fingerprint_extractor, default_preprocessor):
            stack.enter_context(_replaced(module, "multiprocessing", _Threads))
        # Starts eight processes to pair file names, whatever it is told.
        stack.enter_context(_replaced(utils, "Pool", ThreadPool))
        yield


@contextlib.contextmanager
def _replaced(module: ModuleType, name: str, value: object) -> Iterator[None]:
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


def load_plans(workspace: Workspace) -> tuple[dict[str, Any], dict[str, Any]]:
    """The plans and the data set's description of a preprocessed workspace."""
    plans = json.loads((workspace.preprocessed / f"{_PLANS_NAME}.json").read_text())
    description = json.loads((workspace.preprocessed / "dataset.json").read_text())
    return plans, description


def switches(preset: Preset) -> dict[str, bool]:
    """The augmentation that can be switched on and off, as plans keep it."""
    return {"virtual_surgery": preset.virtual_surgery, "field_of_view": preset.field_of_view}


def override_plans(
    plans: dict[str, Any], preset: Preset, spacing_kji_mm: tuple[float, float, float]
) -> dict[str, Any]:
    """nnU-Net's plans with what the preset fixes: patch, batch, grid and network."""
    configuration = dict(plans["configurations"][CONFIGURATION])
    configuration.update(
        patch_size=list(preset.patch_kji),
        batch_size=preset.batch_size,
        spacing=list(spacing_kji_mm),
        architecture=architecture(preset),
    )
    # Samples are stored in patient axes already; a transposition would turn the patch over.
    axes = [0, 1, 2]
    return {
        **plans,
        "preset": {"name": preset.name, "step": preset.step.value},
        "augmentation": switches(preset),
        "transpose_forward": axes,
        "transpose_backward": axes,
        "configurations": {CONFIGURATION: configuration},
    }
