import hashlib
import json

import pytest
from tests.review.saves import ANN, SAM, add, tamper

from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.review import journal


def _faults(store, **noted):
    with store.database.reading() as connection:
        return list(journal.faults(connection, **noted))


@pytest.fixture
def written(store):
    """A journal of five entries."""
    for number in range(4):
        add(store, "ab"[number % 2], content=b"%d" % number)
    return store


def test_entries_say_who_did_what_and_are_numbered_without_a_gap(written):
    entries = written.journal()
    assert [entry.sequence for entry in entries] == [1, 2, 3, 4, 5]
    assert (entries[0].actor, entries[0].action, entries[0].case) == ("server", "register", None)
    assert (entries[1].actor, entries[1].action, entries[1].case) == ("Ann", "submit", "a")
    assert entries[1].details["version"] == 1
    assert entries[1].at.tzinfo is not None
    assert _faults(written) == []


def test_each_hash_covers_the_whole_entry_and_the_one_before(written):
    previous = "0" * 64
    for entry in written.journal():
        assert entry.previous_hash == previous
        told = [
            entry.sequence,
            entry.at.isoformat(timespec="microseconds"),
            entry.actor,
            entry.action,
            entry.case,
            json.dumps(entry.details, sort_keys=True, separators=(",", ":")),
            entry.previous_hash,
        ]
        content = json.dumps(told, separators=(",", ":")).encode()
        previous = hashlib.sha256(content).hexdigest()
        assert entry.hash == previous


def test_an_entry_comes_back_as_it_was_recorded(store):
    details = {"ä": ["ü", "\0", "\ud800", None, True, 1e-300, -0.0, 10**30], "": {}}
    with store.writing() as writing, writing.change(SAM) as change:
        recorded = change.record("try", None, details)
    assert recorded == store.journal()[-1]
    assert recorded.details == details
    assert _faults(store) == []


@pytest.mark.parametrize("value", [float("nan"), b"bytes", {1, 2}])
def test_what_json_cannot_say_is_refused(store, value):
    with (
        pytest.raises(UsageError, match="'try'"),
        store.writing() as writing,
        writing.change(ANN) as change,
    ):
        change.record("try", None, {"value": value})
    assert store.journal_length() == 1


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("UPDATE journal SET details = '{}' WHERE sequence = 3", "entry 3 was changed"),
        ("UPDATE journal SET actor = 'Sam' WHERE sequence = 3", "entry 3 was changed"),
        ("UPDATE journal SET action = 'x' WHERE sequence = 3", "entry 3 was changed"),
        ("UPDATE journal SET case_id = NULL WHERE sequence = 3", "entry 3 was changed"),
        ("UPDATE journal SET at = '2020-01-01 00:00:00.000000' WHERE sequence = 3", "entry 3 was"),
        ("UPDATE journal SET hash = previous_hash WHERE sequence = 3", "entry 4 does not follow"),
        ("DELETE FROM journal WHERE sequence = 1", "entries 1 to 1 are missing"),
        ("DELETE FROM journal WHERE sequence IN (2, 3)", "entries 2 to 3 are missing"),
        ("DELETE FROM journal WHERE sequence = 5", "ends with entry 4, but 5 were written"),
        ("DELETE FROM journal", "ends with entry 0, but 5 were written"),
        ("UPDATE journal_head SET sequence = 4", "ends with entry 5, but 4 were written"),
    ],
)
def test_tampering_is_found(written, database_url, statement, fault):
    tamper(written, database_url, statement)
    assert any(fault in found for found in _faults(written)), _faults(written)


def test_an_entry_with_its_own_hash_made_anew_breaks_the_chain(written, database_url):
    entry = written.journal()[2]
    told = [
        *(entry.sequence, entry.at.isoformat(timespec="microseconds"), "Sam", entry.action),
        *(entry.case, "{}", entry.previous_hash),
    ]
    digest = hashlib.sha256(json.dumps(told, separators=(",", ":")).encode()).hexdigest()
    tamper(
        written,
        database_url,
        f"UPDATE journal SET actor = 'Sam', details = '{{}}', hash = '{digest}' WHERE sequence = 3",
    )
    assert _faults(written) == ["journal: entry 4 does not follow the entry before it"]


def test_a_whole_new_chain_is_found_by_what_was_noted_down(written, database_url):
    noted = [(entry.sequence, entry.hash) for entry in written.journal()][2:4]
    assert _faults(written, noted=noted) == []
    last = written.journal()[2]
    tamper(
        written,
        database_url,
        "DELETE FROM journal WHERE sequence > 3",
        f"UPDATE journal_head SET sequence = 3, hash = '{last.hash}'",
    )
    assert _faults(written) == []
    assert _faults(written, noted=noted) == ["journal: entry 4, which was noted down, is missing"]
    add(written, content=b"another")
    assert _faults(written, noted=noted) == ["journal: entry 4 is not the one that was noted down"]
