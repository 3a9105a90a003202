import errno
import hashlib
import json
import logging
from datetime import datetime, timedelta, timezone

import pytest

from parotid_brachy.lib.review import quarantine as module
from parotid_brachy.lib.review.quarantine import Quarantine, QuarantinePolicy

START = datetime(2026, 1, 31, 12, 0, 0, 5, tzinfo=timezone.utc)


class Clock:
    def __init__(self):
        self.time = START

    def __call__(self):
        self.time += timedelta(microseconds=1)
        return self.time


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / ".parotid" / "quarantine"


def keep(quarantine, content=b"junk", **said):
    words = {"reader": "anna", "case": "p01", "name": "a.nii.gz", "reason": "unreadable"}
    return quarantine.keep(content, **(words | said))


def test_a_refused_map_is_kept_with_what_is_known_of_it(folder, clock):
    quarantine = Quarantine(folder, now=clock)
    id_ = keep(quarantine)
    (refused,) = quarantine.refused()
    assert refused.id == id_
    assert quarantine.path_of(refused).read_bytes() == b"junk"
    assert datetime.fromisoformat(refused.at) - START < timedelta(seconds=1)
    assert (refused.reader, refused.case, refused.name) == ("anna", "p01", "a.nii.gz")
    assert (refused.reason, refused.size_bytes) == ("unreadable", 4)
    assert refused.sha256 == hashlib.sha256(b"junk").hexdigest()


def test_a_file_is_kept_as_its_bytes_are(folder, tmp_path):
    received = tmp_path / "upload"
    received.write_bytes(b"from a file")
    quarantine = Quarantine(folder)
    keep(quarantine, received)
    assert quarantine.path_of(quarantine.refused()[0]).read_bytes() == b"from a file"


@pytest.mark.parametrize("name", ["../../evil", "/etc/passwd", "a\0b", "\udc80", "x" * 10_000, ""])
def test_no_word_of_a_client_names_a_file(folder, name, tmp_path):
    quarantine = Quarantine(folder)
    keep(quarantine, name=name, case=name, reader=name, reason=name)
    assert quarantine.refused()[0].name == name[:2000]
    files = [path.relative_to(folder) for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 2
    assert all(len(path.name) < 60 for path in files)


def test_after_its_time_a_map_is_deleted(folder, clock):
    quarantine = Quarantine(folder, QuarantinePolicy(keep=timedelta(days=30)), now=clock)
    keep(quarantine)
    clock.time += timedelta(days=29)
    younger = keep(quarantine)
    assert quarantine.purge() == 0
    clock.time += timedelta(days=2)
    assert quarantine.purge() == 1
    assert [one.id for one in quarantine.refused()] == [younger]
    assert len(list(folder.iterdir())) == 2


def test_where_there_is_no_room_the_oldest_go_first_and_the_log_says_so(folder, clock, caplog):
    quarantine = Quarantine(folder, QuarantinePolicy(most_bytes=250), now=clock)
    ids = [keep(quarantine, bytes(100)) for _ in range(4)]
    assert [one.id for one in quarantine.refused()] == ids[2:]
    assert [ids[0] in record.message for record in caplog.records][:1] == [True]
    assert sum("before its time" in record.message for record in caplog.records) == 2


def test_a_map_larger_than_the_quarantine_empties_it_for_nothing_and_is_not_kept(folder, caplog):
    quarantine = Quarantine(folder, QuarantinePolicy(most_bytes=250))
    kept = keep(quarantine, bytes(100))
    assert keep(quarantine, bytes(251)) is None
    assert "more than the whole quarantine" in caplog.text
    assert [one.id for one in quarantine.refused()] == [kept]


@pytest.mark.parametrize("fails_at", [1, 2])
def test_a_full_disk_is_logged_and_leaves_nothing_behind(folder, monkeypatch, caplog, fails_at):
    real, calls = module.write_atomically, []

    def full(path, content):
        calls.append(path)
        if len(calls) == fails_at:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, content)

    monkeypatch.setattr(module, "write_atomically", full)
    with caplog.at_level(logging.ERROR):
        assert keep(Quarantine(folder)) is None
    assert "p01: a refused label map of anna could not be kept aside" in caplog.text
    assert list(folder.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_logged(tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    assert keep(Quarantine(tmp_path / "file" / "quarantine")) is None
    assert "could not be kept aside" in caplog.text
    assert Quarantine(tmp_path / "none").refused() == []
    assert Quarantine(tmp_path / "none").purge() == 0


def test_what_somebody_else_put_there_is_neither_listed_nor_deleted(folder, clock):
    quarantine = Quarantine(folder, QuarantinePolicy(most_bytes=5), now=clock)
    id_ = keep(quarantine)
    (folder / "notes.txt").write_text("mine" * 100)
    (folder / "notes.json").write_text("{}")
    damaged = folder / f"{id_}.json"
    values = json.loads(damaged.read_text())
    for content in ("", "[]", "{", json.dumps({**values, "id": "../other"}), " " * 70_000):
        damaged.write_text(content)
        assert quarantine.refused() == []
    clock.time += timedelta(days=40)
    assert quarantine.purge() == 1
    assert sorted(path.name for path in folder.iterdir()) == ["notes.json", "notes.txt"]
