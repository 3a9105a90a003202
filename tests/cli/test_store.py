import pytest
from tests.review.saves import add, approve, tamper

from parotid_brachy.lib.cli.main import main
from parotid_brachy.lib.review.objects import described
from parotid_brachy.lib.review.store import VersionStore


@pytest.fixture
def store(tmp_path):
    store = VersionStore.open(tmp_path / "studies" / ".parotid")
    store.register({"a": "a.nrrd"})
    approve(store, add(store))
    yield store
    store.close()


@pytest.fixture
def call(tmp_path):
    studies = tmp_path / "studies"
    return lambda action, *more: main(["store", action, "--studies", str(studies), *more])


def test_a_whole_store_verifies_and_tells_the_journals_head(call, store, capsys):
    assert call("verify") == 0
    last = store.journal()[-1]
    assert capsys.readouterr().out == (
        f"1 cases, 1 versions, 2 files, 3 journal entries (head 3:{last.hash}): ok\n"
    )


def test_damage_is_listed_and_fails(call, store, capsys):
    store.path_of(store.version("a", 1).file).write_bytes(b"damaged")
    tamper(store, None, "UPDATE journal SET actor = 'Eve' WHERE sequence = 2")
    assert call("verify") == 1
    out = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in out[:-1]} == {"DAMAGED"}
    assert len(out) > 2
    assert out[-1].endswith(f": {len(out) - 1} faults")


def test_verify_clears_up_after_a_sudden_end(call, store, tmp_path, capsys):
    store.objects.keep(described(b"orphan", ".nrrd"), b"orphan")
    (tmp_path / "studies" / "labels" / "final" / "a.seg.nrrd").unlink()
    assert call("verify") == 0
    out = capsys.readouterr().out
    assert "1 files that were never saved to their end" in out
    assert "1 files under labels/ renewed" in out


def test_verify_does_not_disturb_a_save(call, store, capsys, monkeypatch):
    monkeypatch.setattr("parotid_brachy.lib.cli.store._RECOVERY_WAIT_S", 0.05)
    with store.writing() as writing:
        file = writing.put(b"under way", ".nrrd")
        assert call("verify") == 0
        assert "others are saving" in capsys.readouterr().out
        assert store.objects.read(file) == b"under way"


def test_what_was_exported_is_restored_elsewhere(call, store, tmp_path, capsys):
    assert call("export", str(tmp_path / "store.tar")) == 0
    assert "2 files, 3 journal entries" in capsys.readouterr().out
    other = tmp_path / "other"
    other.mkdir()
    restore = ["store", "restore", "--studies", str(other), str(tmp_path / "store.tar")]
    assert main(restore) == 0
    assert "2 files, 3 journal entries" in capsys.readouterr().out
    assert main(["store", "verify", "--studies", str(other)]) == 0
    assert main(restore) == 2
    assert "not empty" in capsys.readouterr().err


def test_an_archive_that_is_none_is_refused(call, tmp_path, capsys):
    (tmp_path / "studies").mkdir()
    (tmp_path / "store.tar").write_bytes(b"no archive")
    assert call("restore", str(tmp_path / "store.tar")) == 1
    assert "no plain tar archive" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify"],
        ["verify", "--studies", "missing"],
        ["export", "--studies", "missing", "store.tar"],
        ["restore", "--studies", "missing", "store.tar"],
        ["restore", "--studies", ".", "missing.tar"],
        ["verify", "--studies", ".", "--database", "mysql://host/database"],
    ],
)
def test_a_wrong_call_makes_nothing(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["store", *arguments]) == 2
    assert list(tmp_path.iterdir()) == []


def test_an_archive_that_exists_is_a_wrong_call(call, store, tmp_path):
    (tmp_path / "store.tar").write_bytes(b"kept")
    assert call("export", str(tmp_path / "store.tar")) == 2
    assert (tmp_path / "store.tar").read_bytes() == b"kept"
