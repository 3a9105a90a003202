import math

import numpy as np
import pytest

from parotid_brachy.lib.evaluation.surfaces import (
    distances_mm,
    surface_elements,
    surface_voxels,
)

SPACING = (2.0, 0.7, 0.5)


def cuboid(low, high, shape):
    mask = np.zeros(shape, bool)
    mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    return mask


def whole(mask):
    return tuple(slice(0, size) for size in mask.shape)


def test_area_of_a_cuboid_is_faces_chamfered_edges_and_corners():
    size = (4, 6, 9)
    mask = cuboid((1, 1, 1), (5, 7, 10), (7, 9, 12))
    found = surface_elements(mask, None, whole(mask), SPACING)
    k, j, i = ((n - 1) * s for n, s in zip(size, SPACING, strict=True))
    sk, sj, si = SPACING
    faces = 2 * (k * j + k * i + j * i)
    edges = 4 * (
        k * math.hypot(sj, si) / 2 + j * math.hypot(sk, si) / 2 + i * math.hypot(sk, sj) / 2
    )
    corner = math.sqrt((sk * sj) ** 2 + (sk * si) ** 2 + (sj * si) ** 2) / 8
    assert found.areas_mm2.sum() == pytest.approx(faces + edges + 8 * corner)
    assert found.areas_mm2.shape == (np.count_nonzero(found.cells),)


def test_a_mask_and_its_complement_have_one_surface():
    rng = np.random.default_rng(0)
    mask = np.pad(rng.random((8, 9, 10)) < 0.5, 1)
    found = surface_elements(mask, None, whole(mask), SPACING)
    other = surface_elements(~mask, None, whole(mask), SPACING)
    # The complement has the volume's edge as well, in the outermost cells.
    inner = (slice(1, -1),) * 3
    areas = []
    for one in (found, other):
        spread = np.zeros(one.cells.shape)
        spread[one.cells] = one.areas_mm2
        areas.append(spread[inner])
    assert np.allclose(*areas)
    assert areas[0].sum() > 0


def test_the_edge_of_the_volume_is_a_surface():
    mask = np.ones((3, 3, 3), bool)
    inside = np.zeros((5, 5, 5), bool)
    inside[1:4, 1:4, 1:4] = True
    assert surface_voxels(mask, None, whole(mask)).sum() == 26
    here = surface_elements(mask, None, whole(mask), SPACING)
    there = surface_elements(inside, None, whole(inside), SPACING)
    assert here.areas_mm2.sum() == pytest.approx(there.areas_mm2.sum())


def test_a_face_that_a_cut_made_is_left_out_of_both_surfaces():
    shape = (9, 9, 20)
    known = np.broadcast_to(np.arange(20) < 10, shape)
    mask = cuboid((2, 2, 2), (7, 7, 20), shape) & known
    box = (slice(2, 7), slice(2, 7), slice(2, 10))
    voxels = surface_voxels(mask, known, box)
    assert not voxels[1:-1, 1:-1, -1].any()
    assert voxels[0, :, -1].all()
    elements = surface_elements(mask, known, box, SPACING)
    everything = surface_elements(mask, None, box, SPACING)
    # The rim's cells have voxels outside on this side of the cut too.
    assert everything.cells[1:-1, 1:-1, -1].all()
    assert not elements.cells[1:-1, 1:-1, -1].any()
    assert np.array_equal(elements.cells[:, :, :-1], everything.cells[:, :, :-1])


def test_a_surface_that_is_all_cut_stays():
    shape = (7, 7, 7)
    mask = cuboid((2, 2, 2), (5, 5, 5), shape)
    assert surface_voxels(mask, mask, whole(mask)).sum() == 26
    elements = surface_elements(mask, mask, whole(mask), SPACING)
    assert elements.areas_mm2.sum() == pytest.approx(
        surface_elements(mask, None, whole(mask), SPACING).areas_mm2.sum()
    )


def test_distances_are_to_the_nearest_in_the_order_of_the_origin():
    origin, target = np.zeros((2, 3, 4), bool), np.zeros((2, 3, 4), bool)
    origin[0, 0, 0] = origin[0, 2, 3] = origin[1, 2, 3] = True
    target[0, 0, 3] = target[1, 2, 3] = True
    assert distances_mm(origin, target, SPACING) == pytest.approx([1.5, 1.4, 0.0])
