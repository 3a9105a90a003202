import numpy as np
import pytest
import torch
from tests.imaging.heads import grid_of, head
from tests.segmentation.versions import untrained_registry

from parotid_brachy.lib.anatomy import Side
from parotid_brachy.lib.errors import ModelRefusedError
from parotid_brachy.lib.imaging.roi import Box
from parotid_brachy.lib.imaging.volume import Volume
from parotid_brachy.lib.segmentation.appearance import Appearance
from parotid_brachy.lib.segmentation.backends import Backend
from parotid_brachy.lib.segmentation.model import Model
from parotid_brachy.lib.segmentation.presets import Step

GRID = grid_of()
VOLUME = head(GRID)
GLAND = Box((30.0, -10.0, -40.0), (60.0, 20.0, 0.0))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    registry = untrained_registry(tmp_path_factory.mktemp("untrained") / "model")
    return Model(registry.champion(Step.ORGANS_AT_RISK), torch.device("cpu"), Backend.TORCH)


@pytest.fixture(scope="module")
def appearance(model):
    return Appearance(model)


def test_a_case_is_mean_and_spread_of_each_feature_map_of_each_level(appearance, model):
    vector = appearance.of(VOLUME, GLAND, Side.LEFT)
    assert vector.shape == (2 * 5 * 3,), "5 levels of 3 feature maps"
    assert np.isfinite(vector).all()
    assert appearance.made_by == model.name


def test_the_same_case_looks_the_same_each_time(appearance):
    first = appearance.of(VOLUME, GLAND, Side.LEFT)
    appearance.of(VOLUME, GLAND, Side.RIGHT)
    assert np.array_equal(first, appearance.of(VOLUME, GLAND, Side.LEFT))


def test_boxes_of_any_size_are_described_by_one_patch_round_their_middle(appearance):
    grown = appearance.of(VOLUME, GLAND.grown(7.3), Side.LEFT)
    np.testing.assert_allclose(grown, appearance.of(VOLUME, GLAND, Side.LEFT), rtol=1e-3)
    moved = Box((0.0, -10.0, -40.0), (30.0, 20.0, 0.0))
    assert not np.allclose(grown, appearance.of(VOLUME, moved, Side.LEFT), rtol=1e-3)


def test_a_right_gland_is_looked_at_as_a_left_one(appearance):
    """The head is symmetrical but for a mass: mirrored as a whole it must look the same."""
    mirrored = Volume(GRID, np.ascontiguousarray(VOLUME.voxels[:, :, ::-1]), "mirrored")
    right = Box((-60.0, -10.0, -40.0), (-30.0, 20.0, 0.0))
    np.testing.assert_allclose(
        appearance.of(mirrored, right, Side.RIGHT),
        appearance.of(VOLUME, GLAND, Side.LEFT),
        rtol=1e-4,
        atol=1e-5,
    )


def test_a_scan_that_is_brighter_or_noisier_looks_different(appearance):
    before = appearance.of(VOLUME, GLAND, Side.LEFT)
    noise = np.random.default_rng(0).normal(0, 150, VOLUME.voxels.shape).astype(np.int16)
    noisy = appearance.of(Volume(GRID, VOLUME.voxels + noise, "noisy"), GLAND, Side.LEFT)
    brighter = appearance.of(Volume(GRID, VOLUME.voxels + 60, "brighter"), GLAND, Side.LEFT)
    assert np.abs(noisy - before).max() > 0.01
    assert np.abs(brighter - before).max() > 0.01


def test_a_gland_at_the_volumes_edge_is_described_too(appearance):
    corner = Box.of_grid(GRID)
    low = np.asarray(corner.low_lps_mm)
    assert np.isfinite(appearance.of(VOLUME, Box.of(low, low + 20), Side.LEFT)).all()


def test_a_network_without_levels_is_refused(model, monkeypatch):
    monkeypatch.setattr(type(model), "torch_network", lambda _: torch.nn.Identity())
    with pytest.raises(ModelRefusedError, match="no levels"):
        Appearance(model)
