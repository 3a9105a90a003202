import numpy as np

from parotid_brachy.lib.dicom.structure_set.rasterising import inside_polygons

SQUARE = np.array([[1.5, 1.5], [6.5, 1.5], [6.5, 5.5], [1.5, 5.5]])
INNER = np.array([[2.5, 2.5], [4.5, 2.5], [4.5, 4.5], [2.5, 4.5]])


def expected(hole=False):
    mask = np.zeros((8, 9), bool)
    mask[2:6, 2:7] = True
    if hole:
        mask[3:5, 3:5] = False
    return mask


def test_either_direction_and_any_first_point_give_the_same():
    for polygon in (SQUARE, SQUARE[::-1], np.roll(SQUARE, 2, axis=0)):
        assert np.array_equal(inside_polygons([polygon], (8, 9)), expected())


def test_an_inner_ring_is_a_hole():
    for inner in (INNER, INNER[::-1]):
        assert np.array_equal(inside_polygons([SQUARE, inner], (8, 9)), expected(hole=True))


def test_a_keyhole_is_a_hole_wherever_it_runs():
    for at in range(4):
        for start in range(4):
            loop = np.vstack([INNER[start:], INNER[: start + 1]])
            polygon = np.vstack([SQUARE[: at + 1], loop, SQUARE[at:]])
            assert np.array_equal(inside_polygons([polygon], (8, 9)), expected(hole=True))


def test_neighbours_that_share_an_edge_through_voxel_centres_share_no_voxel():
    left = np.array([[0.0, 0.0], [3.0, 0.0], [3.0, 5.0], [0.0, 5.0]])
    right = left + np.array([3.0, 0.0])
    first, second = (inside_polygons([one], (8, 9)) for one in (left, right))
    assert not (first & second).any()
    assert np.array_equal(first | second, inside_polygons([left, right], (8, 9)))
    assert first.sum() == second.sum() == 15


def test_what_lies_outside_the_slice_is_cut_off():
    large = (SQUARE - 4.0) * 1e5
    assert inside_polygons([large], (8, 9)).all()
    assert not inside_polygons([SQUARE + np.array([100.0, 0.0])], (8, 9)).any()
    assert not inside_polygons([SQUARE - 100.0], (8, 9)).any()
    assert not inside_polygons([], (8, 9)).any()
