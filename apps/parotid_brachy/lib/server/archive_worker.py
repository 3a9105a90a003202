"""Asks the archive for its series now and then, and sends it what was approved, beside the work."""

from __future__ import annotations

import logging
import threading
from typing import Final

from parotid_brachy.lib.datastore.approved_sending import ApprovedSending
from parotid_brachy.lib.datastore.archive_studies import ArchiveStudies
from parotid_brachy.lib.errors import ParotidBrachyError

logger = logging.getLogger(__name__)

_SENDS_EVERY_S: Final = 3.0
_LOOKS_EVERY_S: Final = 15.0


class ArchiveWorker:
    """Keeps the list of cases up to date, and the outbox empty, as long as the process lives.

    Args:
        studies: of the archive.
        sending: its outbox; None: nothing is sent.
    """

    def __init__(self, studies: ArchiveStudies, sending: ApprovedSending | None) -> None:
        self._studies = studies
        self._sending = sending
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="archive", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self) -> None:
        """Ends after what is being asked."""
        self._ended.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._ended.wait(_SENDS_EVERY_S):
            self._look()

    def _look(self) -> None:
        try:
            self._studies.known.look_if_last_looked_before(_LOOKS_EVERY_S)
            self._studies.refresh()
            if self._sending is not None:
                self._sending.look()
        except ParotidBrachyError as error:
            logger.warning("archive: %s", error)
        except Exception:  # a fault of ours must not end the sending for good
            logger.exception("archive")
