"""A comparison as a table: for a person, and as JSON for journal and manifest."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

from parotid_brachy.lib.retraining.comparison import Comparison, ComparisonRow

_DIGITS: Final = 4


def table_json(comparison: Comparison) -> dict[str, Any]:
    """A comparison's table as JSON values."""
    return {
        "champion": comparison.champion,
        "candidate": comparison.candidate,
        "patients": comparison.patients,
        "cases": [one.case for one in comparison.seconds],
        "median_seconds": _rounded(comparison.median_seconds),
        "failures": dict(comparison.failures),
        "seed": comparison.seed,
        "rows": [{k: _rounded(v) for k, v in asdict(row).items()} for row in comparison.rows],
    }


def scores_json(comparison: Comparison) -> list[dict[str, Any]]:
    """The single cases' scores as JSON values."""
    return [
        {
            "case": one.case,
            "patient": one.patient,
            "structure": one.structure,
            **{
                f"{name}_{what}": value
                for name, own in (("champion", one.champion), ("candidate", one.candidate))
                for what, value in (
                    ("dsc", _rounded(own.dsc.value)),
                    ("hd95_mm", _rounded(own.hd95_mm.value)),
                    ("missed", own.is_missed),
                )
            },
        }
        for one in comparison.scores
    ]


def table_text(comparison: Comparison) -> str:
    """A comparison's table for a person."""
    head = (
        f"{'structure':<24} {'n':>3} {'champion':>8} {'candid.':>8} {'diff.':>7} "
        f"{'95 % interval':>16} {'HD95 mm':>13}  newly missed"
    )
    names = f"champion {comparison.champion}, candidate {comparison.candidate}; DSC by patient"
    lines = [names, head, *map(_line, comparison.rows)]
    if comparison.median_seconds is not None:
        first, second = comparison.median_seconds
        lines.append(f"median seconds a case: champion {first:.2f}, candidate {second:.2f}")
    lines += [f"{case}: not labelled ({why})" for case, why in comparison.failures.items()]
    return "\n".join(lines) + "\n"


def _line(row: ComparisonRow) -> str:
    if row.difference is None:
        return f"{row.structure:<24} {0:>3} {'no patient has it':>8}"
    interval = f"{row.low:+.3f} .. {row.high:+.3f}"
    distances = "-"
    if row.champion_hd95_mm is not None:
        distances = f"{row.champion_hd95_mm:.1f} / {row.candidate_hd95_mm:.1f}"
    return (
        f"{row.structure:<24} {row.patients:>3} {row.champion_dsc:>8.3f} "
        f"{row.candidate_dsc:>8.3f} {row.difference:>+7.3f} {interval:>16} {distances:>13}  "
        f"{', '.join(row.newly_missed) or '-'}"
    )


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, _DIGITS)
    return [_rounded(one) for one in value] if isinstance(value, (list, tuple)) else value
