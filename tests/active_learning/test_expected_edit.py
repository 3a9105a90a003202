import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.active_learning.proposing import Proposing
from tests.imaging.heads import grid_of, head

from parotid_brachy.lib.active_learning.expected_edit import (
    POSES,
    Pose,
    ensemble,
    expected_edit,
    posed,
    posed_midplane,
)
from parotid_brachy.lib.anatomy import GLAND, SKIN, STRUCTURES, Side
from parotid_brachy.lib.errors import GeometryError
from parotid_brachy.lib.imaging.half_head import find_midplane
from parotid_brachy.lib.imaging.volume import Volume

GRID = grid_of((12, 10, 8), (2.0, 2.0, 2.5))
VOXEL_ML = 0.01


def box(value, first, last):
    labels = np.zeros(GRID.shape_kji, np.uint8)
    labels[2:6, 2:6, first:last] = value
    return labels


def test_equal_maps_leave_nothing_to_change():
    found = expected_edit(box(7, 2, 6), [box(7, 2, 6)] * 3, GRID)
    assert (found.ml, found.members) == (0.0, 3)
    assert set(found.ml_by_structure.values()) == {0.0}


def test_the_edit_is_the_mean_volume_that_members_label_otherwise():
    # 16 voxels a slab: one member lacks one slab, the other has two more.
    found = expected_edit(box(7, 2, 6), [box(7, 3, 6), box(7, 2, 8)], GRID)
    assert found.ml == pytest.approx((16 + 32) / 2 * VOXEL_ML)
    assert found.ml_by_structure[GLAND] == pytest.approx(found.ml)


def test_what_two_structures_exchange_counts_once_in_all_and_for_each_of_them():
    found = expected_edit(box(GLAND.value, 2, 4), [box(SKIN.value, 2, 4)], GRID)
    assert found.ml == pytest.approx(32 * VOXEL_ML)
    assert found.ml_by_structure[GLAND] == pytest.approx(32 * VOXEL_ML)
    assert found.ml_by_structure[SKIN] == pytest.approx(32 * VOXEL_ML)


def test_of_members_only_what_the_contours_are_about_counts():
    members = [box(SKIN.value, 2, 4), box(GLAND.value, 2, 4)]
    found = expected_edit(box(GLAND.value, 2, 4), members, GRID, [GLAND])
    assert found.ml == pytest.approx(32 / 2 * VOXEL_ML)
    assert found.ml_by_structure[SKIN] == 0.0
    assert members[0].max() == SKIN.value, "the maps stay as they are"


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_it_is_what_counting_voxel_by_voxel_gives(seed, count):
    rng = np.random.default_rng(seed)
    contours, *members = rng.integers(0, 8, (count + 1, *GRID.shape_kji)).astype(np.uint8)
    found = expected_edit(contours, members, GRID)
    ml = np.mean([(contours != member).sum() for member in members]) * GRID.voxel_ml
    assert found.ml == pytest.approx(ml)
    for structure in STRUCTURES:
        own = contours == structure.value
        differing = [(own != (member == structure.value)).sum() for member in members]
        assert found.ml_by_structure[structure] == pytest.approx(np.mean(differing) * GRID.voxel_ml)


@pytest.mark.parametrize("members", [[], [np.zeros((1, 2, 3), np.uint8)]], ids=["none", "shape"])
def test_maps_that_cannot_be_compared_are_refused(members):
    with pytest.raises(GeometryError, match="shape"):
        expected_edit(box(7, 2, 4), members, GRID)


def test_a_posed_volume_has_the_same_voxels_about_the_same_middle():
    volume = head(GRID)
    moved = posed(volume, Pose((10.0, -5.0, 3.0), 1.05))
    middle = (np.asarray(GRID.size_ijk) - 1) / 2
    np.testing.assert_allclose(moved.grid.to_lps_mm(middle), GRID.to_lps_mm(middle), atol=1e-9)
    assert moved.voxels is volume.voxels
    corners, before = moved.grid.corners_lps_mm(), GRID.corners_lps_mm()
    lengths = np.linalg.norm(corners - corners.mean(axis=0), axis=1)
    np.testing.assert_allclose(lengths, 1.05 * np.linalg.norm(before - before.mean(axis=0), axis=1))
    axes = np.asarray(moved.grid.direction).reshape(3, 3)
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-12)
    assert np.linalg.det(axes) == pytest.approx(1.0)


def test_a_turn_about_z_turns_the_patient_the_way_it_says():
    moved = posed(head(GRID), Pose((0.0, 0.0, 90.0)))
    # Left becomes posterior: +x goes to +y.
    axes = np.asarray(moved.grid.direction).reshape(3, 3)
    np.testing.assert_allclose(axes[:, 0], [0.0, 1.0, 0.0], atol=1e-12)


@pytest.mark.parametrize("pose", POSES, ids=str)
def test_a_midplane_moves_with_the_patient(pose):
    volume = head(grid_of(), midline_mm=7.0)
    found = find_midplane(volume)
    moved = posed_midplane(found, volume.grid, pose)
    again = find_midplane(posed(volume, pose))
    assert moved.x_lps_mm == pytest.approx(again.x_lps_mm, abs=4.0), "it is looked for in 4 mm"
    assert (moved.is_believed, moved.symmetry) == (found.is_believed, found.symmetry)
    body = posed(volume, pose)
    inside = body.grid.to_lps_mm(np.argwhere(volume.voxels > 0)[:, ::-1].astype(float))
    assert (inside >= np.asarray(moved.body.low_lps_mm) - 6).all()
    assert (inside <= np.asarray(moved.body.high_lps_mm) + 6).all()


def test_half_a_head_has_no_midplane_in_any_pose():
    """Some poses of it look symmetrical enough: half heads would be cut where none ends."""
    whole = head(grid_of())
    half = Volume(
        whole.grid.cropped((24, 0, 0), whole.grid.size_ijk),
        np.ascontiguousarray(whole.voxels[:, :, 24:]),
        "half",
    )
    propose = Proposing(lambda volume, _: np.zeros(volume.grid.shape_kji))
    ensemble(half, propose, Side.LEFT)
    assert not any(options.midplane.is_believed for _, options in propose.asked)


def test_all_members_are_asked_on_the_side_of_the_first():
    propose = Proposing(lambda volume, call: np.full(volume.grid.shape_kji, call), Side.RIGHT)
    members = ensemble(head(GRID), propose, None)
    assert [options.side for _, options in propose.asked] == [None, *[Side.RIGHT] * len(POSES)]
    assert [int(member[0, 0, 0]) for member in members] == list(range(1 + len(POSES)))
    assert propose.asked[0][0].grid == GRID


def test_a_stated_side_is_kept():
    propose = Proposing(lambda volume, call: np.zeros(volume.grid.shape_kji), Side.RIGHT)
    ensemble(head(GRID), propose, Side.LEFT, POSES[:1])
    assert [options.side for _, options in propose.asked] == [Side.LEFT, Side.LEFT]
