import pytest
from tests.review.saves import SAM, add, approve, durable_names, note_on, row_names

from parotid_brachy.lib.errors import NotFoundError, StoreError, UsageError
from parotid_brachy.lib.review.store import VersionStore


def test_what_was_saved_is_there_after_the_store_was_closed(store, folder, database_url):
    version = add(store)
    approve(store, version)
    before = (store.case("a"), store.versions("a"), store.notes("a"), store.journal())
    store.close()
    again = VersionStore.open(folder, database_url=database_url)
    assert (again.case("a"), again.versions("a"), again.notes("a"), again.journal()) == before
    assert again.path_of(version.file).read_bytes() == b"labels"
    assert again.path_of(version.received).read_bytes() == b"sent labels"
    again.close()


def test_a_store_is_made_in_a_folder_that_is_not_there_yet(tmp_path):
    store = VersionStore.open(tmp_path / "new" / "studies" / ".parotid")
    assert store.cases().items == []
    store.close()


def test_files_without_their_database_are_refused_and_kept(sqlite_store, folder):
    add(sqlite_store)
    sqlite_store.close()
    files = durable_names(sqlite_store)
    (folder / "store.sqlite").unlink()
    with pytest.raises(StoreError, match="its database is not"):
        VersionStore.open(folder)
    assert durable_names(sqlite_store) == files


def test_a_folder_and_the_database_of_another_store_are_refused(tmp_path, postgres_url):
    first = VersionStore.open(tmp_path / "one" / ".parotid", database_url=postgres_url)
    first.register({"a": "a.nrrd"})
    version = add(first)
    with pytest.raises(StoreError, match="belong to another store"):
        VersionStore.open(tmp_path / "two" / ".parotid", database_url=postgres_url)
    other = VersionStore.open(tmp_path / "three" / ".parotid")
    other.register({"a": "a.nrrd"})
    add(other)
    other.close()
    with pytest.raises(StoreError, match="belong to another store"):
        VersionStore.open(tmp_path / "three" / ".parotid", database_url=postgres_url)
    assert first.path_of(version.file).read_bytes() == b"labels"
    first.close()


def test_other_kinds_of_databases_are_refused_without_telling_the_password(folder):
    with pytest.raises(UsageError, match="mysql") as caught:
        VersionStore.open(folder, database_url="mysql://somebody:secret@host/database")
    assert "secret" not in str(caught.value)


def test_a_database_that_cannot_be_reached_is_told_without_the_password(folder):
    with pytest.raises(StoreError, match="failed") as caught:
        VersionStore.open(folder, database_url="postgresql://me:secret@127.0.0.1:1/nothing")
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_database_is_refused(folder):
    folder.mkdir(parents=True)
    (folder / "store.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(StoreError):
        VersionStore.open(folder)


def test_image_information_is_merged(store):
    store.keep_image_info("a", {"strategy": {"random": 1}, "note": "x"})
    store.keep_image_info("a", {"note": "y"})
    assert store.case("a").image_info == {"strategy": {"random": 1}, "note": "y"}
    with pytest.raises(NotFoundError, match="'missing'"):
        store.keep_image_info("missing", {})
    with pytest.raises(UsageError, match="JSON"):
        store.keep_image_info("a", {"x": float("nan")})


def test_the_last_version_that_a_reader_saw_is_known(store):
    first, second = add(store), add(store, content=b"second")
    assert store.last_served("a", "final", "Sam") is None
    store.note_served("a", "final", "Sam", first.number)
    store.note_served("a", "final", "Ann", second.number)
    assert store.last_served("a", "final", "Sam") == 1
    store.note_served("a", "final", "Sam", second.number)
    assert store.last_served("a", "final", "Sam") == 2
    with pytest.raises(NotFoundError, match="version 9"):
        store.note_served("a", "final", "Sam", 9)


def test_a_failed_change_leaves_neither_rows_nor_files(store):
    def fail(change):
        change.record("save", "a", {})
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        add(store, content=b"never saved", then=fail)
    assert store.versions("a") == []
    assert store.journal_length("a") == 0
    assert durable_names(store) == []


def test_a_failed_save_does_not_take_the_file_of_an_earlier_one(store):
    version = add(store, content=b"same")
    with pytest.raises(NotFoundError):
        add(store, content=b"same", then=lambda change: change.facts("missing"))
    assert store.path_of(version.file).read_bytes() == b"same"
    assert durable_names(store) == row_names(store)


def test_a_note_without_its_version_is_refused(store):
    version = add(store)
    with (
        pytest.raises(NotFoundError, match="version 2"),
        store.writing() as writing,
        writing.change(SAM) as change,
    ):
        change.add_note(note_on(version.__class__(**{**vars(version), "number": 2})))
