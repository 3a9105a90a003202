"""Locks between processes that use one studies folder; a killed process holds none."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from parotid_brachy.lib.review.database_errors import disk_errors

_PAUSE_S: Final = 0.02


@contextlib.contextmanager
def shared_lock(path: Path) -> Iterator[None]:
    """Keeps those out who want the lock for themselves; waits while one of them has it.

    Raises:
        StoreFullError, StoreError: the file cannot be opened.
    """
    with _opened(path) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield


@contextlib.contextmanager
def exclusive_lock(path: Path) -> Iterator[None]:
    """Keeps all others out; waits for them."""
    with _opened(path) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def exclusive_lock_if_free(path: Path, *, wait_s: float = 0.0) -> Iterator[bool]:
    """Keeps all others out, if they leave within some seconds.

    Yields:
        Whether the lock was got.
    """
    with held_lock_if_free(path, wait_s=wait_s) as descriptor:
        yield descriptor is not None


@contextlib.contextmanager
def held_lock_if_free(path: Path, *, wait_s: float = 0.0) -> Iterator[int | None]:
    """Keeps all others out, if they leave within some seconds.

    Yields:
        The lock's file descriptor, for a child process to inherit, which then holds the lock as
        long as it lives; None: somebody else has it.
    """
    until = time.monotonic() + wait_s
    with _opened(path) as descriptor:
        while not (is_ours := _got(descriptor)) and time.monotonic() < until:
            time.sleep(_PAUSE_S)
        yield descriptor if is_ours else None


def _got(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    # A descriptor of its own: locks belong to descriptors, so that threads exclude one another too.
    with disk_errors(path.name):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
