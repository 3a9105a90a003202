"""Scores of a cohort, case by case and in several processes.

A process reads a case's reference once, then one prediction after the other; only numbers come
back, so that memory does not grow with the number of cases.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from parotid_brachy.lib.anatomy import STRUCTURES, Structure
from parotid_brachy.lib.errors import ParotidBrachyError
from parotid_brachy.lib.evaluation.case_processes import each_in_processes
from parotid_brachy.lib.evaluation.cohort import CohortCase, Problem
from parotid_brachy.lib.evaluation.metrics import ReachCut, StructureMetrics, score_structures
from parotid_brachy.lib.imaging.files import read_grid, read_label_map

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScoreRow:
    """One structure of one case by one method."""

    method: str
    case: str
    structure: Structure
    metrics: StructureMetrics


@dataclass(frozen=True)
class CaseScores:
    """What came of one case."""

    case: str
    rows: tuple[ScoreRow, ...]
    problems: tuple[Problem, ...]


def score_case(
    one: CohortCase,
    structures: Sequence[Structure] = STRUCTURES,
    reach_cut: ReachCut = ReachCut.AT_REFERENCE_GLAND,
) -> CaseScores:
    """Scores every method's map of a case; a map that is refused does not stop the others.

    It is a miss of every structure, as a missing one is: no method gains by a file that nobody can
    read.

    Args:
        one: the case and its files.
        structures: to score.
        reach_cut: at whose gland organs at risk are cut.
    """
    try:
        grid = read_grid(one.reference)
        reference = read_label_map(one.reference, grid)
    except (ParotidBrachyError, OSError, MemoryError) as error:
        return CaseScores(one.case, (), (_refused(one.case, "the reference", error),))
    rows: list[ScoreRow] = []
    problems: list[Problem] = []
    for method, path in one.predictions.items():
        prediction = np.zeros_like(reference)
        if path is not None:
            try:
                prediction = read_label_map(path, grid)
            except (ParotidBrachyError, OSError, MemoryError) as error:
                problems.append(_missed(one.case, method, error))
        scores = score_structures(reference, prediction, grid, structures, reach_cut=reach_cut)
        rows.extend(
            ScoreRow(method, one.case, structure, scores[structure]) for structure in scores
        )
    return CaseScores(one.case, tuple(rows), tuple(problems))


def score_cases(
    cases: Sequence[CohortCase],
    *,
    structures: Sequence[Structure] = STRUCTURES,
    reach_cut: ReachCut = ReachCut.AT_REFERENCE_GLAND,
    jobs: int = 1,
) -> Iterator[CaseScores]:
    """Scores a cohort; cases come as they are done, in no fixed order.

    Args:
        cases: to score.
        structures: to score in each.
        reach_cut: at whose gland organs at risk are cut.
        jobs: processes; with one, the calling process does the work.
    """
    work = partial(_guarded, structures=structures, reach_cut=reach_cut)
    yield from each_in_processes(work, cases, jobs=jobs, lost=_lost)


def _guarded(one: CohortCase, structures: Sequence[Structure], reach_cut: ReachCut) -> CaseScores:
    try:
        return score_case(one, structures, reach_cut)
    except Exception as error:
        # A fault of ours in one case must not cost the other thousand.
        logger.exception("%s", one.case)
        message = f"{one.case}: not evaluated ({type(error).__name__}: {error})"
        return CaseScores(one.case, (), (Problem(one.case, message),))


def _lost(one: CohortCase) -> CaseScores:
    message = (
        f"{one.case}: not evaluated, because a process was ended from outside (out of memory?). "
        "Run again with fewer jobs."
    )
    return CaseScores(one.case, (), (Problem(one.case, message),))


def _refused(case: str, what: str, error: BaseException) -> Problem:
    return Problem(case, f"{case}: {what} was refused and not evaluated: {error}")


def _missed(case: str, what: str, error: BaseException) -> Problem:
    return Problem(case, f"{case}: {what} was refused; every structure counts as missed: {error}")
