"""Whether a candidate serves from now on by itself, or waits for a person; with every reason."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.retraining.comparison import Comparison, ComparisonRow
from parotid_brachy.lib.retraining.comparison_table import table_json


class Verdict(enum.Enum):
    """What becomes of a candidate."""

    PROMOTE = "promote"
    WAIT = "wait"
    """It does not serve unless a person promotes it."""


@dataclass(frozen=True)
class GatePolicy:
    """What a candidate has to fulfil.

    Attributes:
        margin_dsc: a structure's mean paired DSC may be lower than the champion's by so much.
        margins: the same for single structures, by name.
        most_seconds_factor: a case may take so many times the champion's median seconds.
        fewest_patients: on fewer, nothing is promoted by itself.
        may_lack: structures that no validation patient need have.
    """

    margin_dsc: float = 0.01
    margins: Mapping[str, float] = field(default_factory=dict)
    most_seconds_factor: float = 1.5
    fewest_patients: int = 3
    may_lack: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Refuses what makes no gate."""
        margins = (self.margin_dsc, *self.margins.values())
        if not all(0 <= margin <= 1 for margin in margins):  # NaN fails too
            message = f"margins of DSC {margins}: give numbers of 0 to 1"
            raise UsageError(message)
        if not self.most_seconds_factor > 0 or self.fewest_patients < 1:
            message = (
                f"seconds factor {self.most_seconds_factor}, fewest patients "
                f"{self.fewest_patients}: give a factor above 0 and at least 1 patient"
            )
            raise UsageError(message)

    def margin_of(self, structure: str) -> float:
        """How much lower a structure's mean DSC may be."""
        return self.margins.get(structure, self.margin_dsc)


@dataclass(frozen=True)
class Decision:
    """The gate's word.

    Attributes:
        verdict: promote or wait.
        reasons: for a person; where it is to wait, each that speaks against it.
        comparison: what it was decided on; None where there was no champion.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    comparison: Comparison | None = None

    def to_json(self) -> dict[str, Any]:
        """JSON values, for the journal and the manifest: the table, and no scores of cases."""
        table = None if self.comparison is None else table_json(self.comparison)
        return {"verdict": self.verdict.value, "reasons": list(self.reasons), "comparison": table}


def judge(comparison: Comparison | None, policy: GatePolicy = GatePolicy()) -> Decision:
    """Decides on a candidate.

    Args:
        comparison: with the champion; None where no version serves yet: a person promotes the
            first one.
        policy: what the team has agreed on.
    """
    if comparison is None:
        return Decision(Verdict.WAIT, ("no version serves yet that it could be compared with",))
    against = tuple(_against(comparison, policy))
    if against:
        return Decision(Verdict.WAIT, against, comparison)
    reason = (
        f"not worse than {comparison.champion} in any structure by more than the margin, on "
        f"{comparison.patients} validation patients"
    )
    return Decision(Verdict.PROMOTE, (reason,), comparison)


def _against(comparison: Comparison, policy: GatePolicy) -> Iterator[str]:
    if comparison.patients < policy.fewest_patients:
        yield (
            f"compared on {comparison.patients} validation patients, at least "
            f"{policy.fewest_patients} are needed"
        )
    for case, failure in comparison.failures.items():
        yield f"{case}: the candidate could not label it ({failure})"
    for row in comparison.rows:
        yield from _against_row(row, policy)
    seconds = comparison.median_seconds
    if seconds is None:
        yield "no case was labelled by both versions, so that their seconds cannot be compared"
    elif seconds[1] > policy.most_seconds_factor * seconds[0]:
        yield (
            f"takes {seconds[1]:.2f} s a case, the champion {seconds[0]:.2f} s; at most "
            f"{policy.most_seconds_factor:g} times as many are permitted"
        )


def _against_row(row: ComparisonRow, policy: GatePolicy) -> Iterator[str]:
    if row.newly_missed:
        cases = ", ".join(row.newly_missed)
        yield f"{row.structure}: missed in {cases}, where the champion finds it"
    if row.difference is None:
        if row.structure not in policy.may_lack:
            yield f"{row.structure}: no validation patient has it, so that nothing is known of it"
        return
    margin = policy.margin_of(row.structure)
    if not row.difference >= -margin:
        yield (
            f"{row.structure}: mean DSC {row.candidate_dsc:.3f}, the champion's "
            f"{row.champion_dsc:.3f}; {-row.difference:.3f} lower, at most {margin:g} is permitted"
        )
