"""Cases worked on in several processes; one that is lost costs no other."""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def each_in_processes(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    jobs: int,
    lost: Callable[[Item], Result],
) -> Iterator[Result]:
    """Works on each item; results come as they are done, in no fixed order.

    Args:
        work: a function at a module's top level, or a partial of one; it raises nothing.
        items: to work on; they and the results can be pickled.
        jobs: processes; with one, the calling process does the work.
        lost: the result of an item whose process was ended from outside.
    """
    if jobs == 1 or len(items) < 2:
        yield from map(work, items)
        return
    # Spawned, as a forked copy of a process with threads may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(items)), mp_context=context) as pool:
        futures = {}
        try:
            waiting = list(reversed(items))
            # A pool that breaks refuses what has not been handed to it yet.
            with contextlib.suppress(BrokenProcessPool):
                while waiting:
                    futures[pool.submit(work, waiting[-1])] = waiting[-1]
                    waiting.pop()
            yield from map(lost, waiting)
            for future in as_completed(futures):
                one = futures.pop(future)
                try:
                    yield future.result()
                except BrokenProcessPool:
                    yield lost(one)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
