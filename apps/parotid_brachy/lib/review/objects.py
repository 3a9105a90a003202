"""Durable files, named by their content: written once, never changed."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from parotid_brachy.lib.errors import StoreError, UsageError
from parotid_brachy.lib.imaging.atomic import synchronise_folder, write_atomically
from parotid_brachy.lib.imaging.file_hash import sha256_of
from parotid_brachy.lib.review.database_errors import disk_errors
from parotid_brachy.lib.review.records import StoredFile

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_ENDING: Final = re.compile(r"(\.[a-z0-9]{1,10}){0,3}")
_SHELVES: Final = tuple(f"{number:02x}" for number in range(256))
_CHUNK_BYTES: Final = 1024**2


def object_name(file: StoredFile) -> str:
    """A durable file's name: the content's SHA-256 and the ending."""
    return f"{file.sha256}{file.ending}"


def checked_file(sha256: str, size_bytes: int, ending: str) -> StoredFile:
    """A file that a store can have.

    Raises:
        UsageError: hash or ending is none.
    """
    if not _SHA256.fullmatch(sha256) or not _ENDING.fullmatch(ending) or size_bytes < 0:
        message = (
            f"no file can be kept as {sha256[:70]!r} with ending {ending[:40]!r}: a SHA-256 and an "
            "ending such as .seg.nrrd are needed"
        )
        raise UsageError(message)
    return StoredFile(sha256, size_bytes, ending)


def described(content: bytes, ending: str) -> StoredFile:
    """The file that some content will be.

    Raises:
        UsageError: no such ending can be kept.
    """
    return checked_file(hashlib.sha256(content).hexdigest(), len(content), ending)


class ObjectFolder:
    """The folder of a store's durable files, in 256 shelves by the first byte of the hash.

    Args:
        root: made with its shelves where it is missing.

    Raises:
        StoreFullError, StoreError: it cannot be made.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        with disk_errors(root.name):
            root.mkdir(exist_ok=True)
            there = {entry.name for entry in os.scandir(root)}
            for shelf in _SHELVES:
                if shelf not in there:
                    (root / shelf).mkdir(exist_ok=True)
            # Each time: whoever made them may have been killed before this.
            synchronise_folder(root)
            synchronise_folder(root.parent)

    def keep(self, file: StoredFile, content: bytes) -> None:
        """Keeps a file; when it returns, the file outlasts a loss of power.

        Args:
            file: of :func:`described`.
            content: the same.

        Raises:
            StoreFullError, StoreError: it was not kept; it may lie there nevertheless.
        """
        path = self._place(file)
        with disk_errors(f"a file of {len(content)} bytes"):
            if self.damage(file) is None:
                # Another process may have renamed it a moment ago, and not synchronised yet.
                synchronise_folder(path.parent)
            else:
                write_atomically(path, content)

    def path_of(self, file: StoredFile) -> Path:
        """Where a file is.

        Raises:
            StoreError: it is missing, or its content is not what was kept.
        """
        damage = self.damage(file)
        if damage is not None:
            raise StoreError(damage)
        return self._place(file)

    def read(self, file: StoredFile) -> bytes:
        """A file's content.

        Raises:
            StoreError: it is missing, or its content is not what was kept.
        """
        path = self._place(file)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise StoreError(_unreadable(path, error)) from error
        if hashlib.sha256(content).hexdigest() != file.sha256:
            raise StoreError(_changed(path))
        return content

    def damage(self, file: StoredFile) -> str | None:
        """What is wrong with a file, in words; None: it is as it was kept."""
        path = self._place(file)
        try:
            found = sha256_of(path)
        except OSError as error:
            return _unreadable(path, error)
        return None if found == file.sha256 else _changed(path)

    def shelves(self) -> Iterator[tuple[str, list[Path]]]:
        """All files, temporary ones too, shelf by shelf."""
        for shelf in _SHELVES:
            with os.scandir(self.root / shelf) as entries:
                yield shelf, sorted(Path(entry.path) for entry in entries)

    def is_empty(self) -> bool:
        """Whether there is no file at all."""
        return not any(files for _, files in self.shelves())

    def _place(self, file: StoredFile) -> Path:
        name = object_name(checked_file(file.sha256, file.size_bytes, file.ending))
        return self.root / name[:2] / name


def _unreadable(path: Path, error: OSError) -> str:
    reason = error.strerror or type(error).__name__
    return f"{path.name}: cannot be read ({reason}). Bring it back from a copy of the store."


def _changed(path: Path) -> str:
    return (
        f"{path.name}: damaged, its content is not what its name says. "
        "Bring it back from a copy of the store."
    )
