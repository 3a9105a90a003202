"""Scores over many cases: mean and spread, with what was missed beside them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from parotid_brachy.lib.evaluation.overlap import Outcome, Score


@dataclass(frozen=True)
class Summary:
    """Scores of one structure over cases.

    Attributes:
        measured: contours that both readers have.
        missed: contours that one of them lacks; they count as 0 in a mean DSC and cannot count in
            a mean distance, which is why the number stands beside it.
        not_applicable: cases in which nobody has the structure.
        mean: over what counts, None where nothing does.
        sd: sample standard deviation, None for fewer than two.
    """

    measured: int
    missed: int
    not_applicable: int
    mean: float | None
    sd: float | None

    @classmethod
    def of(cls, scores: Sequence[Score]) -> Summary:
        """Sums up scores."""
        count = {outcome: sum(s.outcome is outcome for s in scores) for outcome in Outcome}
        values = [score.value for score in scores if score.value is not None]
        return cls(
            count[Outcome.MEASURED],
            count[Outcome.MISSED],
            count[Outcome.NOT_APPLICABLE],
            statistics.fmean(values) if values else None,
            statistics.stdev(values) if len(values) > 1 else None,
        )

    def shown(self, digits: int) -> str:
        """``mean +- SD``."""
        if self.mean is None:
            return ""
        spread = "" if self.sd is None else f" ± {self.sd:.{digits}f}"
        return f"{self.mean:.{digits}f}{spread}"
