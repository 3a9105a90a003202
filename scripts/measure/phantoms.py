"""Held-out phantoms after surgery: DSC and 95HD by how much of the gland is left.

Each phantom is drawn as ``parotid phantom`` draws it, pre-labelled with the side left open, scored
and forgotten. One line of JSON per phantom is kept, so that a stopped measurement goes on where it
was.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from scripts.measure.networks import SHIPPED, Networks, load_networks
from scripts.measure.scoring import Reference, Scored, Way, score_two_step
from scripts.measure.tables import markdown, write_csv
from tqdm import tqdm

from parotid_brachy.lib.anatomy import GLAND, STRUCTURES, Side, structure_named
from parotid_brachy.lib.evaluation.overlap import Outcome, Score
from parotid_brachy.lib.evaluation.summary import Summary
from parotid_brachy.lib.phantom.draw import draw_phantom
from parotid_brachy.lib.phantom.truth import Extent
from parotid_brachy.lib.segmentation.two_step import TwoStepOptions

FIRST_SEED: Final = 900_000
"""Far from the seeds that models are trained on."""
INTACT_EVERY: Final = 5
"""Each so-many-th phantom has had no surgery."""
BINS: Final = ((0.1, 0.3), (0.3, 0.5), (0.5, 0.8))
"""Share of the gland that is left; the last bin includes its upper end."""


@dataclass(frozen=True)
class Plan:
    """Which phantom: its seed, the side that is scored, and whether that side was operated on."""

    seed: int
    side: Side
    is_operated: bool

    @classmethod
    def of(cls, seed: int) -> Plan:
        """Sides alternate; every few phantoms one is intact."""
        side = Side.LEFT if seed % 2 == 0 else Side.RIGHT
        return cls(seed, side, (seed - FIRST_SEED) % INTACT_EVERY != INTACT_EVERY - 1)


def bin_of(residual: float) -> str:
    """The name of the bin that a residual share belongs to."""
    if residual >= 1.0:
        return "intact"
    for low, high in BINS:
        if residual < high or (low, high) == BINS[-1]:
            return f"{low:.1f}-{high:.1f}"
    message = f"no bin for a residual share of {residual}"
    raise ValueError(message)


def measure(plan: Plan, networks: Networks) -> dict[str, Any]:
    """One phantom's line: what was proposed, and every structure's scores."""
    phantom = draw_phantom(plan.seed, after_surgery=plan.side if plan.is_operated else None)
    volume, truth = phantom.volume, phantom.truth[plan.side][Extent.ROI17]
    reference = Reference.of(truth, volume.grid, plan.side)
    began = time.perf_counter()
    run = networks.two_step(volume, TwoStepOptions(keep_beyond_reach=True))
    seconds = time.perf_counter() - began
    proposed = run.report.side
    gland_ml = run.report.gland_ml_by_side
    if proposed != plan.side.value:
        run = networks.two_step(volume, TwoStepOptions(side=plan.side, keep_beyond_reach=True))
    residual = phantom.report.sides[plan.side].residual_fraction if plan.is_operated else 1.0
    return {
        "seed": plan.seed,
        "side": plan.side.value,
        "operated": plan.is_operated,
        "residual": round(residual, 4),
        "bin": bin_of(residual),
        "view": phantom.report.recipe.scan.view.value,
        "proposed": proposed,
        "gland_ml": gland_ml,
        "seconds_auto": round(seconds, 2),
        "models": networks.names,
        "scores": [s.to_row() for s in score_two_step(volume.case, run.labels, reference)],
    }


def finished(journal: Path) -> dict[int, dict[str, Any]]:
    """What an earlier run has measured, by seed; a line that was cut off is left out."""
    found = {}
    if journal.is_file():
        for line in journal.read_text(encoding="utf-8").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            found[int(entry["seed"])] = entry
    return found


def scored_of(entry: dict[str, Any]) -> list[Scored]:
    """A line's scores as they were before they were written."""
    result = []
    for row in entry["scores"]:
        outcome = Outcome(row["outcome"])
        result.append(
            Scored(
                row["case"],
                Side(row["side"]),
                Way(row["way"]),
                structure_named(row["structure"]),
                row["reference_ml"],
                row["predicted_ml"],
                Score(outcome, row["dsc"]),
                Score(outcome, row["hd95_mm"]),
            )
        )
    return result


def summary_rows(entries: Iterable[dict[str, Any]], way: Way) -> list[dict[str, Any]]:
    """One row per structure; the columns are the bins."""
    names = [f"{low:.1f}-{high:.1f}" for low, high in BINS] + ["intact", "all"]
    everything = [(entry["bin"], scored) for entry in entries for scored in scored_of(entry)]
    rows = []
    for structure in STRUCTURES:
        wanted = (Way.GLAND_COMBINED,) if structure is GLAND else (way,)
        row: dict[str, Any] = {"structure": structure.name}
        for name in names:
            own = [
                scored
                for own_bin, scored in everything
                if scored.structure is structure
                and scored.way in wanted
                and name in (own_bin, "all")
            ]
            overlap = Summary.of([s.dsc for s in own])
            distance = Summary.of([s.hd95_mm for s in own])
            row[f"{name}: DSC"] = overlap.shown(3)
            row[f"{name}: 95HD mm"] = distance.shown(2)
            row[f"{name}: missed of n"] = f"{overlap.missed} of {overlap.measured + overlap.missed}"
        rows.append(row)
    return rows


def report(entries: list[dict[str, Any]]) -> str:
    """The Markdown report."""
    operated = [entry for entry in entries if entry["operated"]]
    sides = [
        {
            "residual": name,
            "phantoms": len(own),
            "side proposed rightly": sum(entry["proposed"] == entry["side"] for entry in own),
        }
        for name in [f"{low:.1f}-{high:.1f}" for low, high in BINS]
        for own in [[entry for entry in operated if entry["bin"] == name]]
    ]
    parts = [f"{len(entries)} phantoms, {len(operated)} after surgery\n", markdown(sides)]
    for way in (Way.END_TO_END, Way.CUT_AT_REFERENCE):
        parts += [f"{way.value}, side given\n", markdown(summary_rows(entries, way))]
    return "\n".join(parts)


def main() -> int:
    """Measures, or goes on measuring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100, metavar="N")
    parser.add_argument("--seed", type=int, default=FIRST_SEED, help="of the first phantom")
    parser.add_argument("--models", type=Path, default=SHIPPED, metavar="DIR", help="registry")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    args = parser.parse_args()
    networks = load_networks(args.models)
    args.output.mkdir(parents=True, exist_ok=True)
    journal = args.output / "phantoms.jsonl"
    done = finished(journal)
    other = {e["models"] for e in done.values()} - {networks.names}
    if other:
        parser.error(f"{journal} was measured with {', '.join(other)}: give another --output")
    seeds = range(args.seed, args.seed + args.count)
    for seed in tqdm(seeds, unit="phantom", file=sys.stderr):
        if seed in done:
            continue
        done[seed] = measure(Plan.of(seed), networks)
        with journal.open("a", encoding="utf-8") as stream:
            stream.write("\n" * (journal.stat().st_size > 0) + json.dumps(done[seed]))
    entries = [done[seed] for seed in seeds]
    write_csv(
        args.output / "scores.csv",
        [
            {"seed": e["seed"], "residual": e["residual"], "proposed": e["proposed"], **row}
            for e in entries
            for row in e["scores"]
        ],
    )
    text = report(entries)
    (args.output / "summary.md").write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
