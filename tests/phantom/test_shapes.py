import numpy as np
import pytest

from parotid_brachy.lib.imaging.volume import Grid
from parotid_brachy.lib.phantom.lattice import (
    Field,
    Lattice,
    Points,
    at_slice,
    resampled,
    to_voxels,
)
from parotid_brachy.lib.phantom.shapes import (
    closed_spline,
    ellipsoid,
    normalised,
    outline,
    smooth_cut,
    smooth_union,
    spline,
    tube,
)

GRID = Grid((40, 36, 30), (1.0, 1.0, 2.0), (-20.0, -18.0, -30.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
BOX = ((-19.0, 19.0), (-17.0, 17.0), (-29.0, 27.0))


def points(step=1.0) -> Points:
    lattice = Lattice.over(GRID, BOX, step_mm=step, slice_step_mm=2.0)
    x, y, z = lattice.positions(np.eye(3), np.zeros(3))
    flat = np.zeros(lattice.shape, dtype=np.float32)
    return Points(lattice, x + flat, y + flat, z + flat)


def test_a_ball_is_at_its_exact_distance():
    p = points()
    ball = ellipsoid(p, (1.0, 2.0, 3.0), (6.0, 6.0, 6.0))
    exact = np.sqrt((p.x - 1) ** 2 + (p.y - 2) ** 2 + (p.z - 3) ** 2) - 6
    assert np.allclose(ball, exact, atol=1e-3)


def test_an_ellipsoid_turns_with_its_axes():
    p = points()
    turned = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    long_in_y = ellipsoid(p, (0, 0, 0), (10, 3, 3), axes=turned) < 0
    assert long_in_y[np.abs(p.x) < 0.6][:].any()
    assert np.abs(p.y[long_in_y]).max() > 8
    assert np.abs(p.x[long_in_y]).max() < 4


def test_a_tube_is_as_thick_as_asked_and_flattens():
    p = points()
    round_tube = tube(p, [(0, 0, -20), (0, 0, 20)], [4.0, 4.0]) < 0
    flat_tube = tube(p, [(0, 0, -20), (0, 0, 20)], 6.0, flat=((1.0, 0.0, 0.0), 3.0)) < 0
    middle = np.abs(p.z) < 5
    assert np.abs(p.x[round_tube & middle]).max() == pytest.approx(4, abs=1)
    assert np.abs(p.x[flat_tube & middle]).max() <= 2
    assert np.abs(p.y[flat_tube & middle]).max() >= 5


def test_an_outline_is_negative_inside_and_exact_outside():
    square = np.array([(-5.0, -5.0), (5.0, -5.0), (5.0, 5.0), (-5.0, 5.0)])
    u = np.array([0.0, 4.0, 9.0, 0.0], dtype=np.float32)
    v = np.array([0.0, 0.0, 0.0, -7.0], dtype=np.float32)
    assert np.allclose(outline(u, v, square), [-5, -1, 4, 2], atol=0.02)


def test_splines_pass_through_their_points():
    curve = spline([(0, 0, 0), (5, 2, 0), (10, 0, 3)], 41)
    assert np.allclose(curve[0], (0, 0, 0))
    assert np.allclose(curve[-1], (10, 0, 3))
    assert np.abs(curve - np.array([5, 2, 0])).sum(axis=1).min() < 0.3
    ring = closed_spline([(1, 0), (0, 1), (-1, 0), (0, -1)], 64)
    assert np.allclose(np.linalg.norm(ring, axis=1), 1, atol=0.05)


def test_smooth_seams_only_add_to_a_union_and_take_from_a_cut():
    a = np.linspace(-3, 3, 25, dtype=np.float32)
    b = a[::-1].copy()
    assert np.all(smooth_union(a, b, 2.0) <= np.minimum(a, b) + 1e-6)
    assert np.all(smooth_cut(a, b, 2.0) >= np.maximum(a, b) - 1e-6)


def test_normalising_restores_millimetres():
    p = points()
    steep = ((p.x / 8) ** 2 + (p.y / 8) ** 2 - 1) * 50
    distance = normalised(steep.astype(np.float32), p.lattice)
    near = np.abs(np.hypot(p.x, p.y) - 8) < 1
    exact = np.hypot(p.x, p.y) - 8
    assert np.abs(distance - exact)[near].max() < 0.25


def test_linear_values_survive_a_change_of_lattice():
    coarse, fine = points(3.0), points(1.0)
    values = 2 * coarse.x - coarse.y + 0.5 * coarse.z
    back = resampled(values.astype(np.float32), coarse.lattice, fine.lattice)
    inside = (np.abs(fine.x) < 15) & (np.abs(fine.y) < 14)
    expected = 2 * fine.x - fine.y + 0.5 * fine.z
    assert np.abs(back - expected)[inside].max() < 1e-3


def test_a_part_holds_every_point_of_its_box():
    p = points()
    part = p.within(((-3.0, 4.0), (2.0, 9.0), (-8.0, 8.0)))
    wanted = (np.abs(p.x - 0.5) <= 3.5) & (np.abs(p.y - 5.5) <= 3.5) & (np.abs(p.z) <= 8)
    held = (part.x >= -3) & (part.x <= 4) & (part.y >= 2) & (part.y <= 9) & (np.abs(part.z) <= 8)
    assert np.count_nonzero(held) == np.count_nonzero(wanted)
    assert part.x.size < p.x.size / 4


def test_lattice_values_come_back_on_the_voxels():
    p = points(3.0)
    values = (p.x + 10 * p.z).astype(np.float32)
    placed = to_voxels(at_slice(values, p.lattice, 12), p.lattice)
    assert placed is not None
    rows, columns, plane = placed
    x = np.arange(40)[columns] - 20.0
    z = -30 + 2.0 * 12
    assert np.allclose(plane, x[None, :] + 10 * z, atol=1e-3)
    assert plane.shape == (rows.stop - rows.start, columns.stop - columns.start)


def test_an_edge_across_slices_is_blurred_over_the_slice():
    p = points()
    level = Field(p.lattice, p.z.copy())
    upright = Field(p.lattice, p.x.copy())
    assert np.abs(level.edge_units(blur_mm=0.5)).max() < np.abs(p.z).max() / 2
    assert np.allclose(upright.edge_units(blur_mm=0.5), p.x / 0.5, atol=1e-3)
