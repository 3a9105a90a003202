import itertools

import numpy as np
import pytest
from tests.imaging.heads import STRAIGHT, grid_of, head, head_hu, positions_of

from parotid_brachy.lib.anatomy import Side
from parotid_brachy.lib.imaging.roi import Box, canonical_grid
from parotid_brachy.lib.imaging.sampling import (
    AIR_HU,
    index_box,
    restore_scores,
    sample_ct,
    sample_labels,
)
from parotid_brachy.lib.imaging.volume import Grid, Volume

ORIENTATIONS = [
    (order, flips)
    for order in itertools.permutations(range(3))
    for flips in itertools.product((1, -1), repeat=3)
]


def reoriented(volume: Volume, order: tuple[int, ...], flips: tuple[int, ...]) -> Volume:
    """The same anatomy with its index axes in another order and direction."""
    grid = volume.grid
    voxels = volume.voxels.transpose()  # i, j, k
    first = [
        0 if sign > 0 else grid.size_ijk[axis] - 1 for axis, sign in zip(order, flips, strict=True)
    ]
    start = np.zeros(3)
    for axis, index in zip(order, first, strict=True):
        start[axis] = index
    axes = np.asarray(grid.direction).reshape(3, 3)
    direction = np.stack(
        [axes[:, axis] * sign for axis, sign in zip(order, flips, strict=True)], axis=1
    )
    voxels = voxels.transpose(order)[tuple(slice(None, None, sign) for sign in flips)]
    turned = Grid(
        tuple(grid.size_ijk[axis] for axis in order),
        tuple(grid.spacing_mm[axis] for axis in order),
        tuple(grid.to_lps_mm(start)),
        tuple(direction.ravel()),
    )
    return Volume(turned, np.ascontiguousarray(voxels.transpose()), volume.case)


def rotation(*degrees: float) -> tuple[float, ...]:
    a, b, c = np.radians(degrees)
    x = np.asarray([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    y = np.asarray([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    z = np.asarray([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return tuple((z @ y @ x).ravel())


@pytest.fixture(scope="module")
def small_head() -> Volume:
    return head()


def working_grid(side: Side) -> Grid:
    box = Box((-5.0, -60.0, -70.0), (80.0, 60.0, 40.0))
    if side is Side.RIGHT:
        box = Box((-80.0, -60.0, -70.0), (5.0, 60.0, 40.0))
    return canonical_grid(box, side=side, spacing_mm=(3.0, 3.0, 4.0))


def test_there_are_48_orientations():
    assert len(set(ORIENTATIONS)) == 48


@pytest.mark.parametrize("side", list(Side))
def test_every_orientation_gives_the_same_working_volume(small_head, side):
    target = working_grid(side)
    native = sample_ct(small_head, target)
    assert native.std() > 100
    for order, flips in ORIENTATIONS:
        turned = reoriented(small_head, order, flips)
        assert np.abs(sample_ct(turned, target) - native).max() < 0.01, (order, flips)


def test_the_sides_differ_where_the_mass_is(small_head):
    left = sample_ct(small_head, working_grid(Side.LEFT))
    right = sample_ct(small_head, working_grid(Side.RIGHT))
    differ = np.abs(left - right) > 10
    assert 0 < differ.mean() < 0.05
    where = working_grid(Side.LEFT).to_lps_mm(np.argwhere(differ)[:, ::-1].mean(axis=0))
    assert np.linalg.norm(where - np.asarray([40, -10, -40])) < 5


@pytest.mark.parametrize("turn", [(10.0, 0.0, 0.0), (0.0, -15.0, 5.0), (8.0, 12.0, 30.0)])
def test_an_oblique_volume_is_sampled_where_it_lies(turn):
    grid = grid_of((90, 100, 90), (2.0, 2.0, 2.0), rotation(*turn))
    target = working_grid(Side.LEFT)
    sampled = sample_ct(head(grid), target)
    truth = head_hu(positions_of(target))
    agree = np.abs(sampled - truth) < 200
    assert agree.mean() > 0.9


def test_outside_the_volume_there_is_air(small_head):
    far = grid_of((8, 8, 8), (5.0, 5.0, 5.0), centre_lps_mm=(500.0, 0.0, 0.0))
    assert np.all(sample_ct(small_head, far) == AIR_HU)
    partly = grid_of((60, 10, 10), (5.0, 5.0, 5.0))
    sampled = sample_ct(small_head, partly)
    assert np.all(sampled[:, :, :5] == AIR_HU)
    assert np.any(sampled[:, :, 30] > 0)


def test_sampling_onto_the_own_grid_changes_nothing(small_head):
    assert np.array_equal(sample_ct(small_head, small_head.grid), small_head.voxels)


def test_coarse_sampling_averages():
    grid = grid_of((64, 64, 64), (1.0, 1.0, 1.0))
    noise = np.random.default_rng(6).normal(0, 100, grid.shape_kji).astype(np.float32)
    coarse = grid_of((12, 12, 12), (4.0, 4.0, 4.0))
    assert sample_ct(Volume(grid, noise, "noise"), coarse).std() < 25


def test_labels_go_to_a_finer_grid_and_back_unchanged():
    grid = grid_of((20, 18, 16), (2.0, 2.0, 3.0))
    labels = np.zeros(grid.shape_kji, dtype=np.uint8)
    labels[4:10, 5:12, 6:14] = 3
    labels[10:13, 5:12, 6:14] = 7
    fine = grid_of((60, 54, 48), (2 / 3, 2 / 3, 1.0))
    there = sample_labels(labels, grid, fine)
    assert set(np.unique(there)) == {0, 3, 7}
    assert np.array_equal(sample_labels(there, fine, grid), labels)


def test_labels_outside_are_nothing():
    grid = grid_of((8, 8, 8), (2.0, 2.0, 2.0))
    labels = np.full(grid.shape_kji, 5, dtype=np.uint8)
    far = grid_of((8, 8, 8), (2.0, 2.0, 2.0), centre_lps_mm=(100.0, 0.0, 0.0))
    assert not sample_labels(labels, grid, far).any()


@pytest.mark.parametrize(
    ("order", "flips"), [((0, 1, 2), (1, 1, 1)), ((2, 0, 1), (-1, 1, -1)), ((1, 2, 0), (-1, -1, 1))]
)
def test_scores_return_to_the_native_voxels(small_head, order, flips):
    native = reoriented(small_head, order, flips).grid
    work = working_grid(Side.RIGHT)
    truth = positions_of(work)[..., 1]  # a score that says where it is: LPS y
    scores = np.stack([np.ones_like(truth), truth + 1000]).astype(np.float32)
    restored, where = restore_scores(scores, work, native)
    positions = positions_of(native)[where]
    assert restored.shape == (*positions.shape[:3], 2)
    inside = restored[..., 0] > 0.999
    assert inside.mean() > 0.6
    assert np.allclose(restored[inside][:, 1] - 1000, positions[inside][:, 1], atol=0.01)
    everywhere = np.zeros(native.shape_kji, dtype=bool)
    everywhere[where] = True
    beyond = native.to_lps_mm(np.argwhere(~everywhere)[:, ::-1].astype(float))
    index = work.to_index(beyond)
    assert not np.any(np.all((index > 0) & (index < np.asarray(work.size_ijk) - 1), axis=1))


def test_scores_far_from_the_volume_restore_to_nothing(small_head):
    far = grid_of((8, 8, 8), (2.0, 2.0, 2.0), centre_lps_mm=(900.0, 0.0, 0.0))
    restored, _ = restore_scores(np.ones((2, 8, 8, 8), dtype=np.float32), far, small_head.grid)
    assert restored.size == 0


def test_the_covered_part_is_clipped_to_the_grid():
    grid = Grid((20, 20, 20), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), STRAIGHT)
    target = Grid((10, 10, 10), (1.0, 1.0, 1.0), (-5.0, 4.0, 15.0), STRAIGHT)
    start, stop = index_box(grid, target, margin_voxels=2)
    assert start.tolist() == [0, 1, 12]
    assert stop.tolist() == [8, 17, 20]
