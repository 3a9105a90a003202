"""What is left of a store after crashes, looked at from outside, beside the ledgers.

Nothing of the store's own code is used but its tables' names: files and rows are read plainly.
The store's own commands are asked too, and have to find the same.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import nrrd
import numpy as np
from sqlalchemy import Engine, create_engine, text

from parotid_brachy.lib.anatomy import STRUCTURES

_SHOWN: Final = 20
_FIRST_HASH: Final = "0" * 64


@dataclass
class Findings:
    """Faults by kind, in words; all lists are empty where nothing was lost.

    Attributes:
        lost_saves: acknowledged contours that are not in the store as they were sent.
        lost_reviews: acknowledged words and withdrawals of which the store knows nothing.
        corrupt_files: files that are not what their names or rows say.
        rows_without_file: rows whose file is missing.
        orphan_files: files without a row, and half-written ones.
        journal_breaks: gaps and links that do not hold.
        own_verdict: what ``parotid store verify`` and ``parotid journal verify`` say, if anything.
    """

    lost_saves: list[str] = field(default_factory=list)
    lost_reviews: list[str] = field(default_factory=list)
    corrupt_files: list[str] = field(default_factory=list)
    rows_without_file: list[str] = field(default_factory=list)
    orphan_files: list[str] = field(default_factory=list)
    journal_breaks: list[str] = field(default_factory=list)
    own_verdict: list[str] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        """How many there are of each kind."""
        return {kind: len(faults) for kind, faults in asdict(self).items()}

    def shown(self) -> dict[str, list[str]]:
        """The first few of each kind."""
        return {kind: faults[:_SHOWN] for kind, faults in asdict(self).items() if faults}


class Audit:
    """Reads a store that nobody writes to.

    Args:
        studies: the folder of studies.
        database: of the rows; None: SQLite in the folder.
    """

    def __init__(self, studies: Path, database: str | None) -> None:
        self._studies = studies
        self._store = studies / ".parotid"
        self._database = database
        url = database or f"sqlite:///{self._store / 'store.sqlite'}"
        self._engine: Engine = create_engine(url)

    def run(self, ledger: Sequence[Mapping[str, Any]]) -> Findings:
        """Everything that is wrong.

        Args:
            ledger: what was acknowledged to the clients.

        Returns:
            All but the store's own verdict, which takes two programs' time (:meth:`own_verdict`).
        """
        findings = Findings()
        objects = {row["name"]: row for row in self._rows("select * from objects")}
        self._check_files(objects, findings)
        self._check_saves([entry for entry in ledger if entry["kind"] == "save"], findings)
        self._check_words(ledger, findings)
        self._check_journal(findings)
        self._engine.dispose()
        return findings

    def own_verdict(self) -> list[str]:
        """What the store's own commands complain of."""
        asked = (("store", "verify"), ("journal", "verify"))
        return [words for command in asked for words in self._ask_ourselves(command)]

    def _rows(self, query: str) -> list[Mapping[str, Any]]:
        with self._engine.connect() as connection:
            return [dict(row) for row in connection.execute(text(query)).mappings()]

    def _path(self, name: str) -> Path:
        return self._store / "objects" / name[:2] / name

    def _check_files(self, objects: Mapping[str, Mapping[str, Any]], found: Findings) -> None:
        there = {p.name: p for p in (self._store / "objects").rglob("*") if p.is_file()}
        found.orphan_files += sorted(set(there) - set(objects))
        found.orphan_files += [str(p) for p in self._studies.rglob("*.tmp") if p.name not in there]
        used = self._rows("select file as name from versions union select received from versions")
        found.orphan_files += sorted(set(objects) - {row["name"] for row in used})
        found.rows_without_file += sorted(set(objects) - set(there))
        for name, row in objects.items():
            if name in there:
                content = there[name].read_bytes()
                digest = hashlib.sha256(content).hexdigest()
                if digest != row["sha256"] or not name.startswith(digest):
                    found.corrupt_files.append(name)
                elif len(content) != row["size_bytes"]:
                    found.corrupt_files.append(f"{name}: {len(content)} bytes")

    def _check_saves(self, saves: Sequence[Mapping[str, Any]], found: Findings) -> None:
        rows = self._rows("select case_id, number, author, file, received from versions")
        versions = {(row["case_id"], row["number"]): row for row in rows}
        for save in saves:
            what = f"{save['case']} version {save['version']} of {save['reader']}"
            row = versions.get((save["case"], save["version"]))
            if row is None or row["author"] != save["reader"]:
                found.lost_saves.append(f"{what}: there is no such version")
            elif not row["received"].startswith(save["received_sha256"]):
                found.lost_saves.append(f"{what}: another file")
            elif not self._path(row["file"]).is_file() or not self._path(row["received"]).is_file():
                found.lost_saves.append(f"{what}: its file is missing")
            elif _voxels_sha256(self._path(row["file"])) != save["voxels_sha256"]:
                found.lost_saves.append(f"{what}: other voxels")

    def _check_words(self, ledger: Sequence[Mapping[str, Any]], found: Findings) -> None:
        words = {row["comment"] for row in self._rows("select comment from notes")}
        for row in self._rows("select details from journal where action = 'reopen'"):
            words.add(json.loads(row["details"]).get("reason"))
        withdrawn = {
            (row["case_id"], row["number"])
            for row in self._rows("select case_id, number, is_withdrawn from versions")
            if row["is_withdrawn"]
        }
        for entry in ledger:
            what = f"{entry['case']}, {entry['reader']}"
            if entry.get("comment") and entry["comment"] not in words:
                found.lost_reviews.append(f"{what}: {entry['comment']}")
            which = (entry["case"], entry.get("version"))
            if entry["kind"] == "withdrawal" and which not in withdrawn:
                found.lost_reviews.append(f"{what}: withdrawal of {entry['version']}")

    def _check_journal(self, found: Findings) -> None:
        """Gaps and links; the hashes themselves are the journal's own business to verify."""
        rows = self._rows("select sequence, case_id, previous_hash, hash, details from journal")
        rows.sort(key=lambda row: int(row["sequence"]))
        previous, told = _FIRST_HASH, set()
        for expected, row in enumerate(rows, start=1):
            if row["sequence"] != expected:
                found.journal_breaks.append(f"{row['sequence']} where {expected} should be")
                break
            if row["previous_hash"] != previous:
                found.journal_breaks.append(f"{expected} does not follow the one before")
            previous = row["hash"]
            told.add((row["case_id"], json.loads(row["details"]).get("version")))
        (head,) = self._rows("select sequence, hash from journal_head")
        if (head["sequence"], head["hash"]) != (len(rows), previous):
            found.journal_breaks.append(f"the head says {head['sequence']}, there are {len(rows)}")
        for row in self._rows("select case_id, number from versions"):
            if (row["case_id"], row["number"]) not in told:
                found.journal_breaks.append(f"{row['case_id']} {row['number']} is not journalled")

    def _ask_ourselves(self, command: Sequence[str]) -> list[str]:
        program = [sys.executable, "-m", "parotid_brachy.lib.cli.main", *command]
        program += ["--studies", str(self._studies)]
        program += ["--database", self._database] if self._database else []
        done = subprocess.run(program, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return []
        return [f"parotid {' '.join(command)}: {(done.stdout + done.stderr).strip()[-500:]}"]


def _voxels_sha256(path: Path) -> str:
    """Of a kept label map, in the project's values, ``[k, j, i]``.

    Read by pynrrd alone: a file that our reader takes for what it is not would show.
    """
    voxels, header = nrrd.read(str(path), index_order="C")
    named = {header[f"Segment{n}_ID"]: int(header[f"Segment{n}_LabelValue"]) for n in range(7)}
    if named != {structure.name: structure.value for structure in STRUCTURES}:
        return "other structures"
    return hashlib.sha256(np.ascontiguousarray(voxels, np.uint8).tobytes()).hexdigest()
