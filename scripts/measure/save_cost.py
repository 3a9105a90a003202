"""What a save, the list of all cases and the next case cost, beside MONAI Label's own store.

Both stores hold the same cases, half of them labelled, and do the same in turn, in one process.
Ours checks what it is given and has it on disk when it returns; the framework's copies the file.

    scripts/measure/run save_cost                       100, 1000 and 10 000 cases
    scripts/measure/run save_cost --cases 100 1000 --repeats 10
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import SimpleITK as sitk
from monailabel.datastore.local import LocalDatastore
from monailabel.tasks.activelearning.random import Random
from scripts.measure.tables import markdown, write_csv
from tqdm import tqdm

from parotid_brachy.lib.anatomy import STRUCTURES
from parotid_brachy.lib.datastore.studies import Studies
from parotid_brachy.lib.imaging.label_encoding import nifti_bytes
from parotid_brachy.lib.imaging.volume import Grid, to_image
from parotid_brachy.lib.review.roles import Reader, Role
from parotid_brachy.lib.review.workflow import Received
from parotid_brachy.lib.strategies.random import RandomStrategy

_GRID: Final = Grid(
    (32, 32, 32), (2.0, 2.0, 2.0), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0)
)
_READER: Final = Reader("reader", Role.ANNOTATOR)
_LABEL_INFO: Final = [{"name": s.name, "idx": s.value} for s in STRUCTURES]
_REQUEST: Final = {"strategy": "random", "client_id": _READER.name}


def case_name(number: int) -> str:
    """The id of a case."""
    return f"case_{number:05d}"


def label_map(serial: int) -> bytes:
    """A label map that is like no other, as NIfTI."""
    labels = np.zeros(_GRID.shape_kji, np.uint8)
    for structure in STRUCTURES:
        labels[3 * structure.value : 3 * structure.value + 3, 8:20, 8:20] = structure.value
    bits = np.unpackbits(np.array([serial], ">u8").view(np.uint8))
    labels[0].flat[: bits.size] = 1 + bits
    return nifti_bytes(labels, _GRID)


def write_images(folder: Path, cases: int) -> None:
    """As many cases, of one image on disk."""
    folder.mkdir()
    hu = np.random.default_rng(1).integers(-1000, 1500, _GRID.shape_kji).astype(np.int16)
    first = folder / f"{case_name(0)}.nii.gz"
    sitk.WriteImage(to_image(hu, _GRID), str(first))
    for number in range(1, cases):
        os.link(first, folder / f"{case_name(number)}.nii.gz")


class Ours:
    """The version store behind its adapter, called as the server's routes call it.

    Args:
        folder: of the studies.
        cases: how many; the first half is labelled.
    """

    def __init__(self, folder: Path, cases: int) -> None:
        write_images(folder, cases)
        self._studies = Studies(folder)
        self._strategy = RandomStrategy()
        for number in tqdm(range(cases // 2), desc="our labels", disable=None):
            self.save(case_name(number), label_map(0))

    def save(self, case: str, content: bytes) -> None:
        """``PUT /datastore/label``."""
        self._studies.refresh()
        received = Received(content, "label.nii.gz", _LABEL_INFO, {"client_id": _READER.name})
        self._studies.workflow.save(case, received, _READER)

    def list(self) -> Mapping[str, Any]:
        """``GET /datastore/?output=all``."""
        return self._studies.json()

    def next_case(self) -> str:
        """``POST /activelearning/random``."""
        chosen = self._strategy(_REQUEST, self._studies)
        return _offer(self._studies, chosen)

    def close(self) -> None:
        """Ends it."""
        self._studies.store.close()


class Framework:
    """MONAI Label's own store, called as its server calls it.

    Args:
        folder: of the studies.
        cases: how many; the first half is labelled.
    """

    def __init__(self, folder: Path, cases: int) -> None:
        write_images(folder, cases)
        labels = folder / "labels" / "final"
        labels.mkdir(parents=True)
        first = labels / f"{case_name(0)}.nii.gz"
        first.write_bytes(label_map(0))
        for number in range(1, cases // 2):
            os.link(first, labels / f"{case_name(number)}.nii.gz")
        self._received = folder.parent / "received.nii.gz"
        self._store = LocalDatastore(str(folder), auto_reload=True)
        self._strategy = Random()

    def save(self, case: str, content: bytes) -> None:
        """``PUT /datastore/label``."""
        self._received.write_bytes(content)
        told = {"label_info": _LABEL_INFO, "client_id": _READER.name}
        self._store.save_label(case, str(self._received), "final", told)

    def list(self) -> Mapping[str, Any]:
        """``GET /datastore/?output=all``."""
        found: Mapping[str, Any] = self._store.json()
        return found

    def next_case(self) -> str:
        """``POST /activelearning/random``."""
        chosen = self._strategy(dict(_REQUEST), self._store)
        return _offer(self._store, chosen)

    def close(self) -> None:
        """Ends it."""
        self._store._observer.stop()  # noqa: SLF001 (it has no other end)


def _offer(store: Any, chosen: Mapping[str, Any] | None) -> str:
    """Notes to whom a case was offered, as both servers do."""
    if chosen is None:
        message = "no case is left"
        raise RuntimeError(message)
    case = str(chosen["id"])
    offers = dict(store.get_image_info(case).get("strategy", {}))
    offers["random"] = {"ts": int(time.time()), "client_id": _READER.name}
    store.update_image_info(case, {"strategy": offers})
    return case


def measure(folder: Path, cases: int, repeats: int) -> list[dict[str, Any]]:
    """Both stores in turn; one row for each deed.

    Args:
        folder: new; for both.
        cases: in each of them.
        repeats: of each deed.
    """
    ours, framework = Ours(folder / "ours", cases), Framework(folder / "framework", cases)
    rows = []
    for repeat in tqdm(range(repeats), desc=f"{cases} cases", disable=None):
        content = label_map(1 + repeat)
        # One that has a label already: half of the cases stay without.
        case = case_name(repeat % (cases // 2))
        deeds: dict[str, Callable[[Any], object]] = {
            "save": lambda store, c=case, x=content: store.save(c, x),
            "list": lambda store: store.list(),
            "next case": lambda store: store.next_case(),
        }
        for deed, do in deeds.items():
            for name, store in (("ours", ours), ("framework", framework)):
                began = time.perf_counter()
                do(store)
                seconds = time.perf_counter() - began
                rows.append({"cases": cases, "deed": deed, "store": name, "ms": 1000 * seconds})
    if len(ours.list()["objects"]) != cases or len(framework.list()["objects"]) != cases:
        message = f"the stores do not list {cases} cases"
        raise RuntimeError(message)
    ours.close()
    framework.close()
    return rows


def summary(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Medians, and how many times as long ours takes: beside the framework, and per case."""
    found: list[dict[str, Any]] = []
    keys = dict.fromkeys((row["deed"], row["cases"]) for row in rows)
    first: dict[str, float] = {}
    for deed, cases in sorted(keys):
        median = {
            store: statistics.median(
                row["ms"]
                for row in rows
                if (row["deed"], row["cases"], row["store"]) == (deed, cases, store)
            )
            for store in ("ours", "framework")
        }
        first.setdefault(deed, median["ours"])
        found.append(
            {
                "deed": deed,
                "cases": cases,
                "ours, ms": median["ours"],
                "framework, ms": median["framework"],
                "ours / framework": median["ours"] / median["framework"],
                "ours / ours with fewest cases": median["ours"] / first[deed],
            }
        )
    return found


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--output", type=Path, help="a CSV file for every deed")
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for cases in arguments.cases:
        with tempfile.TemporaryDirectory() as folder:
            rows += measure(Path(folder), cases, arguments.repeats)
        if arguments.output:
            write_csv(arguments.output, rows)
        print(markdown(summary(rows)), file=sys.stderr)
    print(markdown(summary(rows)))


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    main()
