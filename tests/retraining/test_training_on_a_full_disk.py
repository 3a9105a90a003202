"""A real training whose jobs lie on a disk that is too small for it, and is then larger."""

import subprocess

import pytest
from scripts.measure.crash_disk import small_disk
from tests.retraining.approved_heads import approved_heads
from tests.review.studies import ADMIN

from parotid_brachy.lib.retraining import worker
from parotid_brachy.lib.retraining.job import Beginning, JobPolicy, Task, TrainingChoice
from parotid_brachy.lib.retraining.job_queue import JOBS, JobQueue, Trainers
from parotid_brachy.lib.retraining.job_status import JobState
from parotid_brachy.lib.retraining.snapshot import SnapshotPolicy
from parotid_brachy.lib.segmentation.presets import Step
from parotid_brachy.lib.segmentation.registry import Registry

pytestmark = pytest.mark.usefixtures("nnunets_variables_restored")


@pytest.fixture
def jobs(tmp_path):
    """The jobs' folder in studies with approved heads, on a disk of its own."""
    approved_heads(tmp_path / "studies", 4).store.close()
    folder = tmp_path / "studies" / ".parotid" / JOBS
    folder.mkdir()
    disk = small_disk(folder, 1)
    try:
        disk.__enter__()
    except RuntimeError as error:
        pytest.skip(str(error))
    yield folder
    disk.__exit__(None, None, None)


def resize(folder, mib):
    command = ["mount", "-o", f"remount,size={mib}m", str(folder)]
    subprocess.run(command, check=True, capture_output=True)


def test_it_says_that_the_disk_is_full_and_goes_on_when_there_is_room(jobs, tmp_path):
    studies, models = tmp_path / "studies", tmp_path / "models"
    queue = JobQueue(studies / ".parotid", Trainers(studies, models))
    choice = TrainingChoice(Task.PAROTID_GLAND, epochs=1, iterations=1, beginning=Beginning.SCRATCH)
    policy = JobPolicy(SnapshotPolicy(fewest_train=1, fewest_validation=1))
    folder = queue.add(choice, policy, ADMIN)
    arguments = [str(folder.path), "--studies", str(studies), "--models", str(models)]
    for mib in (1, 12):  # too small for the samples, then for the first checkpoint
        resize(jobs, mib)
        assert worker.main(arguments) == 1
        assert folder.status.state is JobState.FAILED
        assert "disk is full" in folder.status.message, folder.status.message
        assert queue.resume(folder.id).state is JobState.QUEUED
    resize(jobs, 1000)
    assert worker.main(arguments) == 0, folder.status.message
    assert folder.status.state is JobState.DONE
    registry = Registry(models)
    registry.verify(registry.version(Step.GLAND, folder.id))
