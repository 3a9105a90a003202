"""Whether a server refuses hostile requests with a message, lives on, and changes nothing.

    scripts/measure/run attacks                 both ways of starting, as nobody and as an admin
    scripts/measure/run attacks --list          what is sent, without sending it

Each request must be answered 4xx with JSON that has ``detail``. An admin sends them too, so that
missing rights are not what keeps them out.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from scripts.measure.attack_run import Surroundings, all_attacks, attack
from scripts.measure.networks import SHIPPED
from scripts.measure.servers import AS_SCRIPTS_SERVE, ServerProcess, Serving
from scripts.measure.tables import markdown
from tests.postgres import fresh_database, postgres_server


def measure(
    arguments: tuple[str, ...], root: Path, database: str | None
) -> dict[str, tuple[dict[str, Any], list[str]]]:
    """Starts a server in one way and attacks it, as nobody and as an admin.

    Args:
        arguments: of ``start_server``.
        root: a new folder, for everything.
        database: of the store's rows; None: SQLite in the studies.

    Returns:
        Figures and faults, by who attacked.
    """
    surroundings = Surroundings(root)
    surroundings.build()
    serving = Serving(
        surroundings.studies,
        SHIPPED,
        root / "logs" / "server.log",
        (*arguments, "--conf", "database", database) if database else arguments,
        surroundings.environment,
    )
    server = ServerProcess(serving)
    server.start()
    try:
        server.wait_until_ready()
        token = surroundings.arm(server.url, database)
        found = {}
        for who, own in (("nobody", None), ("an admin", token)):
            report = attack(surroundings, server.port, token=own, database=database)
            found[who] = (report.figures(), report.faults)
        return found
    finally:
        server.stop()


def main() -> None:
    """Attacks servers started in both ways."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--list", action="store_true", help="count the list's groups, and end")
    parser.add_argument("--postgres", action="store_true", help="keep the rows in PostgreSQL")
    parser.add_argument("--output", type=Path, help="a JSON file for figures and faults")
    arguments = parser.parse_args()
    if arguments.list:
        for group, count in collections.Counter(one.group for one in all_attacks()).items():
            print(f"{count:5} {group}")
        return
    reports: dict[str, dict[str, Any]] = {}
    rows = []
    for way, added in (("scripts/serve", AS_SCRIPTS_SERVE), ("start_server", ())):
        with tempfile.TemporaryDirectory() as folder:
            with contextlib.ExitStack() as stack:
                database = None
                if arguments.postgres:
                    database = fresh_database(stack.enter_context(postgres_server()))
                found = measure(added, Path(folder), database)
            for who, (figures, faults) in found.items():
                reports[f"{way}, {who}"] = {**figures, "faults": faults}
                rows.append({"started by": way, "attacked by": who, **figures})
    if arguments.output:
        arguments.output.write_text(json.dumps(reports, indent=2))
    columns = list(dict.fromkeys(name for row in rows for name in row))
    print(markdown([{name: row.get(name, 0) for name in columns} for row in rows]))
    faults = [f"{what}: {fault}" for what, one in reports.items() for fault in one["faults"]]
    if faults:
        sys.exit("\n".join(["Not withstood:", *faults]))


if __name__ == "__main__":
    main()
