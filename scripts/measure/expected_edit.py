"""Whether what is said to have to change is what really has to: expected against actual edit.

Each case is drafted and scored as the server does it, and its draft compared with the truth on the
draft's side, cut at the true gland's reach; structures that the truth does not tell of
(``contoured.json`` beside the maps) are left out. Beside the ensemble of poses stand cheaper
guesses: one run's mean confidence, the size of the draft's gland, and an ensemble of arrays
mirrored front to back and upside down.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scripts.measure.networks import SHIPPED, Networks, load_networks
from scripts.measure.tables import markdown, write_csv
from tqdm import tqdm

from parotid_brachy.lib.active_learning.expected_edit import ensemble, expected_edit
from parotid_brachy.lib.anatomy import GLAND, STRUCTURES, Side
from parotid_brachy.lib.evaluation.agreement_statistics import spearman
from parotid_brachy.lib.imaging.files import read_label_map, read_volume
from parotid_brachy.lib.imaging.roi import cut_at_reach
from parotid_brachy.lib.imaging.volume import Volume
from parotid_brachy.lib.segmentation.findings import PreLabel
from parotid_brachy.lib.segmentation.training_cases import TrainingCase, find_cases
from parotid_brachy.lib.segmentation.two_step import TwoStepOptions

GUESSES: Final = {
    "ensemble_ml": "ensemble of poses",
    "mirrored_ml": "ensemble of mirrored arrays",
    "unsure_ml": "one run's confidence",
    "small_gland": "smallest gland first",
}
"""What might tell the edit beforehand, by column."""


def measure(one: TrainingCase, networks: Networks) -> dict[str, Any]:
    """A case's figures, all in millilitres."""
    volume = read_volume(one.image, case=one.case)
    truth = read_label_map(one.labels, volume.grid)
    truth = cut_at_reach(truth, truth == GLAND.value, volume.grid)
    wanted = [s for s in STRUCTURES if one.contoured is None or s.name in one.contoured]

    def propose(seen: Volume, options: TwoStepOptions) -> PreLabel:
        """The draft, of the structures that the truth tells of."""
        found = networks.two_step(seen, options)
        is_wanted = np.isin(found.labels, [structure.value for structure in wanted])
        return replace(found, labels=np.where(is_wanted, found.labels, np.uint8(0)))

    draft = propose(volume, TwoStepOptions(side=one.side))
    began = time.perf_counter()
    members = ensemble(volume, propose, one.side)
    seconds = time.perf_counter() - began
    flipped = [draft.labels, *(_flipped(volume, axis, propose, one.side) for axis in (0, 1))]
    told = [draft.report.structures[structure.name] for structure in wanted]
    return {
        "case": one.case,
        "side": one.side.value if one.side else "",
        "actual_ml": expected_edit(draft.labels, [truth], volume.grid).ml,
        "ensemble_ml": expected_edit(draft.labels, members, volume.grid).ml,
        "mirrored_ml": expected_edit(draft.labels, flipped, volume.grid).ml,
        "unsure_ml": sum(s.ml * (1 - s.mean_confidence) for s in told if s.mean_confidence),
        "small_gland": -draft.report.structures[GLAND.name].ml,
        "ensemble_seconds": round(seconds, 2),
    }


def _flipped(volume: Volume, axis: int, propose: Any, side: Side | None) -> NDArray[np.uint8]:
    """The map of an array that runs the other way along k or j, put back."""
    voxels = np.ascontiguousarray(np.flip(volume.voxels, axis))
    flipped = Volume(volume.grid, voxels, volume.case)
    labels = propose(flipped, TwoStepOptions(side=side)).labels
    return np.asarray(np.flip(labels, axis))


def report(rows: Sequence[dict[str, Any]]) -> str:
    """How each guess ranks the cases, and what the first third of its order would bring."""
    actual = np.asarray([row["actual_ml"] for row in rows])
    third = max(len(rows) // 3, 1)
    lines = []
    for column, name in GUESSES.items():
        guess = np.asarray([row[column] for row in rows])
        found = spearman(guess, actual)
        first = np.argsort(-guess, kind="stable")[:third]
        lines.append(
            {
                "guess": name,
                "Spearman's rho": found.rho,
                "p": found.p,
                "actual ml in its first third": float(actual[first].mean()),
            }
        )
    best = float(np.sort(actual)[::-1][:third].mean())
    seconds = float(np.median([row["ensemble_seconds"] for row in rows]))
    return (
        f"{len(rows)} cases; actual edit {actual.mean():.1f} ml (SD {actual.std(ddof=1):.1f}), "
        f"in the third that needs most {best:.1f} ml; ensemble {seconds:.1f} s a case\n\n"
        + markdown(lines)
    )


def main() -> int:
    """Measures, or goes on measuring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, required=True, metavar="DIR")
    parser.add_argument("--labels", type=Path, required=True, metavar="DIR")
    parser.add_argument("--cases", nargs="+", metavar="CASE", help="only these")
    parser.add_argument("--models", type=Path, default=SHIPPED, metavar="DIR", help="registry")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    args = parser.parse_args()
    networks = load_networks(args.models)
    args.output.mkdir(parents=True, exist_ok=True)
    journal = args.output / "edits.jsonl"
    rows = []
    if journal.is_file():
        rows = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    done = {(row["case"], row["side"]) for row in rows}
    for one in tqdm(find_cases(args.images, args.labels), unit="case", file=sys.stderr):
        key = (one.case, one.side.value if one.side else "")
        if key in done or (args.cases and one.case not in args.cases):
            continue
        rows.append(measure(one, networks))
        with journal.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(rows[-1]) + "\n")
    if len(rows) < 3:
        parser.error(f"{len(rows)} cases: at least 3 are needed")
    write_csv(args.output / "edits.csv", rows)
    text = report(rows)
    (args.output / "summary.md").write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
