"""The processes that a trainer is made of, as the operating system knows them."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

import psutil

MARK: Final = "PAROTID_JOB"
"""Environment variable by which a trainer's processes, and their children, are known."""
_VMSTAT: Final = Path("/proc/vmstat")


def processes_of(job_id: str) -> list[psutil.Process]:
    """The living processes of a job."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if _is_living_one_of(process, job_id):
                found.append(process)
    return found


def is_alive(pid: int, job_id: str) -> bool:
    """Whether a process runs and is one of a job's."""
    try:
        return _is_living_one_of(psutil.Process(pid), job_id)
    except psutil.AccessDenied:  # it runs, and is somebody else's
        return True
    except (psutil.Error, OSError):
        return False


def _is_living_one_of(process: psutil.Process, job_id: str) -> bool:
    is_own: bool = process.environ().get(MARK) == job_id
    return is_own and bool(process.status() != psutil.STATUS_ZOMBIE)


def kill_all_of(job_id: str) -> None:
    """Kills whatever is left of a job, and waits until it is gone."""
    processes = processes_of(job_id)
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(processes, timeout=10)


def oom_kills() -> int | None:
    """How many processes the kernel has killed for want of memory since it started.

    Returns:
        None where it does not say.
    """
    try:
        for line in _VMSTAT.read_text().splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
    except (OSError, ValueError):
        pass
    return None
