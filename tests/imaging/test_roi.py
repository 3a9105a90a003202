import numpy as np
import pytest

from parotid_brachy.lib.anatomy import GLAND, ORGANS_AT_RISK, REACH_MM, Side
from parotid_brachy.lib.imaging.roi import Box, canonical_grid, cut_at_reach, within_reach
from parotid_brachy.lib.imaging.volume import Grid

TURNED = (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0)
STRAIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def brute_force_reach(gland, grid, reach_mm):
    k, j, i = np.meshgrid(*(np.arange(n) for n in gland.shape), indexing="ij")
    positions = grid.to_lps_mm(np.stack([i, j, k], axis=-1)).reshape(-1, 3)
    sources = positions[gland.ravel()]
    distance = np.sqrt(((positions[:, None] - sources[None]) ** 2).sum(axis=2)).min(axis=1)
    return (distance <= reach_mm).reshape(gland.shape)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.5, 0.7, 3.0), (2.5, 1.1, 0.9)])
@pytest.mark.parametrize("direction", [STRAIGHT, TURNED])
@pytest.mark.parametrize("reach_mm", [0.4, 3.05, 5.55, 100.0])
def test_reach_is_the_euclidean_distance_in_millimetres(spacing, direction, reach_mm):
    grid = Grid((15, 14, 10), spacing, (5.0, -3.0, 8.0), direction)
    gland = np.random.default_rng(4).random(grid.shape_kji) > 0.995
    assert 2 <= gland.sum() <= 30
    expected = brute_force_reach(gland, grid, reach_mm)
    assert np.array_equal(within_reach(gland, grid, reach_mm=reach_mm), expected)


def test_reach_ends_at_17_mm_by_default():
    grid = Grid((60, 3, 3), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), STRAIGHT)
    gland = np.zeros(grid.shape_kji, dtype=bool)
    gland[1, 1, 20] = True
    assert REACH_MM == 17.0
    assert np.flatnonzero(within_reach(gland, grid)[1, 1]).tolist() == list(range(3, 38))


def test_without_a_gland_nothing_is_within_reach():
    grid = Grid((6, 5, 4), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), STRAIGHT)
    assert not within_reach(np.zeros(grid.shape_kji, dtype=bool), grid).any()


def test_the_cut_clears_organs_beyond_reach_and_leaves_the_gland():
    grid = Grid((60, 4, 4), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), STRAIGHT)
    labels = np.zeros(grid.shape_kji, dtype=np.uint8)
    for row, organ in enumerate(ORGANS_AT_RISK[:4]):
        labels[row] = organ.value
    labels[:, :, 0] = GLAND.value
    labels[0, 0, 59] = GLAND.value  # a gland's voxel far from the gland that counts
    gland = np.zeros(grid.shape_kji, dtype=bool)
    gland[:, :, 0] = True
    before = labels.copy()
    cut = cut_at_reach(labels, gland, grid)
    assert np.array_equal(labels, before)
    assert np.array_equal(cut == GLAND.value, labels == GLAND.value)
    assert np.array_equal(cut[:, :, :18], labels[:, :, :18])
    assert np.unique(cut[:, :, 18:]).tolist() == [0, GLAND.value]
    assert cut.dtype == np.uint8


def test_a_cut_without_a_gland_clears_all_organs():
    grid = Grid((6, 5, 4), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), STRAIGHT)
    labels = np.full(grid.shape_kji, ORGANS_AT_RISK[0].value, dtype=np.uint8)
    assert not cut_at_reach(labels, np.zeros(grid.shape_kji, dtype=bool), grid).any()


def test_a_masks_box_holds_whole_voxels():
    grid = Grid((10, 10, 10), (1.0, 2.0, 3.0), (0.0, 0.0, 0.0), STRAIGHT)
    mask = np.zeros(grid.shape_kji, dtype=bool)
    mask[4:6, 3, 2] = True
    box = Box.of_mask(mask, grid)
    assert box.low_lps_mm == (1.5, 5.0, 10.5)
    assert box.high_lps_mm == (2.5, 7.0, 16.5)


def test_a_masks_box_on_an_oblique_grid_holds_every_voxels_corner():
    grid = Grid((10, 9, 8), (1.0, 2.0, 3.0), (7.0, 0.0, -4.0), TURNED)
    mask = np.random.default_rng(5).random(grid.shape_kji) > 0.98
    box = Box.of_mask(mask, grid)
    corners = []
    for k, j, i in np.argwhere(mask):
        corners.append(grid.cropped((i, j, k), (i + 1, j + 1, k + 1)).corners_lps_mm())
    corners = np.concatenate(corners)
    assert np.allclose(corners.min(axis=0), box.low_lps_mm)
    assert np.allclose(corners.max(axis=0), box.high_lps_mm)


def test_boxes_grow_and_clip():
    box = Box((0.0, 0.0, 0.0), (10.0, 20.0, 30.0)).grown(17.0)
    assert box == Box((-17.0, -17.0, -17.0), (27.0, 37.0, 47.0))
    assert box.clipped(Box((-5.0, 0.0, 0.0), (100.0, 30.0, 100.0))) == Box(
        (-5.0, 0.0, 0.0), (27.0, 30.0, 47.0)
    )


@pytest.mark.parametrize("side", list(Side))
def test_a_canonical_grid_runs_from_medial_to_lateral_and_covers_its_box(side):
    box = Box((-3.0, 10.0, -20.0), (41.0, 55.5, 33.0))
    grid = canonical_grid(box, side=side, spacing_mm=(1.5, 1.0, 2.0))
    corners = grid.corners_lps_mm()
    assert np.all(corners.min(axis=0) <= np.asarray(box.low_lps_mm) + 1e-9)
    assert np.all(corners.max(axis=0) >= np.asarray(box.high_lps_mm) - 1e-9)
    assert np.all(corners.max(axis=0) - corners.min(axis=0) < np.asarray([44, 45.5, 53]) + 2.0)
    assert grid.spacing_mm == (1.5, 1.0, 2.0)
    steps = np.asarray(grid.direction).reshape(3, 3)
    assert steps[0, 0] == (1.0 if side is Side.LEFT else -1.0)
    assert steps[1, 1] == steps[2, 2] == 1.0


def test_a_right_half_head_is_mirrored():
    left = canonical_grid(Box((5.0, 0, 0), (65.0, 40, 40)), side=Side.LEFT, spacing_mm=(2, 2, 2))
    right = canonical_grid(
        Box((-65.0, 0, 0), (-5.0, 40, 40)), side=Side.RIGHT, spacing_mm=(2, 2, 2)
    )
    assert left.size_ijk == right.size_ijk
    for index in ([0, 0, 0], [29, 3, 7]):
        a, b = left.to_lps_mm(np.asarray(index)), right.to_lps_mm(np.asarray(index))
        assert a.tolist() == [-b[0], b[1], b[2]]
