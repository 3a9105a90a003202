"""Whether a training comes to its right end when its trainer, or its server, is killed at random.

Real servers and trainers over painted heads. After each kill (SIGKILL) the training has to go on
from its last whole epoch, the champions have to be loadable, the server has to draft; at the end
each candidate is registered once, and promoted or refused once, and no process is left.

    scripts/measure/run training_kills --output DIR             every variant, 20 kills each
    scripts/measure/run training_kills --output DIR --variants trainer-parotid_gland --kills 5

A variant whose report is in DIR already is not run again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from scripts.measure.benchmark import machine
from scripts.measure.tables import markdown
from scripts.measure.training_kills_run import KillPlan, run_kills

VARIANTS: Final = tuple(
    f"{who}-{task}" for task in ("parotid_gland", "two_step") for who in ("trainer", "server")
)
_COLUMNS: Final = {
    "kills": "kills",
    "trainings": "trainings",
    "epochs_begun_again": "epochs begun again",
    "whole_epochs_lost": "whole epochs lost",
    "median_until_at_work_s": "trainer at work again, median s",
    "longest_until_at_work_s": "longest s",
    "longest_restart_s": "server answers again, longest s",
    "trainers_adopted": "trainers adopted",
    "champions_verified": "champions verified",
    "inferences": "inferences",
    "faults": "faults",
}


def table(reports: Mapping[str, Mapping[str, Any]]) -> str:
    """The variants' figures side by side, and what the kills hit."""
    rows = [
        {"variant": name, **{shown: report[key] for key, shown in _COLUMNS.items()}}
        for name, report in reports.items()
    ]
    phases = list(dict.fromkeys(p for report in reports.values() for p in report["phases_hit"]))
    hit = [
        {"kills in": name, **{phase: report["phases_hit"].get(phase, 0) for phase in phases}}
        for name, report in reports.items()
    ]
    return f"{markdown(rows)}\n{markdown(hit)}"


def main() -> None:
    """Runs the variants that have no report yet, and writes the table of all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, required=True, help="folder of the reports")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--kills", type=int, default=20, help="in each variant")
    parser.add_argument("--ends", type=int, default=4, help="of these, in the last phases")
    parser.add_argument("--epochs", type=int, default=40, help="of each training")
    parser.add_argument("--iterations", type=int, default=3, help="of each epoch")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    output: Path = arguments.output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    for name in arguments.variants:
        report = output / f"{name}.json"
        if report.exists():
            print(f"{name}: {report} is there already", file=sys.stderr)
            continue
        who, _, task = name.partition("-")
        plan = KillPlan(
            who=who,
            task=task,
            kills=arguments.kills,
            ends=arguments.ends,
            epochs=arguments.epochs,
            iterations=arguments.iterations,
            seed=arguments.seed,
        )
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=output))
        found = {"machine": machine(), **run_kills(plan, folder / "run")}
        report.write_text(json.dumps(found, indent=2))
        if not found["faults"]:
            shutil.rmtree(folder)
    reports = {
        name: json.loads(path.read_text())
        for name in VARIANTS
        if (path := output / f"{name}.json").exists()
    }
    (output / "training_kills.md").write_text(table(reports))
    print(table(reports))
    if any(report["faults"] for report in reports.values()):
        sys.exit("Something went wrong: see faults_in_words in the reports.")


if __name__ == "__main__":
    main()
