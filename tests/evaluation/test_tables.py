import pytest

from parotid_brachy.lib.anatomy import GLAND, SKIN
from parotid_brachy.lib.evaluation.case_scores import ScoreRow
from parotid_brachy.lib.evaluation.metrics import Status, StructureMetrics
from parotid_brachy.lib.evaluation.tables import ScoreTable, metrics_csv, run_tests


def row(method, case, structure, dsc, status=Status.SCORED, hd95=1.0):
    return ScoreRow(method, case, structure, StructureMetrics(status=status, dsc=dsc, hd95_mm=hd95))


@pytest.fixture
def table():
    rows = [
        row("b", "1", GLAND, 0.5),
        row("a", "2", GLAND, 0.0, Status.MISSED, None),
        row("a", "1", GLAND, 0.8),
        row("a", "1", SKIN, None, Status.NOT_APPLICABLE, None),
        row("a", "2", SKIN, 0.6),
    ]
    return ScoreTable(rows, ("a", "b"), (SKIN, GLAND))


def test_a_miss_counts_in_an_overlap_and_not_in_a_distance(table):
    overlap = table.cell("a", GLAND, "dsc")
    assert (overlap.n, overlap.mean, overlap.missed) == (2, 0.4, 1)
    distance = table.cell("a", GLAND, "hd95_mm")
    assert (distance.n, distance.mean, distance.sd) == (1, 1.0, None)


def test_what_does_not_apply_or_was_refused_has_no_value(table):
    assert table.values("a", SKIN, "dsc") == [None, 0.6]
    assert table.values("b", GLAND, "dsc") == [0.5, None]
    assert table.cell("b", SKIN, "dsc").mean is None


def test_cases_are_ranked_by_the_first_method(table):
    assert table.ranking() == ["2", "1"]
    assert table.case_mean("a", "2") == pytest.approx(0.3)


def test_a_value_that_is_not_finite_is_left_empty():
    rows = [row("a", "1", GLAND, float("nan"), hd95=float("inf"))]
    table = ScoreTable(rows, ("a",), (GLAND,))
    assert metrics_csv(table).splitlines()[1] == b"a,1,parotid_gland,scored,,,,,,,,0,0"


def test_one_method_alone_is_tested_against_nothing():
    assert run_tests(ScoreTable([row("a", "1", GLAND, 0.5)], ("a",), (GLAND,))) == []
