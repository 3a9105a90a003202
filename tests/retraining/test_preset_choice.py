from tests.segmentation.versions import untrained_registry

from parotid_brachy.lib.retraining.job import Task
from parotid_brachy.lib.retraining.preset_choice import preset_names, preset_that_serves
from parotid_brachy.lib.segmentation.presets import Step
from parotid_brachy.lib.segmentation.registry import MANIFEST, Registry


def test_both_steps_have_the_presets_that_are_offered():
    assert preset_names(Task.TWO_STEP) == ["paper", "compact"]
    assert preset_names(Task.ONE_STEP) == ["paper", "compact", "unet3d", "vnet"]


def test_what_serves_is_trained_again(tmp_path):
    registry = untrained_registry(tmp_path, steps=(Step.GLAND,), name="a")
    manifest = registry.champion(Step.GLAND).folder / MANIFEST
    manifest.write_text(manifest.read_text().replace('"preset": "compact"', '"preset": "paper"'))
    assert preset_that_serves(registry, Task.PAROTID_GLAND) == "paper"
    assert preset_that_serves(registry, Task.ORGANS_AT_RISK) == "compact"
    assert preset_that_serves(Registry(tmp_path / "none"), Task.ONE_STEP) == "compact"
