"""Seconds per stage of an inference."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator


class Stopwatch:
    """Adds up wall-clock seconds by the stage's name, in the order of first use."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Times a block."""
        began = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - began
            self._seconds[stage] = self._seconds.get(stage, 0.0) + spent

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds by stage, rounded to milliseconds."""
        return {stage: round(value, 3) for stage, value in self._seconds.items()}
