import itertools

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from parotid_brachy.lib.imaging.orientation import along_patient
from parotid_brachy.lib.imaging.volume import Grid, Volume

SIZE = (5, 6, 7)
SPACING = (0.5, 1.0, 2.5)


def volume_of(direction):
    grid = Grid(SIZE, SPACING, (-11.0, 7.0, 31.0), tuple(np.asarray(direction, float).ravel()))
    voxels = np.arange(np.prod(SIZE), dtype=np.int16).reshape(grid.shape_kji)
    return Volume(grid, voxels, "case")


def stored_forms():
    """All 48 axis orders and flips."""
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            yield np.eye(3)[:, list(order)] * signs


def positions(grid):
    k, j, i = np.indices(grid.shape_kji)
    return grid.to_lps_mm(np.stack([i, j, k], axis=-1))


def by_value(volume):
    """Where each voxel lies, by its value."""
    flat = positions(volume.grid).reshape(-1, 3)
    return flat[np.argsort(volume.voxels.ravel())]


def oblique(axis, degrees):
    return Rotation.from_euler(axis, degrees, degrees=True).as_matrix()


DIRECTIONS = [
    *stored_forms(),
    oblique("z", 30) @ np.eye(3)[:, [2, 0, 1]],
    oblique("x", 44) @ (np.eye(3) * [-1, 1, -1]),
]


@pytest.mark.parametrize("number", range(len(DIRECTIONS)))
def test_voxels_stay_where_they_are_and_axes_run_along_the_patient(number):
    volume = volume_of(DIRECTIONS[number])
    turned, turn = along_patient(volume)
    assert np.allclose(by_value(turned), by_value(volume), atol=1e-8)
    assert (np.diag(np.reshape(turned.grid.direction, (3, 3))) > 0).all()
    assert turned.voxels.flags.c_contiguous
    assert turned.voxels.shape == turned.grid.shape_kji
    assert np.array_equal(turn.turned(volume.voxels), turned.voxels)
    back = turn.back(turned.voxels)
    assert np.array_equal(back, volume.voxels)
    assert back.flags.c_contiguous


def test_all_48_forms_of_one_volume_are_turned_to_the_same_one():
    upright = volume_of(np.eye(3))
    for direction in stored_forms():
        order = [int(np.abs(direction[:, axis]).argmax()) for axis in range(3)]
        signs = [direction[order[axis], axis] for axis in range(3)]
        voxels = upright.voxels.transpose([2 - order[axis] for axis in (2, 1, 0)])
        voxels = np.flip(voxels, [2 - axis for axis in range(3) if signs[axis] < 0])
        first = np.zeros(3)
        for axis in range(3):
            first[order[axis]] = SIZE[order[axis]] - 1 if signs[axis] < 0 else 0
        grid = Grid(
            tuple(SIZE[axis] for axis in order),
            tuple(SPACING[axis] for axis in order),
            tuple(upright.grid.to_lps_mm(first)),
            tuple(direction.ravel()),
        )
        turned, _ = along_patient(Volume(grid, voxels, "case"))
        assert turned.grid == upright.grid
        assert np.array_equal(turned.voxels, upright.voxels)


def test_a_volume_that_lies_right_is_not_copied():
    volume = volume_of(np.eye(3))
    assert np.shares_memory(along_patient(volume)[0].voxels, volume.voxels)
