"""Train tasks as MONAI Label's app lists and runs them."""

import json
import threading

import pytest
from tests.retraining.stub_queue import stub_queue, wait_until
from tests.review.studies import SENIOR
from tests.segmentation.versions import untrained_registry

from parotid_brachy.lib.errors import TrainingError
from parotid_brachy.lib.retraining import job_processes
from parotid_brachy.lib.retraining.job import JobPolicy, Task
from parotid_brachy.lib.retraining.job_status import JobState
from parotid_brachy.lib.segmentation.presets import Step
from parotid_brachy.lib.segmentation.registry import MANIFEST
from parotid_brachy.lib.trainers.retraining import Retraining, log_tail, task_values
from parotid_brachy.lib.trainers.task import train_tasks


@pytest.fixture
def retraining(tmp_path):
    queue = stub_queue(tmp_path / ".parotid")
    registry = untrained_registry(tmp_path / "model", steps=(Step.GLAND,), name="a")
    yield Retraining(queue, registry, JobPolicy())
    for job in queue.jobs():
        job_processes.kill_all_of(job.id)


def with_gate(registry, *dsc):
    """As if the champion had been promoted by the gate."""
    path = registry.champion(Step.GLAND).folder / MANIFEST
    rows = [{"structure": str(n), "candidate_dsc": value} for n, value in enumerate(dsc)]
    metrics = {"decision": {"comparison": {"rows": rows}}}
    path.write_text(json.dumps({**json.loads(path.read_text()), "metrics": metrics}))


def end(retraining, word="finish"):
    (job,) = retraining.queue.open_jobs()
    (job.path / word).touch()
    wait_until(job, JobState.DONE if word == "finish" else JobState.STOPPED)


def test_every_task_is_listed_the_default_first(retraining):
    tasks = train_tasks(retraining)
    assert list(tasks) == ["two_step", "parotid_gland", "organs_at_risk", "one_step"]
    for task in tasks.values():
        json.dumps(task.info())
        assert task.stats() == {}


def test_what_runs_is_shown_by_every_task_and_after_it_by_its_own(retraining):
    tasks = train_tasks(retraining)
    folder = retraining.start(Task.PAROTID_GLAND, {"max_epochs": 8}, SENIOR, enqueue=False)
    wait_until(folder, JobState.RUNNING)
    shown = tasks["two_step"].stats()
    assert (shown["model"], shown["version"]) == ("parotid_gland", folder.id)
    assert (shown["epoch"], shown["total_epochs"]) == (0, 1)
    assert "total_time" not in shown
    end(retraining)
    assert tasks["two_step"].stats() == {}
    assert tasks["parotid_gland"].stats()["model"] == "parotid_gland"


def test_accuracy_is_the_mean_dsc_of_what_serves(retraining):
    with_gate(retraining._registry, 0.8, 0.6, None)
    tasks = train_tasks(retraining)
    assert tasks["parotid_gland"].stats() == {"best_metric": 0.7}
    assert tasks["two_step"].stats() == {"best_metric": 0.7}
    assert tasks["one_step"].stats() == {}


def test_a_task_that_is_called_comes_back_when_the_training_has_ended(retraining):
    task = train_tasks(retraining)["parotid_gland"]
    answers = []
    thread = threading.Thread(target=lambda: answers.append(task({"model": "parotid_gland"})))
    thread.start()
    while not retraining.queue.open_jobs():
        pass
    end(retraining)
    thread.join()
    assert answers[0]["model"] == "parotid_gland"


def test_a_task_that_was_stopped_says_so(retraining):
    task = train_tasks(retraining)["parotid_gland"]
    thread = threading.Thread(target=lambda: end_soon(retraining))
    thread.start()
    with pytest.raises(TrainingError, match="stopped"):
        task({})
    thread.join()


def end_soon(retraining):
    while not retraining.queue.open_jobs():
        pass
    end(retraining, "stop")


def test_clients_get_the_last_lines_of_the_log(retraining):
    folder = retraining.start(Task.PAROTID_GLAND, {}, SENIOR, enqueue=False)
    assert log_tail(retraining.queue.job(folder.id), 5) == []
    folder.log.write_bytes(b"".join(b"line %d \xff\n" % n for n in range(50)))
    details = task_values(folder)["details"]
    assert len(details) == 20
    assert details[-1].startswith("line 49")
