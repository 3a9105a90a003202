"""Compares contours that were handed over, in a thread beside the server's work."""

from __future__ import annotations

from typing import Final

from parotid_brachy.lib.datastore.studies import Studies
from parotid_brachy.lib.review.hand_over_agreement import compute_open_agreements
from parotid_brachy.lib.review.records import HandOver
from parotid_brachy.lib.server.periodic_worker import PeriodicWorker

_LOOKS_EVERY_S: Final = 5.0
_LOOKS_BEFORE_ANOTHER_TRY: Final = 720
"""What could not be computed, because its image was away, say, is tried again each hour."""


class AgreementWorker(PeriodicWorker):
    """Looks for hand-overs without an agreement now and then, as long as the process lives.

    Args:
        studies: whose hand-overs.
    """

    def __init__(self, studies: Studies) -> None:
        super().__init__("agreement", _LOOKS_EVERY_S)
        self._studies = studies
        self._failed: set[HandOver] = set()
        self._looks = 0

    def _look(self) -> None:
        self._looks += 1
        if self._looks % _LOOKS_BEFORE_ANOTHER_TRY == 0:
            self._failed.clear()
        compute_open_agreements(self._studies.store, self._studies.images, failed=self._failed)
