"""The tables of an evaluation: every score, the paired tests, and their summaries."""

from __future__ import annotations

import csv
import io
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from parotid_brachy.lib.anatomy import Structure
from parotid_brachy.lib.evaluation.case_scores import ScoreRow
from parotid_brachy.lib.evaluation.metrics import Status
from parotid_brachy.lib.evaluation.paired_tests import PairedTest, compare_paired, holm

METRICS = (
    "dsc",
    "jaccard",
    "hd95_mm",
    "assd_mm",
    "surface_dsc_1mm",
    "precision",
    "recall",
)
"""What is compared between methods."""
SURFACE_METRICS = (
    "hd95_mm",
    "hd95_pooled_mm",
    "assd_mm",
    "surface_dsc_1mm",
    "surface_dsc_2mm",
)
"""Every surface metric, both definitions of the 95HD and both tolerances."""
_VALUES = (*METRICS, "reference_ml", "prediction_ml")

Value = float | None


@dataclass(frozen=True)
class Cell:
    """One metric of one structure by one method over the cases.

    Attributes:
        n: cases with a value.
        mean: None without one.
        sd: sample standard deviation; None below two.
        missed: cases of which the method found nothing.
        false_positive: cases where the reference has nothing.
    """

    n: int
    mean: float | None
    sd: float | None
    missed: int
    false_positive: int


@dataclass(frozen=True)
class TestRow:
    """One paired test of the baseline against another method.

    Attributes:
        baseline: the first method named.
        method: the other.
        structure: of which.
        metric: one of ``METRICS``.
        result: differences are the baseline's less the other's.
        p_holm: corrected over the structures of the same metric and pair of methods.
    """

    __test__ = False

    baseline: str
    method: str
    structure: Structure
    metric: str
    result: PairedTest
    p_holm: float | None


class ScoreTable:
    """All scores of an evaluation, known by method, structure and case."""

    def __init__(
        self,
        rows: Iterable[ScoreRow],
        methods: Sequence[str],
        structures: Sequence[Structure],
    ) -> None:
        self.methods = tuple(methods)
        self.structures = tuple(structures)
        place = {method: number for number, method in enumerate(self.methods)}
        self.rows = tuple(
            sorted(rows, key=lambda row: (place[row.method], row.case, row.structure.value))
        )
        self.cases = tuple(sorted({row.case for row in self.rows}))
        self._known = {(row.method, row.structure, row.case): row for row in self.rows}

    def values(self, method: str, structure: Structure, metric: str) -> list[Value]:
        """A metric's values in the order of ``cases``; None where there is none."""
        found = (self._known.get((method, structure, case)) for case in self.cases)
        return [None if row is None else _number(row, metric) for row in found]

    def cell(self, method: str, structure: Structure, metric: str) -> Cell:
        """A metric's summary over the cases; missed structures count with their zeros."""
        values = [v for v in self.values(method, structure, metric) if v is not None]
        found = (self._known.get((method, structure, case)) for case in self.cases)
        statuses = [row.metrics.status for row in found if row is not None]
        return Cell(
            len(values),
            statistics.fmean(values) if values else None,
            statistics.stdev(values) if len(values) > 1 else None,
            statuses.count(Status.MISSED),
            statuses.count(Status.FALSE_POSITIVE),
        )

    def case_mean(self, method: str, case: str) -> Value:
        """Mean DSC over a case's structures that either map has."""
        rows = (self._known.get((method, structure, case)) for structure in self.structures)
        values = [v for row in rows if row is not None and (v := _number(row, "dsc")) is not None]
        return statistics.fmean(values) if values else None

    def ranking(self) -> list[str]:
        """Cases from the most challenging to the best by the first method's mean DSC."""
        means = {case: self.case_mean(self.methods[0], case) for case in self.cases}
        ranked = [(mean, case) for case, mean in means.items() if mean is not None]
        return [case for _, case in sorted(ranked)]


def run_tests(table: ScoreTable) -> list[TestRow]:
    """Tests the first method against every other, by structure and metric.

    Two-tailed; Holm's correction runs over the structures (Scand J Stat 1979;6:65-70).
    """
    baseline = table.methods[0]
    rows: list[TestRow] = []
    for method in table.methods[1:]:
        for metric in METRICS:
            results = [
                compare_paired(
                    table.values(baseline, structure, metric),
                    table.values(method, structure, metric),
                )
                for structure in table.structures
            ]
            corrected = holm([result.p for result in results])
            rows.extend(
                TestRow(baseline, method, structure, metric, result, p)
                for structure, result, p in zip(table.structures, results, corrected, strict=True)
            )
    return rows


def metrics_csv(table: ScoreTable) -> bytes:
    """Every score, a line each; what does not apply is empty."""
    return _scores_csv(table, _VALUES)


def surface_metrics_csv(table: ScoreTable) -> bytes:
    """Every surface metric, a line for each score, as :func:`metrics_csv` writes them."""
    return _scores_csv(table, SURFACE_METRICS)


def _scores_csv(table: ScoreTable, names: Sequence[str]) -> bytes:
    lines: list[Sequence[object]] = [("method", "case", "structure", "status", *names)]
    lines.extend(
        (
            row.method,
            row.case,
            row.structure.name,
            row.metrics.status.value,
            *(_written(_number(row, name)) for name in names),
        )
        for row in table.rows
    )
    return _csv(lines)


def tests_csv(tests: Iterable[TestRow]) -> bytes:
    """Every paired test, a line each; what could not be computed is empty, with a remark."""
    lines: list[Sequence[object]] = [
        (
            "baseline",
            "method",
            "structure",
            "metric",
            "n",
            "left_out",
            "ks_p",
            "lilliefors_p",
            "shapiro_p",
            "test",
            "statistic",
            "p",
            "p_holm",
            "effect",
            "effect_size",
            "mean_difference",
            "ci_low",
            "ci_high",
            "remark",
        )
    ]
    for row in tests:
        result, normality = row.result, row.result.normality
        lines.append(
            (
                row.baseline,
                row.method,
                row.structure.name,
                row.metric,
                result.n,
                result.left_out,
                _written(normality.ks_p),
                _written(normality.lilliefors_p),
                _written(normality.shapiro_p),
                result.test.value,
                _written(result.statistic),
                _written(result.p),
                _written(row.p_holm),
                result.effect.value if result.effect else "",
                _written(result.effect_size),
                _written(result.mean_difference),
                _written(result.ci_low),
                _written(result.ci_high),
                result.remark,
            )
        )
    return _csv(lines)


def _number(row: ScoreRow, name: str) -> Value:
    value: Value = getattr(row.metrics, name)
    return value if value is not None and math.isfinite(value) else None


def _written(value: Value) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:.6g}"


def _csv(lines: Iterable[Sequence[object]]) -> bytes:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n").writerows(lines)
    return buffer.getvalue().encode()
