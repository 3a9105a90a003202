"""A job from its beginning to whatever end; what its steps do is played."""

import errno
import json
import os
import shutil
from dataclasses import replace

import pytest
from tests.retraining.jobs import JOB_ID, job_of
from tests.review.studies import open_desk

from parotid_brachy.lib.errors import StoreFullError, TrainingError
from parotid_brachy.lib.retraining import worker
from parotid_brachy.lib.retraining.job import Task
from parotid_brachy.lib.retraining.job_folder import JobFolder
from parotid_brachy.lib.retraining.job_status import JobState, Phase, StepResult
from parotid_brachy.lib.retraining.promoting import Registers
from parotid_brachy.lib.retraining.worker import JobRun
from parotid_brachy.lib.segmentation.presets import Step, preset_for
from parotid_brachy.lib.segmentation.progress import Progress
from parotid_brachy.lib.segmentation.registry import Registry

FULL = OSError(errno.ENOSPC, "No space left on device")


class KilledError(BaseException):
    """The process ends here."""


def epoch(number, of=4):
    return Progress(number, of, 0.5, 0.6, {"skin": 0.7}, 1.0, 9.0, 1e-3)


class Office:
    """One job after the other over an empty store; ``play`` is what a step does."""

    def __init__(self, root, monkeypatch):
        self.root = root
        self.desk = open_desk(root / "studies", cases=())
        self.folder = None
        self.play = lambda watcher, step, batch_size: None
        office = self

        class PlayedStep:
            def __init__(self, *of):
                _job, self._step, folder, _registers, _images, self._watcher, size = of
                assert folder.is_dir()
                self._batch_size = size

            def take_snapshot(self):
                self._watcher.in_phase(Phase.SNAPSHOT, 0.0)

            def run(self):
                office.play(self._watcher, self._step, self._batch_size)
                return StepResult(self._step, JOB_ID, None, False, ("played",))

        monkeypatch.setattr(worker, "StepRun", PlayedStep)

    def ask(self, task=Task.PAROTID_GLAND, **status):
        path = self.root / "jobs" / JOB_ID
        path.parent.mkdir()
        self.folder = JobFolder.create(path, job_of(task))
        running = replace(self.folder.status, state=JobState.RUNNING, **status)
        self.folder.write_status(running)

    def run(self):
        registers = Registers(Registry(self.root / "models"), self.desk.store)
        return JobRun(self.folder, registers, self.desk.images).run()

    @property
    def status(self):
        return self.folder.status


@pytest.fixture
def office(tmp_path, monkeypatch):
    made = Office(tmp_path, monkeypatch)
    yield made
    made.desk.store.close()


def test_steps_follow_one_another_and_the_progress_never_goes_back(office):
    office.ask(Task.TWO_STEP)
    told = []

    def play(watcher, step, _batch_size):
        for phase in (Phase.FINDING_GLANDS, Phase.SAMPLING):
            watcher.in_phase(phase, 0.5)
            told.append((step, phase, office.status.progress))
        watcher.after_epoch(epoch(1))
        told.append((step, office.status.epoch, office.status.progress))
        watcher.in_phase(Phase.FINDING_GLANDS, 0.1)
        told.append((step, None, office.status.progress))

    office.play = play
    status = office.run()
    assert status.state is JobState.DONE
    assert [one.step for one in status.results] == [Step.GLAND, Step.ORGANS_AT_RISK]
    assert (status.progress, status.phase, status.message) == (1.0, None, "")
    assert [one[0] for one in told] == [Step.GLAND] * 4 + [Step.ORGANS_AT_RISK] * 4
    progress = [one[-1] for one in told]
    assert progress == sorted(progress)
    assert 0.5 < progress[4] < progress[-1] < 1
    assert office.status.pid == os.getpid()


def test_what_goes_on_after_a_kill_tells_the_epochs_that_are_done(office):
    office.ask(Task.TWO_STEP)

    def killed(watcher, step, _batch_size):
        watcher.after_epoch(epoch(2))
        if step is Step.ORGANS_AT_RISK:
            watcher.after_epoch(epoch(3))
            raise KilledError

    office.play = killed
    with pytest.raises(KilledError):
        office.run()
    assert (office.status.epoch, len(office.status.results)) == (3, 1)
    seen = []

    def goes_on(watcher, step, _batch_size):
        watcher.in_phase(Phase.SAMPLING, 0.0)
        seen.append((step, office.status.epoch, office.status.dice))
        watcher.after_epoch(epoch(4))

    office.play = goes_on
    assert office.run().state is JobState.DONE
    assert seen == [(Step.ORGANS_AT_RISK, 3, {"skin": 0.7})]


def test_the_next_step_begins_with_no_epoch(office):
    office.ask(Task.TWO_STEP)
    seen = []

    def play(watcher, step, _batch_size):
        watcher.in_phase(Phase.SAMPLING, 0.0)
        seen.append((step, office.status.epoch, office.status.dice))
        watcher.after_epoch(epoch(4))

    office.play = play
    office.run()
    assert seen == [(Step.GLAND, 0, {}), (Step.ORGANS_AT_RISK, 0, {})]


def test_out_of_memory_it_goes_on_with_fewer_patches_and_says_so_where_there_is_one(office):
    office.ask()
    sizes = []

    def play(_watcher, _step, batch_size):
        sizes.append(batch_size)
        message = "CUDA out of memory. Tried to allocate 20 MiB"
        raise RuntimeError(message)

    office.play = play
    status = office.run()
    first = preset_for("compact", Step.GLAND).batch_size
    assert sizes == [None, *(first >> n for n in range(1, first.bit_length()))]
    assert status.state is JobState.FAILED
    assert "out of memory with one patch per iteration" in status.message
    assert "smaller preset" in status.message


def test_a_step_that_fits_with_fewer_patches_is_done(office):
    office.ask(Task.TWO_STEP)
    sizes = []

    def play(_watcher, step, batch_size):
        sizes.append((step, batch_size))
        if batch_size is None:
            raise MemoryError

    office.play = play
    assert office.run().state is JobState.DONE
    assert sizes == [(Step.GLAND, None), (Step.GLAND, 1), (Step.ORGANS_AT_RISK, 1)]
    assert office.status.batch_size == 1


def test_what_the_kernel_killed_for_memory_goes_on_with_fewer_patches(office):
    office.ask(wants_smaller_batch=True, step=Step.GLAND, epoch=3)
    sizes = []
    office.play = lambda _watcher, _step, batch_size: sizes.append(batch_size)
    assert office.run().state is JobState.DONE
    assert sizes == [1]
    assert not office.status.wants_smaller_batch


@pytest.mark.parametrize("phase", [*Phase, None])
def test_it_stops_in_every_phase_and_before_any_iteration(office, phase):
    office.ask(epoch=3, epochs=4)

    def play(watcher, _step, _batch_size):
        office.folder.ask_to_stop("sofia")
        if phase is None:
            watcher.before_iteration()
        else:
            watcher.in_phase(phase, 0.5)
        pytest.fail("it went on")

    office.play = play
    status = office.run()
    assert (status.state, status.message) == (JobState.STOPPED, "stopped by sofia")
    assert status.ended_at is not None
    assert status.seconds_left is None


def test_a_stop_that_came_before_it_began_is_heard(office):
    office.ask()
    office.folder.ask_to_stop("sofia")
    office.play = lambda *_: pytest.fail("it began")
    assert office.run().state is JobState.STOPPED


def _caused_by(cause):
    error = TrainingError("the training set cannot be laid out")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize("error", [FULL, StoreFullError("the store is full"), _caused_by(FULL)])
def test_a_full_disk_is_told_as_such(office, error):
    office.ask()

    def play(*_):
        raise error

    office.play = play
    status = office.run()
    assert status.state is JobState.FAILED
    assert status.message.startswith("the disk is full")
    assert "Free space" in status.message


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TrainingError("1 patient, at least 3 are needed"), "1 patient, at least 3 are needed"),
        (ZeroDivisionError("division"), "ZeroDivisionError: division. Its log tells more."),
        (PermissionError(errno.EACCES, "denied", "x"), "[Errno 13] denied: 'x'"),
    ],
)
def test_a_failure_is_told_in_its_words(office, error, words):
    office.ask()

    def play(*_):
        raise error

    office.play = play
    status = office.run()
    assert (status.state, status.message) == (JobState.FAILED, words)


def test_a_library_that_failed_for_want_of_room_is_told_as_a_full_disk(office, monkeypatch):
    office.ask()
    usage = shutil.disk_usage(office.root)
    monkeypatch.setattr(worker.shutil, "disk_usage", lambda _path: usage._replace(free=4096))

    def play(*_):
        message = "ITK ERROR: fwrite wrote only 187313 4-sized things"
        raise RuntimeError(message)

    office.play = play
    assert office.run().message.startswith("the disk is full (RuntimeError")


def test_deaths_are_in_a_row_until_something_new_is_done(office):
    office.ask(deaths=3, progress=0.05)
    seen = []

    def play(watcher, _step, _batch_size):
        watcher.in_phase(Phase.FINDING_GLANDS, 0.1)  # as far as it was before
        seen.append(office.status.deaths)
        watcher.in_phase(Phase.FINDING_GLANDS, 0.6)  # one case more
        seen.append(office.status.deaths)

    office.play = play
    office.run()
    assert seen == [3, 0]


def test_one_epoch_of_thousands_ends_the_row_of_deaths(office):
    office.ask(deaths=3, progress=0.15)
    office.play = lambda watcher, *_: watcher.after_epoch(epoch(1, of=100_000))
    assert office.run().deaths == 0


def test_without_a_store_it_does_not_begin(tmp_path):
    folder = JobFolder.create(tmp_path / JOB_ID, job_of())
    arguments = [str(folder.path), "--studies", str(tmp_path / "none"), "--models", str(tmp_path)]
    assert worker.main(arguments) == 1
    assert folder.status.state is JobState.FAILED
    assert folder.status.message
    assert folder.status.ended_at is not None


def test_a_job_that_cannot_be_read_does_not_begin(office):
    office.ask()
    (office.folder.path / "job.json").write_text(json.dumps({"format": "another"}))
    arguments = [str(office.folder.path), "--studies", str(office.desk.folder)]
    assert worker.main([*arguments, "--models", str(office.root / "models")]) == 1
    assert office.status.state is JobState.FAILED
    assert "job.json" in office.status.message
