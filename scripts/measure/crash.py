"""Whether the store loses anything when its server is killed again and again while people save.

Real server processes, killed by SIGKILL at random moments and started again, while clients save
unique contours and review them. Every acknowledged deed must be in the store afterwards.

    scripts/measure/run crash --output DIR      every variant: 100 kills in 10 minutes each
    scripts/measure/run crash --output DIR --variants sqlite --minutes 1 --kills 5

A variant whose report is in DIR already is not run again.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from scripts.measure.crash_run import CrashPlan, run_crashes
from scripts.measure.servers import AS_SCRIPTS_SERVE
from scripts.measure.tables import markdown
from tests.postgres import fresh_database, postgres_server

_DATABASES: Final = ("sqlite", "postgres")
_KINDS: Final = ("", "-two-servers", "-full-disk")
VARIANTS: Final = tuple(f"{database}{kind}" for kind in _KINDS for database in _DATABASES)
_DISK_MIB: Final = 64
_COLUMNS: Final = {
    "acknowledged_saves": "saves acknowledged",
    "acknowledged_reviews": "reviews acknowledged",
    "saves_per_second": "saves a second",
    "kills": "kills",
    "kills_while_starting": "kills while starting",
    "times_full": "times full",
    "longest_restart_s": "longest restart, s",
    "lost_saves": "lost saves",
    "lost_reviews": "lost reviews",
    "corrupt_files": "corrupt files",
    "journal_breaks": "journal breaks",
    "orphan_files": "orphan files",
    "rows_without_file": "rows without file",
    "own_verdict": "faults by parotid verify",
    "server_faults": "answers 5xx but 507",
}
MUST_BE_NONE: Final = tuple(_COLUMNS)[7:]
"""Figures that are 0 where nothing was lost."""


def run_variant(name: str, plan: CrashPlan, folder: Path, *, disk_mib: int) -> dict[str, Any]:
    """Runs one variant in a new folder.

    Args:
        name: one of ``VARIANTS``.
        plan: the rest of the plan.
        folder: for everything that it writes.
        disk_mib: size of the disk that is filled, in that variant.
    """
    if name.endswith("-two-servers"):
        plan = replace(plan, servers=2)
    if name.endswith("-full-disk"):
        plan = replace(plan, disk_mib=disk_mib)
    with contextlib.ExitStack() as stack:
        database = None
        if name.startswith("postgres"):
            database = fresh_database(stack.enter_context(postgres_server()))
        return run_crashes(plan, folder, database)


def table(reports: Mapping[str, Mapping[str, Any]]) -> str:
    """The variants' figures side by side."""
    rows = [
        {"variant": name, **{shown: report[key] for key, shown in _COLUMNS.items()}}
        for name, report in reports.items()
    ]
    return markdown(rows)


def main() -> None:
    """Runs the variants that have no report yet, and writes the table of all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, required=True, help="folder of the reports")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--minutes", type=float, default=10.0, help="of each variant")
    parser.add_argument("--kills", type=int, default=100, help="in each variant")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--size", type=int, default=48, help="voxels along each axis")
    parser.add_argument(
        "--disk-mib", type=int, default=_DISK_MIB, help="of the disk that is filled"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plain", action="store_true", help="start_server without --uvicorn_app")
    parser.add_argument("--keep", action="store_true", help="keep studies, ledgers and logs")
    arguments = parser.parse_args()
    plan = CrashPlan(
        minutes=arguments.minutes,
        kills=arguments.kills,
        clients=arguments.clients,
        size=arguments.size,
        seed=arguments.seed,
        arguments=() if arguments.plain else AS_SCRIPTS_SERVE,
    )
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name in arguments.variants:
        report = arguments.output / f"{name}.json"
        if report.exists():
            print(f"{name}: {report} is there already", file=sys.stderr)
            continue
        print(f"{name}: {plan.kills} kills, {plan.minutes:g} minutes", file=sys.stderr)
        # With --keep, a run that was cut off leaves its ledgers, too.
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=arguments.output))
        found = run_variant(name, plan, folder, disk_mib=arguments.disk_mib)
        report.write_text(json.dumps(found, indent=2))
        if not arguments.keep and not any(found[key] for key in MUST_BE_NONE):
            shutil.rmtree(folder)
    reports = {
        name: json.loads(path.read_text())
        for name in VARIANTS
        if (path := arguments.output / f"{name}.json").exists()
    }
    (arguments.output / "crash.md").write_text(table(reports))
    print(table(reports))
    if any(report[key] for report in reports.values() for key in MUST_BE_NONE):
        sys.exit("Something was lost: see faults_in_words in the reports.")


if __name__ == "__main__":
    main()
