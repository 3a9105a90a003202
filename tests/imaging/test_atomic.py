import os
import stat

import pytest

from parotid_brachy.lib.imaging.atomic import write_atomically


def test_a_file_is_written_whole_and_nothing_beside_it(tmp_path):
    write_atomically(tmp_path / "a.json", b"one")
    write_atomically(tmp_path / "a.json", b"two")
    assert (tmp_path / "a.json").read_bytes() == b"two"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_failed_write_keeps_the_older_file(tmp_path, monkeypatch):
    (tmp_path / "a.json").write_bytes(b"older")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(tmp_path / "a.json", b"newer")
    assert (tmp_path / "a.json").read_bytes() == b"older"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_has_ordinary_rights(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    write_atomically(tmp_path / "a", b"")
    rights = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "a")]
    assert rights[0] == rights[1]
