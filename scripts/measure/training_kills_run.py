"""One run: trainings by REST, their trainer or their server killed at random moments, the audit."""

from __future__ import annotations

import contextlib
import random
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil
from scripts.measure.training_studies import TrainingStudies, wait_until
from scripts.measure.training_watch import SERVED, Watch, orphans, trainers_of
from tests.segmentation.versions import untrained_registry
from tqdm import tqdm

from parotid_brachy.lib.retraining.job_folder import JobFolder
from parotid_brachy.lib.retraining.job_status import JobState, Phase

_CASE: Final = "case00"
_LOOKS_EVERY_S: Final = 0.3
_FAST_S: Final = 0.002
_HOUR_S: Final = 3600.0
_ENDS_WITHIN_S: Final = 60.0
_AT_MOST_EARLY: Final = 3
"""Kills in a row that may leave no time for an epoch: after five the job is given up, rightly."""
_LAST_EPOCHS: Final = 2
_ENDINGS: Final = ("comparing", "registering", "promoting", "decided")


@dataclass(frozen=True)
class KillPlan:
    """What is done.

    Attributes:
        who: ``trainer``, ``server``, or ``both`` by turns, the trainer first.
        task: that is trained.
        kills: in all.
        ends: of these, how many hit the last phases; they come once an epoch is the last one.
        epochs: of each training; when one is done and kills are left, the next is asked for.
        iterations: of each epoch.
        heads: approved cases.
        seed: of what is random.
    """

    who: str = "trainer"
    task: str = "parotid_gland"
    kills: int = 20
    ends: int = 4
    epochs: int = 40
    iterations: int = 3
    heads: int = 7
    seed: int = 1


@dataclass
class Course:
    """How it went.

    Attributes:
        phases: what the kills hit.
        back_s: from each kill until a trainer was at work again.
        restarts_s: from each start of a killed server until it answered.
        adopted: kills of the server that the trainer has outlived.
    """

    phases: Counter[str] = field(default_factory=Counter)
    back_s: list[float] = field(default_factory=list)
    restarts_s: list[float] = field(default_factory=list)
    adopted: int = 0


def run_kills(plan: KillPlan, folder: Path) -> dict[str, Any]:
    """Runs a plan and says what is left.

    Args:
        plan: what is done.
        folder: new; for studies, models and logs.

    Returns:
        Figures and faults, as JSON values.

    Raises:
        RuntimeError: a server did not start again, or a training came to no end.
    """
    folder.mkdir(parents=True)
    untrained_registry(folder / "models", steps=SERVED)
    place = TrainingStudies.of(folder, folder / "models", heads=plan.heads)
    run = _Run(plan, place)
    began = time.monotonic()
    with place.cleared_up():
        place.server.start()
        place.server.wait_until_ready()
        run.kill_all()
        for job in run.jobs:
            run.wait_for(job, lambda job=job: _has_ended(job), "the end", within_s=_HOUR_S)
        with contextlib.suppress(RuntimeError):  # what is left then is told by the audit
            ids = [job.id for job in run.jobs]
            wait_until(lambda: not orphans(ids), within_s=_ENDS_WITHIN_S, what="no process")
        run.watch.infer(_CASE)
        place.server.stop()
        rows = run.watch.audit(run.jobs)
    return run.report(rows, time.monotonic() - began)


class _Run:
    def __init__(self, plan: KillPlan, place: TrainingStudies) -> None:
        self.jobs: list[JobFolder] = []
        self.watch = Watch(place)
        self.course = Course()
        self._plan = plan
        self._place = place
        self._rng = random.Random(plan.seed)  # noqa: S311 (no secret)
        self._startup_s = 10.0

    def kill_all(self) -> None:
        """All kills, and as many trainings as they need."""
        endings = [_ENDINGS[n % len(_ENDINGS)] for n in range(self._plan.ends)]
        left = self._plan.kills - len(endings)
        early = 0
        with tqdm(total=self._plan.kills, desc=f"kills of the {self._plan.who}") as bar:
            while left or endings:
                job = self._job()
                is_early = early < _AT_MOST_EARLY and self._rng.random() < 0.4
                if left and self._is_far_from_its_end(job, left):
                    early = early + 1 if is_early else 0
                    moment = self._early if is_early else self._after_an_epoch
                    is_hit = moment(job) and self._kill(job)
                    left -= is_hit
                elif endings:
                    early = 0
                    is_hit = self._at(job, endings[0]) and self._kill(job)
                    if is_hit or _has_ended(job):  # too quick, or it came to another decision
                        endings.pop(0)
                else:
                    is_hit = False
                    self.wait_for(job, lambda job=job: _has_ended(job), "its end")
                bar.update(int(is_hit))
                self._recovered(job, is_hit)

    def wait_for(
        self,
        job: JobFolder,
        condition: Callable[[], bool],
        what: str,
        *,
        within_s: float = _HOUR_S,
    ) -> bool:
        """Waits with an eye on everything; whether it became so before the job ended."""
        until = time.monotonic() + within_s
        while not (is_so := condition()) and not _has_ended(job):
            if time.monotonic() > until:
                message = f"{job.id}: never {what}; {job.status}"
                raise RuntimeError(message)
            self.watch.look(job)
            if self._place.server.is_alive():
                self.watch.ask(job)
            time.sleep(_LOOKS_EVERY_S)
        return is_so

    def report(self, rows: list[dict[str, Any]], seconds: float) -> dict[str, Any]:
        """Figures and faults."""
        watch, course = self.watch, self.course
        return {
            "plan": asdict(self._plan),
            "kills": sum(course.phases.values()),
            "phases_hit": dict(sorted(course.phases.items())),
            "trainings": len(self.jobs),
            "decisions": rows,
            "epochs_begun_again": watch.lives.epochs_cut_off,
            "whole_epochs_lost": len(watch.lives.faults()),
            "longest_until_at_work_s": max(course.back_s, default=None),
            "median_until_at_work_s": statistics.median(course.back_s) if course.back_s else None,
            "longest_restart_s": max(course.restarts_s, default=None),
            "trainers_adopted": course.adopted,
            "champions_verified": watch.looks,
            "inferences": watch.inferences,
            "seconds": round(seconds, 1),
            "faults": sum(len(words) for words in watch.faults.values()),
            "faults_in_words": watch.faults,
        }

    def _job(self) -> JobFolder:
        if not self.jobs or _has_ended(self.jobs[-1]):
            options: Mapping[str, Any] = {
                "max_epochs": self._plan.epochs,
                "iterations": self._plan.iterations,
                "pretrained": False,
                "folds": 2,
            }
            self.jobs.append(self._place.train(self._plan.task, options))
            began = time.monotonic()
            self._wait_for_trainer(self.jobs[-1], None)
            self._startup_s = time.monotonic() - began
        return self.jobs[-1]

    def _is_far_from_its_end(self, job: JobFolder, left: int) -> bool:
        """Whether a kill may come now, or the last epochs are for the endings."""
        status = job.status
        is_last_step = status.step is job.job.choice.task.steps[-1]
        is_nearly_trained = 0 < status.epochs <= status.epoch + _LAST_EPOCHS
        return left > 0 and not (is_last_step and is_nearly_trained)

    def _early(self, job: JobFolder) -> bool:
        """Soon after a trainer has begun: its imports, snapshot, samples, first epoch."""
        until = time.monotonic() + self._rng.uniform(0.0, 1.5 * self._startup_s)
        self.wait_for(job, lambda: time.monotonic() > until, "that moment")
        return not _has_ended(job)

    def _after_an_epoch(self, job: JobFolder) -> bool:
        """After one more epoch or case, somewhere in the next ones."""
        before = job.status.progress
        began = time.monotonic()
        self.wait_for(job, lambda: job.status.progress > before, "an epoch")
        until = time.monotonic() + self._rng.uniform(0.0, min(15.0, time.monotonic() - began))
        self.wait_for(job, lambda: time.monotonic() > until, "that moment")
        return not _has_ended(job)

    def _at(self, job: JobFolder, ending: str) -> bool:
        """Within one of the last things that a step does."""
        self.wait_for(job, lambda: job.status.phase is Phase.COMPARING, "comparing")
        while not _has_ended(job) and not self._is_at(job, ending):
            time.sleep(_FAST_S)
        time.sleep(self._rng.uniform(0.0, 0.3 if ending == "comparing" else 0.02))
        return not _has_ended(job)

    def _is_at(self, job: JobFolder, ending: str) -> bool:
        return _ENDINGS.index(self._ending_of(job)) >= _ENDINGS.index(ending)

    def _ending_of(self, job: JobFolder) -> str:
        status = job.status
        step = status.step or job.job.choice.task.steps[-1]
        folder = self._place.models / step.value
        with contextlib.suppress(OSError):
            if job.id in (folder / "champion.json").read_text():
                return "decided"
        if (folder / "promotion.json").exists():
            return "promoting"
        if (folder / f".{job.id}.part").exists() or (folder / job.id).exists():
            return "registering"
        return "comparing"

    def _phase_of(self, job: JobFolder) -> str:
        status = job.status
        if status.state is JobState.QUEUED or status.pid is None:
            return "starting"
        if status.phase is Phase.COMPARING:
            return self._ending_of(job)
        return status.phase.value if status.phase else "starting"

    def _kill(self, job: JobFolder) -> bool:
        """Kills the trainer or the server; whether there was one."""
        phase = self._phase_of(job)
        number = sum(self.course.phases.values())
        if self._plan.who == "server" or (self._plan.who == "both" and number % 2):
            return self._kill_server(job, phase)
        trainers = trainers_of(job.id)
        self.watch.lives.look(job)
        for trainer in trainers:
            with contextlib.suppress(psutil.NoSuchProcess):
                trainer.kill()
        if trainers:
            began, told = time.monotonic(), job.status.pid
            self.course.phases[phase] += 1
            # An inference right after, while the next trainer starts.
            inference = threading.Thread(target=self.watch.infer, args=(_CASE,))
            inference.start()
            if self._wait_for_trainer(job, told):
                self.course.back_s.append(time.monotonic() - began)
            inference.join()
        return bool(trainers)

    def _kill_server(self, job: JobFolder, phase: str) -> bool:
        before = trainers_of(job.id)
        self._place.server.kill()
        self.course.phases[phase] += 1
        time.sleep(self._rng.uniform(0.0, 2.0))
        began = time.monotonic()
        self._place.server.start()
        if self._rng.random() < 0.1:
            time.sleep(self._rng.uniform(0.0, 5.0))
            self._place.server.kill()
            self._place.server.start()
            began = time.monotonic()
        self._place.server.wait_until_ready()
        self.course.restarts_s.append(time.monotonic() - began)
        if before:
            is_there = before[0] in trainers_of(job.id)
            self.course.adopted += is_there
            if not is_there and not _has_ended(job):
                self.watch.fault("processes", f"{job.id}: its trainer died with the server")
        self.watch.infer(_CASE)
        return True

    def _wait_for_trainer(self, job: JobFolder, before: int | None) -> bool:
        """Whether a trainer other than the one before has told its process."""

        def is_there() -> bool:
            status = job.status
            return status.state is JobState.RUNNING and status.pid not in (None, before)

        return self.wait_for(job, is_there, "a trainer at work", within_s=_HOUR_S)

    def _recovered(self, job: JobFolder, was_hit: bool) -> None:
        self.watch.look(job)
        if was_hit:
            self.watch.ask(job)


def _has_ended(job: JobFolder) -> bool:
    return not job.status.state.is_open
