"""What was made lately, up to a size; made again where it is asked for later."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class BoundedCache(Generic[Key, Value]):
    """Keeps the values asked for last. Safe for threads; what fails is not kept.

    Args:
        size_of: of a value, in any unit.
        largest: of all values together.
    """

    def __init__(self, size_of: Callable[[Value], int], *, largest: int) -> None:
        self._size_of = size_of
        self._largest = largest
        self._guard = threading.Lock()
        self._size = 0
        self._kept: OrderedDict[Key, Value] = OrderedDict()

    def get(self, key: Key, make: Callable[[], Value]) -> Value:
        """A value; made if it is not there. Two threads may make the same one at a time."""
        with self._guard:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        value = make()
        size = self._size_of(value)
        with self._guard:
            if key not in self._kept and size <= self._largest:
                self._kept[key] = value
                self._size += size
                while self._size > self._largest:
                    _, oldest = self._kept.popitem(last=False)
                    self._size -= self._size_of(oldest)
        return value
