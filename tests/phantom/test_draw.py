import numpy as np
import pytest
from scipy.ndimage import binary_erosion, binary_fill_holes
from tests.phantom.drawn import SPACING, operated, whole

from parotid_brachy.lib.anatomy import (
    AURICULA,
    CONDYLE_PROCESS,
    EXTERNAL_AUDITORY_CANAL,
    GLAND,
    MANDIBULAR_RAMUS,
    MASTOID_PROCESS,
    SKIN,
    STRUCTURES,
    Side,
)
from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.phantom.draw import draw_phantom, scan_grid
from parotid_brachy.lib.phantom.sampling import draw_recipe
from parotid_brachy.lib.phantom.truth import Extent

SEEDS = (1, 6, 9)

# ml; published sizes and what readers contour on real CT. The canal's wall is included.
VOLUMES_ML = {
    AURICULA: (4.0, 18.0),
    CONDYLE_PROCESS: (1.2, 4.5),
    SKIN: (28.0, 60.0),
    MASTOID_PROCESS: (7.0, 17.0),
    EXTERNAL_AUDITORY_CANAL: (0.8, 2.2),
    MANDIBULAR_RAMUS: (8.0, 18.0),
    GLAND: (20.0, 35.0),
}


def full(phantom, side):
    return phantom.truth[side][Extent.FULL]


def extent_mm(mask, spacing_kji):
    """Length of the principal axes' spread along k, j, i of the bounding box."""
    where = np.argwhere(mask)
    return (where.max(axis=0) - where.min(axis=0) + 1) * np.asarray(spacing_kji)


def test_the_same_seed_draws_the_same_voxels_and_truth():
    coarse = {"after_surgery": Side.LEFT, "compact": True, "spacing_mm": (2.2, 2.2, 4.0)}
    first, second = draw_phantom(4, **coarse), draw_phantom(4, **coarse)
    assert np.array_equal(first.volume.voxels, second.volume.voxels)
    assert first.volume.grid == second.volume.grid
    assert first.report.to_json() == second.report.to_json()
    for side in Side:
        for extent in Extent:
            assert np.array_equal(first.truth[side][extent], second.truth[side][extent])


def test_another_seed_draws_another_head():
    assert whole(1).report.recipe.head != whole(6).report.recipe.head
    assert whole(1).volume.voxels.shape != whole(6).volume.voxels.shape


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("side", Side)
def test_volumes_lie_within_published_ranges(seed, side):
    volumes = whole(seed).report.sides[side].volumes_ml
    for structure, (low, high) in VOLUMES_ML.items():
        assert low <= volumes[structure.name] <= high, (structure.name, volumes[structure.name])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("side", Side)
def test_lengths_lie_within_published_ranges(seed, side):
    phantom = whole(seed)
    labels, spacing = full(phantom, side), phantom.volume.grid.spacing_kji_mm
    auricle = extent_mm(labels == AURICULA.value, spacing)
    assert 52 <= auricle[0] <= 78  # 63 mm high, upright within 25 degrees
    assert 24 <= auricle[1] <= 50  # 35 mm from root to rim
    mastoid = extent_mm(labels == MASTOID_PROCESS.value, spacing)
    assert 22 <= mastoid[0] <= 37  # 25-30 mm high; a tilted head adds to it
    canal = extent_mm(labels == EXTERNAL_AUDITORY_CANAL.value, spacing)
    assert 20 <= canal[2] <= 33  # 25 mm long, with the wall at its end
    condyle = extent_mm(labels == CONDYLE_PROCESS.value, spacing)
    assert 16 <= condyle[2] <= 26  # the condyle's head is 20 mm wide
    ramus = extent_mm(labels == MANDIBULAR_RAMUS.value, spacing)
    assert 45 <= ramus[0] <= 78  # 60 mm high
    assert 26 <= ramus[1] <= 46  # 32 mm deep


@pytest.mark.parametrize("seed", SEEDS)
def test_the_patients_left_is_at_larger_x(seed):
    phantom = whole(seed)
    centres = {}
    for side in Side:
        for structure in STRUCTURES:
            kji = np.argwhere(full(phantom, side) == structure.value).mean(axis=0)
            centres[side, structure.name] = phantom.volume.grid.to_lps_mm(kji[::-1])[0]
    for structure in STRUCTURES:
        apart = centres[Side.LEFT, structure.name] - centres[Side.RIGHT, structure.name]
        assert apart > 60, structure.name


@pytest.mark.parametrize("seed", SEEDS)
def test_the_head_is_the_right_way_up_and_round(seed):
    phantom = whole(seed)
    to_lps = phantom.volume.grid.to_lps_mm

    def centre(structure):
        kji = np.argwhere(full(phantom, Side.LEFT) == structure.value).mean(axis=0)
        return to_lps(kji[::-1])

    gland, ramus, mastoid = centre(GLAND), centre(MANDIBULAR_RAMUS), centre(MASTOID_PROCESS)
    assert ramus[1] < gland[1] < mastoid[1]  # from anterior to posterior
    assert centre(EXTERNAL_AUDITORY_CANAL)[2] > gland[2] + 15
    assert centre(CONDYLE_PROCESS)[2] > ramus[2] + 20


@pytest.mark.parametrize("seed", SEEDS)
def test_sides_differ_but_resemble_each_other(seed):
    left, right = (whole(seed).report.sides[side].volumes_ml for side in Side)
    assert left != right
    assert left[GLAND.name] == pytest.approx(right[GLAND.name], rel=0.25)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("side", Side)
def test_ct_numbers_are_those_of_the_tissue(seed, side):
    phantom = whole(seed)
    labels, voxels = full(phantom, side), phantom.volume.voxels

    def inside(structure):
        return voxels[labels == structure.value]

    assert -40 <= np.median(inside(GLAND)) <= 60
    assert np.percentile(inside(MANDIBULAR_RAMUS), 90) > 900
    assert np.median(inside(CONDYLE_PROCESS)) > 250
    canal = inside(EXTERNAL_AUDITORY_CANAL)
    assert np.percentile(canal, 20) < -700  # the lumen
    assert np.percentile(canal, 95) > -150  # the wall
    mastoid = inside(MASTOID_PROCESS)
    assert np.percentile(mastoid, 95) > 700
    auricle = inside(AURICULA)
    assert -150 <= np.median(auricle) <= 120
    assert np.percentile(inside(SKIN), 60) > -150


@pytest.mark.parametrize("side", Side)
def test_air_cells_belong_to_the_mastoid_process(side):
    phantom = whole(1)
    labels, voxels = full(phantom, side), phantom.volume.voxels
    mastoid = labels == MASTOID_PROCESS.value
    assert np.mean(voxels[mastoid] < -300) > 0.05
    for plane in mastoid:
        assert np.count_nonzero(binary_fill_holes(plane) & ~plane) <= 0.02 * plane.sum()


@pytest.mark.parametrize("side", Side)
def test_the_skin_is_a_thin_layer_next_to_air(side):
    phantom = whole(6)
    skin = full(phantom, side) == SKIN.value
    eroded = binary_erosion(skin, iterations=2)
    assert np.count_nonzero(eroded) < 0.02 * np.count_nonzero(skin)


@pytest.mark.parametrize("side", Side)
def test_no_voxel_belongs_to_both_sides(side):
    phantom = whole(9)
    assert not np.any((full(phantom, side) > 0) & (full(phantom, side.other) > 0))
    assert set(np.unique(full(phantom, side))) == set(range(8))


@pytest.mark.parametrize(("seed", "side"), [(2, Side.LEFT), (3, Side.RIGHT), (8, Side.RIGHT)])
def test_surgery_takes_the_stated_fraction_of_that_side_only(seed, side):
    phantom = operated(seed, side)
    surgery = phantom.report.recipe.surgery
    assert phantom.report.operated_side is side
    done, spared = phantom.report.sides[side], phantom.report.sides[side.other]
    assert done.operated
    assert not spared.operated
    assert 0.2 <= surgery.removed_fraction <= 0.9
    assert done.residual_fraction == pytest.approx(1 - surgery.removed_fraction, abs=0.03)
    assert spared.residual_fraction == 1.0
    drawn = done.volumes_ml[GLAND.name]
    assert drawn == pytest.approx(done.residual_gland_ml, rel=0.12, abs=0.5)
    # Nothing else than the gland is lost.
    assert set(np.unique(full(phantom, side))) == set(range(8))


def test_surgery_leaves_the_other_side_as_it_was():
    before, after = whole(6), operated(6, Side.LEFT)
    assert np.array_equal(full(before, Side.RIGHT), full(after, Side.RIGHT))
    gland = full(before, Side.RIGHT) == GLAND.value
    change = before.volume.voxels[gland].astype(int) - after.volume.voxels[gland]
    assert np.percentile(np.abs(change), 90) < 15  # far streaks of clips
    bed = (full(before, Side.LEFT) == GLAND.value) & (full(after, Side.LEFT) != GLAND.value)
    shift = before.volume.voxels[bed].astype(int) - after.volume.voxels[bed]
    assert np.median(np.abs(shift)) > 20


def test_a_seeds_own_scan_can_be_overruled():
    recipe = draw_recipe(1, after_surgery=None)
    grid = scan_grid(recipe, spacing_mm=(0.7, 0.7, 2.5), matrix=(300, 320))
    assert grid.size_ijk[:2] == (300, 320)
    assert grid.spacing_mm == (0.7, 0.7, 2.5)
    assert whole(1).volume.grid.spacing_mm == SPACING
    assert whole(1).volume.voxels.dtype == np.int16


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"seed": -1}, "seed -1"),
        ({"seed": 1, "spacing_mm": (0.0, 1.0, 1.0)}, "spacing"),
        ({"seed": 1, "matrix": (8, 512)}, "matrix"),
    ],
)
def test_what_no_phantom_can_have_is_refused(arguments, named):
    with pytest.raises(UsageError, match=named):
        draw_phantom(after_surgery=None, **arguments)
