from datetime import datetime, timezone

import pytest

from parotid_brachy.lib.active_learning.score_folder import CaseScore
from parotid_brachy.lib.active_learning.summaries import (
    appearance_summary,
    edit_summary,
    quality_summary,
)

AT = datetime(2026, 11, 1, tzinfo=timezone.utc)


def scores(made_by="m", **values):
    return {case: CaseScore(case, made_by, 1, AT, value) for case, value in values.items()}


def skin(status, dsc=None, hd95_mm=None, surface=None):
    values = {"status": status, "dsc": dsc, "hd95_mm": hd95_mm, "surface_dsc_1mm": surface}
    return {"structures": {"skin": values}}


def test_edits_are_listed_from_the_largest():
    found = edit_summary(
        scores(a={"expected_edit_ml": 1.0}, b={"expected_edit_ml": 3.0}, c={"other": 9})
    )
    assert list(found["expected_edit_ml"].items()) == [("b", 3.0), ("a", 1.0)]


def test_cases_without_any_gland_are_named_apart_from_those_that_need_no_edit():
    found = edit_summary(scores(a={"expected_edit_ml": None}, b={"expected_edit_ml": 0.0}))
    assert found == {"expected_edit_ml": {"b": 0.0}, "no_gland_found": ["a"]}


def test_descriptions_are_counted_by_model():
    found = appearance_summary({**scores("x", a={}), **scores("y", b={}, c={})})
    assert found == {"described": {"x": 1, "y": 2}}


def test_a_missed_structure_lowers_the_mean_overlap_and_has_no_distance():
    found = quality_summary(
        scores(
            a=skin("scored", 0.8, 2.0, 0.9),
            b=skin("missed", 0.0, None, 0.0),
            c=skin("not_applicable"),
        )
    )
    row = next(one for one in found["quality"] if one["structure"] == "skin")
    assert (row["cases"], row["missed"], row["false_positive"]) == (3, 1, 0)
    assert row["dsc_mean"] == pytest.approx(0.4)
    assert (row["hd95_mm_mean"], row["hd95_mm_sd"]) == (2.0, None)
    empty = next(one for one in found["quality"] if one["structure"] == "auricula")
    assert (empty["cases"], empty["dsc_mean"]) == (0, None)


def test_each_model_version_has_its_own_rows():
    found = quality_summary(
        {**scores("x", a=skin("scored", 0.2)), **scores("y", b=skin("scored", 0.6))}
    )
    means = {
        one["made_by"]: one["dsc_mean"] for one in found["quality"] if one["structure"] == "skin"
    }
    assert means == {"x": 0.2, "y": 0.6}
