"""What starts trainings without being told."""

import pytest
from tests.retraining.approving import approve, case_names
from tests.retraining.stub_queue import stub_queue, wait_until
from tests.review.studies import SENIOR, open_desk

from parotid_brachy.lib.datastore.studies import Studies
from parotid_brachy.lib.errors import StoreError
from parotid_brachy.lib.retraining import job_processes
from parotid_brachy.lib.retraining.job import JobPolicy, Task
from parotid_brachy.lib.retraining.job_status import JobState
from parotid_brachy.lib.retraining.schedule import SchedulePolicy
from parotid_brachy.lib.segmentation.registry import Registry
from parotid_brachy.lib.server import retraining_worker
from parotid_brachy.lib.server.retraining_worker import RetrainingWorker
from parotid_brachy.lib.trainers.retraining import Retraining

NEVER = SchedulePolicy(None, None, None, "two_step")
EVERY_TWO = SchedulePolicy(2, None, None, "parotid_gland")


class Server:
    def __init__(self, root):
        self.desk = open_desk(root / "studies", cases=case_names(6))
        self.queue = stub_queue(self.desk.folder / ".parotid")
        self.retraining = Retraining(self.queue, Registry(root / "model"), JobPolicy())
        self.studies = Studies(self.desk.folder)

    def worker(self, schedule):
        return RetrainingWorker(self.studies, self.retraining, schedule)

    def finish(self, worker):
        (job,) = self.queue.open_jobs()
        (job.path / "finish").touch()
        # The device is held until the one before has gone: as a server does, look again and again.
        wait_until(job, JobState.DONE, meanwhile=worker.look)


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setattr(retraining_worker, "_LOOKS_BEFORE_SCHEDULE", 1)
    made = Server(tmp_path)
    yield made
    for job in made.queue.jobs():
        job_processes.kill_all_of(job.id)
    made.desk.store.close()
    made.studies.store.close()


def test_after_so_many_approved_cases_a_training_starts_and_counting_begins_anew(server):
    worker = server.worker(EVERY_TWO)
    approve(server.desk, "case00")
    worker.look()
    assert server.queue.jobs() == []
    approve(server.desk, "case01")
    worker.look()
    (job,) = server.queue.jobs()
    assert job.job.choice.task is Task.PAROTID_GLAND
    assert job.job.asked_by.name == "server"
    assert job.job.why == "2 newly approved cases, 2 are wanted"
    worker.look()
    assert job.status.state is JobState.RUNNING
    approve(server.desk, "case02", "case03")
    worker.look()
    assert len(server.queue.jobs()) == 1, "one of the task at a time"
    server.finish(worker)
    worker.look()
    assert len(server.queue.jobs()) == 2, "two were approved since the first began"
    server.finish(worker)
    worker.look()
    assert len(server.queue.jobs()) == 2


def test_without_a_schedule_trainings_that_people_ask_for_are_started_all_the_same(server):
    approve(server.desk, *case_names(6))
    worker = server.worker(NEVER)
    worker.look()
    assert server.queue.jobs() == []
    first = server.retraining.start(Task.ONE_STEP, {}, SENIOR, enqueue=True)
    job = server.retraining.start(Task.PAROTID_GLAND, {}, SENIOR, enqueue=True)
    worker.look()
    assert job.status.state is JobState.QUEUED
    server.queue.stop(first.id, "somebody")
    wait_until(first, JobState.STOPPED)
    wait_until(job, JobState.RUNNING, meanwhile=worker.look)


def test_a_store_in_trouble_does_not_end_the_worker(server, monkeypatch, caplog):
    def broken():
        message = "the disk has gone"
        raise StoreError(message)

    monkeypatch.setattr(server.queue, "look_after", broken)
    worker = server.worker(EVERY_TWO)
    worker.look()
    assert "the disk has gone" in caplog.text


def test_it_works_in_a_thread_until_it_is_stopped(server, monkeypatch):
    monkeypatch.setattr(retraining_worker, "_LOOKS_EVERY_S", 0.01)
    worker = server.worker(EVERY_TWO)
    worker.start()
    approve(server.desk, "case00", "case01")
    while not server.queue.jobs():
        pass
    worker.stop()
    (job,) = server.queue.jobs()
    assert job.status.state is JobState.RUNNING, "trainers go on"
