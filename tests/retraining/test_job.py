import json

import pytest
from tests.retraining.jobs import job_of

from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.retraining.job import Job, Task, TrainingChoice
from parotid_brachy.lib.segmentation.presets import Step


def test_a_job_is_the_same_after_it_was_written_and_read():
    job = job_of()
    assert Job.from_json(json.loads(json.dumps(job.to_json()))) == job


def test_a_job_of_another_format_is_not_read():
    values = {**job_of().to_json(), "format": "parotid-brachy job 2"}
    with pytest.raises(ValueError, match="job 2"):
        Job.from_json(values)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"preset": "unet3d"}, "no preset 'unet3d' for step gland"),
        ({"epochs": 0}, "0 epochs"),
        ({"iterations": -1}, "-1 iterations"),
        ({"folds": 1}, "1 folds"),
        ({"seed": -1}, "seed -1"),
    ],
)
def test_what_cannot_be_trained_is_refused_when_it_is_chosen(change, words):
    with pytest.raises(UsageError, match=words):
        TrainingChoice(Task.TWO_STEP, **change)


def test_the_gland_is_trained_before_the_organs_at_risk():
    assert Task.TWO_STEP.steps == (Step.GLAND, Step.ORGANS_AT_RISK)
    assert {task.steps[-1] for task in Task} == set(Step)
