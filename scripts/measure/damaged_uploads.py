"""Sends hundreds of damaged inputs to a running server as images, and looks what it answers.

Each must be refused with a 4xx and a reason, or be whole after all; the server must live on. A
folder of DICOM slices cannot be sent through this route and is left out.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import requests
from scripts.measure.servers import ServerProcess, Serving
from tests.imaging.damage import Outcome, outcome_of, write_damaged
from tqdm import tqdm

_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")


def main() -> int:
    """Prints what became of them; ends with 1 if one of them was taken or hurt the server."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--every", type=int, default=1, metavar="N", help="send each Nth only")
    args = parser.parse_args()
    bad: list[str] = []
    statuses: Counter[str] = Counter()
    slowest_s = 0.0
    with tempfile.TemporaryDirectory(prefix="damaged-") as folder:
        root = Path(folder)
        for name in ("damaged", "studies", "models"):
            (root / name).mkdir()
        server = ServerProcess(Serving(root / "studies", root / "models", root / "server.log"))
        server.start()
        server.wait_until_ready()
        sendable = [one for one in write_damaged(root / "damaged") if one.path.is_file()]
        for number, one in enumerate(tqdm(sendable[:: args.every], unit="file", file=sys.stderr)):
            suffix = next((s for s in _SUFFIXES if one.path.name.lower().endswith(s)), "")
            began = time.monotonic()
            answer = requests.put(
                f"{server.url}/datastore/image",
                files={"file": (f"damaged_{number}{suffix}", one.path.read_bytes())},
                timeout=120,
            )
            slowest_s = max(slowest_s, time.monotonic() - began)
            statuses[str(answer.status_code)] += 1
            if answer.ok:
                if outcome_of(one)[0] is not Outcome.WHOLE:
                    bad.append(f"{one.kind}: taken")
            elif not 400 <= answer.status_code < 500 or not answer.json().get("detail"):
                bad.append(f"{one.kind}: {answer.status_code} {answer.text[:80]}")
        if not server.is_alive() or not requests.get(f"{server.url}/info/", timeout=60).ok:
            bad.append("the server did not live on")
        server.stop()
    print(f"{sum(statuses.values())} files: {dict(statuses)}, slowest {slowest_s:.2f} s")
    for line in bad:
        print(f"NOT REFUSED: {line}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
