import fcntl
import os
import time

import pytest
from tests.review.saves import add, durable_names, row_names

from parotid_brachy.lib.review.objects import described
from parotid_brachy.lib.review.store import VersionStore


def _leave(store):
    """What a process leaves that is killed after its files and before its rows."""
    orphan = described(b"orphan", ".seg.nrrd")
    store.objects.keep(orphan, b"orphan")
    shelf = store.objects.root / "ab"
    (shelf / ".abcdef.seg.nrrd.0123456789abcdef.tmp").write_bytes(b"half")
    return orphan


def test_a_start_clears_away_what_a_killed_process_left(store, folder, database_url):
    version = add(store)
    orphan = _leave(store)
    store.close()
    again = VersionStore.open(folder, database_url=database_url)
    assert durable_names(again) == row_names(again)
    assert again.path_of(version.file).read_bytes() == b"labels"
    aside = folder / "set-aside" / "objects"
    assert [path.name for path in aside.iterdir()] == [f"{orphan.sha256}.seg.nrrd"]
    again.close()


def test_files_without_a_row_are_kept_aside_for_thirty_days(store):
    orphan = _leave(store)
    found = store.recover()
    assert (found.orphans, found.temporary) == ((f"{orphan.sha256}.seg.nrrd",), 1)
    aside = store.folder / "set-aside" / "objects" / found.orphans[0]
    days = 24 * 3600
    for age, is_there in ((29, True), (31, False)):
        os.utime(aside, (time.time() - age * days,) * 2)
        assert store.recover().orphans == ()
        assert aside.exists() == is_there


def test_a_save_that_is_under_way_keeps_its_files(store, folder, database_url):
    with store.writing() as writing:
        file = writing.put(b"under way", ".seg.nrrd")
        assert store.recover(wait_s=0.05) is None
        VersionStore.open(folder, database_url=database_url).close()
        assert store.objects.read(file) == b"under way"


def test_a_save_waits_for_a_recovery(sqlite_store, folder):
    lock = os.open(folder / "store.lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    import threading

    saved = threading.Event()
    thread = threading.Thread(target=lambda: (add(sqlite_store), saved.set()))
    thread.start()
    assert not saved.wait(0.3)
    os.close(lock)
    assert saved.wait(30)
    thread.join()


def test_an_unreadable_database_moves_no_file(sqlite_store, monkeypatch):
    add(sqlite_store)
    before = durable_names(sqlite_store)
    from parotid_brachy.lib.errors import StoreError

    def fail(*_, **__):
        raise StoreError("unreachable")

    monkeypatch.setattr(sqlite_store.database, "reading", fail)
    with pytest.raises(StoreError):
        sqlite_store.recover()
    assert durable_names(sqlite_store) == before
