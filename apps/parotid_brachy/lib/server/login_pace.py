"""How fast passwords can be tried: after some failures, one has to wait, longer each time."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_FREE_OF_NAME: Final = 5
_FREE_OF_ADDRESS: Final = 20
"""A clinic's readers may share one address."""
_LONGEST_WAIT_S: Final = 60.0
"""A reader whose name somebody else is trying is not shut out for long."""
_FORGOTTEN_AFTER_S: Final = 900.0
_MOST_ENTRIES: Final = 10_000


@dataclass
class _Failures:
    count: int
    last: float


class LoginPace:
    """Counts failed logins by name and by address.

    An attempt counts as failed until it has succeeded, so that many at once gain nothing.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._guard = threading.Lock()
        self._entries: OrderedDict[tuple[str, str], _Failures] = OrderedDict()

    def begin(self, name: str, address: str) -> int:
        """Whole seconds to wait first; with 0 the attempt is on, and counted."""
        keys = self._keys(name, address)
        with self._guard:
            wait_s = max(self._wait_s(key, free) for key, free in keys)
            if wait_s > 0:
                return math.ceil(wait_s)
            for key, _ in keys:
                entry = self._entries.setdefault(key, _Failures(0, 0.0))
                entry.count += 1
                entry.last = self._clock()
                self._entries.move_to_end(key)
            while len(self._entries) > _MOST_ENTRIES:
                self._entries.popitem(last=False)
            return 0

    def succeeded(self, name: str, address: str) -> None:
        """Takes the attempt back: the name's failures are forgotten, not the address's."""
        (by_name, _), (by_address, _) = self._keys(name, address)
        with self._guard:
            self._entries.pop(by_name, None)
            entry = self._entries.get(by_address)
            if entry is not None:
                entry.count -= 1

    def _wait_s(self, key: tuple[str, str], free: int) -> float:
        entry = self._entries.get(key)
        if entry is None:
            return 0.0
        since = self._clock() - entry.last
        if since > _FORGOTTEN_AFTER_S:
            del self._entries[key]
            return 0.0
        if entry.count < free:
            return 0.0
        pause = min(2.0 ** min(entry.count - free, 16), _LONGEST_WAIT_S)
        return max(0.0, pause - since)

    @staticmethod
    def _keys(name: str, address: str) -> tuple[tuple[tuple[str, str], int], ...]:
        return (("name", name.casefold()), _FREE_OF_NAME), (("address", address), _FREE_OF_ADDRESS)
