"""A queue whose trainers train nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from parotid_brachy.lib.retraining.job_folder import JobFolder
from parotid_brachy.lib.retraining.job_queue import JobQueue, Trainers
from parotid_brachy.lib.retraining.job_status import JobState

ROOT = Path(__file__).parents[2]


def stub_queue(store_folder: Path, order: str = "wait") -> JobQueue:
    """Its trainers wait until they are told to ``finish`` or to ``stop``; see stub_trainer."""
    store_folder.mkdir(parents=True, exist_ok=True)
    trainers = Trainers(
        store_folder,
        store_folder,
        niceness=0,
        environment={"STUB": order, "PYTHONPATH": str(ROOT)},
        module="tests.retraining.stub_trainer",
    )
    return JobQueue(store_folder, trainers)


def wait_until(
    folder: JobFolder, state: JobState, *, meanwhile: Callable[[], object] = lambda: None
) -> None:
    """Returns when a job is there; does something again and again until then."""
    until = time.monotonic() + 300  # a process's start can be slow on a busy machine
    while folder.status.state is not state:
        assert time.monotonic() < until, folder.status
        meanwhile()
        time.sleep(0.02)
