"""One job on disk: what was asked for, how far it is, whether its trainer lives, and its log.

Whoever holds the job's lock writes its status: the trainer's process while it lives, else a queue.
The operating system frees the lock of a process that is killed, so that nothing has to be guessed
from process numbers.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from parotid_brachy.lib.errors import NotFoundError, StoreError, UsageError
from parotid_brachy.lib.imaging.atomic import is_disk_full, synchronise_folder, write_atomically
from parotid_brachy.lib.retraining.job import Job
from parotid_brachy.lib.retraining.job_status import JobStatus, now_utc
from parotid_brachy.lib.review.folder_lock import held_lock_if_free
from parotid_brachy.lib.segmentation.presets import Step

LOG: Final = "log.txt"
_REQUEST: Final = "job.json"
_STATUS: Final = "status.json"
_STOP: Final = "stop"
_LOCK: Final = "lock"
PARTIAL: Final = ".*.part"
"""Folders of jobs that are being made."""
_RESERVE: Final = ".reserve"
_RESERVE_BYTES: Final = 256 * 1024
_UNREADABLE: Final = (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError)


class JobFolder:
    """A job's folder.

    Args:
        path: of it; its name is the job's id.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path, job: Job) -> JobFolder:
        """Makes the folder of a job; there only once it is whole.

        Raises:
            StoreError: it cannot be made.
        """
        partial = path.with_name(f".{path.name}.part")
        try:
            partial.mkdir(parents=True)
            folder = cls(partial)
            _write(partial / _REQUEST, job.to_json())
            _write(partial / _STATUS, JobStatus(updated_at=now_utc()).to_json())
            folder._reserve()
            partial.rename(path)
            synchronise_folder(path.parent)
        except OSError as error:
            shutil.rmtree(partial, ignore_errors=True)
            message = f"{path}: a job cannot be kept there ({error}). Free space, and try again."
            raise StoreError(message) from error
        return cls(path)

    @property
    def id(self) -> str:
        """The job's."""
        return self.path.name

    @property
    def job(self) -> Job:
        """What was asked for.

        Raises:
            NotFoundError: there is no such job.
            StoreError: it cannot be read.
        """
        path = self.path / _REQUEST
        if not path.is_file():
            message = f"no job {self.id!r}"
            raise NotFoundError(message)
        try:
            job = Job.from_json(json.loads(path.read_text(encoding="utf-8")))
        except (*_UNREADABLE, UsageError) as error:
            message = f"{path}: no job that can be read ({error}). Move its folder away."
            raise StoreError(message) from error
        return job

    @property
    def status(self) -> JobStatus:
        """How far it is.

        Raises:
            StoreError: it cannot be read.
        """
        path = self.path / _STATUS
        try:
            return JobStatus.from_json(json.loads(path.read_text(encoding="utf-8")))
        except _UNREADABLE as error:
            message = f"{path}: no status that can be read ({error}). Move its folder away."
            raise StoreError(message) from error

    def write_status(self, status: JobStatus) -> JobStatus:
        """Writes how far it is; for whoever holds the lock.

        On a full disk, the little that was set aside for it is given up first.

        Raises:
            OSError: it cannot be written all the same.
        """
        told = replace(status, updated_at=now_utc())
        try:
            _write(self.path / _STATUS, told.to_json())
        except OSError as error:
            if not is_disk_full(error):
                raise
            (self.path / _RESERVE).unlink(missing_ok=True)
            _write(self.path / _STATUS, told.to_json())
        return told

    @contextlib.contextmanager
    def locked(self, *, wait_s: float = 0.0) -> Iterator[bool]:
        """Holds the job's lock, if it is free within some seconds.

        Yields:
            Whether it was got.
        """
        with self.held_lock(wait_s=wait_s) as lock:
            yield lock is not None

    @contextlib.contextmanager
    def held_lock(self, *, wait_s: float = 0.0) -> Iterator[int | None]:
        """As :meth:`locked`, for a trainer to inherit.

        Yields:
            The lock's file descriptor; None: it was not got.
        """
        with held_lock_if_free(self.path / _LOCK, wait_s=wait_s) as lock:
            if lock is not None:
                with contextlib.suppress(OSError):
                    self._reserve()
            yield lock

    @property
    def is_stop_asked(self) -> bool:
        """Whether somebody wants it to stop."""
        return (self.path / _STOP).exists()

    def ask_to_stop(self, who: str) -> None:
        """Lets the trainer stop before its next iteration."""
        write_atomically(self.path / _STOP, who.encode())

    @property
    def stop_asked_by(self) -> str:
        """Who wants it to stop; empty: nobody."""
        try:
            return (self.path / _STOP).read_text(encoding="utf-8")
        except OSError:
            return ""

    @property
    def seconds_since_stop_asked(self) -> float | None:
        """For how long it should have stopped; None: nobody wants it to."""
        try:
            return time.time() - (self.path / _STOP).stat().st_mtime
        except OSError:
            return None

    def take_stop_back(self) -> None:
        """Lets it go on."""
        (self.path / _STOP).unlink(missing_ok=True)

    @property
    def log(self) -> Path:
        """What the trainer says."""
        return self.path / LOG

    def of_step(self, step: Step) -> Path:
        """Where the files of one step are."""
        return self.path / step.value

    def _reserve(self) -> None:
        """Sets some space aside, so that the status can be written when the disk is full."""
        path = self.path / _RESERVE
        if not path.exists():
            descriptor = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
            try:
                os.write(descriptor, b"\0" * _RESERVE_BYTES)
            finally:
                os.close(descriptor)


def _write(path: Path, content: dict[str, Any]) -> None:
    write_atomically(path, json.dumps(content, indent=1).encode())
