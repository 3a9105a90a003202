"""The command line over a queue whose trainers train nothing."""

import threading
import time

import pytest
from tests.retraining.stub_queue import ROOT
from tests.review.studies import open_desk

from parotid_brachy.lib.cli.main import main
from parotid_brachy.lib.retraining import job_processes, job_queue
from parotid_brachy.lib.retraining.job import Beginning, Task
from parotid_brachy.lib.retraining.job_queue import JobQueue, Trainers
from parotid_brachy.lib.retraining.job_status import JobState


@pytest.fixture
def studies(tmp_path, monkeypatch):
    monkeypatch.setenv("STUB", "wait")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(job_queue, "Trainers", _stubbed)
    desk = open_desk(tmp_path / "studies")
    desk.store.close()
    yield desk.folder
    for job in queue_of(desk.folder).jobs():
        job_processes.kill_all_of(job.id)


def _stubbed(*given, **more):
    return Trainers(*given, **more, module="tests.retraining.stub_trainer")


def queue_of(studies):
    return JobQueue(studies / ".parotid", Trainers(studies, studies))


def told(studies, word):
    """Tells the trainer of the newest job, as soon as there is one, what to do."""

    def tell():
        while not (jobs := queue_of(studies).open_jobs()):
            time.sleep(0.02)
        (jobs[-1].path / word).touch()

    thread = threading.Thread(target=tell)
    thread.start()
    return thread


def retrain(studies, *more):
    return main(["retrain", "--studies", str(studies), "--models", str(studies / "none"), *more])


def test_a_training_is_asked_for_with_all_that_was_chosen_and_followed_to_its_end(studies):
    teller = told(studies, "finish")
    code = retrain(
        studies, "--task", "one_step", "--preset", "vnet", "--epochs", "3", "--iterations", "4",
        "--from-scratch", "--no-field-of-view", "--folds", "5", "--seed", "6", "--allow-initial",
        "--fewest-validation-patients", "2", "--margin-dsc", "0.03", "--keep", "7",
        "--no-promote",
    )  # fmt: skip
    teller.join()
    assert code == 0
    (folder,) = queue_of(studies).jobs()
    job = folder.job
    assert (job.choice.task, job.choice.preset) == (Task.ONE_STEP, "vnet")
    assert (job.choice.epochs, job.choice.iterations, job.choice.folds) == (3, 4, 5)
    assert job.choice.beginning is Beginning.SCRATCH
    assert job.choice.field_of_view is False
    assert job.choice.virtual_surgery is None
    assert job.policy.snapshot.allows_initial
    assert (job.policy.gate.fewest_patients, job.policy.gate.margin_dsc) == (2, 0.03)
    assert (job.policy.keep, job.policy.promotes) == (7, False)


def test_a_training_that_was_stopped_fails_and_can_be_resumed(studies, capsys):
    teller = told(studies, "stop")
    assert retrain(studies) == 1
    teller.join()
    (job,) = queue_of(studies).jobs()
    assert f"training {job.id} stopped" in capsys.readouterr().err
    (job.path / "stop").unlink()
    teller = told(studies, "finish")
    assert retrain(studies, "--resume", job.id) == 0
    teller.join()
    assert job.status.state is JobState.DONE


def test_ctrl_c_stops_the_training(studies, monkeypatch, capsys):
    pauses = []

    def interrupted(seconds):
        pauses.append(seconds)
        if len(pauses) == 3:
            raise KeyboardInterrupt
        real(0.05)

    real = time.sleep
    monkeypatch.setattr("parotid_brachy.lib.cli.retrain.time.sleep", interrupted)
    assert retrain(studies) == 1
    (job,) = queue_of(studies).jobs()
    assert job.status.state is JobState.STOPPED
    assert f"--resume {job.id}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "wrong",
    [
        ("--epochs", "0"),
        ("--preset", "unet3d"),
        ("--folds", "1"),
        ("--margin-dsc", "7"),
        ("--task", "none"),
        ("--resume", "../.."),
    ],
)
def test_nonsense_is_refused_and_asks_for_nothing(studies, wrong):
    assert retrain(studies, *wrong) in {1, 2}
    assert queue_of(studies).jobs() == []


def test_without_a_store_there_is_nothing_to_train_on(tmp_path, capsys):
    assert retrain(tmp_path) == 2
    assert "no version store here" in capsys.readouterr().err
