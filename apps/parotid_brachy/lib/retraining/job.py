"""A retraining as it was asked for."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final

from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.retraining.gate import GatePolicy
from parotid_brachy.lib.retraining.snapshot import SnapshotPolicy
from parotid_brachy.lib.review.roles import Reader, Role
from parotid_brachy.lib.segmentation.presets import Step, preset_for

_FORMAT: Final = "parotid-brachy job 1"
_MOST: Final = 100_000


class Task(enum.Enum):
    """What is trained anew, by the name that MONAI Label's clients call it."""

    TWO_STEP = "two_step"
    PAROTID_GLAND = "parotid_gland"
    ORGANS_AT_RISK = "organs_at_risk"
    ONE_STEP = "one_step"

    @property
    def steps(self) -> tuple[Step, ...]:
        """The models that are trained, in this order."""
        return {
            Task.TWO_STEP: (Step.GLAND, Step.ORGANS_AT_RISK),
            Task.PAROTID_GLAND: (Step.GLAND,),
            Task.ORGANS_AT_RISK: (Step.ORGANS_AT_RISK,),
            Task.ONE_STEP: (Step.ONE_STEP,),
        }[self]


class Beginning(enum.Enum):
    """Which weights a training begins with."""

    CHAMPION = "champion"
    """Those of the version that serves, where it is of the same preset; else random ones."""
    SCRATCH = "scratch"


@dataclass(frozen=True)
class TrainingChoice:
    """What somebody may choose about a training.

    Attributes:
        task: what is trained.
        preset: of each of its steps.
        epochs: None takes the preset's.
        iterations: per epoch; None takes the preset's.
        beginning: which weights it begins with.
        virtual_surgery: None takes the preset's.
        field_of_view: None takes the preset's.
        folds: networks of step 1 that are trained to find the glands of patients whom every
            version has seen (see :mod:`found_glands`).
        seed: of everything that is drawn.

    Raises:
        UsageError: there is no such preset, or a number makes no sense.
    """

    task: Task
    preset: str = "compact"
    epochs: int | None = None
    iterations: int | None = None
    beginning: Beginning = Beginning.CHAMPION
    virtual_surgery: bool | None = None
    field_of_view: bool | None = None
    folds: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuses what cannot be trained."""
        for step in self.task.steps:
            preset_for(self.preset, step)
        for what, value in (("epochs", self.epochs), ("iterations", self.iterations)):
            if value is not None and not 1 <= value <= _MOST:
                message = f"{value} {what}: give 1 to {_MOST}, or none for the preset's"
                raise UsageError(message)
        if not 2 <= self.folds <= 20:
            message = f"{self.folds} folds: give 2 to 20"
            raise UsageError(message)
        if not 0 <= self.seed < 2**32:
            message = f"seed {self.seed}: give 0 to 2^32 - 1"
            raise UsageError(message)


@dataclass(frozen=True)
class JobPolicy:
    """What the team has agreed on, as it was when the job was asked for.

    Attributes:
        snapshot: what may be trained on.
        gate: what a candidate has to fulfil.
        promotes: a candidate that passes the gate serves at once; else it waits for a person.
        keep: how many candidates of a step that never served are kept.
    """

    snapshot: SnapshotPolicy = field(default_factory=SnapshotPolicy)
    gate: GatePolicy = field(default_factory=GatePolicy)
    promotes: bool = True
    keep: int = 5


@dataclass(frozen=True)
class Job:
    """A retraining as it was asked for; never changes.

    Attributes:
        id: also the name of the model versions that it makes.
        choice: what to train.
        policy: what the team has agreed on.
        asked_by: whom the journal names.
        asked_at: in UTC.
        why: of a job that the schedule started; empty where a person did.
    """

    id: str
    choice: TrainingChoice
    policy: JobPolicy
    asked_by: Reader
    asked_at: datetime
    why: str = ""

    def to_json(self) -> dict[str, Any]:
        """JSON values, of which :meth:`from_json` makes the same job."""
        choice = {**asdict(self.choice), "task": self.choice.task.value}
        choice["beginning"] = self.choice.beginning.value
        gate = self.policy.gate
        return {
            "format": _FORMAT,
            "id": self.id,
            "choice": choice,
            "policy": {
                "snapshot": asdict(self.policy.snapshot),
                "gate": {
                    **asdict(gate),
                    "margins": dict(gate.margins),
                    "may_lack": sorted(gate.may_lack),
                },
                "promotes": self.policy.promotes,
                "keep": self.policy.keep,
            },
            "asked_by": {"name": self.asked_by.name, "role": self.asked_by.role.value},
            "asked_at": self.asked_at.isoformat(),
            "why": self.why,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Job:
        """The job of which :meth:`to_json` made these values.

        Raises:
            KeyError, TypeError, ValueError, UsageError: they are no job's.
        """
        if values["format"] != _FORMAT:
            message = f"{values['format']!r} is not {_FORMAT!r}"
            raise ValueError(message)
        choice = dict(values["choice"])
        choice |= {"task": Task(choice["task"]), "beginning": Beginning(choice["beginning"])}
        policy = dict(values["policy"])
        gate = {**policy["gate"], "may_lack": frozenset(policy["gate"]["may_lack"])}
        policy |= {"snapshot": SnapshotPolicy(**policy["snapshot"]), "gate": GatePolicy(**gate)}
        asked_by = values["asked_by"]
        return cls(
            id=str(values["id"]),
            choice=TrainingChoice(**choice),
            policy=JobPolicy(**policy),
            asked_by=Reader(asked_by["name"], Role(asked_by["role"])),
            asked_at=datetime.fromisoformat(values["asked_at"]),
            why=str(values["why"]),
        )
