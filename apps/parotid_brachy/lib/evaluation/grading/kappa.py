"""Cohen's weighted kappa between two graders.

Cohen, Psychol Bull 1968;70:213-220: disagreement by one step counts less than by three; weights
are the distance of the two grades (linear) or its square (quadratic).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from parotid_brachy.lib.evaluation.grading.grades import SCALE
from parotid_brachy.lib.evaluation.resampling import RESAMPLES

_GRADES: Final = len(SCALE)
_FEWEST_CASES: Final = 3
_LEAST_USABLE: Final = 0.9


class Weights(enum.Enum):
    """How disagreement counts."""

    LINEAR = "linear"
    QUADRATIC = "quadratic"


@dataclass(frozen=True, kw_only=True)
class Kappa:
    """Agreement beyond chance.

    Attributes:
        n: pairs of grades.
        agreement: share of equal pairs; None without a pair.
        kappa: None where it is not defined.
        interval: percentile bootstrap over cases; None where there is none.
        remark: why something is missing; empty where nothing is out of the ordinary.
    """

    n: int
    agreement: float | None = None
    kappa: float | None = None
    interval: tuple[float, float] | None = None
    remark: str = ""


def weighted_kappa(
    pairs: Mapping[str, Sequence[tuple[int, int]]],
    *,
    weights: Weights,
    seed: int = 0,
    confidence: float = 0.95,
) -> Kappa:
    """Weighted kappa with an interval by resampling cases, whose items are not independent.

    Args:
        pairs: by case, both graders' grades (0-3) of the same item and structure.
        weights: how disagreement counts.
        seed: the same seed gives the same interval.
        confidence: share of resamples inside.
    """
    tables = np.zeros((len(pairs), _GRADES, _GRADES))
    for table, own in zip(tables, pairs.values(), strict=True):
        for first, second in own:
            table[first, second] += 1
    tables = tables[tables.sum(axis=(1, 2)) > 0]
    whole = tables.sum(axis=0)
    n = int(whole.sum())
    if n == 0:
        return Kappa(n=0, remark="no item was graded by both")
    agreement = float(np.trace(whole)) / n
    kappa = float(_kappas(whole[np.newaxis], weights)[0])
    if np.isnan(kappa):
        grade = int(np.argmax(whole.sum(axis=1)))
        remark = f"both graded {grade} throughout: agreement beyond chance is not defined"
        return Kappa(n=n, agreement=agreement, remark=remark)
    remark = ""
    if np.count_nonzero(whole.sum(axis=0)) == 1 or np.count_nonzero(whole.sum(axis=1)) == 1:
        remark = "one grader gave the same grade throughout: kappa is 0 whatever the other gave"
    cases = len(tables)
    if cases < _FEWEST_CASES:
        few = f"no interval: {cases} cases are too few to resample, it takes {_FEWEST_CASES}"
        return Kappa(n=n, agreement=agreement, kappa=kappa, remark=_joined(remark, few))
    drawn = np.random.default_rng(seed).multinomial(cases, np.full(cases, 1 / cases), RESAMPLES)
    resampled = _kappas(np.tensordot(drawn, tables, axes=1), weights)
    usable = resampled[~np.isnan(resampled)]
    if len(usable) < _LEAST_USABLE * RESAMPLES:
        share = 100 * (1 - len(usable) / RESAMPLES)
        lost = f"no interval: in {share:.0f} % of resamples all grades are equal"
        return Kappa(n=n, agreement=agreement, kappa=kappa, remark=_joined(remark, lost))
    tail = (100.0 - 100.0 * confidence) / 2
    low, high = np.percentile(usable, (tail, 100.0 - tail))
    return Kappa(
        n=n,
        agreement=agreement,
        kappa=kappa,
        interval=(float(low), float(high)),
        remark=remark,
    )


def _kappas(tables: NDArray[np.float64], weights: Weights) -> NDArray[np.float64]:
    """Kappa of each table, shape (n, 4, 4); NaN where no disagreement is expected by chance."""
    step = np.abs(np.subtract.outer(np.arange(_GRADES), np.arange(_GRADES))).astype(np.float64)
    weight = step if weights is Weights.LINEAR else step**2
    total = tables.sum(axis=(1, 2))
    observed = (tables * weight).sum(axis=(1, 2)) / total
    chance = np.einsum("ni,nj,ij->n", tables.sum(axis=2), tables.sum(axis=1), weight) / total**2
    result = np.full(len(tables), np.nan)
    np.divide(observed, chance, out=result, where=chance > 0)
    return 1.0 - result


def _joined(*remarks: str) -> str:
    return "; ".join(remark for remark in remarks if remark)
