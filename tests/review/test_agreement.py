import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tests.imaging.heads import STRAIGHT, grid_of
from tests.imaging.test_sampling import rotation

from parotid_brachy.lib.anatomy import AURICULA, GLAND, SKIN, STRUCTURES
from parotid_brachy.lib.errors import GeometryError, UsageError
from parotid_brachy.lib.evaluation.overlap import Outcome, dsc, hd95_mm
from parotid_brachy.lib.imaging.volume import Grid
from parotid_brachy.lib.review.agreement import (
    AgreementRow,
    Contoured,
    Contours,
    SliceRange,
    agreement,
)
from parotid_brachy.lib.review.consensus import agreement_table, pairwise
from parotid_brachy.lib.review.effort import HandedOver, effort

GRID = Grid((24, 20, 16), (1.0, 2.0, 2.5), (0.0, 0.0, 100.0), STRAIGHT)
NAMES = [one.name for one in STRUCTURES]


def empty(grid=GRID):
    return np.zeros(grid.shape_kji, dtype=np.uint8)


def one_row(before, after, grid=GRID, contoured=((GLAND.name,), (GLAND.name,))):
    (row,) = agreement(Contours(before, contoured[0]), Contours(after, contoured[1]), grid)
    return row


@pytest.fixture
def shifted():
    before, after = empty(), empty()
    before[4:8, 5:10, 6:12] = GLAND.value
    after[4:8, 5:10, 7:13] = GLAND.value
    after[12, 5, 6] = GLAND.value
    return before, after


def test_volumes_tell_what_was_added_and_removed(shifted):
    row = one_row(*shifted)
    voxel_ml = 1.0 * 2.0 * 2.5 / 1000
    assert row.before_ml == pytest.approx(120 * voxel_ml)
    assert row.after_ml == pytest.approx(121 * voxel_ml)
    assert row.added_ml == pytest.approx(21 * voxel_ml)
    assert row.removed_ml == pytest.approx(20 * voxel_ml)
    assert row.dsc.value == pytest.approx(2 * 100 / 241)


def test_changed_slices_come_as_ranges_with_their_height(shifted):
    first, second = one_row(*shifted).changed_slices
    assert first == SliceRange(4, 7, pytest.approx(110.0), pytest.approx(117.5))
    assert second == SliceRange(12, 12, pytest.approx(130.0), pytest.approx(130.0))


def test_height_is_that_of_the_changed_voxels_however_the_slices_lie():
    """Sagittal slices: i runs to superior, k to the left."""
    sagittal = Grid((24, 20, 16), (1.0, 2.0, 2.5), (0.0, 0.0, 100.0), (0, 0, 1, 0, 1, 0, 1, 0, 0))
    after = empty()
    after[5, 3, 6:11] = GLAND.value
    (changed,) = one_row(empty(), after, sagittal).changed_slices
    assert changed == SliceRange(5, 5, pytest.approx(106.0), pytest.approx(110.0))


def test_a_structure_that_only_one_map_is_about_is_marked_and_not_scored(shifted):
    before, after = shifted
    after[0, 0, 0] = SKIN.value
    rows = agreement(Contours(before, [GLAND.name]), Contours(after, [GLAND.name, SKIN.name]), GRID)
    skin, gland = rows
    assert (skin.structure, skin.contoured) == ("skin", Contoured.ONLY_AFTER)
    assert skin.dsc.outcome is skin.hd95_mm.outcome is Outcome.NOT_APPLICABLE
    assert skin.added_ml == pytest.approx(0.005)
    assert gland.contoured is Contoured.BOTH
    back = agreement(Contours(after, [GLAND.name, SKIN.name]), Contours(before, [GLAND.name]), GRID)
    assert back[0].contoured is Contoured.ONLY_BEFORE


def test_a_structure_that_one_map_left_empty_on_purpose_is_missed(shifted):
    row = one_row(empty(), shifted[1])
    assert (row.dsc.outcome, row.dsc.value) == (Outcome.MISSED, 0.0)
    assert (row.hd95_mm.outcome, row.hd95_mm.value) == (Outcome.MISSED, None)


def test_a_structure_that_both_left_empty_is_shown_as_not_applicable():
    row = one_row(empty(), empty())
    assert row.dsc.outcome is Outcome.NOT_APPLICABLE
    assert row.is_unchanged
    assert row.before_ml == row.after_ml == 0.0


oblique = grid_of((9, 8, 7), (2.0, 2.5, 3.0), rotation(10.0, 20.0, 30.0))
maps = hnp.arrays(np.uint8, oblique.shape_kji, elements=st.integers(0, 7), fill=st.just(0))


@settings(max_examples=40, deadline=None)
@given(maps, maps)
def test_cropping_changes_no_figure(before, after):
    rows = agreement(Contours(before, NAMES), Contours(after, NAMES), oblique, elapsed_s=60.0)
    assert [row.structure for row in rows] == NAMES
    for row, structure in zip(rows, STRUCTURES, strict=True):
        a, b = before == structure.value, after == structure.value
        assert row.dsc == dsc(a, b)
        whole = hd95_mm(a, b, oblique)
        assert row.hd95_mm.outcome is whole.outcome
        assert row.hd95_mm.value == pytest.approx(whole.value)
        assert row.before_ml + row.added_ml - row.removed_ml == pytest.approx(row.after_ml)
        changed = {k for one in row.changed_slices for k in range(one.first_k, one.last_k + 1)}
        assert changed == set(np.flatnonzero((a != b).any(axis=(1, 2))))
        assert AgreementRow.from_json(json.loads(json.dumps(row.to_json()))) == row


def test_a_map_of_another_shape_is_refused(shifted):
    with pytest.raises(GeometryError, match="on a grid of shape"):
        one_row(shifted[0], shifted[1][1:])


def reading(reader, count):
    labels = empty()
    labels[4:8, 5:10, 6 : 6 + count] = GLAND.value
    return Contours(labels, [GLAND.name], by=reader)


def test_every_pair_of_readers_is_compared_once():
    pairs = pairwise("p01", [reading("clara", 5), reading("anna", 5), reading("ben", 10)], GRID)
    assert [(one.first, one.second) for one in pairs] == [
        ("anna", "ben"),
        ("anna", "clara"),
        ("ben", "clara"),
    ]
    assert pairs[1].rows[0].dsc.value == 1.0
    assert pairs[0].rows[0].dsc.value == pytest.approx(2 * 5 / 15)
    json.dumps([one.to_json() for one in pairs])
    with pytest.raises(UsageError, match="two maps of reader 'anna'"):
        pairwise("p01", [reading("anna", 1), reading("anna", 2)], GRID)


def test_the_table_shows_mean_spread_and_what_was_missed():
    pairs = [
        *pairwise("p01", [reading("anna", 5), reading("ben", 5)], GRID),
        *pairwise("p02", [reading("anna", 5), reading("ben", 10)], GRID),
        *pairwise("p03", [reading("anna", 5), reading("ben", 0)], GRID),
        *pairwise("p04", [reading("anna", 5), Contours(empty(), [SKIN.name], by="ben")], GRID),
        *pairwise("p01", [reading("anna", 5), reading("clara", 5)], GRID),
    ]
    table = {(row.first, row.second, row.structure): row for row in agreement_table(pairs)}
    row = table["anna", "ben", "parotid_gland"]
    assert (row.dsc.measured, row.dsc.missed, row.one_sided) == (2, 1, 1)
    assert row.dsc.mean == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert row.dsc.sd == pytest.approx(np.std([1, 2 / 3, 0], ddof=1))
    assert (row.hd95_mm.measured, row.hd95_mm.missed) == (2, 1)
    assert table["anna", "ben", "skin"].one_sided == 1
    assert table[None, None, "parotid_gland"].dsc.measured == 3
    assert table["anna", "clara", "parotid_gland"].dsc.sd is None
    json.dumps([one.to_json() for one in table.values()])


def handed(kind, reader, seconds, before, after):
    rows = agreement(reading("", before), reading("", after), GRID, elapsed_s=seconds)
    return HandedOver(kind, reader, tuple(rows))


def test_effort_is_told_for_all_readers_and_for_each():
    result = effort(
        [
            handed("draft_to_initial", "anna", 100.0, 5, 5),
            handed("draft_to_initial", "anna", 300.0, 5, 10),
            handed("draft_to_initial", "ben", 1000.0, 5, 0),
            handed("initial_to_approved", "dora", None, 5, 5),
        ]
    )
    times = {(one.kind, one.reader): one for one in result.times}
    everyone = times["draft_to_initial", None]
    assert (everyone.handed_over, everyone.median_s, everyone.longest_s) == (3, 300.0, 1000.0)
    assert times["draft_to_initial", "anna"].median_s == 200.0
    unknown = times["initial_to_approved", "dora"]
    assert (unknown.handed_over, unknown.timed, unknown.median_s) == (1, 0, None)
    structures = {(one.kind, one.reader): one for one in result.structures}
    anna = structures["draft_to_initial", "anna"]
    assert (anna.handed_over, anna.unchanged, anna.one_sided) == (2, 1, 0)
    assert anna.added_ml == pytest.approx(4 * 5 * 5 * 0.005 / 2)
    assert structures["draft_to_initial", "ben"].dsc.missed == 1
    assert json.loads(json.dumps(result.to_json()))["times"][0]["reader"] is None


def test_maps_that_are_not_about_a_structure_count_as_one_sided_effort():
    rows = agreement(reading("", 5), Contours(empty(), [AURICULA.name]), GRID)
    result = effort([HandedOver("draft_to_initial", "anna", tuple(rows))])
    one_sided = {one.structure: one.one_sided for one in result.structures if one.reader}
    assert one_sided == {"auricula": 1, "parotid_gland": 1}
    assert dataclasses.asdict(result.structures[0])["dsc"]["measured"] == 0
