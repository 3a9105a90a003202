import numpy as np
import pytest

from parotid_brachy.lib.errors import GeometryError
from parotid_brachy.lib.imaging.label_box import LabelBox, common_box
from parotid_brachy.lib.imaging.volume import Grid

GRID = Grid((7, 6, 5), (1.0, 1.0, 2.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))


def box_of(**voxels):
    labels = np.zeros(GRID.shape_kji, np.uint8)
    for value, place in enumerate(voxels.values(), start=1):
        labels[place] = value
    return labels, LabelBox.of(labels, GRID)


def test_a_map_is_cropped_to_what_it_holds():
    labels, box = box_of(a=(1, 2, 3), b=(3, 2, 5))
    assert (box.start_kji, box.stop_kji) == ((1, 2, 3), (4, 3, 6))
    assert np.array_equal(box.labels, labels[1:4, 2:3, 3:6])
    assert not box.labels.flags.writeable
    labels[:] = 0
    assert box.labels.any()


def test_it_is_put_into_a_larger_box_where_it_was():
    labels, box = box_of(a=(1, 2, 3), b=(3, 2, 5))
    assert np.array_equal(box.within((0, 0, 0), GRID.shape_kji), labels)
    assert np.array_equal(box.within((1, 1, 2), (5, 4, 7)), labels[1:5, 1:4, 2:7])


def test_two_maps_have_a_common_box_unless_both_are_empty():
    _, first = box_of(a=(0, 1, 1))
    _, second = box_of(a=(4, 0, 6))
    _, nothing = box_of()
    assert nothing.is_empty
    assert common_box(first, second) == ((0, 0, 1), (5, 2, 7))
    assert common_box(nothing, second) == (second.start_kji, second.stop_kji)
    assert common_box(nothing, nothing) is None
    assert not nothing.within((0, 0, 0), (2, 2, 2)).any()


def test_a_map_of_another_shape_is_refused():
    with pytest.raises(GeometryError, match="on a grid of"):
        LabelBox.of(np.zeros((2, 2, 2), np.uint8), GRID)
