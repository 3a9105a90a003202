"""Two real processes on the CPU, with Gloo in the place of NCCL."""

import json
import multiprocessing
import shutil
from dataclasses import replace

import pytest
import torch
from tests.segmentation.studies import write_studies
from tests.segmentation.test_training import quick

from parotid_brachy.lib.errors import TrainingError
from parotid_brachy.lib.segmentation import training
from parotid_brachy.lib.segmentation.checkpoints import CHECKPOINT
from parotid_brachy.lib.segmentation.distributed import train_together
from parotid_brachy.lib.segmentation.planning import load_plans, workspace_for
from parotid_brachy.lib.segmentation.presets import Step
from parotid_brachy.lib.segmentation.progress import PROGRESS
from parotid_brachy.lib.segmentation.trainer_setup import TrainerSetup

CPU = torch.device("cpu")


pytestmark = pytest.mark.usefixtures("nnunets_variables_restored")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A prepared workspace; one case lacks structures, so that counts and losses are shared."""
    root = tmp_path_factory.mktemp("data")
    write_studies(root, count=2)
    told = {"case0": ["parotid_gland", "skin"]}
    (root / "labels" / "contoured.json").write_text(json.dumps(told))
    plan = training.TrainingPlan(
        preset=quick(Step.ONE_STEP),
        images=(root / "images",),
        labels=(root / "labels",),
        output=root / "run",
    )
    workspace = workspace_for(plan.output, plan.preset)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("raw", "preprocessed", "results", "n_proc_DA"):
            patch.setenv(f"nnUNet_{name}", "0")  # restored afterwards
        training._prepare(plan, workspace, lambda done, total: None)
    return workspace


@pytest.fixture
def setup(prepared, tmp_path):
    workspace = replace(prepared, root=tmp_path / "workspace")
    shutil.copytree(prepared.root, workspace.root)
    plans, description = load_plans(workspace)
    # One Dice over the batch is the harder case: its sums go round all processes.
    plans["configurations"]["3d_fullres"]["batch_dice"] = True
    return TrainerSetup(plans, description, workspace, 2, 2, seed=3, processes=0, start_from=None)


def _together(setup, on_progress=lambda progress: None, **callbacks):
    train_together(setup, count=2, device_type="cpu", on_progress=on_progress, **callbacks)


def test_two_processes_train_and_one_goes_on(setup):
    told = []
    _together(setup, told.append)
    assert [progress.epoch for progress in told] == [1, 2]
    results = setup.workspace.results
    (checkpoint,) = results.rglob(CHECKPOINT)
    (progress_file,) = results.rglob(PROGRESS)
    assert json.loads(progress_file.read_text())["epoch"] == 2
    assert len(list(results.rglob("training_log_*.txt"))) == 1
    state = torch.load(checkpoint, weights_only=True)
    assert (state["epoch"], state["iterations_done"]) == (2, 4)

    alone = replace(setup, epochs=3).trainer(CPU)
    assert alone.current_epoch == 2
    before = alone.final_weights()
    alone.report_progress = told.append
    alone.run_training()
    assert [progress.epoch for progress in told] == [1, 2, 3]
    after = alone.final_weights()
    assert any(not torch.equal(before[name], after[name]) for name in before)

    # And two go on from where one stopped.
    _together(replace(setup, epochs=4), told.append)
    assert [progress.epoch for progress in told] == [1, 2, 3, 4]


def test_what_a_callback_raises_ends_all_processes(setup):
    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _together(replace(setup, epochs=1000), before_iteration=stop)
    assert multiprocessing.active_children() == []
    assert list(setup.workspace.results.rglob(CHECKPOINT)) == []


def test_a_failure_in_a_process_ends_all_with_its_reason(setup):
    setup.workspace.results.mkdir(parents=True, exist_ok=True)
    trainer = setup.trainer(CPU)
    trainer.checkpoint_path.write_bytes(b"damaged")
    with pytest.raises(TrainingError, match=r"checkpoint\.pt: no checkpoint of this training"):
        _together(setup)
    assert multiprocessing.active_children() == []
