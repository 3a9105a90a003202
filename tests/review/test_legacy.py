import json
import os
from datetime import datetime, timezone

import pytest
from tests.review.old_folder import NAMES, NOON, OldFolder, map_bytes, review

from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.review.found import UNKNOWN_READER
from parotid_brachy.lib.review.legacy import read_legacy_folder
from parotid_brachy.lib.review.naming import OF_VALUES
from parotid_brachy.lib.review.records import Kind, Level, ReviewStatus


@pytest.fixture
def old(tmp_path):
    folder = OldFolder(tmp_path / "old")
    folder.image("p01", {"ts": 1, "name": "p01.nii.gz", "strategy": {"Random": {"client_id": "x"}}})
    return folder


def found_in(old):
    old.write_list()
    return read_legacy_folder(old.folder)


def test_entries_are_found_with_author_time_names_and_review(old):
    path = old.label("p01", "final", map_bytes(), **review("flagged", level="hard", comment="ear"))
    legacy = found_in(old)
    (one,) = legacy.found
    assert (one.case, one.tag, one.kind) == ("p01", "final", Kind.INITIAL)
    assert (one.author, one.path, one.source) == ("anna", path, "labels/final/p01.nii.gz")
    assert one.created == datetime.fromtimestamp(NOON, timezone.utc)
    assert one.label_info == NAMES
    assert one.review.status is ReviewStatus.FLAGGED
    assert (one.review.level, one.review.comment) == (Level.HARD, "ear")
    assert one.review.reviewer == "sofia"
    assert one.review.at == datetime.fromtimestamp(NOON + 1000, timezone.utc)
    assert legacy.image_info == {"p01": {"strategy": {"Random": {"client_id": "x"}}}}
    assert legacy.complaints == ()


def test_tags_come_in_the_order_in_which_they_were_made(old):
    for tag in ("version_10", "final", "version_2", "original"):
        old.label("p01", tag, map_bytes())
    tags = [one.tag for one in found_in(old).found]
    assert tags == ["original", "final", "version_2", "version_10"]


@pytest.mark.parametrize(
    ("info", "author"),
    [
        ({"client_id": "ben"}, "ben"),
        ({"client_id": "", "user": "user 7"}, "user 7"),
        ({"client_id": None}, "x"),
        ({"client_id": "a\nb"}, "x"),
        ({"client_id": {"a": 1}}, "x"),
    ],
)
def test_the_author_is_whoever_is_noted_and_can_be_a_reader(old, info, author):
    old.label("p01", "final", map_bytes(), **info)
    assert found_in(old).found[0].author == author


def test_a_correction_is_its_reviewers(old):
    old.label("p01", "version_1", map_bytes(), **review(by="sofia"))
    old.label("p01", "version_2", map_bytes(), **{**review(by=""), "client_id": ""})
    assert [one.author for one in found_in(old).found] == ["sofia", UNKNOWN_READER]


def test_a_models_own_table_numbers_by_value(old):
    info = {"label_info": [], "params": {"label_names": {"skin": 3, "parotid_gland": 7}}}
    old.label("p01", "original", map_bytes(), **info)
    (one,) = found_in(old).found
    assert one.label_info == [{"name": "skin", "idx": 3}, {"name": "parotid_gland", "idx": 7}]
    assert one.reading is OF_VALUES


@pytest.mark.parametrize("stamp", [None, "yesterday", -5, 1e300, float("nan"), [1], 10**30])
def test_an_impossible_time_is_replaced_by_the_files(old, stamp):
    path = old.label("p01", "final", map_bytes(), ts=stamp, **review("approved", at=stamp))
    os.utime(path, (NOON + 50, NOON + 50))
    (one,) = found_in(old).found
    assert one.created == one.review.at == datetime.fromtimestamp(NOON + 50, timezone.utc)


def test_files_that_the_list_does_not_know_are_found_before_those_that_it_does(old):
    old.label("p01", "final", map_bytes())
    stale = old.file("p01", "final", map_bytes(3), ".nrrd")
    lost = old.file("p01", "version_1", map_bytes(7))
    paths = [one.path for one in found_in(old).found]
    assert paths == [stale, old.folder / "labels" / "final" / "p01.nii.gz", lost]


@pytest.mark.parametrize("content", ["", '{"objects": {"p01": {"ima', "[]", "{}", "\x00" * 50])
def test_from_a_damaged_list_the_files_are_left_and_it_is_said(old, content):
    old.label("p01", "final", map_bytes())
    old.write_list().write_text(content)
    legacy = read_legacy_folder(old.folder)
    (one,) = legacy.found
    assert (one.case, one.tag, one.author) == ("p01", "final", UNKNOWN_READER)
    assert one.label_info is None
    (complaint,) = legacy.complaints
    assert complaint.source == "datastore_v2.json"
    assert "damaged" in complaint.reason


def test_a_list_that_nests_endlessly_is_damaged(old):
    old.file("p01", "final", map_bytes())
    old.write_list().write_text('{"objects": ' + "[" * 200_000)
    assert len(read_legacy_folder(old.folder).found) == 1


def test_a_folder_without_a_list_is_read_by_its_files(old):
    old.file("p01", "final", map_bytes())
    assert len(read_legacy_folder(old.folder).found) == 1


def test_a_folder_with_nothing_of_monai_labels_is_a_wrong_call(tmp_path):
    with pytest.raises(UsageError, match="neither"):
        read_legacy_folder(tmp_path)


HOSTILE = ("../secret", "/etc/passwd", "a/b", "a\\b", "a\0b", ".", "..", "", "x" * 300, "a\nb")


@pytest.mark.parametrize("word", HOSTILE)
def test_hostile_words_of_the_list_lead_nowhere(old, tmp_path, word):
    (tmp_path / "secret.nii.gz").write_bytes(map_bytes())
    entry = {"ext": ".nii.gz", "info": {}}
    image = {"image": {"ext": ".nii.gz", "info": {}}}
    old.objects = {word: {**image, "labels": {"final": entry}}}
    assert found_in(old).found == ()
    old.objects = {"p01": {**image, "labels": {word: entry}}}
    legacy = found_in(old)
    assert legacy.found == ()
    assert len(legacy.complaints) == 1
    old.objects = {"p01": {**image, "labels": {"final": {"ext": word, "info": {}}}}}
    assert found_in(old).found == ()


@pytest.mark.parametrize("labels_dir", ["..", "/", "../other", 7, None])
def test_labels_lie_in_the_folder_whatever_the_list_says(old, tmp_path, labels_dir):
    outside = tmp_path / "other" / "final"
    outside.mkdir(parents=True)
    (outside / "p01.nii.gz").write_bytes(map_bytes())
    inside = old.label("p01", "final", map_bytes())
    path = old.write_list()
    path.write_text(json.dumps({**json.loads(path.read_text()), "labels_dir": labels_dir}))
    legacy = read_legacy_folder(old.folder)
    assert [one.path for one in legacy.found] == [inside]
    assert "labels_dir" in legacy.complaints[0].reason


def test_links_out_of_the_folder_are_left_out(old, tmp_path):
    secret = tmp_path / "secret.nii.gz"
    secret.write_bytes(map_bytes())
    path = old.label("p01", "final", b"")
    path.unlink()
    path.symlink_to(secret)
    (old.folder / "labels" / "version_1").symlink_to(tmp_path)
    legacy = found_in(old)
    assert legacy.found == ()
    assert len(legacy.complaints) >= 2


@pytest.mark.parametrize(
    "objects",
    [
        {"p01": None},
        {"p01": []},
        {"p01": {"image": 7, "labels": 7}},
        {"p01": {"labels": {"final": None}}},
        {"p01": {"labels": {"final": {"ext": None, "info": None}}}},
        {"p01": {"labels": {"final": {"ext": ".nii.gz", "info": {"segmentationMeta": 7}}}}},
    ],
)
def test_entries_of_another_shape_are_harmless(old, objects):
    old.file("p01", "final", map_bytes())
    old.objects = objects
    (one,) = found_in(old).found
    assert one.review is None


def test_other_files_and_tags_are_told_of(old):
    old.file("p01", "mine", map_bytes())
    old.file("notes", "final", b"hello", ".txt")
    old.file("", "final", b"", ".hidden")
    reasons = {one.source: one.reason for one in found_in(old).complaints}
    assert reasons == {
        "labels/'mine'": "no tag of the clients'",
        "labels/final/notes.txt": "no label map's file",
    }


def test_a_folder_that_the_framework_itself_wrote_is_understood(old, tmp_path):
    from monailabel.datastore.local import LocalDatastore

    (tmp_path / "in.nii.gz").write_bytes(map_bytes())
    (tmp_path / "in.nrrd").write_bytes(b"NRRD")
    theirs = LocalDatastore(str(old.folder), extensions=("*.nii.gz", "*.nrrd"), auto_reload=False)
    names = {"label_names": {"skin": 3}}
    theirs.save_label("p01", str(tmp_path / "in.nii.gz"), "original", {"params": names})
    said = {"label_info": NAMES, "client_id": "anna"}
    theirs.save_label("p01", str(tmp_path / "in.nii.gz"), "final", said)
    theirs.save_label("p01", str(tmp_path / "in.nrrd"), "final", dict(said))
    theirs.update_label_info("p01", "final", review("approved", level="easy"))
    theirs.update_image_info("p01", {"strategy": {"Random": {"client_id": "ben"}}})
    legacy = read_legacy_folder(old.folder)
    assert legacy.complaints == ()
    draft, overwritten, final = legacy.found
    assert (draft.tag, draft.label_info) == ("original", [{"name": "skin", "idx": 3}])
    assert draft.author == "ben"
    assert (overwritten.path.name, overwritten.author) == ("p01.nii.gz", UNKNOWN_READER)
    assert (final.path.name, final.author) == ("p01.nrrd", "anna")
    assert final.review.status is ReviewStatus.APPROVED
    assert legacy.image_info["p01"]["strategy"] == {"Random": {"client_id": "ben"}}
