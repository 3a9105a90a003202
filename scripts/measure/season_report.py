"""A season's figures: Markdown tables, and a picture of the drafts round by round."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from scripts.measure.season_run import Season
from scripts.measure.tables import markdown

from parotid_brachy.lib.anatomy import STRUCTURES


def rounds_table(season: Season) -> list[dict[str, Any]]:
    """One row per round: the drafts that reader 1 got, and the training that followed."""
    rows = []
    for one in season.rounds:
        patients = one["patients"]
        row: dict[str, Any] = {
            "round": one["round"],
            "patients": len(patients),
            "draft DSC": _mean(patient["dsc"] for patient in patients),
            "changed ml a patient": _mean(patient["changed_ml"] for patient in patients),
        }
        for structure in STRUCTURES:
            values = [patient["dsc_by_name"].get(structure.name) for patient in patients]
            if any(value is not None for value in values):
                row[structure.name] = _mean(values)
        rows.append({**row, "training min": one["training_s"] / 60})
    return rows


def unseen_table(season: Season) -> list[dict[str, Any]]:
    """One row per step and round: the champion's DSC on patients whom no version saw."""
    table = []
    for one in season.unseen:
        rows = [row for row in one["rows"] or () if row["difference"] is not None]
        table.append(
            {
                "step": one["step"],
                "champion after round": one["round"],
                "version": one["version"],
                "first version's DSC": _mean(row["champion_dsc"] for row in rows),
                "its DSC": _mean(row["candidate_dsc"] for row in rows),
                "difference": _mean(row["difference"] for row in rows),
                **{f"{row['structure']} diff.": row["difference"] for row in rows},
            }
        )
    return table


def gate_table(season: Season) -> list[dict[str, Any]]:
    """One row per candidate that the gate was asked about."""
    table = []
    for one in season.rounds:
        for result in one["results"]:
            verdict = "promote" if result["promoted"] else "wait"
            table.append(_judged(f"round {one['round']}", verdict, result))
    return table + [_judged(one["what"], one["verdict"], one) for one in season.refused]


def report(season: Season) -> str:
    """The whole report in Markdown."""
    seen = season.seen
    answers = {
        "inferences": len(seen.seconds),
        "failed": len(seen.failures),
        "median s": statistics.median(seen.seconds) if seen.seconds else None,
        "longest s": max(seen.seconds, default=None),
        "pairs of versions that answered": len(seen.versions),
    }
    moves = dict(zip(("before", "first promoted", "rolled back"), season.served, strict=True))
    checks = [
        {"check": name, "faults": len(found), "the first": found[0][:200] if found else ""}
        for name, found in season.faults.items()
    ]
    unseen = unseen_table(season)
    parts = ["# A scripted season\n", "Drafts by round (mean over patients):\n"]
    parts += [markdown(rounds_table(season)), "Patients whom no version saw:\n"]
    for step in dict.fromkeys(row["step"] for row in unseen):
        parts.append(markdown([row for row in unseen if row["step"] == step]))
    parts += ["The gate:\n", markdown(gate_table(season))]
    parts += ["Inference all along:\n", markdown([answers])]
    parts += ["Served before, while and after a person promoted the first:\n", markdown([moves])]
    parts += ["In order:\n", markdown(checks)]
    return "\n".join(parts)


def draw(season: Season, path: Path) -> None:
    """Draws every patient's draft and the rounds' means: DSC, and changed ml."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.subplots(1, 2)
    shown = (("dsc", "DSC of the draft"), ("changed_ml", "changed by reader 1, ml"))
    for axis, (key, title) in zip(axes, shown, strict=True):
        points = [
            (one["round"], patient[key])
            for one in season.rounds
            for patient in one["patients"]
            if patient[key] is not None
        ]
        means = [_mean(patient[key] for patient in one["patients"]) for one in season.rounds]
        axis.plot(*zip(*points, strict=True), "o", color="0.6", label="patient")
        axis.plot([one["round"] for one in season.rounds], means, "k_-", ms=16, label="mean")
        axis.set(xlabel="round", title=title, xticks=[one["round"] for one in season.rounds])
        axis.set_ylim(0, 1 if key == "dsc" else None)
        axis.grid(visible=True, alpha=0.3)
        axis.legend()
    figure.savefig(path, dpi=130)


def _judged(candidate: str, verdict: str, one: dict[str, Any]) -> dict[str, Any]:
    reasons: Sequence[str] = one["reasons"]
    more = f" (and {len(reasons) - 2} more)" if len(reasons) > 2 else ""
    return {
        "candidate": candidate,
        "step": one["step"],
        "verdict": verdict,
        "reasons": "; ".join(reasons[:2]) + more,
    }


def _mean(values: Any) -> float | None:
    known = [float(value) for value in values if value is not None]
    return statistics.fmean(known) if known else None
