"""Imports hundreds of damaged DICOM series and prints what became of them.

They are imported as ``parotid import`` does it, de-identified, by child processes with bounds.
Ends with 1 if one was taken with other voxels than the undamaged series has, or if anything but a
refusal with a reason came of it.
"""

from __future__ import annotations

import argparse
import enum
import json
import logging
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tests.dicom.importing.damaged_files import DamagedSeries, number_of, write_damaged_series
from tests.imaging.damage_dicom import series_head
from tqdm import tqdm

from parotid_brachy.lib.dicom.importing.child_process import ChildGoneError
from parotid_brachy.lib.dicom.importing.landing import LandingPlace
from parotid_brachy.lib.dicom.importing.limits import IMPORT_LIMITS
from parotid_brachy.lib.dicom.importing.records import SeriesFound, Survey
from parotid_brachy.lib.dicom.importing.series_import import SeriesImport, Taken
from parotid_brachy.lib.dicom.importing.sources import FolderSource
from parotid_brachy.lib.errors import ParotidBrachyError
from parotid_brachy.lib.imaging.files import read_volume
from parotid_brachy.lib.review.case_ids import is_case_id

_BATCH = 50
_SAME_GRID_MM = 0.5
"""A damaged digit of one position is not told from rounding below 5 % of the slices' distance."""


class Outcome(enum.Enum):
    """What became of a damaged series."""

    REFUSED = "refused"
    STOPPED = "refused, child stopped"
    EQUAL = "taken, equal voxels"
    OTHER = "taken, other voxels"
    CRASHED = "crashed"


_GOOD = (Outcome.REFUSED, Outcome.STOPPED, Outcome.EQUAL)


@dataclass(frozen=True)
class Finding:
    """What became of one."""

    one: DamagedSeries
    outcome: Outcome
    message: str
    seconds: float


class Trial:
    """Imports damaged series into one folder of studies."""

    def __init__(self, root: Path) -> None:
        self._studies = root / "studies"
        self._studies.mkdir()
        self.place = LandingPlace(self._studies, self._studies / ".parotid")
        self._importer = SeriesImport(self.place, key=root / "key", is_case_id=is_case_id)
        self._expected = series_head()

    def all_of(self, batch: Sequence[DamagedSeries]) -> list[Finding]:
        """Imports what lies in one folder; each singly if they cannot be looked at together."""
        start = time.monotonic()
        try:
            source = FolderSource(batch[0].folder.parent, IMPORT_LIMITS)
            with self._importer.opened(source) as survey:
                share = (time.monotonic() - start) / len(batch)
                return [self._one_of(one, survey, share) for one in batch]
        except ParotidBrachyError as error:
            if len(batch) > 1:
                message = "a folder must hold one batch"
                raise RuntimeError(message) from error
            seconds = time.monotonic() - start
            return [Finding(batch[0], _refusal(error), str(error), seconds)]

    def _one_of(self, one: DamagedSeries, survey: Survey, share_s: float) -> Finding:
        start = time.monotonic()
        mine = [series for series in survey.series if _is_of(series, one)]
        faults = [file for file in survey.left_out if file.path.parent == one.folder]
        if not mine:
            reasons = "; ".join(f"{file.path.name} is {file.reason}" for file in faults[:2])
            return Finding(one, Outcome.REFUSED, f"no CT series: {reasons}", share_s)
        outcomes = [self._imported(series) for series in mine]
        # Of several series in the folder, the worst outcome counts.
        outcome, message = max(outcomes, key=lambda pair: list(Outcome).index(pair[0]))
        return Finding(one, outcome, message, share_s + time.monotonic() - start)

    def _imported(self, series: SeriesFound) -> tuple[Outcome, str]:
        try:
            taken = self._importer.take(series)
        except ParotidBrachyError as error:
            is_told = len(str(error)) > 30 and str(error).endswith((".", "?"))
            return (_refusal(error), str(error)) if is_told else (Outcome.CRASHED, str(error))
        except Exception as error:  # noqa: BLE001 - whatever gets here is a fault, to be counted
            return Outcome.CRASHED, f"{type(error).__name__}: {error}"
        return self._compared(taken)

    def _compared(self, taken: Taken) -> tuple[Outcome, str]:
        volume = read_volume(self._studies / f"{taken.converted.case}.nii.gz")
        is_same = np.array_equal(volume.voxels, self._expected.voxels)
        is_there = volume.grid.is_same_as(self._expected.grid, tolerance_mm=_SAME_GRID_MM)
        told = volume.grid.describe()
        return (Outcome.EQUAL, told) if is_same and is_there else (Outcome.OTHER, told)


def _refusal(error: ParotidBrachyError) -> Outcome:
    return Outcome.STOPPED if isinstance(error, ChildGoneError) else Outcome.REFUSED


def _is_of(series: SeriesFound, one: DamagedSeries) -> bool:
    in_folder = any(path.parent == one.folder for path in series.slices)
    return in_folder and number_of(series.uid) in (one.number, None)


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--every", type=int, default=1, metavar="N", help="import each Nth only")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all findings there")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="damaged-") as folder:
        findings = import_all(Path(folder), every=args.every)
    print_table(findings)
    if args.json:
        rows = [
            {
                "number": f.one.number,
                "kind": f.one.kind,
                "outcome": f.outcome.value,
                "message": f.message,
                "seconds": round(f.seconds, 3),
            }
            for f in findings
        ]
        args.json.write_text(json.dumps(rows, indent=1))
    bad = [finding for finding in findings if finding.outcome not in _GOOD]
    for finding in bad:
        print(
            f"FAULT: {finding.one.kind} ({finding.one.number}): {finding.outcome.value}: ", end=""
        )
        print(finding.message)
    return 1 if bad else 0


def import_all(root: Path, *, every: int) -> list[Finding]:
    """Writes the damaged series and imports them, in folders of fifty."""
    (root / "all").mkdir()
    damaged = write_damaged_series(root / "all", every=every)
    trial = Trial(root)
    findings: list[Finding] = []
    with trial.place.alone(), tqdm(total=len(damaged), unit="series", file=sys.stderr) as bar:
        for start in range(0, len(damaged), _BATCH):
            batch = _moved(damaged[start : start + _BATCH], root / f"batch{start}")
            try:
                found = trial.all_of(batch)
            except RuntimeError:
                found = [
                    finding
                    for one in batch
                    for finding in trial.all_of(_moved([one], root / f"single{one.number}"))
                ]
            findings += found
            bar.update(len(batch))
    return findings


def _moved(batch: Sequence[DamagedSeries], folder: Path) -> list[DamagedSeries]:
    folder.mkdir()
    return [
        DamagedSeries(one.number, one.kind, one.folder.rename(folder / one.folder.name))
        for one in batch
    ]


def print_table(findings: Sequence[Finding]) -> None:
    """Prints counts by kind of fault, memory and time."""
    counts: dict[str, Counter[Outcome]] = {}
    for finding in findings:
        counts.setdefault(finding.one.kind, Counter())[finding.outcome] += 1
    counts["all"] = sum(counts.values(), Counter())
    print("| damaged series | " + " | ".join(outcome.value for outcome in Outcome) + " |")
    print("|---" * (1 + len(Outcome)) + "|")
    for kind, count in counts.items():
        print(f"| {kind} | " + " | ".join(str(count[outcome]) for outcome in Outcome) + " |")
    slowest = max(findings, key=lambda finding: finding.seconds)
    peak_mib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(
        f"\n{len(findings)} series, {sum(f.seconds for f in findings):.0f} s together, slowest "
        f"{slowest.seconds:.1f} s ({slowest.one.kind}); a child took {peak_mib:.0f} MiB at most"
    )


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    sys.exit(main())
