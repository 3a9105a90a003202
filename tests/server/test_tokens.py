import threading
from datetime import timedelta

import pytest

from parotid_brachy.lib.errors import NotAuthenticatedError, StoreError
from parotid_brachy.lib.review.readers import ReadersFile
from parotid_brachy.lib.review.roles import Role
from parotid_brachy.lib.server.tokens import Tokens

HOUR = timedelta(hours=1)


@pytest.fixture
def readers(tmp_path):
    readers = ReadersFile(tmp_path / "readers.json")
    readers.add("rob", Role.REVIEWER, None)
    return readers


@pytest.fixture
def key_file(tmp_path):
    return tmp_path / ".parotid" / "token.key"


def test_the_key_is_made_once_and_is_nobody_elses(readers, key_file):
    token = Tokens(readers, key_file=key_file, lifetime=HOUR).issue(readers.find("rob"))
    assert key_file.stat().st_mode & 0o077 == 0
    assert len(key_file.read_bytes()) == 32
    assert [path.name for path in key_file.parent.iterdir()] == ["token.key"]
    again = Tokens(readers, key_file=key_file, lifetime=HOUR)
    assert again.reader_of(token).name == "rob"


def test_two_folders_have_different_keys(readers, tmp_path):
    ours = Tokens(readers, key_file=tmp_path / "a.key", lifetime=HOUR)
    theirs = Tokens(readers, key_file=tmp_path / "b.key", lifetime=HOUR)
    with pytest.raises(NotAuthenticatedError):
        ours.reader_of(theirs.issue(readers.find("rob")))


def test_servers_that_start_together_share_one_key(readers, key_file):
    made = []

    def start():
        made.append(Tokens(readers, key_file=key_file, lifetime=HOUR))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    token = made[0].issue(readers.find("rob"))
    assert [tokens.reader_of(token).name for tokens in made] == ["rob"] * 8


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 33])
def test_a_damaged_key_is_told_with_what_to_do(readers, key_file, content):
    key_file.parent.mkdir()
    key_file.write_bytes(content)
    key_file.chmod(0o600)
    with pytest.raises(StoreError, match=r"token\.key.*delete it"):
        Tokens(readers, key_file=key_file, lifetime=HOUR)


def test_a_key_that_others_may_read_is_not_used(readers, key_file):
    Tokens(readers, key_file=key_file, lifetime=HOUR)
    key_file.chmod(0o640)
    with pytest.raises(StoreError, match="others may read"):
        Tokens(readers, key_file=key_file, lifetime=HOUR)
