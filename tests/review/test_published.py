import os
import shutil
from datetime import datetime, timezone

import pytest
from tests.review.saves import SAM, add

from parotid_brachy.lib.review.store import VersionStore


@pytest.fixture
def labels(folder):
    return folder.parent / "labels"


def _tree(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def _withdraw(store, case, tag):
    with store.writing() as writing, writing.change(SAM) as change:
        change.withdraw(case, tag)


def test_the_newest_files_lie_under_their_tags(store, labels):
    add(store, tag="original", content=b"draft")
    add(store, content=b"old")
    add(store, content=b"new")
    add(store, "b", tag="version_2", content=b"corrected")
    assert _tree(labels) == ["final/a.seg.nrrd", "original/a.seg.nrrd", "version_2/b.seg.nrrd"]
    assert (labels / "final" / "a.seg.nrrd").read_bytes() == b"new"


def test_a_withdrawn_tags_file_is_removed(store, labels):
    add(store)
    _withdraw(store, "a", "final")
    assert _tree(labels) == []


def test_a_changed_copy_never_changes_the_store(sqlite_store, labels):
    version = add(sqlite_store)
    (labels / "final" / "a.seg.nrrd").write_bytes(b"edited")
    assert sqlite_store.path_of(version.file).read_bytes() == b"labels"


@pytest.mark.parametrize("step", ["save", "withdraw", "start"])
def test_a_file_that_is_not_the_stores_is_moved_aside(sqlite_store, folder, labels, step):
    path = labels / "final" / "a.seg.nrrd"
    if step != "save":
        add(sqlite_store)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"somebody's own")
    if step == "withdraw":
        _withdraw(sqlite_store, "a", "final")
        assert not path.exists()
    else:
        if step == "save":
            add(sqlite_store)
        else:
            VersionStore.open(folder).close()
        assert path.read_bytes() == b"labels"
    aside = folder / "set-aside" / "labels" / "final"
    assert [file.read_bytes() for file in aside.iterdir()] == [b"somebody's own"]


def test_what_is_aside_is_not_overwritten_either(sqlite_store, folder, labels):
    path = labels / "final" / "a.seg.nrrd"
    path.parent.mkdir(parents=True)
    for content in (b"first", b"second"):
        path.write_bytes(content)
        add(sqlite_store, content=b"labels " + content)
    aside = folder / "set-aside" / "labels" / "final"
    assert sorted(file.read_bytes() for file in aside.iterdir()) == [b"first", b"second"]


@pytest.mark.parametrize("kind", ["link", "dangling", "folder"])
def test_a_link_is_never_written_through(sqlite_store, tmp_path, labels, kind):
    path = labels / "final" / "a.seg.nrrd"
    path.parent.mkdir(parents=True)
    outside = tmp_path / "outside"
    if kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(outside)
    if kind == "link":
        outside.write_bytes(b"untouched")
    add(sqlite_store)
    assert path.read_bytes() == b"labels"
    assert not path.is_symlink()
    assert outside.exists() == (kind == "link")
    assert kind != "link" or outside.read_bytes() == b"untouched"


def test_a_save_that_cannot_be_published_is_kept_and_published_at_the_next_start(
    sqlite_store, folder, labels, caplog
):
    labels.write_bytes(b"a file where the folder should be")
    version = add(sqlite_store)
    assert "not renewed" in caplog.text
    assert sqlite_store.tagged("a", "final") == version
    labels.unlink()
    VersionStore.open(folder).close()
    assert (labels / "final" / "a.seg.nrrd").read_bytes() == b"labels"


def test_a_start_renews_only_what_is_missing_old_or_left_behind(sqlite_store, folder, labels):
    add(sqlite_store, content=b"one")
    add(sqlite_store, "b", content=b"two")
    add(sqlite_store, "b", tag="version_1", content=b"gone soon")
    _withdraw(sqlite_store, "b", "version_1")
    assert sqlite_store.published.repair() == 0
    shutil.copy(labels / "final" / "a.seg.nrrd", labels / "final" / "b.seg.nrrd")
    (labels / "version_1" / "b.seg.nrrd").write_bytes(b"gone soon")
    leftover = labels / "final" / ".b.seg.nrrd.0123456789abcdef.tmp"
    leftover.write_bytes(b"half")
    assert sqlite_store.published.repair() == 2
    assert _tree(labels) == ["final/a.seg.nrrd", "final/b.seg.nrrd"]
    assert (labels / "final" / "b.seg.nrrd").read_bytes() == b"two"
    assert not (folder / "set-aside").exists()
    os.utime(labels / "final" / "a.seg.nrrd")
    assert sqlite_store.published.repair() == 1
    assert sqlite_store.published.repair() == 0


def test_a_damaged_object_is_not_published(sqlite_store, labels):
    version = add(sqlite_store)
    sqlite_store.path_of(version.file).write_bytes(b"damaged")
    (labels / "final" / "a.seg.nrrd").unlink()
    sqlite_store.published.repair()
    assert _tree(labels) == []


@pytest.mark.parametrize("year", [1900, 9000])
def test_a_time_that_no_file_can_have_does_not_fail_a_save(sqlite_store, labels, year):
    add(sqlite_store, created=datetime(year, 1, 1, tzinfo=timezone.utc))
    assert (labels / "final" / "a.seg.nrrd").read_bytes() == b"labels"
