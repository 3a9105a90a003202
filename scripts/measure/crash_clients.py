"""Clients that save and review without pause, and write down what was acknowledged to them.

An answer counts once it is on the client's own disk: each line of its ledger is synchronised.
"""

from __future__ import annotations

import collections
import hashlib
import json
import os
import random
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import requests
import SimpleITK as sitk
from numpy.typing import NDArray
from scripts.measure.servers import ServerProcess

from parotid_brachy.lib.anatomy import STRUCTURES
from parotid_brachy.lib.imaging.label_encoding import nifti_bytes, nrrd_bytes
from parotid_brachy.lib.imaging.volume import Grid, to_image

_ANSWER_S: Final = 60.0
_SHOWN_FAULTS: Final = 20
_DISK_FULL: Final = 507
"""The one failure of a server that is no fault: it says so, and keeps nothing."""
_PAUSE_S: Final = 0.25
_LABEL_INFO: Final = [{"name": s.name, "idx": s.value} for s in STRUCTURES]
_LEVELS: Final = ("", "easy", "medium", "hard")


class Ledger:
    """What was acknowledged, in a file of lines of JSON.

    Args:
        path: of the file; lines are added to what it has.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")

    def note(self, entry: Mapping[str, Any]) -> None:
        """Adds a line that outlasts everything that this machine survives."""
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())


def acknowledged(folder: Path) -> list[dict[str, Any]]:
    """All lines of the ledgers in a folder."""
    lines = [
        line
        for path in sorted(folder.glob("*.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    return [json.loads(line) for line in lines]


@dataclass
class Tally:
    """What all clients together were answered; safe for threads.

    Attributes:
        answers: counts by ``what status``.
        faults: answers that no server should give, the first few of them in words.
    """

    answers: collections.Counter[str] = field(default_factory=collections.Counter)
    faults: list[str] = field(default_factory=list)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def count(self, what: str, answer: requests.Response | None) -> None:
        """Counts an answer, or that there was none."""
        status = "no answer" if answer is None else str(answer.status_code)
        with self._guard:
            self.answers[f"{what} {status}"] += 1
            if answer is None or answer.status_code < 500 or len(self.faults) >= _SHOWN_FAULTS:
                return
            if answer.status_code != _DISK_FULL:
                self.faults.append(f"{what} {status}: {answer.text[:300]}")


@dataclass(frozen=True)
class Label:
    """A label map that nobody has sent before.

    Attributes:
        name: of the file, as a client calls it.
        content: of the file.
        voxels_sha256: of the map in the project's values, ``[k, j, i]``.
    """

    name: str
    content: bytes
    voxels_sha256: str

    @classmethod
    def new(cls, grid: Grid, rng: random.Random) -> Label:
        """A map of all structures, in one of the forms in which clients send theirs."""
        labels: NDArray[np.uint8] = np.zeros(grid.shape_kji, np.uint8)
        for structure in STRUCTURES:
            k, j, i = (rng.randrange(2, size - 8) for size in grid.shape_kji)
            labels[k : k + 6, j : j + 6, i : i + 6] = structure.value
        unique = np.unpackbits(np.frombuffer(secrets.token_bytes(8), np.uint8))
        labels[0].flat[: unique.size] = 1 + unique
        # Every structure once at least, wherever the boxes have covered each other.
        labels[1].flat[: len(STRUCTURES)] = [s.value for s in STRUCTURES]
        digest = hashlib.sha256(labels.tobytes()).hexdigest()
        form = rng.choice(("slicer.seg.nrrd", "slicer.seg.nrrd", "itk-snap.nii.gz", "label.bin"))
        if form == "label.bin":
            return cls(form, labels.tobytes(), digest)
        if form.endswith(".nii.gz"):
            return cls(form, nifti_bytes(labels, grid), digest)
        return cls(form, nrrd_bytes(labels, grid, segments=STRUCTURES), digest)


@dataclass(frozen=True)
class Work:
    """What clients share.

    Attributes:
        servers: any of them may be asked.
        cases: ids.
        grid: of every case's image.
        tally: of the answers.
        stop: set when it is over.
    """

    servers: Sequence[ServerProcess]
    cases: Sequence[str]
    grid: Grid
    tally: Tally
    stop: threading.Event


class Client(threading.Thread):
    """A reader at his or her desk.

    Args:
        name: in the readers file.
        work: what all share.
        ledger: of this client's own.
        rng: what it does next.
    """

    def __init__(self, name: str, work: Work, ledger: Ledger, rng: random.Random) -> None:
        super().__init__(name=name, daemon=True)
        self._work = work
        self._ledger = ledger
        self._rng = rng

    def run(self) -> None:
        """Works until it is over."""
        while not self._work.stop.is_set():
            self.act()

    def act(self) -> None:
        """One deed: reader 1 saves."""
        self._save(self._rng.choice(self._work.cases), tag="")

    def _save(self, case: str, *, tag: str, review: Mapping[str, Any] | None = None) -> None:
        label = Label.new(self._work.grid, self._rng)
        told: dict[str, Any] = {"label_info": _LABEL_INFO, "client_id": self.name}
        if review is not None:
            told["segmentationMeta"] = review
        answer = self._send(
            "save",
            "PUT",
            "/datastore/label",
            params={"image": case, **({"tag": tag} if tag else {})},
            data={"params": json.dumps(told)},
            files={"label": (label.name, label.content)},
        )
        if answer is None or not answer.ok:
            return
        self._ledger.note(
            {
                "kind": "save",
                "at": time.time(),
                "case": case,
                "reader": self.name,
                "version": answer.json()["version"],
                "received_sha256": hashlib.sha256(label.content).hexdigest(),
                "voxels_sha256": label.voxels_sha256,
                "comment": review["comment"] if review is not None else None,
            }
        )

    def _send(self, what: str, method: str, path: str, **request: Any) -> requests.Response | None:
        server = self._rng.choice(self._work.servers)
        answer = None
        try:
            answer = requests.request(method, f"{server.url}{path}", timeout=_ANSWER_S, **request)
        except requests.RequestException:
            # Killed before or while it answered: whether it was kept, nobody was told.
            self._work.stop.wait(_PAUSE_S)
        self._work.tally.count(what, answer)
        return answer


class Senior(Client):
    """A senior, over the requests of the stock Reviewer."""

    def act(self) -> None:
        """One deed: corrects, comments, returns, resumes, approves, reopens or withdraws."""
        case = self._rng.choice(self._work.cases)
        tag = self._rng.choice(("final", "version_1", "version_2"))
        deed = self._rng.choices(
            ("correct", "correct with review", "flagged", "", "approved", "withdraw"),
            (25, 15, 30, 15, 10, 2),
        )[0]
        if deed == "correct":
            self._save(case, tag="")
        elif deed == "correct with review":
            status = self._rng.choice(("", "flagged"))
            tag = self._rng.choice(("version_1", "version_2", "version_3"))
            self._save(case, tag=tag, review=self._review(status))
        elif deed == "withdraw":
            self._withdraw(case, self._rng.choice(("version_1", "version_2")))
        else:
            self._say(case, tag, self._review(deed))

    def _review(self, status: str) -> dict[str, Any]:
        return {
            "status": status,
            "approvedBy": self.name,
            "level": self._rng.choice(_LEVELS),
            "comment": f"said {secrets.token_hex(8)}",
            "editTime": int(time.time()),
        }

    def _say(self, case: str, tag: str, review: Mapping[str, Any]) -> None:
        answer = self._send(
            "review",
            "PUT",
            "/datastore/updatelabelinfo",
            params={"label": case, "tag": tag},
            data={"params": json.dumps({"segmentationMeta": review})},
        )
        if answer is not None and answer.ok:
            said = {"kind": "review", "at": time.time(), "case": case, "reader": self.name}
            self._ledger.note({**said, "comment": review["comment"]})

    def _withdraw(self, case: str, tag: str) -> None:
        answer = self._send(
            "withdraw", "DELETE", "/datastore/label", params={"id": case, "tag": tag}
        )
        if answer is not None and answer.ok:
            said = {"kind": "withdrawal", "at": time.time(), "case": case, "reader": self.name}
            self._ledger.note({**said, "version": answer.json()["version"]})


def write_cases(folder: Path, count: int, size: int) -> tuple[list[str], Grid]:
    """Writes small images into a folder of studies.

    Returns:
        The cases' ids, and the grid that they share.
    """
    spacing, direction = (2.0, 2.0, 2.5), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    grid = Grid((size, size, size), spacing, (-40.0, -35.0, 12.5), direction)
    cases = [f"case_{number:02d}" for number in range(count)]
    for number, case in enumerate(cases):
        rng = np.random.default_rng(number)
        hu = rng.integers(-1000, 1500, grid.shape_kji).astype(np.int16)
        sitk.WriteImage(to_image(hu, grid), str(folder / f"{case}.nii.gz"))
    return cases, grid
