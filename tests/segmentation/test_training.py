import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.imaging.heads import positions_of
from tests.segmentation.quick import quick
from tests.segmentation.studies import write_studies
from tests.segmentation.versions import write_untrained

from parotid_brachy.lib.anatomy import GLAND
from parotid_brachy.lib.errors import ModelRefusedError, TrainingError
from parotid_brachy.lib.imaging.files import read_label_map, read_volume, write_label_map
from parotid_brachy.lib.segmentation import training
from parotid_brachy.lib.segmentation.backends import Backend
from parotid_brachy.lib.segmentation.distributed import train_together
from parotid_brachy.lib.segmentation.model import Model
from parotid_brachy.lib.segmentation.presets import PRESETS, NetworkKind, Step
from parotid_brachy.lib.segmentation.registry import (
    MANIFEST,
    Registry,
    load_weights,
    read_version,
    seen_cases,
)
from parotid_brachy.lib.segmentation.trainer import ParotidTrainer
from parotid_brachy.lib.segmentation.training import TrainingPlan, train
from parotid_brachy.lib.segmentation.training_cases import find_cases

pytestmark = pytest.mark.usefixtures("nnunets_variables_restored")


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    root = tmp_path_factory.mktemp("studies of a hospital")
    write_studies(root, count=2)
    return root


def plan_for(studies, output, step=Step.GLAND, **changes):
    plan = TrainingPlan(
        preset=quick(step),
        images=(studies / "images",),
        labels=(studies / "labels",),
        output=output,
        epochs=2,
        iterations=2,
        provenance="painted heads",
    )
    return replace(plan, **changes)


def run(plan, *, resume=False, stop_after=None):
    told = []

    def on_progress(progress):
        told.append(progress)
        if progress.epoch == stop_after:
            raise KeyboardInterrupt

    version = train(plan, resume=resume, on_progress=on_progress, on_case=lambda done, total: None)
    return version, told


def _progress_file(output):
    (path,) = output.rglob("progress.json")
    return json.loads(path.read_text())


@pytest.mark.parametrize("step", [Step.GLAND, Step.ORGANS_AT_RISK])
def test_a_training_stops_goes_on_and_gives_a_version_that_serves(studies, tmp_path, step):
    output = tmp_path / "run"
    plan = plan_for(studies, output, step)
    with pytest.raises(KeyboardInterrupt):
        run(plan, stop_after=1)
    first = _progress_file(output)
    assert (first["epoch"], first["epochs"]) == (1, 2)
    assert np.isfinite([first["train_loss"], first["validation_loss"]]).all()
    (checkpoint,) = output.rglob("checkpoint.pt")
    state = torch.load(checkpoint, weights_only=True)
    assert (state["epoch"], state["iterations_done"]) == (1, 2)

    with pytest.raises(TrainingError, match="holds a training already"):
        run(plan)
    with pytest.raises(TrainingError, match=r"was started as|holds no training of step"):
        run(replace(plan, preset=replace(plan.preset, name="paper")), resume=True)
    other = Step.ONE_STEP
    with pytest.raises(TrainingError, match="holds no training of step one_step"):
        run(replace(plan, preset=quick(other)), resume=True)

    folder, told = run(plan, resume=True)
    assert [progress.epoch for progress in told] == [2]
    assert _progress_file(output)["epoch"] == 2
    assert set(_progress_file(output)["dice"]) <= {s.name for s in plan.preset.structures}

    version = read_version(folder)
    facts = version.manifest["training"]
    assert facts["cases"] == ["case0", "case1"]
    assert (facts["epochs"], facts["iterations_per_epoch"]) == (2, 2)
    assert facts["provenance"] == "painted heads"
    assert set(facts["label_sha256"]) == {"case0/any", "case1/any"}
    assert facts["seconds"] > 0
    assert str(studies) not in json.dumps(version.manifest)

    registry = Registry(tmp_path / "model")
    registry.add(folder, name="trained")
    registry.promote(step, "trained")
    model = Model(registry.champion(step), torch.device("cpu"), Backend.TORCH)
    assert model.spacing_kji_mm == (4.0, 4.0, 4.0)
    assert model.value_of(GLAND) is not None
    hu = np.random.default_rng(0).normal(0, 300, (20, 37, 30)).astype(np.float32)
    assert model.probabilities(hu).shape == (1 + len(plan.preset.structures), 20, 37, 30)

    # Going on after the end trains nothing more and writes the same version again.
    before = load_weights(folder)
    _, told = run(plan, resume=True)
    assert told == []
    after = load_weights(folder)
    assert all(torch.equal(before[name], after[name]) for name in before)


# The compact two steps are trained above.
OTHERS = [p for p in PRESETS if p.name != "compact" or p.step is Step.ONE_STEP]


@pytest.mark.parametrize("preset", OTHERS, ids=lambda p: f"{p.name}-{p.step.value}")
def test_every_preset_trains_two_epochs_and_predicts(studies, tmp_path, monkeypatch, preset):
    if preset.network is NetworkKind.VNET:  # a checkpoint of its 46 million weights is 0.7 GB
        monkeypatch.setattr(ParotidTrainer, "write_checkpoint", lambda trainer: None)
    small = quick(preset.step, preset.name)
    folder, told = run(plan_for(studies, tmp_path / "run", preset=small, iterations=1))
    assert [progress.epoch for progress in told] == [1, 2]
    assert all(np.isfinite([p.train_loss, p.validation_loss]).all() for p in told)
    version = read_version(folder)
    assert version.preset is preset
    model = Model(version, torch.device("cpu"), Backend.TORCH)
    fast = Model(version, torch.device("cpu"), Backend.OPENVINO)
    hu = np.random.default_rng(0).normal(0, 300, (12, 20, 18)).astype(np.float32)
    found = model.probabilities(hu)
    assert found.shape == (preset.classes, 12, 20, 18)
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-5)
    assert np.abs(found - fast.probabilities(hu)).mean() < 0.02


def test_a_training_can_only_go_on_with_its_own_augmentation(studies, tmp_path, monkeypatch):
    monkeypatch.setattr(ParotidTrainer, "run_training", lambda trainer: 1 / 0)
    plan = plan_for(studies, tmp_path / "run")
    without = replace(plan, preset=replace(plan.preset, virtual_surgery=False))
    with pytest.raises(ZeroDivisionError):
        run(without)
    with pytest.raises(TrainingError, match=r"'virtual_surgery': False.*its own augmentation"):
        run(plan, resume=True)
    with pytest.raises(ZeroDivisionError):
        run(without, resume=True)


def test_what_was_not_contoured_reaches_the_loss(studies, tmp_path, monkeypatch):
    """From the folder's contoured.json to the batches of the training."""
    import shutil

    shutil.copytree(studies, tmp_path / "data")
    told = {"case0": ["parotid_gland", "skin"]}
    (tmp_path / "data" / "labels" / "contoured.json").write_text(json.dumps(told))
    seen = []
    tell = ParotidTrainer._tell_loss

    def spy(trainer, keys):
        tell(trainer, keys)
        seen.extend(zip(map(str, keys), trainer._contoured_in(keys).tolist(), strict=True))

    monkeypatch.setattr(ParotidTrainer, "_tell_loss", spy)
    plan = plan_for(tmp_path / "data", tmp_path / "run", Step.ONE_STEP, iterations=4)
    folder, progress = run(plan)
    names = [structure.name for structure in plan.preset.structures]
    assert {key for key, _ in seen} >= {"case0__left", "case1__right"}
    for key, contoured in seen:
        own = told["case0"] if key.startswith("case0") else names
        assert [name for name, on in zip(names, contoured, strict=True) if on] == [
            name for name in names if name in own
        ]
    assert all(np.isfinite(p.train_loss) for p in progress)
    facts = read_version(folder).manifest["training"]
    assert set(facts["partly_contoured"]) == {"case0__left", "case0__right"}
    assert sorted(facts["partly_contoured"]["case0__left"]) == ["parotid_gland", "skin"]


@pytest.fixture
def unplanned(monkeypatch):
    """nnU-Net's planning is left out: what is tested here happens before."""
    calls = []
    monkeypatch.setattr(training, "plan_and_preprocess", lambda *args, **kwargs: calls.append(args))
    monkeypatch.setattr(training, "write_sample", lambda *args: None)
    return calls


def test_nothing_to_continue_is_refused(studies, tmp_path):
    with pytest.raises(TrainingError, match="holds no training that could be continued"):
        run(plan_for(studies, tmp_path), resume=True)


def test_a_training_interrupted_while_it_was_prepared_can_be_started_again(
    studies, tmp_path, monkeypatch
):
    def interrupted(*args, **kwargs):
        (tmp_path / "run" / "workspace" / "results").mkdir(parents=True)  # by nnU-Net
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "plan_and_preprocess", interrupted)
    plan = plan_for(studies, tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        run(plan)
    with pytest.raises(TrainingError, match="no training that could be continued"):
        run(plan, resume=True)
    with pytest.raises(KeyboardInterrupt):
        run(plan)


def test_held_out_cases_are_neither_sampled_nor_hashed(studies, tmp_path, unplanned):
    plan = plan_for(studies, tmp_path / "run", held_out=("case0",))
    workspace = training.workspace_for(plan.output / "workspace", plan.preset)
    workspace.raw.mkdir(parents=True)
    prepared = training._prepare(plan, workspace, lambda done, total: None)
    assert prepared.train == {"case1": ["case1__left", "case1__right"]}
    assert prepared.held_out == ["case0"]
    assert list(prepared.hashes) == ["case1/any"]


def test_cases_of_a_folder_count_as_often_as_asked(studies, tmp_path, unplanned):
    plan = plan_for(studies, tmp_path / "run", repeats=(3,))
    workspace = training.workspace_for(plan.output / "workspace", plan.preset)
    workspace.raw.mkdir(parents=True)
    training._prepare(plan, workspace, lambda done, total: None)
    (split,) = json.loads((workspace.preprocessed / "splits_final.json").read_text())
    assert {name: split["train"].count(name) for name in split["train"]} == {
        f"case{n}__{side}": 3 for n in (0, 1) for side in ("left", "right")
    }


@pytest.mark.parametrize("repeats", [(0,), (1, 1)])
def test_repeats_that_fit_no_folder_are_refused(studies, tmp_path, repeats):
    with pytest.raises(TrainingError, match="for 1 image folders: give 1 or more for each"):
        run(plan_for(studies, tmp_path / "run", repeats=repeats))


def test_holding_out_an_unknown_case_is_refused(studies, tmp_path):
    with pytest.raises(TrainingError, match="held out, but not among the cases: case9"):
        run(plan_for(studies, tmp_path / "run", held_out=("case9",)))


def test_a_damaged_case_is_left_out_with_its_reason(studies, tmp_path, unplanned):
    import shutil

    shutil.copytree(studies, tmp_path / "data")
    (tmp_path / "data" / "images" / "case1.nii.gz").write_bytes(b"damaged")
    plan = plan_for(tmp_path / "data", tmp_path / "run")
    workspace = training.workspace_for(plan.output / "workspace", plan.preset)
    workspace.raw.mkdir(parents=True)
    prepared = training._prepare(plan, workspace, lambda done, total: None)
    assert list(prepared.train) == ["case0"]
    assert list(prepared.refused) == ["case1"]
    assert "case1.nii.gz" in prepared.refused["case1"]


def test_nothing_but_damaged_cases_is_refused_with_the_reasons(studies, tmp_path):
    import shutil

    shutil.copytree(studies, tmp_path / "data")
    for n in range(2):
        (tmp_path / "data" / "images" / f"case{n}.nii.gz").write_bytes(b"damaged")
    with pytest.raises(TrainingError, match=r"no case can be trained on \(.*case0.*case1"):
        run(plan_for(tmp_path / "data", tmp_path / "run"))


def test_a_case_id_in_two_folders_is_refused(studies, tmp_path):
    import shutil

    shutil.copytree(studies, tmp_path / "other")
    plan = plan_for(studies, tmp_path / "run")
    plan = replace(
        plan,
        images=(*plan.images, tmp_path / "other" / "images"),
        labels=(*plan.labels, tmp_path / "other" / "labels"),
    )
    with pytest.raises(TrainingError, match="case case0 is in two folders"):
        run(plan)


def test_as_many_label_folders_as_image_folders_are_needed(studies, tmp_path):
    plan = plan_for(studies, tmp_path / "run", labels=())
    with pytest.raises(TrainingError, match="1 image folders, but 0 label folders"):
        run(plan)


def test_a_version_to_start_from_is_verified_before_anything_is_sampled(studies, tmp_path):
    folder = write_untrained(tmp_path / "parent", Step.GLAND)
    (folder / MANIFEST).unlink()
    with pytest.raises(ModelRefusedError, match=r"manifest\.json"):
        run(plan_for(studies, tmp_path / "run", start_from=folder))
    assert not (tmp_path / "run").exists()


def test_a_share_of_the_patients_validates_and_the_seed_decides():
    patients = [f"p{n:02d}" for n in range(40)]

    def drawn(cases=patients, **changes):
        return training._validation_cases(plan_for(Path(), Path(), **changes), cases)

    first = drawn(seed=1)
    assert len(first) == 6
    assert first == drawn(seed=1)
    assert first != drawn(seed=2)
    assert drawn(validation_share=0) == set()
    assert drawn(patients[:9]) == set()


def test_nnunets_folders_are_the_trainings_own(studies, tmp_path):
    workspace = training.workspace_for(tmp_path, quick(Step.GLAND))
    workspace.activate()
    assert os.environ["nnUNet_results"].startswith(str(tmp_path))  # noqa: SIM112


@pytest.mark.parametrize(
    ("visible", "asked", "patches", "used"),
    [(0, None, 2, 0), (1, None, 2, 1), (8, None, 2, 2), (8, 1, 2, 1), (3, None, 4, 3)],
)
def test_gpus_are_used_as_far_as_the_batch_reaches(monkeypatch, visible, asked, patches, used):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: visible)
    plan = plan_for(Path(), Path(), device_count=asked)
    plans = {"configurations": {training.CONFIGURATION: {"batch_size": patches}}}
    setup = training.TrainerSetup(plans, {}, None, 1, 1, seed=0, processes=0, start_from=None)
    assert training._gpus(plan, setup) == used


def test_what_several_gpus_have_trained_becomes_the_version(studies, tmp_path, monkeypatch):
    """Two processes on the CPU stand in for the GPUs."""

    def on_cpu(setup, *, device_type, **rest):
        assert device_type == "cuda"
        train_together(setup, device_type="cpu", **rest)

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(training, "train_together", on_cpu)
    folder, told = run(plan_for(studies, tmp_path / "run"))
    assert [progress.epoch for progress in told] == [1, 2]
    assert read_version(folder).manifest["training"]["seconds"] > 0
    assert load_weights(folder)


def test_cases_to_validate_on_can_be_settled_beforehand(studies, tmp_path):
    plan = plan_for(studies, tmp_path / "run", epochs=1, iterations=1, validation=("case1",))
    version, _ = run(plan)
    told = json.loads((version / MANIFEST).read_text())["training"]
    assert told["cases"] == ["case0"]
    assert told["validation_cases"] == ["case1"]
    assert seen_cases(read_version(version)) == {"case0", "case1"}
    later = plan_for(
        studies, tmp_path / "later", epochs=1, iterations=1, validation=(), start_from=version,
        held_out=("case0",), snapshot_sha256="a" * 64,
    )  # fmt: skip
    version, _ = run(later)
    told = json.loads((version / MANIFEST).read_text())["training"]
    assert told["cases"] == ["case1"]
    assert told["snapshot_sha256"] == "a" * 64
    assert seen_cases(read_version(version)) == {"case0", "case1"}, "its parent has seen both"


def test_a_case_to_validate_on_that_is_not_there_is_told(studies, tmp_path):
    plan = plan_for(studies, tmp_path / "run", validation=("case9",))
    with pytest.raises(TrainingError, match="validated on, but not among the cases: case9"):
        run(plan)


def test_regions_are_laid_round_found_glands_where_there_are_some(studies, tmp_path):
    case0, _ = find_cases(studies / "images", studies / "labels")
    volume = read_volume(case0.image, case="case0")
    labels = read_label_map(case0.labels, volume.grid)
    x = positions_of(volume.grid)[..., 0]
    found = np.where((labels == GLAND.value) & (x > 0), labels, 0).astype(np.uint8)
    (tmp_path / "found").mkdir()
    write_label_map(tmp_path / "found" / "case0.nrrd", found, volume.grid)
    plan = plan_for(
        studies, tmp_path / "run", step=Step.ORGANS_AT_RISK, epochs=1, iterations=1,
        found_glands=tmp_path / "found",
    )  # fmt: skip
    version, _ = run(plan)
    training = json.loads((version / MANIFEST).read_text())["training"]
    assert training["regions_of_interest"] == {
        "case0__left": "found",
        "case0__left__roi": "found",
        "case0__right": "contoured",
        "case1__left": "contoured",
        "case1__right": "contoured",
    }


def test_where_memory_is_short_batches_can_be_smaller(studies, tmp_path, monkeypatch):
    sizes = []
    step = ParotidTrainer.train_step

    def watched(trainer, batch):
        sizes.append(len(batch["data"]))
        return step(trainer, batch)

    monkeypatch.setattr(ParotidTrainer, "train_step", watched)
    run(plan_for(studies, tmp_path / "run", epochs=1, iterations=2, batch_size=1))
    assert sizes == [1, 1]


def test_preprocessing_in_one_process_starts_no_other(studies, tmp_path, monkeypatch):
    """A killed trainer would leave it over."""

    def forbidden(*_, **__):
        pytest.fail("another process was started")

    monkeypatch.setattr("multiprocessing.process.BaseProcess.start", forbidden)
    version, _ = run(plan_for(studies, tmp_path / "run", epochs=1, iterations=1))
    assert version.is_dir()
