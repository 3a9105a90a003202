import numpy as np
import pytest
import torch
from monai.metrics import compute_hausdorff_distance
from scipy.spatial.distance import cdist

from parotid_brachy.lib.errors import GeometryError
from parotid_brachy.lib.evaluation.overlap import Outcome, Score, dsc, hd95_mm
from parotid_brachy.lib.imaging.volume import Grid

STRAIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def grid_of(shape_kji, spacing_mm=(1.0, 1.0, 1.0)):
    return Grid(tuple(shape_kji[::-1]), spacing_mm, (0.0, 0.0, 0.0), STRAIGHT)


def ball(shape, centre, radius):
    index = np.indices(shape)
    return sum((n - c) ** 2 for n, c in zip(index, centre, strict=True)) <= radius**2


def blob(shape, seed):
    """A ragged mask that touches the volume's edge now and then."""
    rng = np.random.default_rng(seed)
    mask = ball(shape, rng.uniform(4, 9, 3), rng.uniform(3, 6))
    return mask & (rng.random(shape) < 0.9)


def surface_points(mask, spacing_kji):
    padded = np.pad(mask, 1)
    inner = np.ones_like(mask)
    for axis in range(3):
        for step in (-1, 1):
            inner &= np.roll(padded, step, axis)[1:-1, 1:-1, 1:-1]
    return np.argwhere(mask & ~inner) * np.asarray(spacing_kji)


def test_dsc_counts_twice_what_is_common():
    a, b = np.zeros((2, 3, 4), bool), np.zeros((2, 3, 4), bool)
    a[0, 0, :3] = True
    b[0, 0, 2:] = True
    assert dsc(a, b) == Score(Outcome.MEASURED, 2 * 1 / 5)


def test_contours_that_do_not_meet_are_measured_as_0():
    a, b = np.zeros((2, 3, 4), bool), np.zeros((2, 3, 4), bool)
    a[0, 0, 0] = b[1, 2, 3] = True
    assert dsc(a, b) == Score(Outcome.MEASURED, 0.0)


def test_one_empty_contour_is_missed_and_two_are_not_applicable():
    some, none = np.ones((3, 3, 3), bool), np.zeros((3, 3, 3), bool)
    grid = grid_of((3, 3, 3))
    for a, b in ((some, none), (none, some)):
        assert dsc(a, b) == Score(Outcome.MISSED, 0.0)
        assert hd95_mm(a, b, grid) == Score(Outcome.MISSED, None)
    assert dsc(none, none) == Score(Outcome.NOT_APPLICABLE, None)
    assert hd95_mm(none, none, grid) == Score(Outcome.NOT_APPLICABLE, None)


def test_a_measured_score_cannot_lack_its_value():
    with pytest.raises(ValueError, match="needs its value"):
        Score(Outcome.MEASURED, None)


def test_masks_of_other_shapes_are_refused():
    a, b = np.ones((3, 3, 3), bool), np.ones((3, 3, 4), bool)
    with pytest.raises(GeometryError, match=r"\(3, 3, 4\)"):
        dsc(a, b)
    with pytest.raises(GeometryError, match=r"\(3, 3, 4\)"):
        hd95_mm(a, b, grid_of((3, 3, 3)))


def test_equal_contours_are_0_mm_apart():
    a = ball((12, 13, 14), (6, 6, 6), 4)
    assert hd95_mm(a, a, grid_of(a.shape)).value == 0.0


def test_a_plate_that_is_moved_is_as_far_as_it_was_moved():
    a, b = np.zeros((9, 6, 6), bool), np.zeros((9, 6, 6), bool)
    a[2, 1:5, 1:5] = True
    b[5, 1:5, 1:5] = True
    assert hd95_mm(a, b, grid_of(a.shape, (1.0, 1.0, 2.5))).value == pytest.approx(7.5)


@pytest.mark.parametrize("seed", range(6))
def test_hd95_is_brute_forces_and_monais(seed):
    shape, spacing_mm = (12, 13, 14), (0.6, 0.8, 2.0)
    a, b = blob(shape, seed), blob(shape, seed + 100)
    grid = grid_of(shape, spacing_mm)
    found = hd95_mm(a, b, grid).value
    points = [surface_points(mask, grid.spacing_kji_mm) for mask in (a, b)]
    distances = cdist(*points)
    brute = max(np.percentile(distances.min(axis=axis), 95) for axis in (0, 1))
    assert found == pytest.approx(brute, abs=1e-6)
    tensors = [torch.from_numpy(mask[None, None]) for mask in (a, b)]
    monai = compute_hausdorff_distance(
        *tensors, include_background=True, percentile=95, spacing=list(grid.spacing_kji_mm)
    )
    assert found == pytest.approx(float(monai), abs=1e-4)


def test_hd95_is_the_larger_of_the_two_directions():
    shape = (5, 5, 60)
    a, b = np.zeros(shape, bool), np.zeros(shape, bool)
    a[2, 2, 5:10] = True
    b[2, 2, 5:50] = True
    grid = grid_of(shape)
    assert hd95_mm(a, b, grid) == hd95_mm(b, a, grid)
    assert hd95_mm(a, b, grid).value == pytest.approx(np.percentile(np.r_[np.zeros(5), 1:41], 95))


def cut_bars(lengths):
    """One thick bar, cut at two places: masks, and the parts of the grid that the cuts left."""
    shape = (23, 23, 60)
    bar = np.zeros(shape, bool)
    bar[1:22, 1:22, 2:] = True
    known = [np.arange(60) < length for length in lengths]
    known = [np.broadcast_to(part, shape).copy() for part in known]
    return [bar & part for part in known], known, grid_of(shape)


def test_faces_made_by_a_cut_are_not_scored():
    (a, b), (known_a, known_b), grid = cut_bars((42, 44))
    # The cut face is a tenth of the surface, so that it decides the percentile where it counts.
    assert hd95_mm(a, b, grid).value == 2.0
    assert hd95_mm(a, b, grid, known_a=known_a, known_b=known_b).value == 0.0


def test_what_a_cut_took_from_one_contour_only_stays_scored():
    (a, b), (known_a, known_b), grid = cut_bars((30, 50))
    assert hd95_mm(a, b, grid, known_a=known_a, known_b=known_b).value > 10.0


def test_the_volumes_edge_is_a_surface_where_everything_is_known():
    shape = (6, 7, 8)
    a, b = blob(shape, 3), blob(shape, 4)
    a[0, 2:5, 2:5] = b[-1, 2:5, 2:5] = True
    grid, everywhere = grid_of(shape), np.ones(shape, bool)
    assert hd95_mm(a, b, grid, known_a=everywhere, known_b=everywhere) == hd95_mm(a, b, grid)


def test_a_contour_that_has_nothing_but_cut_faces_is_scored_by_them():
    shape = (5, 5, 9)
    grid = grid_of(shape)
    known = np.zeros(shape, bool)
    known[1:4, 1:4, 1:4] = True
    a = known.copy()
    b = np.roll(known, 3, axis=2)
    assert hd95_mm(a, b, grid, known_a=known, known_b=np.roll(known, 3, axis=2)).value == 3.0
