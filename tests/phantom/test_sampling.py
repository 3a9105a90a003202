from collections import Counter
from dataclasses import replace

import pytest

from parotid_brachy.lib.anatomy import Side
from parotid_brachy.lib.phantom.draw import scan_grid
from parotid_brachy.lib.phantom.recipe import View
from parotid_brachy.lib.phantom.sampling import draw_recipe, random_operated_side

SEEDS = range(200)


def test_a_seed_always_gives_the_same_recipe():
    assert draw_recipe(5, after_surgery=Side.LEFT) == draw_recipe(5, after_surgery=Side.LEFT)
    assert draw_recipe(5, after_surgery=None) != draw_recipe(6, after_surgery=None)


def test_surgery_changes_nothing_but_the_surgery():
    operated = draw_recipe(5, after_surgery=Side.RIGHT)
    assert operated.surgery is not None
    assert operated.surgery.side is Side.RIGHT
    assert replace(operated, surgery=None) == draw_recipe(5, after_surgery=None)


def test_scans_cover_the_range_of_planning_cts():
    recipes = [draw_recipe(seed, after_surgery=None) for seed in SEEDS]
    grids = [scan_grid(recipe) for recipe in recipes]
    assert {recipe.scan.view for recipe in recipes} == set(View)
    assert all(0.4 <= grid.spacing_mm[0] <= 1.2 for grid in grids)
    assert all(1.0 <= grid.spacing_mm[2] <= 3.0 for grid in grids)
    assert all(200 < max(grid.size_ijk[:2]) <= 512 for grid in grids)
    assert any(grid.size_ijk[0] != grid.size_ijk[1] for grid in grids)
    assert Counter(grid.size_ijk[0] for grid in grids).most_common(1)[0][0] == 512


def test_both_ears_lie_within_the_field_of_view():
    for seed in SEEDS:
        grid = scan_grid(draw_recipe(seed, after_surgery=None))
        assert grid.size_ijk[0] * grid.spacing_mm[0] >= 205


@pytest.mark.parametrize("side", Side)
def test_the_removed_fraction_spans_the_stated_range(side):
    removed = [
        surgery.removed_fraction
        for seed in SEEDS
        if (surgery := draw_recipe(seed, after_surgery=side).surgery)
    ]
    assert 0.2 <= min(removed) < 0.25
    assert 0.85 < max(removed) <= 0.9


def test_the_operated_side_left_to_chance_is_a_mixture():
    counts = Counter(random_operated_side(seed) for seed in SEEDS)
    assert all(counts[side] > 40 for side in (Side.LEFT, Side.RIGHT, None))
    assert random_operated_side(12) == random_operated_side(12)
