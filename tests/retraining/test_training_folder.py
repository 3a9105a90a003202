import json
import os

import numpy as np
import pytest
from tests.retraining.approving import approve, case_names, slice_of
from tests.review.studies import ADMIN, GRID, label_map, open_desk

from parotid_brachy.lib.anatomy import GLAND, SKIN
from parotid_brachy.lib.errors import TrainingError
from parotid_brachy.lib.imaging.files import read_label_map
from parotid_brachy.lib.retraining import training_folder
from parotid_brachy.lib.retraining.snapshot import take_snapshot
from parotid_brachy.lib.retraining.training_folder import materialise, read_training_folder
from parotid_brachy.lib.review.splits import Part
from parotid_brachy.lib.segmentation.presets import Step
from parotid_brachy.lib.segmentation.training_cases import find_cases, read_contoured

CASES = case_names(5)


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    desk = open_desk(tmp_path_factory.mktemp("there") / "studies", cases=CASES)
    desk.store.keep_image_info(CASES[0], {"side": "left"})
    approve(desk, *CASES)
    yield desk
    desk.store.close()


@pytest.fixture(scope="module")
def snapshot(desk):
    return take_snapshot(desk.store, desk.images, Step.ORGANS_AT_RISK, actor=ADMIN)


@pytest.fixture
def lay_out(desk, snapshot, tmp_path):
    return lambda: materialise(snapshot, tmp_path / "set", store=desk.store, images=desk.images)


def test_a_training_finds_images_and_maps_and_no_test_case(lay_out, snapshot):
    folder = lay_out()
    test = {one.case for one in snapshot.of(Part.TEST)}
    assert test
    found = find_cases(folder / "images", folder / "labels")
    assert {one.case for one in found} == set(CASES) - test
    for one in found:
        assert one.side is None
        labels = read_label_map(one.labels, GRID)
        assert np.array_equal(labels, label_map(SKIN.value, GLAND.value, at=slice_of(one.case)))


def test_the_maps_are_the_stores_own_files(lay_out, snapshot):
    folder = lay_out()
    for one in (one for one in snapshot.cases if one.part is not Part.TEST):
        path = folder / "labels" / f"{one.case}.seg.nrrd"
        assert training_folder.sha256_of(path) == one.sha256


def test_what_was_laid_out_is_read_back(lay_out, snapshot):
    assert read_training_folder(lay_out()) == snapshot


def test_laying_out_again_changes_nothing(lay_out):
    folder = lay_out()
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert lay_out() == folder
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_another_snapshot_is_never_laid_over_one(lay_out, desk):
    lay_out()
    gland = take_snapshot(desk.store, desk.images, Step.GLAND, actor=ADMIN)
    folder = lay_out()
    with pytest.raises(TrainingError, match="holds another snapshot"):
        materialise(gland, folder, store=desk.store, images=desk.images)
    assert read_training_folder(folder).step is Step.ORGANS_AT_RISK


def test_without_hard_links_the_files_are_pointed_at(lay_out, monkeypatch, snapshot):
    def cross_device(source, target):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", cross_device)
    folder = lay_out()
    assert (folder / "images" / f"{CASES[0]}.nii.gz").is_symlink()
    assert read_training_folder(folder) == snapshot
    assert find_cases(folder / "images", folder / "labels")


def test_when_the_disk_is_full_nothing_is_left(lay_out, monkeypatch, tmp_path):
    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(training_folder, "write_atomically", full)
    with pytest.raises(TrainingError, match="No space left"):
        lay_out()
    assert list(tmp_path.iterdir()) == []


def _change(folder, **changes):
    path = folder / "snapshot.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "snapshot.json").unlink(),
        lambda folder: (folder / "snapshot.json").write_text("[]"),
        lambda folder: (folder / "snapshot.json").write_text("[" * 100_000),
        lambda folder: _change(folder, step="gland"),
        lambda folder: _change(folder, cases=[]),
        lambda folder: _change(folder, format="another"),
        lambda folder: (folder / "images" / f"{CASES[0]}.nii.gz").unlink(),
        lambda folder: (folder / "labels" / f"{CASES[0]}.seg.nrrd").unlink(),
    ],
)
def test_a_folder_that_is_not_what_it_says_is_refused(lay_out, damage):
    folder = lay_out()
    damage(folder)
    with pytest.raises(TrainingError):
        read_training_folder(folder)


def test_a_map_that_was_changed_is_found(lay_out):
    folder = lay_out()
    path = folder / "labels" / f"{CASES[0]}.seg.nrrd"
    content = path.read_bytes()
    path.unlink()  # the file itself is the store's
    path.write_bytes(content[:-1] + b"x")
    with pytest.raises(TrainingError, match="not version 1 of case00"):
        read_training_folder(folder)


def test_names_that_lead_elsewhere_are_refused(lay_out, snapshot):
    values = training_folder.to_json(snapshot)
    values["cases"][0]["case"] = "../../evil"
    with pytest.raises(ValueError, match="hash"):
        training_folder.from_json(values)


def test_trainings_are_told_what_each_map_is_about(lay_out, snapshot):
    folder = lay_out()
    told = read_contoured(folder / "labels")
    assert told
    assert told == {
        one.case: frozenset(one.contoured) for one in snapshot.cases if one.part is not Part.TEST
    }
    (folder / "labels" / "contoured.json").write_text("{}")
    with pytest.raises(TrainingError, match=r"contoured\.json"):
        read_training_folder(folder)
