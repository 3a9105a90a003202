"""Asks the archive for its series now and then, and sends it what was approved, beside the work."""

from __future__ import annotations

from typing import Final

from parotid_brachy.lib.datastore.approved_sending import ApprovedSending
from parotid_brachy.lib.datastore.archive_studies import ArchiveStudies
from parotid_brachy.lib.server.periodic_worker import PeriodicWorker

_SENDS_EVERY_S: Final = 3.0
_LOOKS_EVERY_S: Final = 15.0


class ArchiveWorker(PeriodicWorker):
    """Keeps the list of cases up to date, and the outbox empty, as long as the process lives.

    Args:
        studies: of the archive.
        sending: its outbox; None: nothing is sent.
    """

    def __init__(self, studies: ArchiveStudies, sending: ApprovedSending | None) -> None:
        super().__init__("archive", _SENDS_EVERY_S)
        self._studies = studies
        self._sending = sending

    def _look(self) -> None:
        self._studies.known.look_if_last_looked_before(_LOOKS_EVERY_S)
        self._studies.refresh()
        if self._sending is not None:
            self._sending.look()
