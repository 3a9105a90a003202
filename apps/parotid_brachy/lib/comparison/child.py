"""Work in a process of its own, so that its memory can be told from everything else's."""

from __future__ import annotations

import multiprocessing
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from parotid_brachy.lib.errors import ParotidBrachyError, TrainingError

_STATUS: Final = Path("/proc/self/status")
_GRACE_S: Final = 30.0

Report = Callable[[Any], None]


@dataclass(frozen=True)
class Peak:
    """The most memory that a process held at a time.

    Attributes:
        device: what torch computes on.
        resident_mib: main memory.
        gpu_mib: memory of the GPU that torch reserved; None without one.
    """

    device: str
    resident_mib: float
    gpu_mib: float | None


@dataclass(frozen=True)
class _Done:
    result: Any
    peak: Peak


def run_in_child(work: Callable[..., Any], *arguments: Any, on_report: Report) -> tuple[Any, Peak]:
    """Calls ``work(*arguments, report)`` in a new process and waits for it.

    Args:
        work: a module's function; what it passes to ``report`` is passed on.
        arguments: what can be pickled between our own processes.
        on_report: called in this process.

    Returns:
        What ``work`` returned, and the most memory that it took.

    Raises:
        TrainingError: the process was ended from outside.
        Exception: what ``work`` raised.
    """
    # Spawned: a forked copy would start with this process's memory.
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(sender, work, arguments))
    process.start()
    sender.close()
    try:
        while True:
            try:
                message = receiver.recv()
            except EOFError:
                process.join()
                text = f"the process was ended from outside ({process.exitcode}; out of memory?)"
                raise TrainingError(text) from None
            if isinstance(message, _Done):
                return message.result, message.peak
            if isinstance(message, Exception):
                raise message
            on_report(message)
    finally:
        receiver.close()
        process.join(_GRACE_S)
        if process.is_alive():
            process.kill()
            process.join()


def _run(sender: Connection, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    try:
        result = work(*arguments, sender.send)
        sender.send(_Done(result, _peak()))
    except BrokenPipeError:  # nobody waits any more
        return
    except ParotidBrachyError as error:
        sender.send(error)
    except Exception as error:
        # Not every error survives the way; its text does.
        sender.send(TrainingError(f"{type(error).__name__}: {error}"))
        raise


def _peak() -> Peak:
    # Not getrusage: its figure begins with what the parent held when it started the process.
    found = re.search(r"^VmHWM:\s*(\d+) kB", _STATUS.read_text(), re.MULTILINE)
    resident = int(found[1]) / 1024 if found else 0.0
    torch = sys.modules.get("torch")  # work that never loaded it has used no GPU
    if torch is None or not torch.cuda.is_available():
        return Peak("CPU", resident, None)
    return Peak(torch.cuda.get_device_name(), resident, torch.cuda.max_memory_reserved() / 2**20)
