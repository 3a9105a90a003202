import json
import os
import threading

import pytest
from tests.review.passwords import PASSWORD, quick_hashes

from parotid_brachy.lib.errors import (
    ConflictError,
    InputRefusedError,
    NotFoundError,
    UsageError,
)
from parotid_brachy.lib.review.readers import ReadersFile, readers_file_of
from parotid_brachy.lib.review.roles import Reader, Role

__all__ = ["quick_hashes"]
HASH = "$2b$12$U2zMGmISUB91jHJRUTnvoOWoYQE5YY5QQqRJ0Gjxt3TbB6BDKUoAO"


@pytest.fixture
def readers(tmp_path, quick_hashes):
    return ReadersFile(readers_file_of(tmp_path))


def write(readers, content):
    readers.path.parent.mkdir(exist_ok=True)
    readers.path.write_bytes(content)
    readers.path.chmod(0o600)


def stored(**changes):
    row = {"name": "ana", "role": "reviewer", "password_hash": HASH, "generation": 1} | changes
    return {"format": 1, "next_generation": 2, "readers": [row]}


def test_where_there_is_no_file_there_are_no_readers(readers):
    assert readers.all() == ()
    assert readers.find("ana") is None
    assert readers.with_password("ana", PASSWORD) is None


def test_a_reader_is_found_again_by_another_process(readers):
    readers.add("ana", Role.REVIEWER, None)
    assert ReadersFile(readers.path).find("ana").reader == Reader("ana", Role.REVIEWER)


def test_only_the_right_password_is_let_in(readers):
    readers.add("ana", Role.REVIEWER, PASSWORD)
    assert readers.with_password("ana", PASSWORD).name == "ana"
    assert readers.with_password("ana", PASSWORD + "x") is None
    assert readers.with_password("ana", "") is None
    assert readers.with_password("ben", PASSWORD) is None


def test_a_reader_without_password_is_known_and_never_let_in(readers):
    readers.add("ana", Role.REVIEWER, None)
    assert readers.find("ana").reader.role is Role.REVIEWER
    for attempt in ("", "-", "None", PASSWORD):
        assert readers.with_password("ana", attempt) is None


def test_a_hash_costs_what_it_should(tmp_path):
    record = ReadersFile(readers_file_of(tmp_path)).add("ana", Role.ADMIN, PASSWORD)
    assert record.password_hash.startswith("$2b$12$")


def test_neither_the_file_nor_its_lock_can_be_read_by_others(readers):
    readers.add("ana", Role.ADMIN, PASSWORD)
    for path in readers.path.parent.iterdir():
        assert path.stat().st_mode & 0o077 == 0, path
    assert PASSWORD not in readers.path.read_text()


@pytest.mark.parametrize(
    "password", ["", "elevenchars", "x" * 73, "ä" * 37, "a password\0 with nul"]
)
def test_a_password_that_is_short_or_that_bcrypt_would_cut_is_refused(readers, password):
    with pytest.raises(UsageError, match="password"):
        readers.add("ana", Role.ADMIN, password)
    assert not readers.path.exists()


@pytest.mark.parametrize("password", ["twelve chars", "x" * 72, "ä" * 36])
def test_a_password_may_be_as_long_as_bcrypt_reads(readers, password):
    readers.add("ana", Role.ADMIN, password)
    assert readers.with_password("ana", password)
    assert not readers.with_password("ana", password + "x")


def test_an_accent_counts_however_the_keyboard_sends_it(readers):
    readers.add("ana", Role.ADMIN, "caf\u00e9 au lait au lit")
    assert readers.with_password("ana", "cafe\u0301 au lait au lit")


@pytest.mark.parametrize("name", ["", " ana", "../ana", "a\nb", "a" * 65, "_ana"])
def test_a_name_that_cannot_be_shown_is_refused(readers, name):
    with pytest.raises(UsageError, match="reader"):
        readers.add(name, Role.ANNOTATOR, None)


def test_two_readers_cannot_differ_by_capitals_only(readers):
    readers.add("Ana", Role.REVIEWER, None)
    with pytest.raises(ConflictError, match="Ana"):
        readers.add("ana", Role.ADMIN, None)
    assert readers.find("ANA").name == "Ana"


def test_every_change_takes_a_generation_that_was_never_used(readers):
    seen = [readers.add("ana", Role.ANNOTATOR, None).generation]
    seen.append(readers.set_role("ana", Role.REVIEWER).generation)
    seen.append(readers.set_password("ana", PASSWORD).generation)
    readers.remove("ana")
    seen.append(readers.add("ana", Role.ANNOTATOR, None).generation)
    assert len(set(seen)) == 4
    assert readers.find("ana").generation == seen[-1]


@pytest.mark.parametrize("change", ["set_password", "set_role", "remove"])
def test_an_unknown_reader_cannot_be_changed(readers, change):
    readers.add("ana", Role.ANNOTATOR, None)
    arguments = {"set_password": (PASSWORD,), "set_role": (Role.ADMIN,), "remove": ()}[change]
    with pytest.raises(NotFoundError, match="ana"):
        getattr(readers, change)("ben", *arguments)


def test_a_change_by_another_process_is_seen_at_once(readers):
    readers.add("ana", Role.REVIEWER, None)
    assert readers.find("ana").role is Role.REVIEWER
    ReadersFile(readers.path).set_role("ana", Role.ADMIN)
    assert readers.find("ana").role is Role.ADMIN
    readers.path.unlink()
    assert readers.find("ana") is None


def test_changes_at_the_same_time_are_all_kept(readers):
    def add(number):
        ReadersFile(readers.path).add(f"reader {number}", Role.ANNOTATOR, None)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(readers.all()) == 12
    assert len({record.generation for record in readers.all()}) == 12


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b"[]",
        b"null",
        b" " * (2**20 + 1),
        json.dumps(stored() | {"format": 2}).encode(),
        json.dumps(stored() | {"more": 1}).encode(),
        json.dumps(stored() | {"readers": {}}).encode(),
        json.dumps(stored() | {"next_generation": True}).encode(),
        json.dumps(stored() | {"readers": [1]}).encode(),
        json.dumps(stored(role="root")).encode(),
        json.dumps(stored(role=["admin"])).encode(),
        json.dumps(stored(name="../x")).encode(),
        json.dumps(stored(name=7)).encode(),
        json.dumps(stored(password_hash="secret")).encode(),
        json.dumps(stored(password_hash=HASH.replace("$12$", "$31$"))).encode(),
        json.dumps(stored(generation=2)).encode(),
        json.dumps(stored(generation=True)).encode(),
        json.dumps(stored(more=1)).encode(),
        json.dumps(
            stored() | {"readers": [*stored()["readers"], *stored(name="ANA")["readers"]]}
        ).encode(),
    ],
)
def test_a_damaged_file_lets_nobody_in_and_says_which_file(readers, content):
    write(readers, content)
    with pytest.raises(InputRefusedError, match=r"readers\.json"):
        readers.find("ana")
    with pytest.raises(InputRefusedError, match=r"readers\.json"):
        readers.add("ben", Role.ADMIN, None)
    assert readers.path.read_bytes() == content


def test_a_whole_file_is_read(readers):
    write(readers, json.dumps(stored()).encode())
    assert readers.find("ana").reader == Reader("ana", Role.REVIEWER)


def test_a_file_that_others_may_change_is_not_believed(readers):
    write(readers, json.dumps(stored()).encode())
    readers.path.chmod(0o662)
    with pytest.raises(InputRefusedError, match="others may change it"):
        readers.find("ana")


def test_something_else_in_the_files_place_does_not_hold_up_the_server(readers):
    readers.path.parent.mkdir()
    os.mkfifo(readers.path)
    with pytest.raises(InputRefusedError, match="no file"):
        readers.find("ana")


def test_a_folder_that_is_not_there_is_told(tmp_path):
    readers = ReadersFile(tmp_path / "missing" / "deeper" / "readers.json")
    with pytest.raises(InputRefusedError, match="cannot be written"):
        readers.add("ana", Role.ADMIN, None)
