"""Queues over one folder, with trainers that train nothing (stub_trainer)."""

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from scripts.measure.crash_disk import small_disk
from tests.review.studies import ADMIN

from parotid_brachy.lib.errors import ConflictError, NotFoundError, StoreError, StoreFullError
from parotid_brachy.lib.retraining import job_processes, job_queue
from parotid_brachy.lib.retraining.job import JobPolicy, Task, TrainingChoice
from parotid_brachy.lib.retraining.job_queue import JOBS, JobQueue, Trainers
from parotid_brachy.lib.retraining.job_status import JobState

ROOT = Path(__file__).parents[2]
CHOICE = TrainingChoice(Task.PAROTID_GLAND)
ON_ITS_WAY = {JobState.QUEUED, JobState.RUNNING}


class Desk:
    """Servers over one folder; whatever they start is ended with the test."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()

    def server(self, order="wait"):
        trainers = Trainers(
            self.folder,
            self.folder,
            niceness=0,
            environment={"STUB": order, "PYTHONPATH": str(ROOT)},
            module="tests.retraining.stub_trainer",
        )
        return JobQueue(self.folder, trainers)

    def add(self, queue, **more):
        return queue.add(CHOICE, JobPolicy(), ADMIN, **more)

    def end(self):
        for path in (self.folder / JOBS).iterdir():
            job_processes.kill_all_of(path.name)


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path / ".parotid")
    yield made
    made.end()


def starts(folder):
    path = folder.path / "starts"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def looking(queue, condition, what):
    """Looks after a queue until something is so."""
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until, f"never: {what}"
        queue.look_after()
        time.sleep(0.01)


def at_work(queue, folder, *, after=0):
    """Looks after a queue until a job's trainer has told its process."""

    def is_told():
        return len(starts(folder)) > after and folder.status.pid == starts(folder)[-1]

    looking(queue, is_told, "a trainer at work")
    return starts(folder)[-1]


def state_is(folder, state):
    return lambda: folder.status.state is state


def kill(pid):
    os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(pid).wait(10)


def test_two_servers_train_one_after_the_other_and_nothing_twice(desk):
    servers = [desk.server() for _ in range(2)]
    first, second = desk.add(servers[0]), desk.add(servers[1])
    ended = threading.Event()

    def look(server):
        while not ended.is_set():
            server.look_after()

    threads = [threading.Thread(target=look, args=(one,)) for one in servers * 2]
    for thread in threads:
        thread.start()
    try:
        looking(servers[0], lambda: starts(first), "the first")
        time.sleep(0.3)
        assert (len(starts(first)), starts(second)) == (1, [])
        (first.path / "finish").touch()
        looking(servers[0], lambda: starts(second), "the second")
        assert first.status.state is JobState.DONE
        (second.path / "finish").touch()
        looking(servers[0], state_is(second, JobState.DONE), "the end")
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert [len(starts(one)) for one in (first, second)] == [1, 1]
    assert [one.id for one in servers[0].jobs()] == [first.id, second.id]


def test_a_trainer_outlives_its_server_and_the_next_one_buries_it(desk):
    folder = desk.add(desk.server())
    pid = at_work(desk.server(), folder)
    other = desk.server()
    for _ in range(5):
        other.look_after()
    assert starts(folder) == [pid], "adopted"
    kill(pid)
    looking(other, lambda: len(starts(folder)) == 2, "another trainer")
    assert folder.status.deaths == 1
    (folder.path / "finish").touch()
    looking(other, state_is(folder, JobState.DONE), "the end")


def test_a_trainer_that_cannot_start_is_given_up_and_can_be_continued(desk):
    broken = desk.server("fail at once")
    folder = desk.add(broken)
    looking(broken, state_is(folder, JobState.FAILED), "given up")
    assert len(starts(folder)) == 5
    assert "died 5 times in a row" in folder.status.message
    assert "end of its log" in folder.status.message
    assert folder.status.ended_at is not None
    mended = desk.server()
    assert mended.resume(folder.id).state is JobState.QUEUED
    at_work(mended, folder, after=5)
    assert folder.status.deaths == 0


def test_a_program_that_is_not_there_is_told_at_once(desk, monkeypatch):
    queue = desk.server()
    folder = desk.add(queue)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    queue.look_after()
    assert folder.status.state is JobState.FAILED
    assert "/nowhere/python" in folder.status.message


def test_a_dead_trainers_child_does_not_keep_the_device(desk):
    folder = desk.add(desk.server())
    queue = desk.server("leave a child with the locks")
    looking(queue, (folder.path / "child").exists, "a child")
    child = psutil.Process(int((folder.path / "child").read_text()))
    other = desk.server()
    looking(other, lambda: len(starts(folder)) == 2, "another trainer")
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    assert at_work(other, folder, after=1) == starts(folder)[1]
    assert [one.pid for one in job_processes.processes_of(folder.id)] == [starts(folder)[1]]


def test_a_trainer_that_has_not_told_its_process_yet_is_left_alone(desk):
    """What is on disk is the last trainer's until then."""
    queue = desk.server()
    folder = desk.add(queue)
    folder.write_status(replace(folder.status, pid=2**22 + 1))
    queue.look_after()
    for _ in range(20):
        desk.server().look_after()
    pid = at_work(queue, folder)
    assert starts(folder) == [pid]


def test_a_queued_job_is_stopped_at_once_and_resumed(desk):
    queue = desk.server()
    busy, waiting = desk.add(queue), desk.add(queue)
    at_work(queue, busy)
    status = queue.stop(waiting.id, "sofia")
    assert (status.state, status.message) == (JobState.STOPPED, "stopped by sofia")
    with pytest.raises(ConflictError, match="stopped already"):
        queue.stop(waiting.id, "sofia")
    assert queue.resume(waiting.id).state is JobState.QUEUED
    (busy.path / "finish").touch()
    at_work(queue, waiting)
    with pytest.raises(ConflictError, match="done"):
        queue.resume(busy.id)


def test_a_running_job_stops_by_itself(desk):
    queue = desk.server()
    folder = desk.add(queue)
    at_work(queue, folder)
    with pytest.raises(ConflictError, match="nothing to resume"):
        queue.resume(folder.id)
    queue.stop(folder.id, "sofia")
    looking(queue, state_is(folder, JobState.STOPPED), "stopped")


def test_a_trainer_that_does_not_stop_in_time_is_killed(desk, monkeypatch):
    queue = desk.server("be deaf")
    folder = desk.add(queue)
    pid = at_work(queue, folder)
    queue.stop(folder.id, "sofia")
    queue.look_after()
    assert psutil.pid_exists(pid), "it has its time"
    monkeypatch.setattr(job_queue, "_STOPS_WITHIN_S", 0.0)
    looking(queue, state_is(folder, JobState.STOPPED), "stopped")
    assert job_processes.processes_of(folder.id) == []
    assert len(starts(folder)) == 1


def test_a_job_whose_trainer_is_dead_is_stopped_at_once(desk):
    queue = desk.server()
    folder = desk.add(queue)
    kill(at_work(queue, folder))
    assert queue.stop(folder.id, "sofia").state is JobState.STOPPED
    queue.look_after()
    assert len(starts(folder)) == 1


def test_who_does_not_want_to_wait_is_told_what_is_at_work(desk):
    queue = desk.server()
    folder = desk.add(queue)
    with pytest.raises(ConflictError, match=f"{folder.id} .parotid_gland. is queued"):
        desk.add(queue, enqueue=False)
    assert len(queue.jobs()) == 1


@pytest.mark.parametrize("name", ["status.json", "job.json"])
@pytest.mark.parametrize("content", ["", "null", None])
def test_a_damaged_job_hides_none_of_the_others_and_is_told_once(desk, caplog, name, content):
    queue = desk.server()
    damaged, whole = desk.add(queue), desk.add(queue)
    path = damaged.path / name
    path.unlink() if content is None else path.write_text(content)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert [one.id for one in queue.jobs()] == [whole.id]
    assert len(caplog.records) == 1
    if name == "status.json":
        at_work(queue, whole)
        with pytest.raises(StoreError, match="Move its folder away"):
            queue.stop(damaged.id, "sofia")


def test_a_job_that_cannot_be_written_does_not_keep_the_others_from_running(desk, monkeypatch):
    queue = desk.server()
    bad, good = desk.add(queue), desk.add(queue)
    write = job_queue.JobFolder.write_status

    def refuses(folder, status):
        if folder.id == bad.id:
            raise PermissionError(13, "no", str(folder.path))
        return write(folder, status)

    monkeypatch.setattr(job_queue.JobFolder, "write_status", refuses)
    at_work(queue, good)
    assert bad.status.state is JobState.QUEUED


def test_a_folder_half_made_is_no_job_and_goes_with_the_next(desk):
    queue = desk.server()
    desk.add(queue)
    half = desk.folder / JOBS / ".20261124-030000-123456.part"
    half.mkdir()
    (half / "job.json").write_text("{")
    assert len(queue.jobs()) == 1
    desk.add(queue)
    assert not half.exists()
    assert len(queue.jobs()) == 2


@pytest.mark.parametrize("name", ["../../etc", "20261124-030000-123456", "", "x" * 300])
def test_a_job_that_nobody_asked_for_is_not_found(desk, name):
    desk.add(desk.server())
    with pytest.raises(NotFoundError):
        desk.server().job(name)


@pytest.fixture
def full_disk(desk):
    """Fills a disk on which the jobs are, but for some bytes."""
    with contextlib.ExitStack() as stack:
        jobs = desk.folder / JOBS
        jobs.mkdir()
        try:
            stack.enter_context(small_disk(jobs, 2))
        except RuntimeError as error:
            pytest.skip(str(error))

        def fill():
            with (jobs / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
                while file.write(b"\0" * 4096) == 4096:
                    pass
            return jobs / "filler"

        yield fill
        desk.end()


def test_on_a_full_disk_no_job_is_half_kept_and_a_running_one_can_be_stopped(desk, full_disk):
    queue = desk.server()
    folder = desk.add(queue)
    filler = full_disk()
    before = sorted((desk.folder / JOBS).iterdir())
    with pytest.raises((StoreError, StoreFullError), match=r"(?i)space"):
        desk.add(queue)
    assert sorted((desk.folder / JOBS).iterdir()) == before
    queue.look_after()  # there is no room for its log
    assert folder.status.state in ON_ITS_WAY | {JobState.FAILED}
    filler.unlink()
    if folder.status.state is JobState.FAILED:
        assert "space" in folder.status.message
        queue.resume(folder.id)
    at_work(queue, folder)
    (folder.path / "finish").touch()
    looking(queue, state_is(folder, JobState.DONE), "the end")
