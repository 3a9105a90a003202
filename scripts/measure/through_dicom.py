"""One DICOM series the whole way: imported, de-identified, drafted, submitted, approved, exported.

Each step is what a team does: ``parotid import``, a server as ``scripts/serve`` starts it, 3D
Slicer's and the Reviewer's own code, ``parotid export``. The objects then lie in
``OUTPUT/exported``; ``dicom_objects`` compares what independent programs read from them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from scripts.measure.networks import SHIPPED
from scripts.measure.season import write_readers
from scripts.measure.season_people import SENIOR, ReaderOne, Senior, answer_of
from scripts.measure.servers import AS_SCRIPTS_SERVE, ServerProcess, Serving

from parotid_brachy.lib.anatomy import STRUCTURES, Side
from parotid_brachy.lib.imaging.files import read_label_map, read_volume


class Steps:
    """What was done, and how long each took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Times one."""
        began = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - began


def parotid(*arguments: str | Path) -> str:
    """What a command of ``parotid`` says.

    Raises:
        RuntimeError: it fails.
    """
    command = [sys.executable, "-m", "parotid_brachy.lib.cli.main", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        message = f"parotid {arguments[0]}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
        raise RuntimeError(message)
    return done.stdout


def main() -> int:
    """Goes the whole way; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("series", type=Path, metavar="SERIES", help="folder of a CT series")
    parser.add_argument("--side", choices=[s.value for s in Side], required=True)
    parser.add_argument("--models", type=Path, default=SHIPPED, metavar="DIR")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="a new folder")
    args = parser.parse_args()
    output: Path = args.output.resolve()
    studies = output / "studies"
    studies.mkdir(parents=True)
    steps = Steps()
    with steps.step("import"):
        key = ("--key", output / "pseudonyms.key")
        parotid("import", args.series, "--studies", studies, *key, "--side", args.side)
    (case,) = [path.name.removesuffix(".nii.gz") for path in studies.glob("*.nii.gz")]
    write_readers(studies)
    people = output / "people"
    people.mkdir()
    arguments = (*AS_SCRIPTS_SERVE, "--conf", "loopback_reviewer", SENIOR)
    server = ServerProcess(Serving(studies, args.models, output / "server.log", arguments))
    try:
        with steps.step("start of the server"):
            server.start()
            server.wait_until_ready()
        reader = ReaderOne(server.url, people)
        with steps.step("draft"):
            draft = reader.asks_for_draft("two_step", case, Side(args.side))
        volume = read_volume(studies / f"{case}.nii.gz")
        labels = read_label_map(draft, volume.grid)
        with steps.step("submission"):
            reader.submits(case, labels, volume.grid)
        with steps.step("approval"):
            Senior(server.url, people).approves(case)
        told = answer_of(server.url, f"/review/cases/{case}")
    finally:
        server.stop()
    with steps.step("export"):
        parotid("export", "--studies", studies, case, "--output", output / "exported")
    voxels = {s.name: int(np.sum(labels == s.value)) for s in STRUCTURES}
    report = {"case": case, "state": told["state"], "seconds": steps.seconds, "voxels": voxels}
    (output / "report.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    print(json.dumps(report, indent=1))
    return int(told["state"] != "approved")


if __name__ == "__main__":
    sys.exit(main())
