import numpy as np
import pytest
from tests.imaging.heads import grid_of, positions_of
from tests.segmentation.painted import PaintedModel, dice, painted_head
from tests.segmentation.versions import ball_ml

from parotid_brachy.lib.anatomy import GLAND, Side
from parotid_brachy.lib.imaging.half_head import Midplane, find_midplane
from parotid_brachy.lib.imaging.roi import Box, canonical_grid
from parotid_brachy.lib.segmentation.gland import (
    find_gland,
    gland_box,
    gland_on_image,
    plausible_gland,
)
from parotid_brachy.lib.segmentation.presets import Step
from parotid_brachy.lib.segmentation.stopwatch import Stopwatch

BODY = Box((-90.0, -100.0, -60.0), (90.0, 100.0, 60.0))
MIDPLANE = Midplane(0.0, 0.9, BODY, is_believed=True)
UNKNOWN = Midplane(0.0, 0.1, BODY, is_believed=False)


def half_head_grid(side=Side.LEFT):
    sign = 1 if side is Side.LEFT else -1
    low, high = sorted((-10.0 * sign, 110.0 * sign))
    box = Box((low, -50.0, -50.0), (high, 50.0, 50.0))
    return canonical_grid(box, side=side, spacing_mm=(2.0, 2.0, 2.0))


def balls(grid, *centres_and_radii, level=0.9):
    """Probability of a gland: balls at LPS millimetres."""
    lps_mm = positions_of(grid)
    probability = np.full(grid.shape_kji, 0.01, np.float32)
    for centre, radius in centres_and_radii:
        probability[((lps_mm - centre) ** 2).sum(axis=-1) < radius**2] = level
    return probability


def plausible(*centres_and_radii, midplane=MIDPLANE, side=Side.LEFT):
    grid = half_head_grid(side)
    return plausible_gland(balls(grid, *centres_and_radii), grid, side, midplane)


@pytest.mark.parametrize("side", Side)
def test_the_largest_component_is_taken(side):
    sign = 1 if side is Side.LEFT else -1
    gland = plausible(
        ((50 * sign, 0, 0), 15), ((50 * sign, 0, 40), 9), ((90 * sign, -40, -40), 3), side=side
    )
    assert gland.is_found
    assert gland.side is side
    assert gland.ml == pytest.approx(ball_ml(15), rel=0.03)
    assert gland.confidence == pytest.approx(0.9)
    middle = (np.add(gland_box(gland).low_lps_mm, gland_box(gland).high_lps_mm)) / 2
    np.testing.assert_allclose(middle, (50 * sign, 0, 0), atol=1.01)


def test_pieces_that_an_operation_cut_off_are_kept_if_they_are_large_and_near():
    main = ((50, 0, 0), 14)
    near, far, crumb = ((50, 0, 26), 6), ((50, 0, -44), 6), ((50, 24, 0), 3)
    gland = plausible(main, near, far, crumb)
    assert gland.ml == pytest.approx(ball_ml(14) + ball_ml(6), rel=0.05)


def test_a_component_of_a_glands_size_is_found_beside_one_that_is_too_large():
    gland = plausible(((60, -20, 0), 26), ((50, 32, 0), 12))
    assert gland.ml == pytest.approx(ball_ml(12), rel=0.05)


@pytest.mark.parametrize(
    ("component", "why"),
    [
        (((50, 0, 0), 6), r"^1\.\d ml is outside 2-60 ml"),
        (((50, 0, 0), 30), r"1\d\d\.\d ml is outside 2-60 ml"),
        (((5, 0, 0), 13), r"lie \d mm from the midplane"),
    ],
    ids=["too small", "too large", "too medial"],
)
def test_what_cannot_be_a_gland_is_not_taken_and_the_reason_given(component, why):
    import re

    gland = plausible(component)
    assert not gland.is_found
    assert re.search(why, gland.why_not)
    assert gland.ml == gland.confidence == 0
    assert not gland.probability.any()


def test_where_no_midplane_is_believed_the_position_does_not_count():
    assert plausible(((5, 0, 0), 13), midplane=UNKNOWN).is_found


def test_no_voxel_at_all_is_an_answer():
    assert "labelled no gland" in plausible().why_not


def test_a_plausible_smaller_component_replaces_one_in_an_impossible_place():
    gland = plausible(((5, 0, 0), 14), ((60, 0, 0), 12))
    assert gland.ml == pytest.approx(ball_ml(12), rel=0.05)


def test_a_gland_at_the_edge_of_the_half_head_is_kept_to_the_edge():
    grid = half_head_grid()
    gland = plausible(((50, 50, 50), 16))
    assert gland.is_found
    image = grid_of((60, 50, 50), (2.0, 2.0, 2.0), centre_lps_mm=(50.0, 0.0, 0.0))
    mask = gland_on_image(gland, image)
    truth = ((positions_of(image) - (50, 50, 50)) ** 2).sum(axis=-1) < 16**2
    assert dice(mask, truth) > 0.97
    assert gland_box(gland).high_lps_mm[1:] == (50.0, 50.0)
    assert grid.size_ijk[0] == 60


def test_nothing_found_is_an_empty_mask():
    image = grid_of((10, 10, 10))
    assert not gland_on_image(plausible(), image).any()


@pytest.mark.parametrize("side", Side)
def test_a_planted_network_finds_the_gland_of_known_volume_on_its_side(planted, head, side):
    watch = Stopwatch()
    gland = find_gland(head, side, find_midplane(head), planted[Step.GLAND], watch)
    assert gland.is_found
    assert gland.ml == pytest.approx(ball_ml(14 if side is Side.LEFT else 18), rel=0.2)
    x = (gland_box(gland).low_lps_mm[0] + gland_box(gland).high_lps_mm[0]) / 2
    assert x == pytest.approx(52 if side is Side.LEFT else -52, abs=2)
    assert list(watch.seconds) == ["gland sampling", "gland network", "gland component"]


def test_a_network_sees_one_half_head_on_its_own_grid():
    volume, _ = painted_head()
    model = PaintedModel(Step.GLAND, spacing_kji_mm=(4.0, 3.0, 2.0))
    find_gland(volume, Side.LEFT, find_midplane(volume), model, Stopwatch())
    ((k, j, i),) = model.shapes_seen
    assert i * 2.0 == pytest.approx(108 + 4, abs=14)  # body's half width and the medial margin
    assert j * 3.0 == pytest.approx(190, abs=25)
    assert k * 4.0 == pytest.approx(190, abs=25)


@pytest.mark.parametrize("side", Side)
def test_a_gland_returns_to_the_image_where_it_was(side):
    volume, labels = painted_head()
    model = PaintedModel(Step.GLAND)
    gland = find_gland(volume, side, find_midplane(volume), model, Stopwatch())
    mask = gland_on_image(gland, volume.grid)
    x = positions_of(volume.grid)[..., 0]
    own = (labels == GLAND.value) & (x > 0 if side is Side.LEFT else x < 0)
    assert dice(mask, own) > 0.93
