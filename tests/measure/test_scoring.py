import numpy as np
import pytest
from scripts.measure.scoring import Reference, Way, score_two_step, summary_rows

from parotid_brachy.lib.anatomy import GLAND, MANDIBULAR_RAMUS, SKIN, Side
from parotid_brachy.lib.evaluation.overlap import Outcome, Score
from parotid_brachy.lib.evaluation.summary import Summary
from parotid_brachy.lib.imaging.volume import Grid

STRAIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
GRID = Grid((60, 20, 20), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), STRAIGHT)


def full_map(gland_to=10):
    """A gland and a ramus that reaches far beyond its reach."""
    labels = np.zeros(GRID.shape_kji, np.uint8)
    labels[5:15, 5:15, gland_to:] = MANDIBULAR_RAMUS.value
    labels[5:15, 5:15, 2:gland_to] = GLAND.value
    return labels


def scores(found, way, structure):
    (one,) = [s for s in found if s.way is way and s.structure is structure]
    return one


def test_a_reference_ends_at_the_seeds_reach():
    reference = Reference.of(full_map(), GRID, Side.LEFT)
    where = np.flatnonzero((reference.roi17 == MANDIBULAR_RAMUS.value).any(axis=(0, 1)))
    assert (where[0], where[-1]) == (10, 9 + 17)
    assert reference.has_organs


def test_the_same_map_is_perfect_in_every_way():
    found = score_two_step("case", full_map(), Reference.of(full_map(), GRID, Side.LEFT))
    for way in (Way.END_TO_END, Way.CUT_AT_REFERENCE):
        one = scores(found, way, MANDIBULAR_RAMUS)
        assert (one.dsc.value, one.hd95_mm.value) == (1.0, 0.0)
        assert scores(found, way, SKIN).dsc.outcome is Outcome.NOT_APPLICABLE
    assert scores(found, Way.GLAND_COMBINED, GLAND).dsc.value == 1.0


def test_cutting_again_at_the_reference_undoes_a_gland_that_is_too_large():
    reference = Reference.of(full_map(), GRID, Side.LEFT)
    larger = full_map()
    larger[4:16, 4:16, 0:2] = GLAND.value
    larger[0:20, 0:20, 0:14][larger[0:20, 0:20, 0:14] == 0] = GLAND.value
    found = score_two_step("case", larger, reference)
    again = scores(found, Way.CUT_AT_REFERENCE, MANDIBULAR_RAMUS).dsc.value
    own = scores(found, Way.END_TO_END, MANDIBULAR_RAMUS).dsc.value
    assert again == 1.0
    assert own < 0.95


def test_a_reference_of_the_gland_alone_is_scored_on_the_gland_alone():
    labels = full_map()
    labels[labels != GLAND.value] = 0
    found = score_two_step("case", full_map(), Reference.of(labels, GRID, Side.RIGHT))
    assert [s.structure for s in found] == [GLAND]


def test_missed_structures_count_in_the_mean_dsc_and_are_shown():
    found = score_two_step(
        "case", np.zeros(GRID.shape_kji, np.uint8), Reference.of(full_map(), GRID, Side.LEFT)
    )
    (row,) = [
        r for r in summary_rows(found, [Way.END_TO_END]) if r["structure"] == "mandibular_ramus"
    ]
    assert (row["n"], row["missed"], row["DSC mean ± SD"], row["95HD mm mean ± SD"]) == (
        1,
        1,
        "0.000",
        "",
    )


def test_a_summary_leaves_out_what_is_not_applicable():
    summary = Summary.of(
        [
            Score(Outcome.MEASURED, 0.8),
            Score(Outcome.MEASURED, 0.6),
            Score(Outcome.MISSED, 0.0),
            Score(Outcome.NOT_APPLICABLE, None),
        ]
    )
    assert (summary.measured, summary.missed, summary.not_applicable) == (2, 1, 1)
    assert summary.mean == pytest.approx(1.4 / 3)
    assert summary.shown(2) == "0.47 ± 0.42"
