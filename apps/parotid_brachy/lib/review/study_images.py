"""The images of a folder of studies, where the user put them."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from parotid_brachy.lib.errors import ConflictError, NotFoundError, UsageError
from parotid_brachy.lib.imaging.atomic import write_atomically
from parotid_brachy.lib.imaging.files import (
    VOLUME_SUFFIXES,
    case_of,
    read_grid,
    read_volume,
)
from parotid_brachy.lib.imaging.volume import Grid
from parotid_brachy.lib.review.case_ids import is_case_id
from parotid_brachy.lib.review.records import STORE_FOLDER

logger = logging.getLogger(__name__)

_SEGMENTATION: Final = ".seg.nrrd"
_UNTOUCHED_FOR_NS: Final = 2_000_000_000
"""A folder that changed this lately is looked at again: file systems' clocks are coarse."""


class StudyImages:
    """The cases' images: one file each, in one folder, the case called by the file's name.

    Safe for threads. The folder is read anew when it has changed.

    Args:
        folder: of the studies.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._guard = threading.Lock()
        self._seen_ns: tuple[int, int] | None = None
        self._files: Mapping[str, str] = MappingProxyType({})
        self._grids: dict[tuple[str, int, int], Grid] = {}

    @property
    def folder(self) -> Path:
        """Where the images lie."""
        return self._folder

    def files(self) -> Mapping[str, str]:
        """The images' file names by case. The same mapping object as long as nothing changed."""
        with self._guard:
            changed_ns = self._folder.stat().st_mtime_ns
            if self._seen_ns is None or not self._is_current(changed_ns):
                files = self._look()
                if files != self._files:
                    self._files = MappingProxyType(files)
                self._seen_ns = (changed_ns, time.time_ns())
            return self._files

    def place_of(self, case: str) -> Path:
        """Where a case's image has its place, whether or not it is there yet.

        Raises:
            NotFoundError: there is no such case.
        """
        name = self.files().get(case)
        if name is None:
            message = f"no case {case[:60]!r} in the studies; /datastore/ lists them"
            raise NotFoundError(message)
        return self._folder / name

    def path_of(self, case: str) -> Path:
        """Where a case's image is, to be read.

        Raises:
            NotFoundError: there is no such case.
        """
        return self.place_of(case)

    def grid_of(self, case: str) -> Grid:
        """The grid of a case's image.

        Raises:
            NotFoundError: there is no such case.
            InputRefusedError, GeometryError: the image is none that can be worked on.
        """
        path = self.path_of(case)
        status = path.stat()
        key = (path.name, status.st_mtime_ns, status.st_size)
        with self._guard:
            grid = self._grids.get(key)
        if grid is None:
            grid = read_grid(path)
            with self._guard:
                self._grids[key] = grid
        return grid

    def add(self, case: str, received: Path, ending: str) -> Path:
        """Puts a received image into the folder; never over another.

        Raises:
            UsageError: the id is none.
            ConflictError: there is an image of that id.
            InputRefusedError, GeometryError: it is no CT volume.
        """
        if not is_case_id(case):
            message = f"image {case[:60]!r} is no id: ids are names of files, without a path"
            raise UsageError(message)
        if case in self.files():
            message = f"{case}: there is an image of that id; images are never replaced"
            raise ConflictError(message)
        read_volume(received, case=case)
        path = self._folder / f"{case}{ending}"
        incoming = self._folder / f".{time.time_ns()}.incoming"
        write_atomically(incoming, received.read_bytes())
        try:
            # A link is refused where the name is taken, by whichever process.
            os.link(incoming, path)
        except FileExistsError as error:
            message = f"{case}: there is an image of that id; images are never replaced"
            raise ConflictError(message) from error
        finally:
            incoming.unlink()
        return path

    def set_aside(self, case: str) -> Path:
        """Moves an image out of the studies, into ``.parotid/set-aside``.

        Raises:
            NotFoundError: there is no such case.
        """
        path = self.path_of(case)
        aside = self._folder / STORE_FOLDER / "set-aside"
        aside.mkdir(parents=True, exist_ok=True)
        target = aside / f"{time.time_ns()}-{path.name}"
        path.rename(target)
        return target

    def _is_current(self, changed_ns: int) -> bool:
        if self._seen_ns is None:
            return False
        seen_change, seen_at = self._seen_ns
        return changed_ns == seen_change and seen_at - changed_ns > _UNTOUCHED_FOR_NS

    def _look(self) -> dict[str, str]:
        found: dict[str, str] = {}
        with os.scandir(self._folder) as entries:
            names = sorted(entry.name for entry in entries if entry.is_file())
        for name in sorted(names, key=_preference):
            case = case_of(Path(name))
            if not _is_image(name):
                continue
            if not is_case_id(case):
                logger.warning("%s: left out, because no case can be called so", name)
            elif case in found:
                logger.warning("%s: left out, because %s is the same case", name, found[case])
            else:
                found[case] = name
        return found


def _is_image(name: str) -> bool:
    lower = name.lower()
    return lower.endswith(VOLUME_SUFFIXES) and not lower.endswith(_SEGMENTATION)


def _preference(name: str) -> tuple[int, str]:
    """Where two files are one case's, NIfTI is taken before the others."""
    lower = name.lower()
    order = [n for n, suffix in enumerate(VOLUME_SUFFIXES) if lower.endswith(suffix)]
    return (max(order, default=len(VOLUME_SUFFIXES)), name)
