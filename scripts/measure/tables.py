"""Tables of figures: CSV for machines, Markdown for people."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parotid_brachy.lib.evaluation.overlap import Outcome, Score

Row = Mapping[str, Any]


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Writes rows under the columns that any of them has, in the order of first use."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


def markdown(rows: Sequence[Row]) -> str:
    """A Markdown table; the first row's keys are its columns."""
    if not rows:
        return "(nothing measured)\n"
    columns = list(rows[0])
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(shown(row.get(name)) for name in columns) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def shown(value: object) -> str:
    """A figure as a person reads it: three significant decimals at most, empty for None."""
    if value is None:
        return ""
    return f"{value:.3f}" if isinstance(value, float) else str(value)


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
