"""What the server is told by ``--conf`` about retraining."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from parotid_brachy.lib.retraining.gate import GatePolicy
from parotid_brachy.lib.retraining.job import JobPolicy, Task
from parotid_brachy.lib.retraining.schedule import SchedulePolicy, parse_quiet_hours
from parotid_brachy.lib.retraining.snapshot import SnapshotPolicy
from parotid_brachy.lib.server.conf_values import ConfValues, nonsense

_COUNT: Final = (1, 100_000)


@dataclass(frozen=True)
class RetrainingSettings:
    """When trainings start by themselves, and what becomes of their candidates.

    Attributes:
        policy: what the team has agreed on.
        schedule: when a training is due.
    """

    policy: JobPolicy
    schedule: SchedulePolicy

    @classmethod
    def of(cls, conf: Mapping[str, Any]) -> RetrainingSettings:
        """The settings from what follows ``--conf``.

        Raises:
            UsageError: naming the key, its value and what it may be.
        """
        values = ConfValues(conf)
        gate, snapshot = GatePolicy(), SnapshotPolicy()
        policy = JobPolicy(
            snapshot=SnapshotPolicy(
                allows_initial=values.yes_no("train_on_initial"),
                fewest_train=int(values.number("train_patients", snapshot.fewest_train, _COUNT)),
            ),
            gate=GatePolicy(
                margin_dsc=values.number("gate_margin_dsc", gate.margin_dsc, (0.0, 1.0)),
                most_seconds_factor=values.number(
                    "gate_seconds_factor", gate.most_seconds_factor, (0.1, 100.0)
                ),
                fewest_patients=int(values.number("gate_patients", gate.fewest_patients, _COUNT)),
            ),
            promotes=values.yes_no("promote", default=True),
            keep=int(values.number("keep_candidates", JobPolicy.keep, (0, 1000))),
        )
        every = values.text("retrain_every")
        hours = values.text("retrain_hours")
        schedule = SchedulePolicy(
            every_approved=int(values.number("retrain_every", 0, _COUNT)) if every else None,
            cron=values.text("retrain_cron") or None,
            quiet_hours=parse_quiet_hours(hours) if hours else None,
            task=_task(values.text("retrain_task")),
        )
        return cls(policy, schedule)


def _task(text: str) -> str:
    known = [task.value for task in Task]
    if text and text not in known:
        raise nonsense("retrain_task", text, f"one of {', '.join(known)}")
    return text or Task.TWO_STEP.value
