"""Files that are either whole or not there."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from pathlib import Path
from typing import Final

TEMPORARY_ENDING: Final = ".tmp"
"""What a file ends with that a killed process has left half written; its name begins with a dot."""


_DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


def is_disk_full(error: BaseException | None) -> bool:
    """Whether that is what an error says: no space left, or no more for this user."""
    return isinstance(error, OSError) and error.errno in _DISK_FULL


def write_atomically(path: Path, content: bytes, *, mode: int | None = None) -> None:
    """Writes a file so that no reader, and no loss of power, ever sees a part of it.

    A temporary file in the same folder is written, synchronised and renamed; then the folder is
    synchronised.

    Args:
        path: where to.
        content: the whole file.
        mode: its permissions, such as 0o600 for what nobody else may read; else the usual ones.

    Raises:
        OSError: the folder is missing, full or not writable; nothing is left behind.
    """
    # Not mkstemp: its 0600 would shut out the readers that an ordinary file has, and the umask
    # cannot be asked for without changing it under the feet of other threads.
    temporary = path.with_name(f".{path.name[:80]}.{secrets.token_hex(8)}{TEMPORARY_ENDING}")
    try:
        with temporary.open("xb") as file:
            if mode is not None:  # while it is empty
                temporary.chmod(mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    synchronise_folder(path.parent)


def synchronise_folder(folder: Path) -> None:
    """Makes the names in a folder durable.

    Raises:
        OSError: the disk has failed.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:
        # Windows has no descriptors of folders; the rename is durable there without this.
        if os.name == "nt":
            return
        raise
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
