"""A small disk that somebody else fills again and again."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from parotid_brachy.lib.imaging.atomic import is_disk_full

_MIB: Final = 1024**2


@contextlib.contextmanager
def small_disk(folder: Path, size_mib: int) -> Iterator[None]:
    """A file system of its own at ``folder``, in memory; everything on it is gone afterwards.

    Raises:
        RuntimeError: it cannot be mounted (only root may).
    """
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_mib}m,mode=0755", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        message = f"no small disk at {folder}: {done.stderr.strip()}. Run it as root."
        raise RuntimeError(message)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)  # noqa: S607 (as mount)


class Filler(threading.Thread):
    """Fills the disk to the last byte or nearly so, waits, makes room, and again.

    Args:
        folder: on the disk.
        rng: when, for how long, and how much is left.
    """

    def __init__(self, folder: Path, rng: random.Random) -> None:
        super().__init__(daemon=True)
        self._file = folder / ".filler"
        self._rng = rng
        self._stop_asked = threading.Event()
        self.times_full = 0

    def run(self) -> None:
        """Until it is asked to stop."""
        while not self._stop_asked.wait(self._rng.uniform(1.0, 5.0)):
            self._fill()
            self.times_full += 1
            self._stop_asked.wait(self._rng.uniform(0.3, 3.0))
            self._file.unlink(missing_ok=True)

    def stop(self) -> None:
        """Stops and leaves the disk with room."""
        self._stop_asked.set()
        self.join()
        self._file.unlink(missing_ok=True)

    def _fill(self) -> None:
        # Sometimes a little is left, so that the disk is full in the middle of a save.
        spared = self._rng.choice((0, 0, 4096, 65536, 262144))
        descriptor = os.open(self._file, os.O_CREAT | os.O_WRONLY)
        try:
            for step in (16 * _MIB, _MIB, 65536, 4096):
                self._allocate(descriptor, step)
            os.ftruncate(descriptor, max(0, os.fstat(descriptor).st_size - spared))
        finally:
            os.close(descriptor)

    @staticmethod
    def _allocate(descriptor: int, step: int) -> None:
        """Takes pieces of this size until none is left."""
        try:
            while True:
                os.posix_fallocate(descriptor, os.fstat(descriptor).st_size, step)
        except OSError as error:
            if not is_disk_full(error):
                raise
