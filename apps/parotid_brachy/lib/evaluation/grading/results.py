"""What a closed study shows: grades with case and method, means, and the graders' agreement."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from parotid_brachy.lib.anatomy import Structure
from parotid_brachy.lib.errors import ConflictError
from parotid_brachy.lib.evaluation.grading.grades import ACCEPTABLE, KeptGrade
from parotid_brachy.lib.evaluation.grading.kappa import Kappa, Weights, weighted_kappa
from parotid_brachy.lib.evaluation.grading.ledger import Closing, Ledger
from parotid_brachy.lib.evaluation.grading.sheets import told_grade
from parotid_brachy.lib.evaluation.grading.study import Study, read_key

ALL: Final = "all"
"""All graders, or all structures together."""


@dataclass(frozen=True)
class Unmasked:
    """A grade that counts, with what it was given to.

    Attributes:
        case: the case's id.
        method: whose contours they are.
        structure: which.
        kept: the grade, its grader and time.
    """

    case: str
    method: str
    structure: Structure
    kept: KeptGrade


@dataclass(frozen=True)
class GradeCell:
    """Grades of one structure by one method, of one grader or all.

    Attributes:
        n: how many were graded.
        not_gradable: how many were stated to be not gradable; they count in nothing else.
        mean: None without a grade.
        sd: sample standard deviation; None for fewer than two.
        acceptable: share at grade 2 or more; None without a grade.
    """

    n: int
    not_gradable: int
    mean: float | None
    sd: float | None
    acceptable: float | None


@dataclass(frozen=True)
class Agreement:
    """Two graders' agreement.

    Attributes:
        graders: both names.
        structure: which; None: all together.
        weights: how disagreement counts.
        kappa: the result.
    """

    graders: tuple[str, str]
    structure: Structure | None
    weights: Weights
    kappa: Kappa


@dataclass(frozen=True)
class Results:
    """A closed study.

    Attributes:
        study: which.
        closing: when it was closed.
        methods: in the order given, the control last.
        cases: how many.
        grades: those that count, in the order of methods, cases and graders.
        changed: how many grades were given that a later one replaced.
    """

    study: Study
    closing: Closing
    methods: tuple[str, ...]
    cases: int
    grades: tuple[Unmasked, ...]
    changed: int

    def cell(
        self, method: str, structure: Structure | None = None, grader: str | None = None
    ) -> GradeCell:
        """Grades of a method, of one structure or all, by one grader or all."""
        own = [
            one.kept.grade.grade
            for one in self.grades
            if one.method == method
            and structure in (None, one.structure)
            and grader in (None, one.kept.grader)
        ]
        graded = [grade for grade in own if grade is not None]
        return GradeCell(
            len(graded),
            len(own) - len(graded),
            statistics.fmean(graded) if graded else None,
            statistics.stdev(graded) if len(graded) > 1 else None,
            sum(grade >= ACCEPTABLE for grade in graded) / len(graded) if graded else None,
        )

    def cells(self) -> Iterator[tuple[str, Structure | None, str | None, GradeCell]]:
        """Method, structure (None: all), grader (None: all), and their grades."""
        for method in self.methods:
            for grader in (*self.study.graders, None):
                for structure in (*self.study.structures, None):
                    yield method, structure, grader, self.cell(method, structure, grader)

    def agreements(self) -> list[Agreement]:
        """Kappa of each pair of graders, of each structure and all together."""
        wanted: list[Structure | None] = [*self.study.structures, None]
        return [
            Agreement(pair, structure, weights, self._kappa(pair, structure, weights))
            for pair in combinations(self.study.graders, 2)
            for structure in wanted
            for weights in Weights
        ]

    def _kappa(
        self, graders: tuple[str, str], structure: Structure | None, weights: Weights
    ) -> Kappa:
        given: dict[tuple[str, str, str], dict[str, int]] = {}
        for one in self.grades:
            grade = one.kept.grade
            if grade.grade is not None and structure in (None, one.structure):
                key = (one.case, grade.item, grade.structure)
                given.setdefault(key, {})[one.kept.grader] = grade.grade
        pairs: dict[str, list[tuple[int, int]]] = {}
        for (case, _, _), by in given.items():
            if graders[0] in by and graders[1] in by:
                pairs.setdefault(case, []).append((by[graders[0]], by[graders[1]]))
        return weighted_kappa(pairs, weights=weights)


def unmask(study: Study) -> Results:
    """Opens the key of a closed study.

    Raises:
        ConflictError: the study is not closed yet.
        NotFoundError, StoreError: key or grades are missing or damaged.
    """
    ledger = Ledger(study)
    closing = ledger.closing()
    if closing is None:
        message = "the study is not closed yet; closing unmasks it, and ends the grading"
        raise ConflictError(message)
    key = read_key(study)
    history = ledger.history()
    current = {(kept.grader, kept.grade.item, kept.grade.structure): kept for kept in history}
    grades = [
        Unmasked(
            key.items[kept.grade.item].case,
            key.items[kept.grade.item].method,
            study.structure(kept.grade.structure),
            kept,
        )
        for kept in current.values()
    ]
    methods, graders, structures = key.methods, study.graders, study.structures
    grades.sort(
        key=lambda one: (
            methods.index(one.method),
            one.case,
            structures.index(one.structure),
            graders.index(one.kept.grader),
        )
    )
    cases = len({masked.case for masked in key.items.values()})
    return Results(study, closing, methods, cases, tuple(grades), len(history) - len(current))


def grades_csv(results: Results) -> bytes:
    """Every grade that counts."""
    head = ("method", "case", "structure", "grader", "grade", "reason", "comment", "at", "item")
    return _csv(
        head,
        (
            (
                one.method,
                one.case,
                one.structure.name,
                one.kept.grader,
                *told_grade(one.kept.grade),
                one.kept.at,
                one.kept.grade.item,
            )
            for one in results.grades
        ),
    )


def table_csv(results: Results) -> bytes:
    """Mean, SD and share at 2 or more, by method, structure and grader."""
    rows = [
        (
            method,
            structure.name if structure else ALL,
            grader or ALL,
            cell.n,
            cell.not_gradable,
            _number(cell.mean),
            _number(cell.sd),
            _number(cell.acceptable),
        )
        for method, structure, grader, cell in results.cells()
    ]
    head = (
        "method", "structure", "grader", "n", "not_gradable", "mean", "sd", "share_at_2_or_more",
    )  # fmt: skip
    return _csv(head, rows)


def kappa_csv(agreements: Sequence[Agreement]) -> bytes:
    """Agreement of each pair of graders."""
    head = (
        "grader_1", "grader_2", "structure", "weights", "n", "agreement", "kappa", "ci_low",
        "ci_high", "remark",
    )  # fmt: skip
    rows = []
    for one in agreements:
        low, high = one.kappa.interval or (None, None)
        rows.append(
            (
                *one.graders,
                one.structure.name if one.structure else ALL,
                one.weights.value,
                one.kappa.n,
                _number(one.kappa.agreement),
                _number(one.kappa.kappa),
                _number(low),
                _number(high),
                one.kappa.remark,
            )
        )
    return _csv(head, rows)


def _csv(head: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return text.getvalue().encode()


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
