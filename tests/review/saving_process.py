"""Processes that save into one store until they are done, or until they are killed."""

import multiprocessing
import os
import random
import threading

from tests.review.saves import add

from parotid_brachy.lib.review.roles import Reader, Role
from parotid_brachy.lib.review.store import VersionStore

CASES = ("a", "b")
# Forked, so that a process is at work at once and many can be killed in a few seconds.
_PROCESSES = multiprocessing.get_context("fork")


def start_saving(folder, database_url, name, *, told, saves=10**9, threads=2):
    """Starts a process; each save that it was told to be kept becomes a line of the file ``told``.

    A line is: case, number, hash.
    """
    process = _PROCESSES.Process(
        target=_save_in_threads, args=(folder, database_url, name, told, saves, threads)
    )
    process.start()
    return process


def told_saves(told):
    """Case, number and hash of each save that somebody was told to be kept."""
    lines = told.read_text().splitlines() if told.exists() else []
    return [(case, int(number), sha256) for case, number, sha256 in map(str.split, lines)]


def _save_in_threads(folder, database_url, name, told, saves, threads):
    store = VersionStore.open(folder, database_url=database_url)
    store.register({case: f"{case}.nrrd" for case in CASES})
    descriptor = os.open(told, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    working = [
        threading.Thread(target=_save, args=(store, f"{name}{number}", descriptor, saves))
        for number in range(threads)
    ]
    for thread in working:
        thread.start()
    for thread in working:
        thread.join()
    store.close()


def _save(store, name, told, saves):
    reader = Reader(name, Role.ANNOTATOR)
    for _ in range(saves):
        case, content = random.choice(CASES), random.randbytes(random.choice((100, 100_000)))
        version = add(store, case, content=content, reader=reader)
        os.write(told, f"{case} {version.number} {version.file.sha256}\n".encode())
