import pytest
import torch

from parotid_brachy.lib.errors import ModelRefusedError, NotFoundError
from parotid_brachy.lib.infers.models import WarmModels
from parotid_brachy.lib.segmentation.presets import Step, preset_for
from parotid_brachy.lib.segmentation.registry import Registry, write_version


@pytest.fixture
def registry(tmp_path):
    """Two versions of the gland's step, the older one serving; none of the other steps."""
    for day, name in enumerate(("old", "new"), start=1):
        write_version(
            tmp_path / "gland" / name,
            preset=preset_for("compact", Step.GLAND),
            weights={"none": torch.zeros(1)},
            plans={},
            description={},
            manifest={"created": f"2026-01-0{day}T00:00:00Z"},
        )
    registry = Registry(tmp_path)
    registry.promote(Step.GLAND, "old")
    return registry


@pytest.fixture
def loaded():
    return []


@pytest.fixture
def models(registry, loaded):
    def load(version):
        loaded.append(version.name)
        return version.name

    return WarmModels(registry, load)


def test_the_champion_is_named_first(models, registry):
    assert models.names(Step.GLAND) == ["old", "new"]
    registry.promote(Step.GLAND, "new")
    assert models.names(Step.GLAND) == ["new", "old"]


def test_a_step_without_versions_serves_nothing(models):
    assert not models.serves(Step.ONE_STEP)
    assert models.names(Step.ONE_STEP) == []
    with pytest.raises(NotFoundError, match="promote"):
        models.get(Step.ONE_STEP, {})


def test_a_version_is_loaded_once(models, loaded):
    assert [models.get(Step.GLAND, {}) for _ in range(3)] == ["old"] * 3
    assert loaded == ["old"]


def test_a_promoted_version_serves_from_the_next_request_on(models, registry):
    models.get(Step.GLAND, {})
    registry.promote(Step.GLAND, "new")
    assert models.get(Step.GLAND, {}) == "new"


def test_a_named_version_goes_before_the_champion(models):
    assert models.get(Step.GLAND, {Step.GLAND: "new"}) == "new"
    with pytest.raises(NotFoundError, match="newest"):
        models.get(Step.GLAND, {Step.GLAND: "newest"})


def test_weights_that_the_manifest_does_not_know_are_not_loaded(models, registry, loaded):
    weights = registry.root / "gland" / "old" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes() + b"x")
    with pytest.raises(ModelRefusedError, match="old"):
        models.get(Step.GLAND, {})
    assert not loaded


def test_a_broken_manifest_takes_the_step_off_the_list_and_not_the_server_down(models, registry):
    (registry.root / "gland" / "new" / "manifest.json").write_text("{")
    assert models.names(Step.GLAND) == []
    assert models.get(Step.GLAND, {}) == "old"
