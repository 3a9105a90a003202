"""The import's child process, seen from its parent: what it may take, and what it answers.

Hostile bytes are parsed in the child only. The parent gives it a job as JSON and gets JSON back,
of bounded size; a child that is killed, hangs or lies is an error with a reason.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Final

from parotid_brachy.lib.dicom.importing.limits import ImportLimits
from parotid_brachy.lib.errors import (
    ConflictError,
    GeometryError,
    InputRefusedError,
    ParotidBrachyError,
    StoreError,
    StoreFullError,
    TooLargeError,
    UsageError,
)

logger = logging.getLogger(__name__)

_MODULE: Final = "parotid_brachy.lib.dicom.importing.child"
_LARGEST_ANSWER_BYTES: Final = 64 * 1024**2
_LONGEST_REASON: Final = 2000
_REFUSALS: Final[Mapping[str, type[ParotidBrachyError]]] = {
    kind.__name__: kind
    for kind in (
        ConflictError,
        GeometryError,
        InputRefusedError,
        StoreError,
        StoreFullError,
        TooLargeError,
        UsageError,
    )
}

Progress = Callable[[int, int], None]
"""Called with how much is done, and of how much."""


@dataclass(frozen=True)
class ChildJob:
    """What a child is to do.

    Attributes:
        task: ``unpack``, ``survey``, ``convert`` or ``deface``.
        given: its arguments, as JSON.
        what: the source or series, for messages.
        seconds: of the processor that it may take.
        memory_bytes: address space that it may take.
    """

    task: str
    given: Mapping[str, Any]
    what: str
    seconds: int
    memory_bytes: int


def run_child(
    job: ChildJob, private: Path, limits: ImportLimits, progress: Progress | None = None
) -> dict[str, Any]:
    """Runs a job in a child process.

    Args:
        job: what to do.
        private: a folder of ours, for job and answer.
        limits: bounds for time and files.
        progress: told of the child's progress.

    Returns:
        The child's answer; its parts are still to be checked.

    Raises:
        ParotidBrachyError: the child refused, with its reason.
        InputRefusedError: the child was killed, hung, or answered nonsense.
    """
    name, private = secrets.token_hex(8), private.absolute()
    stated, answer = private / f"{name}.job.json", private / f"{name}.answer.json"
    written = {"task": job.task, "what": job.what, "limits": asdict(limits), **job.given}
    stated.write_text(json.dumps(written), encoding="ascii")
    environment = {
        **os.environ,
        # Each thread of the numeric libraries takes address space; the child has enough to do.
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "2",
        "PYTHONPATH": os.pathsep.join(str(Path(path).absolute()) for path in sys.path if path),
        "TMPDIR": str(private),
    }
    bounds = (job.memory_bytes, job.seconds, limits.written_bytes)
    with subprocess.Popen(
        [sys.executable, "-m", _MODULE, str(stated), str(answer), *map(str, bounds)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        # Python looks for modules where it is started: never among the files to be imported.
        cwd=private,
        start_new_session=True,
    ) as child:
        assert child.stdout is not None
        try:
            told = _watch(child.stdout, job.seconds * limits.wall_factor, progress)
            is_late = told.is_late
            if is_late:
                _kill(child)
            code = child.wait(timeout=30)
        except BaseException:
            _kill(child)
            raise
    if is_late or code != 0:
        raise _gone(job, code, told.done, is_late=is_late)
    return _answer(answer, job)


@dataclass(frozen=True)
class _Told:
    """What a child said until it ended or was late."""

    done: int
    is_late: bool


def _watch(stdout: IO[bytes], seconds: float, progress: Progress | None) -> _Told:
    """Listens to the child's progress until it closes its output or is late."""
    until = time.monotonic() + seconds
    done, rest = 0, b""
    with selectors.DefaultSelector() as selector:
        selector.register(stdout, selectors.EVENT_READ)
        while (left := until - time.monotonic()) > 0:
            if not selector.select(left):
                continue
            chunk = os.read(stdout.fileno(), 4096)
            if not chunk:
                return _Told(done, is_late=False)
            *lines, rest = (rest + chunk)[-4096:].split(b"\n")
            for line in lines:
                words = line.split()
                if len(words) == 2 and all(word.isdigit() and len(word) < 10 for word in words):
                    done = int(words[0])
                    if progress is not None:
                        progress(done, int(words[1]))
    return _Told(done, is_late=True)


def _kill(child: subprocess.Popen[bytes]) -> None:
    """Ends a child and what it may have started; its session has its process id."""
    if child.poll() is None:
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            return


class ChildGoneError(InputRefusedError):
    """The child ended without an answer.

    Attributes:
        done: how many files it had finished, as far as it told.
    """

    def __init__(self, message: str, *, done: int) -> None:
        super().__init__(message)
        self.done = done


def _gone(job: ChildJob, code: int, done: int, *, is_late: bool) -> ChildGoneError:
    if is_late:
        why = "took too long and was stopped"
    elif code in (-signal.SIGXCPU, -signal.SIGKILL):
        why = (
            f"was killed (signal {-code}): it needs more than {job.seconds} s of the processor or "
            f"more memory than there is"
        )
    elif code < 0:
        why = f"was killed (signal {-code})"
    else:
        why = f"ended with code {code}"
    message = (
        f"{job.what}: the process that reads it {why}; nothing was kept. The files are damaged, "
        "larger than any CT, or hostile; export the series again."
    )
    return ChildGoneError(message, done=done)


def _answer(path: Path, job: ChildJob) -> dict[str, Any]:
    try:
        size = path.stat().st_size
        answer = json.loads(path.read_bytes()) if size <= _LARGEST_ANSWER_BYTES else None
    except (OSError, ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        message = f"{job.what}: the process that reads it gave no answer. Try again."
        raise InputRefusedError(message)
    refusal = answer.get("refused")
    if isinstance(refusal, str):
        kind = _REFUSALS.get(str(answer.get("kind")), InputRefusedError)
        raise kind(refusal[:_LONGEST_REASON])
    return answer
