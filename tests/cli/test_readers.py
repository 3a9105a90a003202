import getpass
import io

import pytest
from tests.review.passwords import PASSWORD, quick_hashes

from parotid_brachy.lib.cli.main import main
from parotid_brachy.lib.review.readers import ReadersFile, readers_file_of
from parotid_brachy.lib.review.roles import Role

__all__ = ["quick_hashes"]


@pytest.fixture
def readers(tmp_path, quick_hashes):
    return ReadersFile(readers_file_of(tmp_path))


@pytest.fixture
def run(tmp_path):
    return lambda *argv: main(["readers", *argv, "--studies", str(tmp_path)])


@pytest.fixture
def typed(monkeypatch):
    def answers(*passwords):
        waiting = iter(passwords)
        monkeypatch.setattr(getpass, "getpass", lambda _prompt: next(waiting))

    return answers


def test_a_reader_is_added_with_a_password_that_is_typed_twice(run, readers, typed):
    typed(PASSWORD, PASSWORD)
    assert run("add", "ana", "--role", "reviewer") == 0
    assert readers.with_password("ana", PASSWORD).role is Role.REVIEWER


def test_two_different_passwords_add_nobody(run, readers, typed, capsys):
    typed(PASSWORD, PASSWORD + "!")
    assert run("add", "ana", "--role", "reviewer") == 2
    assert "differ" in capsys.readouterr().err
    assert readers.find("ana") is None


def test_a_password_is_read_from_a_pipe(run, readers, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(PASSWORD + "\n"))
    assert run("add", "ana", "--role", "admin", "--password-stdin") == 0
    assert readers.with_password("ana", PASSWORD)


def test_a_reader_can_be_known_by_name_only(run, readers):
    assert run("add", "ana", "--role", "annotator", "--no-password") == 0
    assert readers.find("ana").password_hash is None


def test_a_short_password_is_refused_with_the_rule(run, readers, typed, capsys):
    typed("short", "short")
    assert run("add", "ana", "--role", "admin") == 2
    assert "12 characters" in capsys.readouterr().err
    assert readers.find("ana") is None


def test_a_new_password_and_another_role_end_earlier_logins(run, readers, typed):
    old = readers.add("ana", Role.REVIEWER, None)
    typed(PASSWORD, PASSWORD)
    assert run("passwd", "ana") == 0
    changed = readers.with_password("ana", PASSWORD)
    assert changed.generation != old.generation
    assert run("roles", "ana", "admin") == 0
    assert readers.find("ana").role is Role.ADMIN
    assert readers.find("ana").generation != changed.generation


def test_readers_are_listed_without_their_hashes(run, readers, capsys):
    readers.add("ana", Role.REVIEWER, PASSWORD)
    readers.add("ben", Role.ANNOTATOR, None)
    assert run("list") == 0
    listed = capsys.readouterr().out
    assert listed.splitlines() == [
        "reviewer   can log in  ana",
        "annotator  name only   ben",
    ]


def test_a_removed_reader_is_gone(run, readers):
    readers.add("ana", Role.REVIEWER, None)
    assert run("remove", "ana") == 0
    assert readers.all() == ()
    assert run("remove", "ana") == 1


def test_the_file_can_be_named_itself(tmp_path):
    path = tmp_path / "elsewhere.json"
    argv = ["readers", "add", "ana", "--role", "admin", "--no-password", "--readers", str(path)]
    assert main(argv) == 0
    assert ReadersFile(path).find("ana").role is Role.ADMIN


@pytest.mark.parametrize(
    "argv",
    [
        ["readers", "add", "ana", "--role", "root", "--readers", "f"],
        ["readers", "add", "ana", "--readers", "f"],
        ["readers", "list"],
        ["readers", "list", "--readers", "f", "--studies", "d"],
        ["readers", "list", "--studies", "no such folder"],
        ["readers", "add", "../ana", "--role", "admin", "--readers", "f"],
    ],
)
def test_a_wrong_call_is_told(argv, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(argv) == 2
    assert not list(tmp_path.iterdir())
