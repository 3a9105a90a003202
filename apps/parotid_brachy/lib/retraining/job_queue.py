"""The trainings of a folder of studies, one at a time on the device, each in a process of its own.

Several servers, and command lines beside them, may look after one queue. A trainer outlives the
server that started it; whoever looks next adopts it if it lives and starts it again if it died,
and it goes on from its last whole epoch. The locks of job and device are handed down to the
trainer's process: they are free exactly when it has ended, however it ended.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from parotid_brachy.lib.errors import (
    ConflictError,
    NotFoundError,
    ParotidBrachyError,
    StoreError,
)
from parotid_brachy.lib.retraining import job_processes
from parotid_brachy.lib.retraining.job import Job, JobPolicy, TrainingChoice
from parotid_brachy.lib.retraining.job_folder import PARTIAL, JobFolder
from parotid_brachy.lib.retraining.job_status import JobState, JobStatus, now_utc
from parotid_brachy.lib.review.folder_lock import exclusive_lock, held_lock_if_free
from parotid_brachy.lib.review.roles import Reader

logger = logging.getLogger(__name__)

JOBS: Final = "jobs"
"""Within the version store's folder."""
DATABASE_VARIABLE: Final = "PAROTID_DATABASE"
"""Tells a trainer where the store's rows are; the command line would show the password."""

_ID: Final = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9]{6}")
_QUEUE_LOCK: Final = ".queue.lock"
_DEVICE_LOCK: Final = ".device.lock"
_MOST_DEATHS: Final = 5
_STOPS_WITHIN_S: Final = 45.0
_CPU_ENVIRONMENT: Final = {
    # Threads that wait for work sleep: the server's inferences want the cores.
    "OMP_WAIT_POLICY": "PASSIVE",
    # glibc would give every large tensor back to the kernel, and fetch it again page by page.
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(8 * 1024**3),
}
_APPS: Final = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Trainers:
    """How trainers are started.

    Attributes:
        studies: folder of studies.
        models: root of the registry.
        database_url: of the store's rows, if they are not in the folder.
        niceness: added to the trainers', so that pre-labelling comes first on a CPU.
        environment: variables that are set for them.
        module: that is run as a trainer.
    """

    studies: Path
    models: Path
    database_url: str | None = None
    niceness: int = 10
    environment: Mapping[str, str] = field(default_factory=dict)
    module: str = "parotid_brachy.lib.retraining.worker"


class JobQueue:
    """The jobs of one store.

    Args:
        store_folder: ``.parotid`` within a folder of studies.
        trainers: how they are started.
    """

    def __init__(self, store_folder: Path, trainers: Trainers) -> None:
        self._folder = store_folder / JOBS
        self._trainers = trainers
        self._children: list[subprocess.Popen[bytes]] = []
        self._damaged: set[str] = set()
        self._done: set[str] = set()

    def jobs(self) -> list[JobFolder]:
        """All jobs that can be read, the oldest first.

        One that is damaged keeps nobody from seeing the others; :meth:`job` has it.
        """
        return [one for one in self._folders() if self._is_readable(one)]

    def job(self, job_id: str) -> JobFolder:
        """One job.

        Raises:
            NotFoundError: there is none of that id.
        """
        if not _ID.fullmatch(job_id) or not (self._folder / job_id).is_dir():
            message = f"no job {job_id[:60]!r}"
            raise NotFoundError(message)
        return JobFolder(self._folder / job_id)

    def open_jobs(self) -> list[JobFolder]:
        """Those that run or wait.

        Asked for every second: what is done for ever is not read again.
        """
        return [one for one in self._folders() if one.id not in self._done and self._is_open(one)]

    def add(
        self,
        choice: TrainingChoice,
        policy: JobPolicy,
        asked_by: Reader,
        *,
        enqueue: bool = True,
        why: str = "",
    ) -> JobFolder:
        """Asks for a training; :meth:`look_after` starts it.

        Args:
            choice: what to train.
            policy: what the team has agreed on.
            asked_by: whom the journal names.
            enqueue: it may wait for others.
            why: of a job that no person asked for.

        Raises:
            ConflictError: another one runs or waits, and it may not wait.
            StoreError: it cannot be kept.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with exclusive_lock(self._folder / _QUEUE_LOCK):
            for left in self._folder.glob(PARTIAL):  # by a killed process
                shutil.rmtree(left, ignore_errors=True)
            busy = self.open_jobs()
            if busy and not enqueue:
                message = (
                    f"training {busy[0].id} ({busy[0].job.choice.task.value}) is "
                    f"{busy[0].status.state.value}; wait for it, stop it, or ask to be enqueued"
                )
                raise ConflictError(message)
            now = now_utc()
            job_id = f"{now:%Y%m%d-%H%M%S-%f}"
            job = Job(job_id, choice, policy, asked_by, now, why)
            return JobFolder.create(self._folder / job_id, job)

    def stop(self, job_id: str, who: str) -> JobStatus:
        """Stops a job; at once where it waits, else before its trainer's next iteration.

        Raises:
            NotFoundError: there is no such job.
            ConflictError: it has ended already.
        """
        folder = self.job(job_id)
        if not folder.status.state.is_open:
            message = f"training {job_id} is {folder.status.state.value} already"
            raise ConflictError(message)
        folder.ask_to_stop(who)
        with folder.locked() as is_ours:
            if is_ours and folder.status.state.is_open:
                job_processes.kill_all_of(folder.id)  # of a trainer that has died
                return _ended(folder, JobState.STOPPED, f"stopped by {who}")
        return folder.status

    def resume(self, job_id: str) -> JobStatus:
        """Puts a job that was stopped or has failed back into the queue.

        Raises:
            NotFoundError: there is no such job.
            ConflictError: it is done, runs or waits.
        """
        folder = self.job(job_id)
        with folder.locked(wait_s=5.0) as is_ours:
            status = folder.status
            if not is_ours or status.state not in {JobState.STOPPED, JobState.FAILED}:
                message = f"training {job_id} is {status.state.value}; there is nothing to resume"
                raise ConflictError(message)
            folder.take_stop_back()
            again = replace(status, state=JobState.QUEUED, message="", ended_at=None, deaths=0)
            return folder.write_status(again)

    def look_after(self) -> None:
        """Starts the next trainer if the device is free; buries the dead. Called now and then."""
        self._children = [child for child in self._children if child.poll() is None]
        folders = self.open_jobs()
        if not folders:
            return
        with contextlib.ExitStack() as stack:
            device = stack.enter_context(held_lock_if_free(self._folder / _DEVICE_LOCK))
            if device is None:
                self._press_those_that_should_stop(folders)
                self._clear_up_after_the_dead(folders)
                return
            for folder in folders:
                if self._started(folder, device):
                    return

    def _started(self, folder: JobFolder, device: int) -> bool:
        try:
            return self._start_if_it_may_run(folder, device)
        except (ParotidBrachyError, OSError) as error:  # the others may run
            logger.warning("training %s: %s", folder.id, error)
            return False

    def _start_if_it_may_run(self, folder: JobFolder, device: int) -> bool:
        """Starts a job's trainer; the locks are the trainer's from then on."""
        with folder.held_lock() as lock:
            if lock is None:
                return False
            status = folder.status
            if status.state is JobState.RUNNING:
                status = _buried(folder, status)
            if folder.is_stop_asked and status.state.is_open:
                who = folder.stop_asked_by
                status = _ended(folder, JobState.STOPPED, f"stopped by {who}")
            if status.state is not JobState.QUEUED:
                return False
            folder.write_status(
                replace(
                    status,
                    state=JobState.RUNNING,
                    begun_at=status.begun_at or now_utc(),
                    pid=None,
                    oom_kills=job_processes.oom_kills(),
                )
            )
            try:
                self._children.append(self._spawned(folder, (lock, device)))
            except OSError as error:
                message = f"its trainer cannot be started ({error}). Continue it afterwards."
                _ended(folder, JobState.FAILED, message)
                return False
            return True

    def _spawned(self, folder: JobFolder, locks: tuple[int, ...]) -> subprocess.Popen[bytes]:
        trainers = self._trainers
        command = [sys.executable, "-m", trainers.module, str(folder.path)]
        command += ["--studies", str(trainers.studies), "--models", str(trainers.models)]
        command += ["--niceness", str(trainers.niceness)]
        environment = {**os.environ, job_processes.MARK: folder.id, **trainers.environment}
        known = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(_APPS), known)))
        for name, value in _CPU_ENVIRONMENT.items():
            environment.setdefault(name, value)
        if trainers.database_url is not None:
            environment[DATABASE_VARIABLE] = trainers.database_url
        with folder.log.open("ab") as log:
            # A session of its own: Ctrl-C at the server's terminal is not meant for it.
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=folder.path,
                pass_fds=locks,
                start_new_session=True,
            )

    @staticmethod
    def _press_those_that_should_stop(folders: Sequence[JobFolder]) -> None:
        """Kills trainers that did not stop in time; what they wrote is whole all the same."""
        for folder in folders:
            asked_s = folder.seconds_since_stop_asked
            if asked_s is not None and asked_s > _STOPS_WITHIN_S:
                job_processes.kill_all_of(folder.id)

    @staticmethod
    def _clear_up_after_the_dead(folders: Sequence[JobFolder]) -> None:
        """Kills what a dead trainer has left, which may have inherited its locks."""
        for folder in folders:
            status = folder.status
            pid = status.pid if status.state is JobState.RUNNING else None
            if pid is not None and not job_processes.is_alive(pid, folder.id):
                job_processes.kill_all_of(folder.id)

    def _folders(self) -> list[JobFolder]:
        if not self._folder.is_dir():
            return []
        names = (path.name for path in self._folder.iterdir() if path.is_dir())
        return [JobFolder(self._folder / name) for name in sorted(names) if _ID.fullmatch(name)]

    def _is_readable(self, folder: JobFolder) -> bool:
        try:
            _ = folder.job, folder.status
        except (NotFoundError, StoreError) as error:
            self._warn_once(folder, error)
            return False
        return True

    def _is_open(self, folder: JobFolder) -> bool:
        try:
            state = folder.status.state
        except StoreError as error:
            self._warn_once(folder, error)
            return False
        if state is JobState.DONE:
            self._done.add(folder.id)
        return state.is_open

    def _warn_once(self, folder: JobFolder, error: ParotidBrachyError) -> None:
        """It is looked at every second."""
        if folder.id not in self._damaged:
            self._damaged.add(folder.id)
            logger.warning("%s", error)


def _buried(folder: JobFolder, status: JobStatus) -> JobStatus:
    """What becomes of a job whose trainer has died."""
    job_processes.kill_all_of(folder.id)
    deaths = status.deaths + 1
    logger.warning("training %s: its trainer died (%d times in a row)", folder.id, deaths)
    now, before = job_processes.oom_kills(), status.oom_kills
    ran_out = now is not None and before is not None and now > before
    if deaths >= _MOST_DEATHS:
        why = "the machine ran out of memory" if ran_out else "see the end of its log"
        message = (
            f"the trainer died {deaths} times in a row without an epoch done; {why}. "
            "Continue it when the reason is removed."
        )
        return _ended(folder, JobState.FAILED, message, deaths=deaths)
    return folder.write_status(
        replace(
            status,
            state=JobState.QUEUED,
            deaths=deaths,
            message="its trainer died; it goes on from the last whole epoch",
            wants_smaller_batch=status.wants_smaller_batch or ran_out,
        )
    )


def _ended(folder: JobFolder, state: JobState, message: str, *, deaths: int = 0) -> JobStatus:
    return folder.write_status(
        replace(
            folder.status,
            state=state,
            message=message,
            ended_at=now_utc(),
            deaths=deaths,
            seconds_left=None,
        )
    )
