"""Compares contours that were handed over, in a thread beside the server's work."""

from __future__ import annotations

import logging
import threading
from typing import Final

from parotid_brachy.lib.datastore.studies import Studies
from parotid_brachy.lib.errors import ParotidBrachyError
from parotid_brachy.lib.review.hand_over_agreement import compute_open_agreements
from parotid_brachy.lib.review.records import HandOver

logger = logging.getLogger(__name__)

_LOOKS_EVERY_S: Final = 5.0
_LOOKS_BEFORE_ANOTHER_TRY: Final = 720
"""What could not be computed, because its image was away, say, is tried again each hour."""


class AgreementWorker:
    """Looks for hand-overs without an agreement now and then, as long as the process lives.

    Args:
        studies: whose hand-overs.
    """

    def __init__(self, studies: Studies) -> None:
        self._studies = studies
        self._failed: set[HandOver] = set()
        self._looks = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="agreement", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self) -> None:
        """Ends after the hand-over at work."""
        self._ended.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._ended.wait(_LOOKS_EVERY_S):
            self._look()

    def _look(self) -> None:
        self._looks += 1
        if self._looks % _LOOKS_BEFORE_ANOTHER_TRY == 0:
            self._failed.clear()
        try:
            compute_open_agreements(self._studies.store, self._studies.images, failed=self._failed)
        except ParotidBrachyError as error:
            logger.warning("agreement: %s", error)
