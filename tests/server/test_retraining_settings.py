from datetime import time

import pytest

from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.retraining.gate import GatePolicy
from parotid_brachy.lib.retraining.job import JobPolicy
from parotid_brachy.lib.retraining.schedule import QuietHours, SchedulePolicy
from parotid_brachy.lib.retraining.snapshot import SnapshotPolicy
from parotid_brachy.lib.server.retraining_settings import RetrainingSettings


def test_without_settings_nothing_is_trained_by_itself_and_the_gate_promotes():
    settings = RetrainingSettings.of({"auth": "off"})
    assert settings.policy == JobPolicy()
    assert settings.policy.promotes
    assert settings.schedule == SchedulePolicy(None, None, None, "two_step")


def test_everything_can_be_set():
    conf = {
        "train_on_initial": "true", "train_patients": "5", "gate_margin_dsc": "0.02",
        "gate_seconds_factor": "2", "gate_patients": "4", "promote": "false",
        "keep_candidates": "0", "retrain_every": "10", "retrain_cron": "0 2 * * 1-5",
        "retrain_hours": "20:00-06:00", "retrain_task": "parotid_gland",
    }  # fmt: skip
    assert RetrainingSettings.of(conf) == RetrainingSettings(
        JobPolicy(
            SnapshotPolicy(allows_initial=True, fewest_train=5),
            GatePolicy(margin_dsc=0.02, most_seconds_factor=2.0, fewest_patients=4),
            promotes=False,
            keep=0,
        ),
        SchedulePolicy(10, "0 2 * * 1-5", QuietHours(time(20), time(6)), "parotid_gland"),
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("train_patients", "0"),
        ("train_patients", "nan"),
        ("gate_margin_dsc", "-0.1"),
        ("gate_margin_dsc", "2"),
        ("gate_patients", "none"),
        ("promote", "perhaps"),
        ("keep_candidates", "-1"),
        ("retrain_every", "0"),
        ("retrain_cron", "at night"),
        ("retrain_hours", "8 pm"),
        ("retrain_task", "everything"),
    ],
)
def test_nonsense_is_refused_at_the_start(key, value):
    with pytest.raises(UsageError):
        RetrainingSettings.of({key: value})
