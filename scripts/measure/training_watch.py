"""What must hold of a training that is killed again and again, looked at from outside.

The epochs are read from nnU-Net's own log, not from the status that the product writes.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import psutil
import requests
from scripts.measure.crash_audit import Audit
from scripts.measure.networks import load_champion
from scripts.measure.training_studies import TrainingStudies

from parotid_brachy.lib.errors import ParotidBrachyError
from parotid_brachy.lib.retraining.job_folder import JobFolder
from parotid_brachy.lib.retraining.job_processes import processes_of
from parotid_brachy.lib.retraining.job_status import JobState
from parotid_brachy.lib.retraining.promoting import PROMOTE, REFUSE
from parotid_brachy.lib.review.store import VersionStore
from parotid_brachy.lib.review.verification import verify
from parotid_brachy.lib.segmentation.presets import Step
from parotid_brachy.lib.segmentation.registry import Registry

SERVED: Final = (Step.GLAND, Step.ORGANS_AT_RISK)
_EPOCH: Final = re.compile(r": Epoch (\d+) *$", re.MULTILINE)


@dataclass
class Lives:
    """The epochs that each life of a training began, counted from 0, by the training's folder.

    Attributes:
        of: ``{training: {log: epochs}}``, the logs in the order of the lives.
    """

    of: dict[str, dict[str, list[int]]] = field(default_factory=dict)

    def look(self, job: JobFolder) -> None:
        """Reads the logs that there are; what was read before is kept when its file is gone."""
        logs = job.path.glob("*/**/training_log_*.txt")
        for path in sorted(logs, key=_born):
            with contextlib.suppress(OSError):
                epochs = [int(number) for number in _EPOCH.findall(path.read_text())]
                training = str(path.relative_to(job.path).parent)
                self.of.setdefault(f"{job.id}/{training}", {})[path.name] = epochs

    @property
    def epochs_cut_off(self) -> int:
        """Epochs that were begun and had to be begun again."""
        return sum(
            later[0] == earlier[-1] for _, earlier, later in self._pairs() if later and earlier
        )

    def faults(self) -> list[str]:
        """Whole epochs that were done again or left out."""
        wrong = [
            f"{training}: epochs {earlier[0]}-{earlier[-1]}, then from {later[0]}"
            for training, earlier, later in self._pairs()
            if later[0] not in (earlier[-1], earlier[-1] + 1)
        ]
        for training, logs in self.of.items():
            wrong += [
                f"{training}: {epochs} in one life"
                for epochs in logs.values()
                if epochs != list(range(epochs[0], epochs[0] + len(epochs)) if epochs else ())
            ]
        return wrong

    def _pairs(self) -> Sequence[tuple[str, list[int], list[int]]]:
        found = []
        for training, logs in self.of.items():
            lives = [epochs for epochs in logs.values() if epochs]
            found += [(training, *pair) for pair in pairwise(lives)]
        return found


def _born(log: Path) -> float:
    try:
        return log.stat().st_mtime
    except OSError:
        return 0.0


@dataclass
class Watch:
    """Looks at a training again and again.

    Args:
        place: studies, models and server.

    Attributes:
        faults: by kind, in words; nothing where all is well.
        lives: epochs by the trainings' own logs.
        looks: how often the champions were verified.
        inferences: that were answered.
    """

    place: TrainingStudies
    faults: dict[str, list[str]] = field(default_factory=dict)
    lives: Lives = field(default_factory=Lives)
    looks: int = 0
    inferences: int = 0
    _epochs: dict[tuple[str, str], int] = field(default_factory=dict)

    def fault(self, kind: str, words: str) -> None:
        """Notes one."""
        self.faults.setdefault(kind, []).append(words)

    def look(self, job: JobFolder) -> None:
        """At the champions' files, the processes and the logs."""
        self.looks += 1
        registry = Registry(self.place.models)
        for step in SERVED:
            self._require("champion", lambda step=step: registry.verify(registry.champion(step)))
        self.lives.look(job)
        trainers = trainers_of(job.id)
        if len(trainers) > 1:
            self.fault("processes", f"{len(trainers)} trainers of {job.id} at once")

    def ask(self, job: JobFolder) -> None:
        """At what the server tells of the job."""
        try:
            row = self.place.job_row(job.id)
        except (requests.RequestException, ValueError) as error:
            self.fault("answers", f"GET /review/jobs: {error}")
            return
        if row["step"] is not None:
            key = (job.id, str(row["step"]))
            if row["epoch"] < self._epochs.get(key, 0):
                self.fault("epochs", f"{key}: {row['epoch']} after {self._epochs[key]}")
            self._epochs[key] = max(row["epoch"], self._epochs.get(key, 0))

    def infer(self, case: str) -> None:
        """Loads the champions here, and has the server draft a case with them."""
        self._load_champions()
        try:
            answer = self.place.infer(case)
        except requests.RequestException as error:
            self.fault("inferences", str(error))
            return
        if answer.ok:
            self.inferences += 1
        else:
            self.fault("inferences", f"{answer.status_code} {answer.text[:300]}")

    def audit(self, jobs: Sequence[JobFolder]) -> list[dict[str, Any]]:
        """At what is left at the end; nobody trains any more, and the server is down.

        Returns:
            A row for each step of each job: what became of its candidate.
        """
        registry, rows = Registry(self.place.models), []
        store = VersionStore.open_as_it_is(self.place.store_folder)
        with contextlib.closing(store):
            for words in verify(store).faults:
                self.fault("store", words)
            told = store.newest_entries((PROMOTE, REFUSE), limit=1000)
        for job in jobs:
            status = job.status
            if status.state is not JobState.DONE:
                self.fault("end", f"{job.id} is {status.state.value}: {status.message}")
            for step in job.job.choice.task.steps:
                names = [one.name for one in registry.versions(step)]
                entries = [
                    entry.action
                    for entry in told
                    if (entry.details["step"], entry.details["version"]) == (step.value, job.id)
                ]
                if names.count(job.id) != 1 or len(entries) != 1:
                    self.fault("end", f"{job.id} {step.value}: {names}, journal {entries}")
                rows.append({"job": job.id, "step": step.value, "journal": entries})
        self._load_champions()
        left = [str(path) for path in self.place.models.glob("*/.*.part")]
        for words in left:
            self.fault("end", words)
        for words in self.lives.faults():
            self.fault("epochs", words)
        for words in Audit(self.place.studies, None).own_verdict():
            self.fault("store", words)
        for words in orphans([job.id for job in jobs]):
            self.fault("processes", words)
        return rows

    def _load_champions(self) -> None:
        for step in SERVED:
            self._require("champion", lambda step=step: load_champion(self.place.models, step))

    def _require(self, kind: str, act: Callable[[], object]) -> None:
        try:
            act()
        except ParotidBrachyError as error:
            self.fault(kind, str(error))


def trainers_of(job_id: str) -> list[psutil.Process]:
    """A job's processes whose parent is none of them."""
    own = processes_of(job_id)
    known = {process.pid for process in own}
    found = []
    for process in own:
        with contextlib.suppress(psutil.Error):
            if process.ppid() not in known and _is_trainer(process):
                found.append(process)
    return found


def orphans(jobs: Sequence[str]) -> list[str]:
    """Whatever in the process table is marked as belonging to one of these jobs."""
    found = []
    for job in jobs:
        for process in processes_of(job):
            with contextlib.suppress(psutil.Error):
                found.append(f"{process.pid} of {job}: {' '.join(process.cmdline())[:120]}")
    return found


def _is_trainer(process: psutil.Process) -> bool:
    return "parotid_brachy.lib.retraining.worker" in process.cmdline()
