import json

import pytest
from tests.review.saves import add, approve, tamper

from parotid_brachy.lib.cli.main import main
from parotid_brachy.lib.review.store import VersionStore


@pytest.fixture
def store(tmp_path):
    store = VersionStore.open(tmp_path / "studies" / ".parotid")
    store.register({"a": "a.nrrd", "b": "b.nrrd"})
    approve(store, add(store))
    add(store, "b")
    yield store
    store.close()


@pytest.fixture
def call(store, tmp_path):
    studies = tmp_path / "studies"
    return lambda action, *more: main(["journal", action, "--studies", str(studies), *more])


def test_a_whole_journal_verifies_also_against_what_was_noted_down(call, store, capsys):
    entries = store.journal()
    noted = [f"--head={entry.sequence}:{entry.hash}" for entry in entries[1:3]]
    assert call("verify", *noted) == 0
    assert capsys.readouterr().out == f"4 entries, head 4:{entries[-1].hash}\n"


def test_tampering_and_a_head_that_is_missing_fail(call, store, capsys):
    assert call("verify", f"--head=7:{'0' * 64}") == 1
    assert "DAMAGED journal: entry 7, which was noted down, is missing" in capsys.readouterr().out
    tamper(store, None, "DELETE FROM journal WHERE sequence = 4")
    assert call("verify") == 1
    assert "DAMAGED journal: it ends with entry 3" in capsys.readouterr().out


def test_show_prints_the_last_entries_the_oldest_first(call, capsys):
    assert call("show", "--limit", "2") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["3", "4"]
    words = lines[0].split()[3:]
    assert words[:3] == ["Sam", "approve", "a"]
    assert "version=1" in words


def test_show_is_limited_to_a_case_or_what_came_after(call, capsys):
    assert call("show", "--case", "b") == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["4"]
    assert call("show", "--after", "1", "--limit", "1") == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["2"]


def test_show_as_json_has_whole_entries(call, store, capsys):
    assert call("show", "--json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["hash"] for line in lines] == [entry.hash for entry in store.journal()]
    assert lines[0]["details"] == {"new": ["a", "b"]}
    assert lines[0]["at"].endswith("+00:00")


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify", "--studies", "missing"],
        ["verify", "--studies", ".", "--head", "7"],
        ["show", "--studies", "missing"],
        ["show", "--studies", ".", "--after", "-1"],
        ["show"],
    ],
)
def test_a_wrong_call_makes_nothing(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["journal", *arguments]) == 2
    assert list(tmp_path.iterdir()) == []
