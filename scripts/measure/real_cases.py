"""Every real CT through the pre-labelling: seconds, volumes, DSC and 95HD against reference maps.

Both sides are run with the side given, and once more with the side left open. Organs at risk are
scored with the reference's gland given, cut again at the reference's gland, and end to end; the
gland as step 1 finds it, as step 2 labels it, and as it is pre-labelled. Cases whose reference
holds the gland alone are scored on the gland alone.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scripts.measure.networks import SHIPPED, Networks, load_networks
from scripts.measure.scoring import (
    Reference,
    Scored,
    Way,
    score_gland,
    score_organs,
    score_two_step,
    summary_rows,
)
from scripts.measure.tables import markdown, write_csv
from tqdm import tqdm

from parotid_brachy.lib.anatomy import GLAND, Side
from parotid_brachy.lib.errors import ParotidBrachyError
from parotid_brachy.lib.imaging.files import read_label_map, read_volume
from parotid_brachy.lib.imaging.half_head import find_midplane
from parotid_brachy.lib.imaging.roi import cut_at_reach
from parotid_brachy.lib.imaging.volume import Grid, Volume
from parotid_brachy.lib.segmentation.findings import PreLabel
from parotid_brachy.lib.segmentation.gland import find_gland, gland_box, gland_on_image
from parotid_brachy.lib.segmentation.organs import label_organs
from parotid_brachy.lib.segmentation.stopwatch import Stopwatch
from parotid_brachy.lib.segmentation.training_cases import TrainingCase, find_cases
from parotid_brachy.lib.segmentation.two_step import OrgansOnly, TwoStepOptions


@dataclass
class Measured:
    """What has been measured so far."""

    runs: list[dict[str, Any]] = field(default_factory=list)
    scored: list[Scored] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def references_of(cases: Sequence[TrainingCase], grid: Grid) -> list[Reference]:
    """The reference maps of one image, cut at the seeds' reach; sides without a gland left out."""
    found = []
    for case in cases:
        if case.side is None:
            continue
        # find_cases prefers the full map; where a cut one lies beside it, that is the reference.
        cut = case.labels.parent.parent / f"{case.side.value}_roi17" / case.labels.name
        labels = read_label_map(cut if cut.is_file() else case.labels, grid)
        if (labels == GLAND.value).any():
            found.append(Reference.of(labels, grid, case.side))
    return found


def timed(volume: Volume, networks: Networks, options: TwoStepOptions) -> tuple[PreLabel, float]:
    """A two-step run and its seconds."""
    began = time.perf_counter()
    run = networks.two_step(volume, options)
    return run, time.perf_counter() - began


def run_row(asked: str, run: PreLabel, seconds: float, networks: Networks) -> dict[str, Any]:
    """What a run answered, for CSV."""
    report = run.report
    return {
        "case": report.case,
        "asked": asked,
        "seconds": round(seconds, 2),
        "outside_networks": round(1 - network_seconds(report.seconds) / seconds, 3),
        "side": report.side,
        "gland_left_ml": report.gland_ml_by_side.get("left"),
        "gland_right_ml": report.gland_ml_by_side.get("right"),
        **{f"{name}_ml": structure.ml for name, structure in report.structures.items()},
        "models": networks.names,
        "warnings": "; ".join(report.warnings),
    }


def network_seconds(seconds: dict[str, float]) -> float:
    """Seconds that a report's stages spent in networks."""
    return sum(value for stage, value in seconds.items() if stage.endswith("network"))


def measure_side(volume: Volume, reference: Reference, networks: Networks) -> list[Scored]:
    """All scores of one side but those of the two-step run."""
    case, side = volume.case, reference.side
    midplane = find_midplane(volume)
    gland = find_gland(volume, side, midplane, networks.gland, Stopwatch())
    alone = gland_on_image(gland, volume.grid)
    scored = [score_gland(case, Way.GLAND_STEP_1, alone, reference)]
    if networks.organs.value_of(GLAND) is not None:
        second = np.zeros_like(alone)
        if gland.is_found:
            labelled = label_organs(volume, gland_box(gland), side, networks.organs, Stopwatch())
            second[labelled.where] = labelled.labels == GLAND.value
        scored.append(score_gland(case, Way.GLAND_STEP_2, second, reference))
    if reference.has_organs:
        options = TwoStepOptions(side=side, keep_beyond_reach=True)
        run = OrgansOnly(networks.organs).run(volume, reference.gland, options)
        cut = cut_at_reach(run.labels, reference.gland, volume.grid)
        scored += score_organs(case, Way.GIVEN_GLAND, cut, reference)
    return scored


def measure_case(cases: Sequence[TrainingCase], networks: Networks, measured: Measured) -> None:
    """Runs and scores one image; a refusal is noted and the others go on."""
    name = cases[0].case
    try:
        volume = read_volume(cases[0].image, case=name)
        references = {reference.side: reference for reference in references_of(cases, volume.grid)}
        run, seconds = timed(volume, networks, TwoStepOptions())
        measured.runs.append(run_row("auto", run, seconds, networks))
        for side in Side:
            # Kept beyond reach, so that one run can be cut at either gland.
            options = TwoStepOptions(side=side, keep_beyond_reach=True)
            run, seconds = timed(volume, networks, options)
            measured.runs.append(run_row(side.value, run, seconds, networks))
            if side in references:
                measured.scored += score_two_step(name, run.labels, references[side])
                measured.scored += measure_side(volume, references[side], networks)
    except ParotidBrachyError as error:
        measured.refused.append(f"{name}: {error}")


def report(measured: Measured) -> str:
    """The Markdown report."""
    seconds = []
    for asked in ("auto", "left", "right"):
        own = [row["seconds"] for row in measured.runs if row["asked"] == asked]
        if own:
            seconds.append(
                {
                    "asked": asked,
                    "runs": len(own),
                    "seconds median": float(np.median(own)),
                    "seconds largest": float(max(own)),
                }
            )
    parts = [markdown(summary_rows(measured.scored)), markdown(seconds)]
    if measured.refused:
        parts.append("Refused:\n" + "\n".join(f"- {line}" for line in measured.refused) + "\n")
    return "\n".join(parts)


def save(output: Path, measured: Measured) -> None:
    """Writes everything measured so far: after each case, so that a stop loses one case at most."""
    write_csv(output / "runs.csv", measured.runs)
    write_csv(output / "scores.csv", [scored.to_row() for scored in measured.scored])
    (output / "summary.md").write_text(report(measured), encoding="utf-8")


def main() -> int:
    """Measures; 1 where a case was refused."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, required=True, metavar="DIR")
    parser.add_argument("--labels", type=Path, required=True, metavar="DIR")
    parser.add_argument("--models", type=Path, default=SHIPPED, metavar="DIR", help="registry")
    parser.add_argument(
        "--models-for",
        action="append",
        default=[],
        type=_case_and_registry,
        metavar="CASE=DIR",
        help="another registry for one case, such as one trained without it",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--limit", type=int, metavar="N", help="the first N cases only")
    args = parser.parse_args()
    special = dict(args.models_for)
    by_case: dict[str, list[TrainingCase]] = {}
    for case in find_cases(args.images, args.labels):
        by_case.setdefault(case.case, []).append(case)
    unknown = set(special) - set(by_case)
    if unknown:
        parser.error(f"--models-for names cases that are not there: {', '.join(sorted(unknown))}")
    measured = Measured()
    args.output.mkdir(parents=True, exist_ok=True)
    warm: set[Path] = set()
    for name in tqdm(sorted(by_case)[: args.limit], unit="case", file=sys.stderr):
        registry = special.get(name, args.models)
        networks = load_networks(registry)
        if registry not in warm:  # the first run of a model is slower than all others
            networks.two_step(read_volume(by_case[name][0].image, case=name), TwoStepOptions())
            warm.add(registry)
        measure_case(by_case[name], networks, measured)
        save(args.output, measured)
    print(report(measured))
    return 1 if measured.refused else 0


def _case_and_registry(text: str) -> tuple[str, Path]:
    case, _, folder = text.partition("=")
    if not case or not folder:
        message = f"{text!r} is not CASE=DIR"
        raise argparse.ArgumentTypeError(message)
    return case, Path(folder)


if __name__ == "__main__":
    raise SystemExit(main())
