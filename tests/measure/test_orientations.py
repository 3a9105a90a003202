import itertools

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from scripts.measure.orientations import (
    covering_grid,
    forms_of,
    gland_side,
    reordered_array,
    reordered_grid,
)

from parotid_brachy.lib.anatomy import GLAND
from parotid_brachy.lib.imaging.volume import Grid, Volume

TURNED = tuple(Rotation.from_euler("xyz", (10, -20, 30), degrees=True).as_matrix().ravel())
GRID = Grid((4, 5, 6), (0.7, 1.1, 2.0), (10.0, -20.0, 30.0), TURNED)
FORMS = list(
    itertools.product(itertools.permutations(range(3)), itertools.product((False, True), repeat=3))
)


def positions(grid):
    k, j, i = np.indices(grid.shape_kji)
    return grid.to_lps_mm(np.stack([i, j, k], axis=-1))


@pytest.mark.parametrize(("order", "flips"), FORMS)
def test_every_voxel_stays_where_it_was(order, flips):
    grid = reordered_grid(GRID, order, flips)
    for axis in range(3):
        moved = reordered_array(positions(GRID)[..., axis], order, flips)
        np.testing.assert_allclose(moved, positions(grid)[..., axis], atol=1e-9)


def test_there_are_48_exact_forms_and_no_two_are_the_same():
    hu = np.random.default_rng(0).integers(-1000, 1000, GRID.shape_kji).astype(np.int16)
    forms = [form for form, _ in forms_of(Volume(GRID, hu, "case"), None)]
    exact = [form for form in forms if form.is_exact]
    assert len(exact) == 48
    assert len({(form.volume.grid, form.volume.voxels.tobytes()) for form in exact}) == 48
    assert {form.name for form in exact} >= {"+i+j+k", "-k-j-i"}
    assert len(forms) > 48


def test_a_turned_grid_covers_every_corner():
    grid = covering_grid(GRID, Rotation.from_euler("zx", (25, -10), degrees=True), (1.0, 1.0, 1.5))
    index = grid.to_index(GRID.corners_lps_mm())
    assert index.min() >= -0.5 - 1e-6
    assert np.all(index <= np.asarray(grid.size_ijk) - 0.5 + 1e-6)


def test_the_glands_side_is_the_patients():
    labels = np.zeros(GRID.shape_kji, np.uint8)
    assert gland_side(labels, GRID, 0.0) == "none"
    labels[2, 2, 2] = GLAND.value
    x = GRID.to_lps_mm(np.array([2.0, 2.0, 2.0]))[0]
    assert gland_side(labels, GRID, x - 1) == "left"
    assert gland_side(labels, GRID, x + 1) == "right"
