"""A disk that is full at any step of a save: nothing is kept, nothing is lost, all goes on."""

import errno
import os
import sqlite3

import pytest
from sqlalchemy import event
from tests.review.saves import add, durable_names, row_names

from parotid_brachy.lib.errors import StoreError, StoreFullError
from parotid_brachy.lib.review import database, recovery
from parotid_brachy.lib.review.objects import described
from parotid_brachy.lib.review.store import VersionStore
from parotid_brachy.lib.review.verification import verify


def test_a_save_fails_cleanly_at_each_step_that_touches_the_disk(store, monkeypatch):
    kept = add(store, content=b"before")
    fsync, left = os.fsync, [0]

    def full(descriptor):
        if left[0] == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        left[0] -= 1
        fsync(descriptor)

    failures = 0
    for step in range(20):
        left[0] = step
        monkeypatch.setattr(os, "fsync", full)
        try:
            saved = add(store, content=b"content %d" % step)
        except StoreFullError:
            failures += 1
            assert store.tagged("a", "final") == kept
        else:
            kept = saved
        monkeypatch.undo()
        assert durable_names(store) == row_names(store)
        assert store.objects.read(kept.file)
    # Two files, each synchronised with its folder; what follows is the published copy.
    assert failures == 4
    assert verify(store).faults == ()
    store.published.repair()
    published = store.folder.parent / "labels" / "final" / "a.seg.nrrd"
    assert published.read_bytes() == b"content 19"


def test_a_full_database_keeps_nothing_and_goes_on_when_there_is_room(sqlite_store):
    kept = add(sqlite_store)
    with sqlite_store.database.reading() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    most = [pages]
    event.listen(
        sqlite_store.database._engine,
        "checkout",
        lambda connection, *_: connection.execute(f"PRAGMA max_page_count={most[0]}"),
    )
    with pytest.raises(StoreFullError, match="is full"):  # noqa: PT012
        for number in range(200):
            kept = add(sqlite_store, content=b"%d" % number, info={"much": "x" * 5000})
    assert sqlite_store.tagged("a", "final") == kept
    assert durable_names(sqlite_store) == row_names(sqlite_store)
    most[0] = 10**9
    newest = add(sqlite_store, content=b"room again")
    assert newest.number == kept.number + 1
    assert verify(sqlite_store).faults == ()


def test_a_database_that_is_locked_for_too_long_is_told_and_used_again(
    sqlite_store, folder, monkeypatch
):
    monkeypatch.setattr(database, "_WAIT_S", 0.05)
    event.listen(
        sqlite_store.database._engine,
        "checkout",
        lambda connection, *_: connection.execute("PRAGMA busy_timeout=50"),
    )
    other = sqlite3.connect(folder / "store.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="busy"):
        add(sqlite_store)
    other.execute("ROLLBACK")
    other.close()
    assert add(sqlite_store).number == 1
    assert durable_names(sqlite_store) == row_names(sqlite_store)


def test_a_store_whose_disk_is_full_still_opens_for_reading(sqlite_store, folder, monkeypatch):
    version = add(sqlite_store)
    sqlite_store.objects.keep(described(b"orphan", ".nrrd"), b"orphan")

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(recovery, "_move_aside", full)
    again = VersionStore.open(folder)
    assert again.objects.read(version.file) == b"labels"
    again.close()
    monkeypatch.undo()
    VersionStore.open(folder).close()
    assert durable_names(sqlite_store) == row_names(sqlite_store)
