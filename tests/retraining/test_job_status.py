import json
from datetime import datetime, timezone

import pytest

from parotid_brachy.lib.retraining.job_status import JobState, JobStatus, Phase, StepResult
from parotid_brachy.lib.segmentation.presets import Step

MOMENT = datetime(2026, 11, 24, 3, 15, tzinfo=timezone.utc)


def test_a_status_is_the_same_after_it_was_written_and_read():
    result = StepResult(Step.GLAND, "new", "old", True, ("not worse",), {"rows": [{"n": 1}]})
    status = JobStatus(
        JobState.RUNNING,
        0.625,
        Step.ORGANS_AT_RISK,
        Phase.TRAINING,
        3,
        40,
        0.001,
        -0.5,
        -0.4,
        {"skin": 0.75},
        120.5,
        "it goes on",
        (result,),
        MOMENT,
        None,
        MOMENT,
        4711,
        1,
        2,
        True,
        17,
    )
    assert JobStatus.from_json(json.loads(json.dumps(status.to_json()))) == status


def test_a_new_job_waits():
    status = JobStatus()
    assert JobStatus.from_json(status.to_json()) == status
    assert status.state is JobState.QUEUED


@pytest.mark.parametrize("state", list(JobState))
def test_only_what_runs_or_waits_is_open(state):
    assert state.is_open == (state.value in {"queued", "running"})


@pytest.mark.parametrize("values", [{}, {**JobStatus().to_json(), "more": 1}, {"state": "dead"}])
def test_what_is_no_status_is_not_read(values):
    with pytest.raises((KeyError, TypeError, ValueError)):
        JobStatus.from_json(values)
