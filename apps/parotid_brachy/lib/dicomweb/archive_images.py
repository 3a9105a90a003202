"""An archive's series as the images of a folder of studies; each is fetched when it is needed."""

from __future__ import annotations

import contextlib
import logging
import shutil
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from parotid_brachy.lib.dicomweb.archive_series import ArchiveSeries
from parotid_brachy.lib.dicomweb.known_series import KnownSeries
from parotid_brachy.lib.errors import ConflictError
from parotid_brachy.lib.review.folder_lock import exclusive_lock
from parotid_brachy.lib.review.records import STORE_FOLDER
from parotid_brachy.lib.review.study_images import StudyImages

logger = logging.getLogger(__name__)

ENDING: Final = ".nii.gz"
_FETCHING: Final = "fetching"
_LOCKS: Final = 64
_LEFT_FOR_S: Final = 24 * 3600.0

TakeIn = Callable[[str, Path], None]
"""Checks and converts a fetched series and puts it into the studies; given its case and folder."""


class ArchiveImages(StudyImages):
    """The cases of an archive, and those of its folder that the archive lists no more.

    Args:
        folder: where fetched images lie, and contours are kept.
        known: the archive's series.
        take_in: puts a fetched series into the folder.
    """

    def __init__(self, folder: Path, known: KnownSeries, take_in: TakeIn) -> None:
        super().__init__(folder)
        self.known = known
        self._take_in = take_in
        self._merging = threading.Lock()
        self._merged_from: tuple[object, object] = (None, None)
        self._merged: Mapping[str, str] = MappingProxyType({})

    def files(self) -> Mapping[str, str]:
        """The images' file names by case, of those not fetched yet too."""
        series, local = self.known.all(), super().files()
        with self._merging:
            seen_series, seen_local = self._merged_from
            if series is not seen_series or local is not seen_local:
                merged = {**{uid: f"{uid}{ENDING}" for uid in series}, **local}
                if merged != self._merged:
                    self._merged = MappingProxyType(merged)
                self._merged_from = (series, local)
            return self._merged

    def path_of(self, case: str) -> Path:
        """Where a case's image is; fetched from the archive, if it is not there.

        Raises:
            NotFoundError: there is no such case.
            ArchiveError, ArchiveUnreachableError: it cannot be fetched.
            InputRefusedError, GeometryError: the series is none that can be worked on.
        """
        place = self.place_of(case)
        series = self.known.all().get(case)
        if not place.exists() and series is not None:
            with exclusive_lock(self._lock_of(case)):
                if not place.exists():
                    self._fetch(series)
        return place

    def set_aside(self, case: str) -> Path:
        """Refused for what the archive has: it would be fetched again.

        Raises:
            ConflictError: the archive lists it.
        """
        if case in self.known.all():
            message = f"{case}: it is the archive's; take it out there"
            raise ConflictError(message)
        return super().set_aside(case)

    def _fetch(self, series: ArchiveSeries) -> None:
        logger.info("%s: fetched from the archive", series.uid)
        folder = self.folder / STORE_FOLDER / _FETCHING
        # Killed in the middle, it leaves this folder; the next fetch of the case begins anew.
        with tempfile.TemporaryDirectory(prefix=".part-", dir=folder) as fetched:
            slices = Path(fetched) / "slices"
            self.known.archive.download(series, slices)
            self._take_in(series.uid, slices)

    def _lock_of(self, case: str) -> Path:
        """One of a few lock files, so that they do not grow in number with the cases."""
        folder = self.folder / STORE_FOLDER / _FETCHING
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{zlib.crc32(case.encode()) % _LOCKS}.lock"


def clear_fetching(folder: Path) -> None:
    """Removes what killed processes have left of series that they were fetching."""
    for left in (folder / STORE_FOLDER / _FETCHING).glob(".part-*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _LEFT_FOR_S:  # else another may be at it
                shutil.rmtree(left)
