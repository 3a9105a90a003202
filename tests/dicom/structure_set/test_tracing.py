import hypothesis
import hypothesis.extra.numpy as arrays
import numpy as np
import pytest

from parotid_brachy.lib.dicom.structure_set.rasterising import inside_polygons
from parotid_brachy.lib.dicom.structure_set.tracing import trace_mask


@hypothesis.settings(max_examples=300)
@hypothesis.given(
    arrays.arrays(np.bool_, arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=14))
)
def test_any_mask_follows_from_its_polygons(mask):
    assert np.array_equal(inside_polygons(trace_mask(mask), mask.shape), mask)


def disc(shape, centre, radius):
    j, i = np.indices(shape)
    return (i - centre[0]) ** 2 + (j - centre[1]) ** 2 < radius**2


def test_holes_lie_within_their_outlines_polygon():
    mask = disc((60, 50), (25, 30), 20)
    for centre in ((15, 30), (33, 30), (25, 20)):
        mask &= ~disc(mask.shape, centre, 4)
    island = disc(mask.shape, (33, 30), 2)
    polygons = trace_mask(mask | island)
    assert len(polygons) == 2
    assert np.array_equal(inside_polygons(polygons, mask.shape), mask | island)
    largest = max(polygons, key=len)
    assert np.array_equal(inside_polygons([largest], mask.shape), mask)


def test_the_outline_is_simplified_where_it_may_be():
    mask = np.zeros((80, 80), bool)
    mask[10:70, 20:60] = True
    (polygon,) = trace_mask(mask)
    assert len(polygon) <= 8
    assert len(trace_mask(disc((200, 200), (100, 100), 80))[0]) < 250  # of 632 as traced


def test_a_single_voxel_is_a_diamond():
    mask = np.zeros((5, 7), bool)
    mask[4, 0] = True
    (polygon,) = trace_mask(mask)
    assert sorted(map(tuple, polygon)) == [(-0.5, 4.0), (0.0, 3.5), (0.0, 4.5), (0.5, 4.0)]


def test_an_empty_mask_has_no_polygon():
    assert trace_mask(np.zeros((5, 7), bool)) == []


@pytest.mark.parametrize("density", [0.05, 0.3, 0.5, 0.7, 0.95])
def test_ragged_masks_of_a_real_size_come_back(density):
    mask = np.random.default_rng(2).random((64, 64)) < density
    assert np.array_equal(inside_polygons(trace_mask(mask), mask.shape), mask)
