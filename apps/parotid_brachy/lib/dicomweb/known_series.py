"""What an archive listed last; kept on disk, so that work goes on while it is away."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from parotid_brachy.lib.dicomweb.access import ArchiveError
from parotid_brachy.lib.dicomweb.archive import Archive
from parotid_brachy.lib.dicomweb.archive_series import ArchiveSeries
from parotid_brachy.lib.imaging.atomic import write_atomically

logger = logging.getLogger(__name__)

_LARGEST_FILE: Final = 256 * 2**20


class KnownSeries:
    """The series that are cases. Safe for threads.

    Args:
        archive: whose.
        file: where the last list is kept.
    """

    def __init__(self, archive: Archive, file: Path) -> None:
        self.archive = archive
        self._file = file
        self._guard = threading.Lock()
        self._looking = threading.Lock()
        self._looked_s = float("-inf")
        self._is_away = False
        self._series: Mapping[str, ArchiveSeries] = MappingProxyType(_kept(file))

    def all(self) -> Mapping[str, ArchiveSeries]:
        """By UID, as the archive listed them last; the same object as long as nothing changed."""
        with self._guard:
            return self._series

    @property
    def is_away(self) -> bool:
        """Whether the archive did not answer when it was asked last."""
        return self._is_away

    def look(self) -> None:
        """Asks the archive.

        Raises:
            ArchiveError, ArchiveUnreachableError: it does not tell; what it told last stands.
        """
        with self._looking:
            self._look()

    def look_if_last_looked_before(self, seconds: float) -> None:
        """Asks the archive unless that was done just now; that it does not answer is logged only.

        Args:
            seconds: ago.
        """
        with self._looking:
            if time.monotonic() - self._looked_s < seconds:
                return
            was_away = self._is_away
            try:
                self._look()
            except ArchiveError as error:
                if not was_away:
                    logger.warning("%s; the cases of its last list are shown", error)

    def _look(self) -> None:
        try:
            found = {one.uid: one for one in self.archive.series()}
        except ArchiveError:
            self._is_away = True
            raise
        finally:
            self._looked_s = time.monotonic()
        if self._is_away:
            logger.info("the archive answers again")
        self._is_away = False
        with self._guard:
            if found != self._series:
                told = [one.to_json() for one in found.values()]
                write_atomically(self._file, json.dumps(told).encode())
                self._series = MappingProxyType(found)


def _kept(file: Path) -> dict[str, ArchiveSeries]:
    """The list of the last time; without one, or with a damaged one, nothing: it is asked anew."""
    try:
        if file.stat().st_size > _LARGEST_FILE:
            return {}
        told = json.loads(file.read_bytes())
        series = [ArchiveSeries.of_json(one) for one in told]
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        logger.warning("%s: the archive's last list cannot be read (%s)", file.name, error)
        return {}
    return {one.uid: one for one in series}
