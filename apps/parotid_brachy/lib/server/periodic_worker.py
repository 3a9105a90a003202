"""A thread beside the server's work that looks again and again whether there is something to do."""

from __future__ import annotations

import abc
import logging
import threading

from parotid_brachy.lib.errors import ParotidBrachyError

logger = logging.getLogger(__name__)


class PeriodicWorker(abc.ABC):
    """Looks now and then, as long as the process lives; no fault of one look ends it.

    Args:
        name: of the thread, and in the log.
        every_s: seconds between two looks.
    """

    def __init__(self, name: str, every_s: float) -> None:
        self._name = name
        self._every_s = every_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self) -> None:
        """Ends after the look at work."""
        self._ended.set()
        self._thread.join()

    def look(self) -> None:
        """Looks once; what goes wrong is logged."""
        try:
            self._look()
        except (ParotidBrachyError, OSError) as error:
            logger.warning("%s: %s", self._name, error)
        except Exception:  # whatever it is, the next look may do better
            logger.exception("%s", self._name)

    @abc.abstractmethod
    def _look(self) -> None:
        """Does what there is to do."""

    def _work(self) -> None:
        while not self._ended.wait(self._every_s):
            self.look()
