import threading

import pytest
from sqlalchemy import create_engine, text
from tests.review.saves import add

from parotid_brachy.lib.errors import StoreError
from parotid_brachy.lib.review import database


def test_reading_sees_one_moment(store):
    with store.database.reading() as connection:
        before = connection.execute(text("SELECT count(*) FROM versions")).scalar_one()
        add(store)
        assert connection.execute(text("SELECT count(*) FROM versions")).scalar_one() == before
    assert len(store.versions("a")) == before + 1


def test_reading_does_not_wait_for_a_writer(store):
    with store.database.writing():
        assert store.versions("a") == []


def test_many_threads_save_in_turns(store):
    failed = []

    def save(name):
        try:
            for number in range(3):
                add(store, "ab"[number % 2], content=f"{name} {number}".encode())
        except StoreError as error:
            failed.append(error)

    threads = [threading.Thread(target=save, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert [version.number for version in store.versions("a")] == list(range(1, 33))
    assert store.journal_length() == 1 + 48


def test_a_writer_within_a_writer_is_an_error_and_no_standstill(sqlite_store, monkeypatch):
    monkeypatch.setattr(database, "_WAIT_S", 0.05)
    with sqlite_store.database.writing(), pytest.raises(StoreError, match="busy"):
        sqlite_store.keep_image_info("a", {"x": 1})
    sqlite_store.keep_image_info("a", {"x": 1})


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_lost_connection_is_an_error_once_and_then_made_anew(store, database_url):
    other = create_engine(database_url)
    losing = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )

    def lose(_change):
        with other.begin() as connection:
            connection.execute(losing)

    with pytest.raises(StoreError):
        add(store, then=lambda change: (lose(change), change.case("a")))
    assert store.versions("a") == []
    assert add(store).number == 1
    other.dispose()
