import errno
import threading
from dataclasses import replace

import pytest
from tests.retraining.jobs import JOB_ID, job_of

from parotid_brachy.lib.errors import NotFoundError, StoreError
from parotid_brachy.lib.retraining import job_folder
from parotid_brachy.lib.retraining.job_folder import JobFolder
from parotid_brachy.lib.retraining.job_status import JobState


@pytest.fixture
def folder(tmp_path):
    return JobFolder.create(tmp_path / JOB_ID, job_of())


def test_a_job_is_kept_with_what_was_asked_for_and_waits(folder):
    assert folder.id == JOB_ID
    assert folder.job == job_of()
    assert folder.status.state is JobState.QUEUED
    assert folder.status.updated_at is not None


def test_there_is_no_second_job_of_the_same_id(folder):
    with pytest.raises(StoreError, match="cannot be kept"):
        JobFolder.create(folder.path, job_of())


def test_a_job_that_is_not_there_is_told(tmp_path):
    with pytest.raises(NotFoundError, match="no job"):
        _ = JobFolder(tmp_path / "none").job


@pytest.mark.parametrize("content", ["", "[]", "{}", "null", '{"format": "x"}', "[" * 100_000])
def test_damaged_files_are_told_by_name(folder, content):
    (folder.path / "status.json").write_text(content)
    (folder.path / "job.json").write_text(content)
    with pytest.raises(StoreError, match=r"status\.json"):
        _ = folder.status
    with pytest.raises(StoreError, match=r"job\.json"):
        _ = folder.job


def test_the_lock_is_one_holders_at_a_time(folder):
    seen = []

    def other():
        with folder.locked() as is_ours:
            seen.append(is_ours)

    with folder.locked() as is_ours:
        assert is_ours
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    with folder.locked() as is_ours:
        assert is_ours
    assert seen == [False]


def test_somebody_can_ask_it_to_stop_and_take_that_back(folder):
    assert not folder.is_stop_asked
    folder.ask_to_stop("sofia")
    assert folder.is_stop_asked
    assert folder.stop_asked_by == "sofia"
    folder.take_stop_back()
    assert not folder.is_stop_asked
    assert folder.stop_asked_by == ""


def test_on_a_full_disk_what_was_set_aside_makes_room_for_the_status(folder, monkeypatch):
    reserve = folder.path / ".reserve"
    assert reserve.stat().st_size > 100_000
    write = job_folder.write_atomically

    def full_while_reserved(path, content):
        if reserve.exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, content)

    monkeypatch.setattr(job_folder, "write_atomically", full_while_reserved)
    folder.write_status(replace(folder.status, state=JobState.FAILED))
    assert folder.status.state is JobState.FAILED
    with folder.locked():
        assert reserve.exists(), "set aside again for the next time"
