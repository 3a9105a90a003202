import json
import os
import threading

import pytest
import torch
from safetensors.torch import load_file
from tests.segmentation.versions import untrained_registry, write_untrained

from parotid_brachy.lib.errors import ModelRefusedError, NotFoundError, UsageError
from parotid_brachy.lib.segmentation.presets import Step
from parotid_brachy.lib.segmentation.registry import (
    DATASET,
    MANIFEST,
    PLANS,
    WEIGHTS,
    Registry,
    load_weights,
    read_version,
)


@pytest.fixture
def registry(tmp_path):
    return untrained_registry(tmp_path / "model", name="first")


@pytest.fixture
def draft(tmp_path):
    return write_untrained(tmp_path / "draft", Step.GLAND, seed=7)


def _edit_manifest(folder, **changes):
    path = folder / MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_missing_root_has_no_versions(tmp_path):
    registry = Registry(tmp_path / "nowhere")
    assert registry.versions() == []
    assert not registry.has_champion(Step.GLAND)
    with pytest.raises(NotFoundError, match=r"gland.*parotid train"):
        registry.champion(Step.GLAND)


def test_versions_are_listed_by_step_and_age(registry, draft):
    _edit_manifest(draft, created="2020-01-01T00:00:00Z")
    registry.add(draft, name="older")
    found = [(v.step, v.name) for v in registry.versions()]
    assert found == [
        (Step.GLAND, "older"),
        (Step.GLAND, "first"),
        (Step.ORGANS_AT_RISK, "first"),
    ]
    assert [v.name for v in registry.versions(Step.ORGANS_AT_RISK)] == ["first"]


def test_a_written_version_says_what_it_is(registry):
    version = registry.champion(Step.GLAND)
    assert version.preset.name == "compact"
    assert version.preset.step is Step.GLAND
    manifest = version.manifest
    assert set(manifest["sha256"]) == {WEIGHTS, PLANS, DATASET}
    assert manifest["software"]["nnunetv2"]
    assert manifest["training"]["provenance"] == "not trained, for tests"
    registry.verify(version)


def test_weights_are_stored_once_each(registry):
    version = registry.champion(Step.GLAND)
    weights = load_file(version.folder / WEIGHTS)
    assert not any(".all_modules." in name for name in weights)
    assert not any(name.startswith("decoder.encoder.") for name in weights)


@pytest.mark.parametrize("name", [WEIGHTS, PLANS, DATASET])
@pytest.mark.parametrize("place", [0, 0.5, 1])
def test_one_flipped_byte_is_noticed(registry, name, place):
    version = registry.champion(Step.GLAND)
    path = version.folder / name
    content = bytearray(path.read_bytes())
    content[int(place * (len(content) - 1))] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelRefusedError, match=rf"gland/first: {name} is [0-9a-f]{{64}}"):
        registry.verify(version)
    with pytest.raises(ModelRefusedError, match=name):
        registry.promote(Step.GLAND, "first")


@pytest.mark.parametrize("name", [WEIGHTS, PLANS, DATASET])
def test_a_missing_file_is_noticed(registry, name):
    version = registry.champion(Step.GLAND)
    (version.folder / name).unlink()
    with pytest.raises(ModelRefusedError, match=f"{name} is missing"):
        registry.verify(version)


def test_a_pipe_in_a_files_place_does_not_hold_up_the_check(registry):
    version = registry.champion(Step.GLAND)
    (version.folder / WEIGHTS).unlink()
    os.mkfifo(version.folder / WEIGHTS)
    with pytest.raises(ModelRefusedError, match="missing"):
        registry.verify(version)


def test_a_pipe_in_the_manifests_place_does_not_hold_up_the_list(registry):
    manifest = registry.champion(Step.GLAND).folder / MANIFEST
    manifest.unlink()
    os.mkfifo(manifest)
    with pytest.raises(ModelRefusedError, match=r"manifest\.json"):
        registry.versions()


@pytest.mark.parametrize("hashes", [None, [], "x", {}, {WEIGHTS: 5}, {WEIGHTS: None}])
def test_a_manifest_without_proper_hashes_verifies_nothing(registry, hashes):
    version = registry.champion(Step.GLAND)
    _edit_manifest(version.folder, sha256=hashes)
    with pytest.raises(ModelRefusedError, match=WEIGHTS):
        registry.verify(registry.champion(Step.GLAND))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no json",
        b"[]",
        b'"gland"',
        b"{}",
        b'{"step": "heart"}',
        b'{"step": ["gland"]}',
        b'{"step": "organs_at_risk"}',
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"step": ' + b"9" * 5000 + b"}",
    ],
    ids=range(11),
)
def test_a_broken_manifest_is_refused(registry, content):
    (registry.champion(Step.GLAND).folder / MANIFEST).write_bytes(content)
    with pytest.raises(ModelRefusedError, match=r"manifest\.json"):
        registry.version(Step.GLAND, "first")
    with pytest.raises(ModelRefusedError, match=r"manifest\.json"):
        registry.versions()


@pytest.mark.parametrize("preset", ["huge", None, ["compact"], "../compact"])
def test_an_unknown_preset_is_refused_as_a_model(registry, preset):
    _edit_manifest(registry.champion(Step.GLAND).folder, preset=preset)
    with pytest.raises(ModelRefusedError, match="gland/first: its manifest names no preset"):
        _ = registry.champion(Step.GLAND).preset


def test_an_added_version_does_not_serve_before_it_is_promoted(registry, draft):
    registry.add(draft, name="second")
    assert registry.champion(Step.GLAND).name == "first"
    registry.promote(Step.GLAND, "second")
    assert registry.champion(Step.GLAND).name == "second"
    assert registry.champion(Step.ORGANS_AT_RISK).name == "first"
    registry.rollback(Step.GLAND)
    assert registry.champion(Step.GLAND).name == "first"
    with pytest.raises(UsageError, match="no earlier champion"):
        registry.rollback(Step.GLAND)


def test_promoting_the_champion_again_keeps_the_way_back(registry, draft):
    registry.add(draft, name="second")
    registry.promote(Step.GLAND, "second")
    registry.promote(Step.GLAND, "second")
    assert registry.rollback(Step.GLAND).name == "first"


def test_a_version_never_changes(registry, draft):
    with pytest.raises(UsageError, match="exists already"):
        registry.add(draft, name="first")


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "a\\b", ".hidden", "a\n", "x" * 65])
def test_names_that_lead_elsewhere_are_refused(registry, draft, tmp_path, name):
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError, match="version name"):
        registry.add(draft, name=name)
    with pytest.raises(NotFoundError, match="there are: first"):
        registry.promote(Step.GLAND, name)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_is_no_version_is_not_added(registry, tmp_path):
    with pytest.raises(ModelRefusedError, match=r"holds no manifest\.json"):
        registry.add(tmp_path, name="x")


@pytest.mark.parametrize("damaged", [WEIGHTS, PLANS, DATASET])
@pytest.mark.parametrize("how", ["flipped", "missing", "dangling"])
def test_a_damaged_version_is_not_added_and_leaves_nothing_behind(registry, draft, damaged, how):
    path = draft / damaged
    content = path.read_bytes()
    path.unlink()
    if how == "flipped":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif how == "dangling":
        path.symlink_to("/nonexistent/file")
    with pytest.raises(ModelRefusedError):
        registry.add(draft, name="second")
    assert [p.name for p in (registry.root / "gland").iterdir() if p.is_dir()] == ["first"]


def test_a_link_is_copied_as_the_file_it_points_at_and_only_if_the_hash_fits(
    registry, draft, tmp_path
):
    secret = tmp_path / "secret"
    secret.write_text("not for everyone")
    (draft / DATASET).unlink()
    (draft / DATASET).symlink_to(secret)
    with pytest.raises(ModelRefusedError, match=DATASET):
        registry.add(draft, name="second")
    assert not any("not for everyone" in p.read_text("latin-1") for p in _files(registry.root))


def _files(folder):
    return [p for p in folder.rglob("*") if p.is_file()]


def test_a_pipe_among_the_files_to_add_does_not_hold_it_up(registry, draft):
    (draft / WEIGHTS).unlink()
    os.mkfifo(draft / WEIGHTS)
    with pytest.raises(ModelRefusedError):
        registry.add(draft, name="second")


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"history": "first"}', b'{"history": 5}', b'{"history": [5]}']
)
def test_a_broken_pointer_is_refused_and_not_guessed(registry, content):
    (registry.root / "gland" / "champion.json").write_bytes(content)
    with pytest.raises(ModelRefusedError, match=r"champion\.json"):
        registry.champion(Step.GLAND)


def test_a_pointer_that_leads_elsewhere_finds_nothing(registry):
    content = {"history": ["../organs_at_risk/first"]}
    (registry.root / "gland" / "champion.json").write_text(json.dumps(content))
    with pytest.raises(NotFoundError, match="no version"):
        registry.champion(Step.GLAND)


def test_the_pointer_is_whole_at_every_moment(registry, draft):
    registry.add(draft, name="second")
    seen, stop = set(), threading.Event()

    def look():
        while not stop.is_set():
            seen.add(registry.champion(Step.GLAND).name)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        for n in range(30):
            registry.promote(Step.GLAND, ("second", "first")[n % 2])
    finally:
        stop.set()
        watcher.join()
    assert seen <= {"first", "second"}
    names = sorted(p.name for p in (registry.root / "gland").iterdir())
    assert names == ["champion.json", "first", "second"]


def test_a_half_added_version_is_not_listed(registry):
    (registry.root / "gland" / ".second.part").mkdir()
    (registry.root / "gland" / ".second.part" / MANIFEST).write_text("{")
    assert [v.name for v in registry.versions(Step.GLAND)] == ["first"]


@pytest.mark.parametrize("content", [b"", b"\x00" * 8, b"\xff" * 64, b"PK\x03\x04pickle"])
def test_weights_that_are_no_safetensors_are_refused(draft, content):
    (draft / WEIGHTS).write_bytes(content)
    with pytest.raises(ModelRefusedError, match=WEIGHTS):
        load_weights(draft)


def test_a_pickle_in_the_weights_place_is_not_run(draft, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "exploded"),))

    torch.save({"w": Bomb()}, draft / WEIGHTS)
    with pytest.raises(ModelRefusedError):
        load_weights(draft)
    assert not (tmp_path / "exploded").exists()


def test_a_version_outside_a_registry_is_verified_when_read(draft):
    assert read_version(draft).step is Step.GLAND
    (draft / PLANS).write_text("{}")
    with pytest.raises(ModelRefusedError, match=PLANS):
        read_version(draft)


@pytest.mark.parametrize("content", ["", "[]", "null", "{"])
def test_plans_that_are_no_object_are_refused(registry, content):
    version = registry.champion(Step.GLAND)
    (version.folder / PLANS).write_text(content)
    with pytest.raises(ModelRefusedError, match=PLANS):
        version.read_json(PLANS)
