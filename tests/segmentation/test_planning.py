import copy
import json
import logging
import os
import sys

import numpy as np
import pytest
import SimpleITK as sitk
from tests.segmentation.versions import planner_output

from parotid_brachy.lib.anatomy import Side
from parotid_brachy.lib.imaging.roi import Box, canonical_grid
from parotid_brachy.lib.segmentation.architectures import architecture
from parotid_brachy.lib.segmentation.planning import (
    CONFIGURATION,
    override_plans,
    quiet,
    workspace_for,
    write_description,
    write_sample,
)
from parotid_brachy.lib.segmentation.presets import PRESETS, Step, preset_for
from parotid_brachy.lib.segmentation.training_data import Sample

SPACING = (2.0, 1.0, 1.0)
every_preset = pytest.mark.parametrize("preset", PRESETS, ids=lambda p: f"{p.name}-{p.step.value}")


@every_preset
def test_what_the_preset_fixes_is_in_the_plans_and_the_rest_stays_nnunets(preset):
    plain = planner_output(preset, (9.0, 9.0, 9.0))
    before = copy.deepcopy(plain)
    plans = override_plans(plain, preset, SPACING)
    assert plain == before
    configuration = plans["configurations"][CONFIGURATION]
    assert configuration["patch_size"] == list(preset.patch_kji)
    assert configuration["batch_size"] == preset.batch_size
    assert configuration["spacing"] == list(SPACING)
    assert configuration["architecture"] == architecture(preset)
    assert plans["transpose_forward"] == plans["transpose_backward"] == [0, 1, 2]
    assert list(plans["configurations"]) == [CONFIGURATION]
    fixed = {"patch_size", "batch_size", "spacing", "architecture"}
    for name in set(configuration) - fixed:
        assert configuration[name] == before["configurations"][CONFIGURATION][name]
    kept = "foreground_intensity_properties_per_channel"
    assert plans[kept] == before[kept]


@every_preset
def test_plans_survive_json(preset):
    plans = override_plans(planner_output(preset, SPACING), preset, SPACING)
    assert json.loads(json.dumps(plans)) == plans


@every_preset
def test_overriding_twice_changes_nothing_more(preset):
    once = override_plans(planner_output(preset, SPACING), preset, SPACING)
    assert override_plans(once, preset, SPACING) == once


def test_a_workspace_keeps_nnunets_three_folders_together(tmp_path, monkeypatch):
    for name in ("raw", "preprocessed", "results"):
        monkeypatch.setenv(f"nnUNet_{name}", "elsewhere")
    workspace = workspace_for(tmp_path / "a b", preset_for("compact", Step.GLAND))
    workspace.activate()
    for name in ("raw", "preprocessed", "results"):
        assert os.environ[f"nnUNet_{name}"] == str(tmp_path / "a b" / name)
        assert (tmp_path / "a b" / name).is_dir()
    assert workspace.preprocessed.name == "Dataset001_gland"


@pytest.mark.parametrize(
    ("name", "channels"), [("paper", {"0": "CT"}), ("compact", {"0": "noNorm", "1": "noNorm"})]
)
def test_the_description_tells_channels_labels_and_what_to_ignore(tmp_path, name, channels):
    preset = preset_for(name, Step.ORGANS_AT_RISK)
    workspace = workspace_for(tmp_path, preset)
    workspace.raw.mkdir(parents=True)
    write_description(preset, 5, workspace)
    description = json.loads((workspace.raw / "dataset.json").read_text())
    assert description["channel_names"] == channels
    assert description["numTraining"] == 5
    labels = description["labels"]
    assert labels["background"] == 0
    assert [labels[s.name] for s in preset.structures] == list(range(1, len(preset.structures) + 1))
    assert labels["ignore"] == len(preset.structures) + 1


def test_a_sample_is_written_channel_by_channel_without_the_mirrored_direction(tmp_path):
    preset = preset_for("compact", Step.GLAND)
    box = Box((0.0, 0.0, 0.0), (10.0, 12.0, 14.0))
    grid = canonical_grid(box, side=Side.RIGHT, spacing_mm=(2.5, 2.0, 2.0))
    rng = np.random.default_rng(0)
    hu = rng.uniform(-1200, 2000, grid.shape_kji).astype(np.float32)
    targets = rng.integers(0, 2, grid.shape_kji).astype(np.uint8)
    workspace = workspace_for(tmp_path, preset)
    write_sample(Sample("a__right", "a", grid, hu, targets), preset, workspace)
    for number, window in enumerate(preset.windows):
        image = sitk.ReadImage(str(workspace.raw / "imagesTr" / f"a__right_{number:04d}.nrrd"))
        np.testing.assert_array_equal(sitk.GetArrayFromImage(image), window.apply(hu))
        assert image.GetDirection() == (1, 0, 0, 0, 1, 0, 0, 0, 1)
        assert image.GetSpacing() == grid.spacing_mm
    label = sitk.ReadImage(str(workspace.raw / "labelsTr" / "a__right.nrrd"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(label), targets)


def test_nnunets_prints_go_to_the_log(capsys, caplog):
    with caplog.at_level(logging.DEBUG), quiet():
        sys.stdout.write("\n  planning  \n")
    assert capsys.readouterr().out == ""
    assert [record.getMessage() for record in caplog.records] == ["nnU-Net: planning"]
