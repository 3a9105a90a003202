import multiprocessing
import stat
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from parotid_brachy.lib.dicom.deidentification.key import (
    PseudonymKey,
    default_key_path,
    require_outside,
)
from parotid_brachy.lib.errors import InputRefusedError, UsageError


def made_by_another_process(path: str) -> str:
    return PseudonymKey.load_or_create(Path(path)).fingerprint


def test_a_new_key_is_random_private_and_found_again(tmp_path):
    path = tmp_path / "hospital" / "pseudonym.key"
    key = PseudonymKey.load_or_create(path)
    assert len(key.secret) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert PseudonymKey.load_or_create(path) == PseudonymKey.load(path) == key
    assert PseudonymKey.load_or_create(tmp_path / "other.key") != key
    assert [one.name for one in path.parent.iterdir()] == ["pseudonym.key"]


def test_the_secret_is_not_shown(tmp_path):
    key = PseudonymKey.load_or_create(tmp_path / "a.key")
    assert key.secret.hex() not in repr(key)
    assert repr(key.secret)[2:-1] not in repr(key)
    assert key.fingerprint not in key.secret.hex()


def test_several_processes_that_start_at_once_get_one_key(tmp_path):
    path = tmp_path / "pseudonym.key"
    # Not a Pool: it ends its workers by SIGTERM, in whose handler coverage can wait for ever.
    with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("spawn")) as pool:
        found = list(pool.map(made_by_another_process, [str(path)] * 6))
    assert len(set(found)) == 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[:40],
        lambda text: text.replace("parotid", "pirotid"),
        lambda text: text.replace(text.split()[1], "00" * 32),
        lambda text: text.replace(text.split()[1], "zz" * 32),
        lambda text: text * 100,
    ],
)
def test_a_damaged_key_is_refused_not_replaced(tmp_path, damage):
    path = tmp_path / "pseudonym.key"
    PseudonymKey.load_or_create(path)
    path.write_text(damage(path.read_text()))
    before = path.read_bytes()
    with pytest.raises(InputRefusedError, match=r"pseudonym\.key: damaged"):
        PseudonymKey.load_or_create(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_that_others_may_read_is_refused(tmp_path, mode):
    path = tmp_path / "pseudonym.key"
    PseudonymKey.load_or_create(path)
    path.chmod(mode)
    with pytest.raises(InputRefusedError, match="chmod 600"):
        PseudonymKey.load_or_create(path)


def test_a_link_and_a_folder_are_no_keys(tmp_path):
    PseudonymKey.load_or_create(tmp_path / "a.key")
    (tmp_path / "link.key").symlink_to(tmp_path / "a.key")
    (tmp_path / "folder.key").mkdir()
    for name in ("link.key", "folder.key"):
        with pytest.raises(InputRefusedError):
            PseudonymKey.load_or_create(tmp_path / name)


def test_the_key_lies_outside_of_the_studies(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "configuration"))
    require_outside(default_key_path(), tmp_path / "studies")
    with pytest.raises(UsageError, match="studies folder"):
        require_outside(tmp_path / "studies" / "a" / "b.key", tmp_path / "studies")
    with pytest.raises(UsageError):
        require_outside(tmp_path / "x" / ".." / "studies" / "b.key", tmp_path / "studies")
