"""What the scores of all cases say together."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

from parotid_brachy.lib.active_learning.score_folder import CaseScore
from parotid_brachy.lib.anatomy import STRUCTURES
from parotid_brachy.lib.evaluation.metrics import Status


def is_without_gland(score: CaseScore) -> bool:
    """Whether an expected edit says that nothing is contoured and the models find no gland."""
    return score.values.get("expected_edit_ml", ...) is None


def edit_summary(scores: Mapping[str, CaseScore]) -> dict[str, Any]:
    """Expected edit in ml by case, the largest first; and where models find no gland at all."""
    ml = {case: score.values.get("expected_edit_ml") for case, score in scores.items()}
    known = [(case, value) for case, value in ml.items() if isinstance(value, int | float)]
    return {
        "expected_edit_ml": dict(sorted(known, key=lambda one: (-one[1], one[0]))),
        "no_gland_found": sorted(case for case, score in scores.items() if is_without_gland(score)),
    }


def appearance_summary(scores: Mapping[str, CaseScore]) -> dict[str, Any]:
    """How many cases are described, by model version."""
    versions = [score.made_by for score in scores.values()]
    return {"described": {name: versions.count(name) for name in sorted(set(versions))}}


def quality_summary(scores: Mapping[str, CaseScore]) -> dict[str, Any]:
    """A row for each model version and structure; missed and false positive count as DSC 0.

    Distances are means over the cases in which both have the structure; ``missed`` stands beside
    them, since a distance to nothing counts nowhere.
    """
    rows = []
    for made_by in sorted({score.made_by for score in scores.values()}):
        own = [score.values for score in scores.values() if score.made_by == made_by]
        for structure in STRUCTURES:
            found = [
                one["structures"][structure.name]
                for one in own
                if structure.name in one.get("structures", {})
            ]
            rows.append({"made_by": made_by, "structure": structure.name, **_row(found)})
    return {"quality": rows}


def _row(found: list[Mapping[str, Any]]) -> dict[str, Any]:
    statuses = [one["status"] for one in found]
    row: dict[str, Any] = {
        "cases": len(found),
        "missed": statuses.count(Status.MISSED.value),
        "false_positive": statuses.count(Status.FALSE_POSITIVE.value),
    }
    for metric in ("dsc", "hd95_mm", "surface_dsc_1mm"):
        values = [one[metric] for one in found if one[metric] is not None]
        row[f"{metric}_mean"] = statistics.fmean(values) if values else None
        row[f"{metric}_sd"] = statistics.stdev(values) if len(values) > 1 else None
    return row
