"""dcmqi's programs, run as processes of their own with a time limit.

They check little and report little: callers compare geometry before, and look at what was written
after.
"""

from __future__ import annotations

import contextlib
import enum
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from parotid_brachy.lib.errors import NotFoundError, ParotidBrachyError, StoreFullError

TIME_LIMIT_S: Final = 300.0
_SAID_BYTES: Final = 65_536
_FULL_BELOW_BYTES: Final = 1024**2
"""A disk with less left is called full: blocks that nobody may use are left on some."""


class Tool(enum.Enum):
    """The programs that are used."""

    WRITE = "itkimage2segimage"
    READ = "segimage2itkimage"


class ConversionError(ParotidBrachyError):
    """dcmqi did not do what it was asked to."""


def find_tool(tool: Tool) -> Path:
    """Where a program is: beside this Python, else on the PATH.

    Raises:
        NotFoundError: it is not installed.
    """
    beside = shutil.which(tool.value, path=str(Path(sys.executable).parent))
    found = beside or shutil.which(tool.value)
    if found is None:
        message = f"dcmqi's {tool.value} is not installed: pip install dcmqi"
        raise NotFoundError(message)
    return Path(found).absolute()


def run_tool(
    tool: Tool, arguments: Sequence[str], folder: Path, *, case: str, time_limit_s: float
) -> str:
    """Runs a program to its end.

    Args:
        tool: which.
        arguments: for it.
        folder: where it works and writes.
        case: for messages.
        time_limit_s: after which it is killed, with everything it has started.

    Returns:
        What it said, the last 64 KiB.

    Raises:
        NotFoundError: it is not installed.
        ConversionError: it was killed, failed, or took too long.
        StoreFullError: it failed on a full disk.
    """
    command = [str(find_tool(tool)), *arguments]
    with tempfile.TemporaryFile(dir=folder) as said:
        # A session of its own: the program on the PATH may be a script that starts the real one.
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(time_limit_s)
        except subprocess.TimeoutExpired as error:
            message = f"{case}: {tool.value} took longer than {time_limit_s:g} s; nothing was kept."
            raise ConversionError(message) from error
        finally:
            _end(process)
        said.seek(max(0, said.seek(0, os.SEEK_END) - _SAID_BYTES))
        text = said.read().decode("utf-8", "replace")
    if code:
        require_room(folder, case)
        how = f"was killed (signal {-code})" if code < 0 else f"failed with exit code {code}"
        message = f"{case}: {tool.value} {how}; nothing was kept. It said: {last_words(text)}"
        raise ConversionError(message)
    return text


def require_room(folder: Path, case: str) -> None:
    """Names a full disk as the cause of what went wrong.

    Raises:
        StoreFullError: the disk of a folder is full.
    """
    if shutil.disk_usage(folder).free < _FULL_BELOW_BYTES:
        message = f"{case}: nothing was exported, because the disk of {folder} is full. Make room."
        raise StoreFullError(message)


def last_words(text: str) -> str:
    """The end of what a program said, on one line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    printable = "".join(c if c.isprintable() else "?" for c in " | ".join(lines[-3:]))
    return printable[-300:] or "nothing"


def _end(process: subprocess.Popen[bytes]) -> None:
    """Leaves nothing of a program running."""
    if os.name == "nt":
        process.kill()
    else:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
