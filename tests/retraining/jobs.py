"""Jobs as tests ask for them."""

from __future__ import annotations

from datetime import datetime, timezone

from tests.review.studies import ADMIN

from parotid_brachy.lib.retraining.gate import GatePolicy
from parotid_brachy.lib.retraining.job import Beginning, Job, JobPolicy, Task, TrainingChoice
from parotid_brachy.lib.retraining.snapshot import SnapshotPolicy

JOB_ID = "20261124-030000-123456"


def job_of(task: Task = Task.TWO_STEP, **choice: object) -> Job:
    """A job in which nothing has its default."""
    wanted = {"epochs": 2, "iterations": 3, "beginning": Beginning.SCRATCH, "folds": 2, "seed": 7}
    return Job(
        JOB_ID,
        TrainingChoice(task, **{**wanted, "virtual_surgery": False, **choice}),
        JobPolicy(
            SnapshotPolicy(allows_initial=True, fewest_train=2, fewest_validation=2),
            GatePolicy(
                margin_dsc=0.02,
                margins={"skin": 0.05},
                most_seconds_factor=2.0,
                fewest_patients=1,
                may_lack=frozenset({"auricula"}),
            ),
            promotes=False,
            keep=2,
        ),
        ADMIN,
        datetime(2026, 11, 24, 3, tzinfo=timezone.utc),
        "10 newly approved cases, 10 are wanted",
    )
