import math

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from parotid_brachy.lib.anatomy import AURICULA, GLAND, SKIN, STRUCTURES
from parotid_brachy.lib.errors import GeometryError, InputRefusedError
from parotid_brachy.lib.evaluation.metrics import ReachCut, Status, score_structures
from parotid_brachy.lib.evaluation.overlap import hd95_mm
from parotid_brachy.lib.imaging.roi import cut_at_reach
from parotid_brachy.lib.imaging.volume import Grid

STRAIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
OBLIQUE = (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0)


def grid_of(shape_kji, spacing_mm=(1.0, 1.0, 1.0), direction=STRAIGHT):
    return Grid(tuple(shape_kji[::-1]), spacing_mm, (0.0, 0.0, 0.0), direction)


def ball(shape, centre, radius):
    index = np.indices(shape)
    return sum((n - c) ** 2 for n, c in zip(index, centre, strict=True)) <= radius**2


def labelled(mask, structure=GLAND):
    return np.where(mask, np.uint8(structure.value), np.uint8(0))


def of_gland(first, second, grid):
    return score_structures(labelled(first), labelled(second), grid, [GLAND])[GLAND]


def surface_points(mask, spacing_kji):
    padded = np.pad(mask, 1)
    inner = np.ones_like(mask)
    for axis in range(3):
        for step in (-1, 1):
            inner &= np.roll(padded, step, axis)[1:-1, 1:-1, 1:-1]
    return np.argwhere(mask & ~inner) * np.asarray(spacing_kji)


def two_blobs(seed):
    rng = np.random.default_rng(seed)
    shape = (12, 13, 14)
    return [
        ball(shape, rng.uniform(3, 9, 3), rng.uniform(3, 6)) & (rng.random(shape) < 0.95)
        for _ in range(2)
    ]


@pytest.mark.parametrize("direction", [STRAIGHT, OBLIQUE], ids=["straight", "oblique"])
@pytest.mark.parametrize("seed", range(3))
def test_metrics_are_those_counted_and_measured_one_by_one(seed, direction):
    first, second = two_blobs(seed)
    grid = grid_of(first.shape, (0.6, 0.8, 2.0), direction)
    found = of_gland(first, second, grid)
    common, r, p = (int(m.sum()) for m in (first & second, first, second))
    assert found.status is Status.SCORED
    assert found.dsc == pytest.approx(2 * common / (r + p))
    assert found.jaccard == pytest.approx(common / int((first | second).sum()))
    assert (found.precision, found.recall) == pytest.approx((common / p, common / r))
    assert found.reference_ml == pytest.approx(r * 0.96e-3)
    assert found.prediction_ml == pytest.approx(p * 0.96e-3)
    distances = cdist(*(surface_points(m, grid.spacing_kji_mm) for m in (first, second)))
    there, back = distances.min(axis=1), distances.min(axis=0)
    both = np.concatenate([there, back])
    assert found.hd95_mm == pytest.approx(max(np.percentile(d, 95) for d in (there, back)))
    assert found.hd95_pooled_mm == pytest.approx(np.percentile(both, 95))
    assert found.assd_mm == pytest.approx(both.mean())
    assert found.hd95_mm == hd95_mm(first, second, grid).value


@pytest.mark.parametrize("seed", range(4))
def test_surface_dsc_is_monais_with_the_published_surface_elements(seed):
    torch = pytest.importorskip("torch")
    from monai.metrics import compute_surface_dice

    first, second = two_blobs(seed)
    grid = grid_of(first.shape, (0.63, 0.81, 2.07))
    found = of_gland(first, second, grid)
    tensors = [torch.from_numpy(mask[None, None]) for mask in (second, first)]
    for tolerance, value in ((1.0, found.surface_dsc_1mm), (2.0, found.surface_dsc_2mm)):
        monai = compute_surface_dice(
            *tensors,
            [tolerance],
            include_background=True,
            spacing=list(grid.spacing_kji_mm),
            use_subvoxels=True,
        )
        assert value == pytest.approx(float(monai), abs=1e-4)


def test_equal_maps_are_perfect():
    mask = ball((12, 12, 12), (6, 6, 6), 4)
    found = of_gland(mask, mask, grid_of(mask.shape))
    assert (found.dsc, found.jaccard, found.precision, found.recall) == (1, 1, 1, 1)
    assert (found.hd95_mm, found.hd95_pooled_mm, found.assd_mm) == (0, 0, 0)
    assert (found.surface_dsc_1mm, found.surface_dsc_2mm) == (1, 1)


def test_surfaces_exactly_the_tolerance_apart_are_within_it():
    first, second = np.zeros((8, 20, 20), bool), np.zeros((8, 20, 20), bool)
    first[2:5, 2:18, 2:18] = second[2:5, 2:18, 3:19] = True
    for spacing in (0.1, 1 / 3, 1.0):
        grid = grid_of(first.shape, (1.0, spacing, spacing))
        assert of_gland(first, second, grid).surface_dsc_1mm == 1.0


def test_a_structure_that_one_map_lacks_is_missed_or_a_false_positive():
    some, none = np.ones((3, 3, 3), bool), np.zeros((3, 3, 3), bool)
    grid = grid_of(some.shape)
    missed, extra = of_gland(some, none, grid), of_gland(none, some, grid)
    assert (missed.status, extra.status) == (Status.MISSED, Status.FALSE_POSITIVE)
    for one in (missed, extra):
        assert (one.dsc, one.jaccard, one.surface_dsc_1mm, one.surface_dsc_2mm) == (0, 0, 0, 0)
        assert (one.hd95_mm, one.hd95_pooled_mm, one.assd_mm) == (None, None, None)
    assert (missed.precision, missed.recall) == (None, 0.0)
    assert (extra.precision, extra.recall) == (0.0, None)
    assert (missed.reference_ml, missed.prediction_ml) == pytest.approx((0.027, 0.0))


def test_a_structure_that_neither_has_is_not_applicable():
    none = np.zeros((3, 3, 3), bool)
    found = of_gland(none, none, grid_of(none.shape))
    assert found.status is Status.NOT_APPLICABLE
    assert (found.dsc, found.recall, found.surface_dsc_1mm) == (None, None, None)
    assert (found.reference_ml, found.prediction_ml) == (0.0, 0.0)


def test_one_voxel_in_the_corner_of_the_volume_is_scored():
    mask = np.zeros((2, 2, 2), bool)
    mask[0, 0, 0] = True
    found = of_gland(mask, np.ones_like(mask), grid_of(mask.shape, (1.0, 1.0, 3.0)))
    assert found.status is Status.SCORED
    assert found.recall == 1.0
    assert found.hd95_mm == pytest.approx(
        np.percentile([0, 1, 1, math.sqrt(2), 3, math.sqrt(10), math.sqrt(10), math.sqrt(11)], 95)
    )


def test_all_structures_of_a_case_are_scored_in_the_order_asked_for():
    labels = np.zeros((6, 6, 20), np.uint8)
    for structure in STRUCTURES:
        labels[1:4, 1:4, 2 * structure.value : 2 * structure.value + 2] = structure.value
    found = score_structures(labels, labels, grid_of(labels.shape), STRUCTURES[::-1])
    assert list(found) == list(STRUCTURES[::-1])
    assert all(one.dsc == 1.0 and one.hd95_mm == 0.0 for one in found.values())


def test_other_values_are_left_alone():
    labels = np.zeros((5, 5, 5), np.uint8)
    labels[1:3, 1:3, 1:3], labels[4, 4, 4] = SKIN.value, 200
    found = score_structures(labels, labels, grid_of(labels.shape), [SKIN])
    assert list(found) == [SKIN]
    assert found[SKIN].reference_ml == pytest.approx(0.008)


def bar(length, gland_to=4, shape=(23, 23, 60)):
    """Skin as a thick bar along i that begins in the gland's slab."""
    labels = np.zeros(shape, np.uint8)
    labels[1:22, 1:22, :length] = SKIN.value
    labels[1:22, 1:22, :gland_to] = GLAND.value
    return labels


def test_what_lies_beyond_the_references_reach_is_not_scored():
    reference, prediction = bar(21), bar(50)
    grid = grid_of(reference.shape)
    found = score_structures(reference, prediction, grid, [SKIN, GLAND])[SKIN]
    assert (found.dsc, found.hd95_mm, found.surface_dsc_1mm) == (1.0, 0.0, 1.0)
    uncut = score_structures(reference, prediction, grid, [SKIN], reach_cut=ReachCut.NONE)[SKIN]
    assert uncut.prediction_ml == pytest.approx(46 * 0.441)
    assert uncut.hd95_mm > 10.0


def beside_a_gland(gland_to):
    """Skin all along the volume, and a gland on its face that ends where told."""
    labels = np.zeros((23, 24, 60), np.uint8)
    labels[1:22, 1:22] = SKIN.value
    labels[1:22, 22, :gland_to] = GLAND.value
    return labels


def test_a_cut_is_no_surface():
    maps = [beside_a_gland(4), beside_a_gland(9)]
    grid = grid_of(maps[0].shape)
    cut = [cut_at_reach(labels, labels == GLAND.value, grid) for labels in maps]
    as_contours = score_structures(*cut, grid, [SKIN], reach_cut=ReachCut.NONE)[SKIN]
    as_cuts = score_structures(*maps, grid, [SKIN], reach_cut=ReachCut.AT_OWN_GLAND)[SKIN]
    assert as_cuts.dsc == as_contours.dsc < 1.0
    assert as_cuts.hd95_mm < as_contours.hd95_mm
    assert as_cuts.hd95_pooled_mm < as_contours.hd95_pooled_mm
    assert as_cuts.assd_mm < as_contours.assd_mm
    assert as_cuts.surface_dsc_1mm > as_contours.surface_dsc_1mm
    at_reference = score_structures(*maps, grid, [SKIN])[SKIN]
    assert (at_reference.dsc, at_reference.hd95_mm) == (1.0, 0.0)


def test_an_organ_wholly_beyond_reach_of_the_references_gland_is_missed_not_scored():
    reference, prediction = bar(10), np.zeros((23, 23, 60), np.uint8)
    prediction[1:22, 1:22, 40:] = SKIN.value
    found = score_structures(reference, prediction, grid_of(reference.shape), [SKIN])[SKIN]
    assert found.status is Status.MISSED


def test_a_map_without_gland_is_cut_at_the_others_gland_where_it_should_be_at_its_own():
    reference, prediction = bar(21), np.zeros((23, 23, 60), np.uint8)
    prediction[1:22, 1:22, 4:50] = SKIN.value
    grid = grid_of(reference.shape)
    for first, second in ((reference, prediction), (prediction, reference)):
        found = score_structures(first, second, grid, [SKIN], reach_cut=ReachCut.AT_OWN_GLAND)
        assert found[SKIN].dsc == 1.0
    uncut = score_structures(prediction, reference, grid, [SKIN])[SKIN]
    assert uncut.dsc < 1.0


def test_maps_without_any_gland_are_scored_whole():
    labels = labelled(ball((30, 30, 30), (15, 15, 15), 10), AURICULA)
    found = score_structures(labels, labels, grid_of(labels.shape), [AURICULA])[AURICULA]
    assert found.dsc == 1.0


def test_the_score_does_not_depend_on_where_in_the_volume_the_structures_lie():
    first, second = bar(18, shape=(23, 23, 30)), bar(20, gland_to=6, shape=(23, 23, 30))
    small = score_structures(first, second, grid_of(first.shape), [SKIN, GLAND])
    wide = [np.pad(labels, ((3, 4), (5, 6), (7, 8))) for labels in (first, second)]
    large = score_structures(*wide, grid_of(wide[0].shape), [SKIN, GLAND])
    assert small == large


def test_the_maps_are_not_changed():
    reference, prediction = bar(21), bar(50)
    before = reference.copy(), prediction.copy()
    score_structures(reference, prediction, grid_of(reference.shape), STRUCTURES)
    assert np.array_equal(reference, before[0])
    assert np.array_equal(prediction, before[1])


def test_a_map_that_does_not_fit_the_grid_is_refused():
    fits, other = np.zeros((3, 3, 3), np.uint8), np.zeros((3, 3, 4), np.uint8)
    with pytest.raises(GeometryError, match=r"prediction.*\(3, 3, 4\)"):
        score_structures(fits, other, grid_of((3, 3, 3)), [GLAND])


def test_a_map_of_probabilities_is_refused():
    labels = np.zeros((3, 3, 3), np.uint8)
    with pytest.raises(InputRefusedError, match="float32"):
        score_structures(labels, labels.astype(np.float32), grid_of((3, 3, 3)), [GLAND])
