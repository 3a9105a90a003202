"""Reads hundreds of damaged inputs and prints what became of them.

Every input is read in a child process, so that even a crash of the interpreter is counted and the
run goes on. Ends with 1 if one of them was neither refused with a reason nor proven whole.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import resource
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.imaging.damage import Damaged, Outcome, outcome_of, write_damaged

_PATIENCE_S = 60.0
_GOOD = (Outcome.REFUSED, Outcome.WHOLE)


@dataclass(frozen=True)
class Finding:
    """What became of one damaged input."""

    one: Damaged
    outcome: Outcome
    message: str
    seconds: float


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--every", type=int, default=1, metavar="N", help="read each Nth only")
    parser.add_argument("--details", action="store_true", help="one line for each kind of fault")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all findings there")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="damaged-") as folder:
        damaged = write_damaged(Path(folder))[:: args.every]
        findings, base_mib, peak_mib = read_all(damaged)
    print_table(findings, details=args.details)
    slowest = max(findings, key=lambda finding: finding.seconds)
    print(
        f"\n{len(findings)} inputs, slowest {slowest.seconds:.2f} s ({slowest.one.kind}); "
        f"memory of the reading process {base_mib:.0f} MiB at first, {peak_mib:.0f} MiB at most"
    )
    if args.json:
        args.json.write_text(json.dumps([_row(finding) for finding in findings], indent=1))
    bad = [finding for finding in findings if finding.outcome not in _GOOD]
    for finding in bad:
        print(f"NOT REFUSED: {finding.one.kind}: {finding.outcome.value} {finding.message}")
    return 1 if bad else 0


def _row(finding: Finding) -> dict[str, Any]:
    return {
        "kind": finding.one.kind,
        "outcome": finding.outcome.value,
        "message": finding.message,
        "seconds": round(finding.seconds, 4),
    }


def read_all(damaged: list[Damaged]) -> tuple[list[Finding], float, float]:
    """Reads all in children; findings, and MiB of a child before and at its peak."""
    findings, base_mib, peak_mib = [], 0.0, 0.0
    waiting = list(damaged)
    context = multiprocessing.get_context("spawn")
    while waiting:
        ours, theirs = context.Pipe()
        child = context.Process(target=_read_in_child, args=(theirs, waiting), daemon=True)
        child.start()
        theirs.close()
        try:
            base_mib = max(base_mib, ours.recv())
            while waiting:
                start = time.perf_counter()
                if not ours.poll(_PATIENCE_S):
                    raise EOFError  # noqa: TRY301 (a child that hangs is one that is gone)
                outcome, message, mib = ours.recv()
                seconds = time.perf_counter() - start
                findings.append(Finding(waiting.pop(0), outcome, message, seconds))
                peak_mib = max(peak_mib, mib)
        except EOFError:
            child.kill()
            child.join()
            lost = f"process ended with {child.exitcode}"
            findings.append(Finding(waiting.pop(0), Outcome.CRASHED, lost, 0.0))
        child.join()
    return findings, base_mib, peak_mib


def _read_in_child(pipe: Connection, damaged: list[Damaged]) -> None:
    logging.disable(logging.WARNING)
    pipe.send(_peak_mib())
    for one in damaged:
        outcome, message = outcome_of(one)
        pipe.send((outcome, message, _peak_mib()))


def _peak_mib() -> float:
    """Most memory that this process ever held."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss counts the parent's memory before the child's own program
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return float(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def print_table(findings: list[Finding], *, details: bool) -> None:
    """Prints counts by format, or by kind of fault."""
    counts: dict[str, Counter[Outcome]] = {}
    for finding in findings:
        kind = finding.one.kind if details else finding.one.kind.partition(":")[0]
        counts.setdefault(kind, Counter())[finding.outcome] += 1
    counts["all"] = sum(counts.values(), Counter())
    print("| damaged input | " + " | ".join(outcome.value for outcome in Outcome) + " |")
    print("|---" * (1 + len(Outcome)) + "|")
    for kind, count in counts.items():
        print(f"| {kind} | " + " | ".join(str(count[outcome]) for outcome in Outcome) + " |")


if __name__ == "__main__":
    sys.exit(main())
