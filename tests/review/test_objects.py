import errno
import os
import stat

import pytest

from parotid_brachy.lib.errors import StoreError, StoreFullError, UsageError
from parotid_brachy.lib.imaging.atomic import write_atomically
from parotid_brachy.lib.review.objects import ObjectFolder, described


@pytest.fixture
def objects(tmp_path):
    return ObjectFolder(tmp_path / "objects")


def _keep(objects, content, ending):
    file = described(content, ending)
    objects.keep(file, content)
    return file


def _files(objects):
    return [path for _, files in objects.shelves() for path in files]


def test_a_file_lies_under_the_hash_of_its_content(objects):
    file = _keep(objects, b"abc", ".seg.nrrd")
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert (file.sha256, file.size_bytes, file.ending) == (digest, 3, ".seg.nrrd")
    assert _files(objects) == [objects.root / "ba" / f"{digest}.seg.nrrd"]


def test_equal_content_is_kept_once_and_by_ending(objects):
    first = _keep(objects, b"abc", ".nii.gz")
    written = objects.path_of(first).stat()
    assert _keep(objects, b"abc", ".nii.gz") == first
    assert objects.path_of(first).stat() == written
    _keep(objects, b"abc", ".nrrd")
    assert len(_files(objects)) == 2


def test_a_damaged_file_is_mended_by_whoever_brings_its_content(objects):
    file = _keep(objects, b"abc", ".nrrd")
    objects.path_of(file).write_bytes(b"abd")
    assert "damaged" in objects.damage(file)
    assert _keep(objects, b"abc", ".nrrd") == file
    assert objects.read(file) == b"abc"


@pytest.mark.parametrize("ending", ["nrrd", "./x", ".nrrd/..", ".a.b.c.d", ".NRRD", ".\0", ". "])
def test_an_ending_is_no_path(objects, ending):
    with pytest.raises(UsageError, match="ending"):
        _keep(objects, b"abc", ending)
    assert _files(objects) == []


@pytest.mark.parametrize("reason", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_leaves_nothing_and_is_told(objects, monkeypatch, reason, step):
    def fail(*_):
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(StoreFullError, match="nothing was kept"):
        _keep(objects, b"abc", ".nrrd")
    monkeypatch.undo()
    assert _files(objects) == []


def test_another_fault_of_the_disk_is_no_full_disk(objects, monkeypatch):
    def fail(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreError, match="Input/output error") as caught:
        _keep(objects, b"abc", ".nrrd")
    assert not isinstance(caught.value, StoreFullError)


def test_content_and_name_are_synchronised_before_put_returns(objects, monkeypatch):
    done = []
    fsync, replace = os.fsync, os.replace

    def noted(descriptor):
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        done.append("fsync folder" if is_folder else "fsync file")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(os, "replace", lambda *names: (done.append("rename"), replace(*names)))
    _keep(objects, b"abc", ".nrrd")
    assert done == ["fsync file", "rename", "fsync folder"]
    _keep(objects, b"abc", ".nrrd")
    assert done[3:] == ["fsync folder"]


def test_shelves_that_are_missing_are_made(objects):
    (objects.root / "ba").rmdir()
    _keep(ObjectFolder(objects.root), b"abc", ".nrrd")


def test_a_written_file_is_never_half_there(tmp_path, monkeypatch):
    target = tmp_path / "file"
    write_atomically(target, b"old")

    def killed(descriptor):
        assert target.read_bytes() == b"old"
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(target, b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
