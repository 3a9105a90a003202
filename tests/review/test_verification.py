import pytest
from tests.review.saves import SAM, add, approve, tamper

from parotid_brachy.lib.review.states import CaseState
from parotid_brachy.lib.review.verification import verify


@pytest.fixture
def used(store):
    """A store in which something happened."""
    add(store, tag="original", content=b"draft")
    approve(store, add(store))
    add(store, "b", content=b"other")
    with store.writing() as writing, writing.change(SAM) as change:
        change.withdraw("b", "final")
        change.set_state("b", CaseState.NEW, initial_author=None)
        change.record("withdraw", "b", {"version": 1, "tag": "final"})
    return store


def test_a_whole_store_has_no_faults(used):
    found = verify(used)
    assert (found.cases, found.versions, found.files, found.faults) == (2, 3, 5, ())
    assert found.head == (6, used.journal()[-1].hash)


def test_files_that_are_missing_or_changed_are_named(used):
    draft, final = used.versions("a")
    used.path_of(draft.file).write_bytes(b"dravt")
    used.path_of(final.received).unlink()
    faults = verify(used).faults
    assert len(faults) == 2
    assert any(draft.file.sha256 in fault and "damaged" in fault for fault in faults)
    assert any(final.received.sha256 in fault and "cannot be read" in fault for fault in faults)


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("UPDATE versions SET file = received WHERE number = 2", "a: version 2 is not the one"),
        ("UPDATE versions SET is_withdrawn = 'true' WHERE number = 2", "a: final points at a"),
        ("UPDATE cases SET approved_version = 7 WHERE id = 'a'", "a: approved, but the version"),
        ("UPDATE journal SET actor = 'Eve' WHERE sequence = 2", "entry 2 was changed"),
    ],
)
def test_rows_that_do_not_fit_are_named(used, database_url, statement, fault):
    if database_url is None:
        statement = statement.replace("'true'", "1")
    tamper(used, database_url, statement)
    faults = verify(used).faults
    assert any(fault in found for found in faults)


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("UPDATE cases SET approved_version = 1 WHERE id = 'a'", "a: approved is version 1 by Sam"),
        ("UPDATE cases SET approved_by = 'Eve' WHERE id = 'a'", "a: approved is version 2 by Eve"),
        ("UPDATE cases SET state = 'submitted' WHERE id = 'a'", "a: it is submitted, but approved"),
        ("UPDATE cases SET initial_author = 'Eve' WHERE id = 'a'", "contours are Eve's, but Ann's"),
        ("UPDATE versions SET author = 'Eve' WHERE number = 2", "a: version 2 is Eve's, but Ann's"),
        ("UPDATE tags SET number = 1 WHERE tag = 'final'", "a: final points at 1, but at 2"),
        ("DELETE FROM tags WHERE tag = 'final'", "a: final points at None, but at 2"),
    ],
)
def test_rows_that_say_other_than_the_journal_are_named(used, database_url, statement, fault):
    tamper(used, database_url, statement)
    assert any(fault in found for found in verify(used).faults)


def test_rows_that_name_nothing_are_found_in_sqlite(sqlite_store):
    add(sqlite_store)
    tamper(sqlite_store, None, "DELETE FROM objects WHERE ending = '.nii.gz'")
    assert any("names something that is not in objects" in f for f in verify(sqlite_store).faults)


def test_a_damaged_sqlite_file_is_found(sqlite_store):
    for number in range(40):
        add(sqlite_store, content=b"%d" % number)
    sqlite_store.close()  # all of it is in the main file now
    path = sqlite_store.folder / "store.sqlite"
    tamper(sqlite_store, None, "DROP INDEX ix_journal_case", "REINDEX")
    content = bytearray(path.read_bytes())
    place = content.rindex(b"submit")
    content[place : place + 4] = b"xxxx"
    path.write_bytes(content)
    assert verify(sqlite_store).faults
