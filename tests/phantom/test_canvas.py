import numpy as np

from parotid_brachy.lib.anatomy import GLAND, SKIN, Side
from parotid_brachy.lib.imaging.volume import Grid
from parotid_brachy.lib.phantom.canvas import Canvas, Label
from parotid_brachy.lib.phantom.lattice import Array, Field, Lattice
from parotid_brachy.lib.phantom.tissue import USUAL, Tissue

GRID = Grid((30, 20, 8), (1.0, 1.0, 2.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
LATTICE = Lattice(GRID, (0, 0, 0), (1, 1, 1), GRID.shape_kji)


def up_to(x_mm: float) -> Field:
    x = np.broadcast_to(np.arange(30, dtype=np.float32) - np.float32(x_mm), GRID.shape_kji)
    distance: Array = np.ascontiguousarray(x)
    return Field(LATTICE, distance)


def canvas() -> Canvas:
    return Canvas(GRID, USUAL, blur_mm=1.0)


def test_a_voxel_half_covered_takes_half_the_tissues_ct_number():
    drawn = canvas()
    drawn.paint(up_to(10.0), Tissue.MUSCLE)
    line = drawn.hu[3, 7]
    assert np.allclose(line[:10], USUAL[Tissue.MUSCLE].mean_hu)
    assert np.isclose(line[10], (USUAL[Tissue.MUSCLE].mean_hu - 1000) / 2)
    assert np.allclose(line[11:], -1000)


def test_the_truth_of_the_sides_is_kept_apart():
    drawn = canvas()
    drawn.paint(up_to(20.5), Tissue.SKIN, (Side.RIGHT, SKIN.value))
    drawn.paint(up_to(10.5), Tissue.GLAND, (Side.LEFT, GLAND.value))
    assert drawn.truth(Side.LEFT)[0, 0].tolist() == [GLAND.value] * 11 + [0] * 19
    assert drawn.truth(Side.RIGHT)[0, 0].tolist() == [0] * 11 + [SKIN.value] * 10 + [0] * 9


def test_later_tissue_clears_the_truth_unless_it_is_to_be_kept():
    drawn = canvas()
    drawn.paint(up_to(20.5), Tissue.GLAND, (Side.LEFT, GLAND.value))
    drawn.paint(up_to(10.5), Tissue.VEIN, Label.KEEP)
    assert np.count_nonzero(drawn.truth(Side.LEFT)[0, 0]) == 21
    drawn.paint(up_to(5.5), Tissue.CORTICAL)
    assert np.count_nonzero(drawn.truth(Side.LEFT)[0, 0]) == 15


def test_a_mark_leaves_the_image():
    drawn = canvas()
    before = drawn.hu.copy()
    drawn.mark(up_to(4.5), (Side.LEFT, SKIN.value))
    assert np.array_equal(drawn.hu, before)
    assert np.count_nonzero(drawn.truth(Side.LEFT)) == 5 * 20 * 8


def test_furniture_stays_outside_the_head():
    drawn = canvas()
    drawn.paint(up_to(10.5), Tissue.MUSCLE)
    before = drawn.hu[:, :, :10].copy()
    drawn.paint(up_to(20.5), Tissue.SHELL, Label.KEEP, only_in_air=True)
    assert np.array_equal(drawn.hu[:, :, :10], before)
    assert np.allclose(drawn.hu[:, :, 12:20], USUAL[Tissue.SHELL].mean_hu)
