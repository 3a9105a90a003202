"""Doses of two sets of contours, compared."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from scipy import stats

from parotid_brachy.lib.anatomy import ORGANS_AT_RISK, SKIN, Structure
from parotid_brachy.lib.dosimetry.comparison import (
    COMPARED,
    PUBLISHED,
    DoseScore,
    dose_differences,
)
from parotid_brachy.lib.dosimetry.dvh import Dvh
from parotid_brachy.lib.report.dose_page import dose_page
from parotid_brachy.lib.report.dose_tables import differences_csv, dvh_csv


def _score(
    case: str, name: str, doses: list[float] | None, structure: Structure = SKIN
) -> DoseScore:
    if doses is None:
        return DoseScore(case, name, structure, None, 120.0)
    values = np.sort(np.asarray(doses, dtype=np.float64))[::-1]
    return DoseScore(case, name, structure, Dvh(structure, 1.0, 1.0, values, 0.1), 120.0)


def _scores(differences: list[float]) -> list[DoseScore]:
    scores = []
    for number, difference in enumerate(differences):
        base = 50.0 + 3.0 * number
        scores.append(_score(f"case_{number}", "manual", [base] * 12))
        scores.append(_score(f"case_{number}", "two_step", [base + difference] * 12))
    return scores


def test_differences_are_the_sets_less_the_references() -> None:
    moved = [1.0, -2.0, 4.0, 0.5, 3.0, -1.0]
    rows = dose_differences(_scores(moved), "manual")
    assert [(one.structure, one.metric) for one in rows] == [
        (structure, metric) for structure in ORGANS_AT_RISK for metric in COMPARED
    ]
    found = next(one for one in rows if one.structure is SKIN and one.metric == "dmean_gy")
    assert found.n == 6
    assert found.mean_gy == pytest.approx(np.mean(moved))
    assert found.sd_gy == pytest.approx(np.std(moved, ddof=1))
    assert found.mean_absolute_gy == pytest.approx(np.mean(np.abs(moved)))
    assert found.test.p == pytest.approx(float(stats.ttest_1samp(moved, 0.0).pvalue))
    assert found.correlation.rho == pytest.approx(
        stats.spearmanr(
            [50 + 3 * n for n in range(6)], [50 + 3 * n + d for n, d in enumerate(moved)]
        )[0]
    )


def test_organs_that_one_set_lacks_are_counted_not_averaged() -> None:
    scores = [
        *_scores([1.0, 1.0, 2.0]),
        _score("case_7", "manual", [900.0] * 12),
        _score("case_7", "two_step", None),
        _score("case_8", "manual", None),
        _score("case_8", "two_step", [900.0] * 12),
    ]
    found = next(one for one in dose_differences(scores, "manual") if one.structure is SKIN)
    assert (found.n, found.lost, found.added) == (3, 1, 1)
    assert found.mean_gy == pytest.approx(4.0 / 3.0)


def test_an_organ_smaller_than_2_cc_has_no_d2cc_to_compare() -> None:
    rows = dose_differences(_scores([1.0, 2.0, 3.0]), "manual")
    skin = {one.metric: one for one in rows if one.structure is SKIN}
    assert skin["d1cc_gy"].n == 3
    assert (skin["d2cc_gy"].n, skin["d2cc_gy"].mean_gy, skin["d2cc_gy"].test.p) == (0, None, None)


def test_the_tables_hold_every_line_and_leave_empty_what_does_not_apply() -> None:
    scores = [*_scores([1.0, 2.0]), _score("case_9", "two_step", None)]
    lines = list(csv.DictReader(io.StringIO(dvh_csv(scores).decode())))
    assert [one["case"] for one in lines] == [one.case for one in scores]
    assert float(lines[0]["dmean_gy"]) == 50.0
    assert lines[0]["d2cc_gy"] == lines[-1]["dmean_gy"] == lines[-1]["is_partial"] == ""
    rows = list(
        csv.DictReader(io.StringIO(differences_csv(dose_differences(scores, "manual")).decode()))
    )
    assert len(rows) == 6 * len(COMPARED)
    assert {row["structure"] for row in rows} == {one.name for one in ORGANS_AT_RISK}


def test_the_page_shows_the_published_table_beside_ours_and_escapes_names() -> None:
    scores = [
        DoseScore("<b>case", one.name.replace("two_step", "two<i>"), one.structure, one.dvh)
        for one in _scores([1.0])
    ]
    page = dose_page(
        scores,
        dose_differences(scores, "manual"),
        reference="manual",
        plans=[("<b>case", "60 seeds")],
        pictures=[],
        problems=["case_3: <script>"],
    )
    assert f"{PUBLISHED[SKIN].mean_gy:.2f} &plusmn; {PUBLISHED[SKIN].sd_gy:.2f}" in page
    assert "<script>" not in page
    assert "<b>case" not in page
    assert "two<i>" not in page
    assert "http" not in page.replace("http-equiv", "")
