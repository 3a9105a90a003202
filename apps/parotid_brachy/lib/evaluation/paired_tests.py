"""Is one method better than another on the same cases? Paired tests, as published.

The protocol (J Contemp Brachytherapy 2022;14:527-535) judges normality by Kolmogorov-Smirnov and
then takes Student's paired t-test (normal) or Wilcoxon's signed-rank test (not), two-tailed. With
mean and standard deviation estimated from the same data, the published p value is far too large
and hardly ever rejects; Lilliefors' and Shapiro's stand beside it, and either may decide instead.

What cannot be computed is None with a remark that says why; nothing here answers a NaN.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.evaluation.resampling import bootstrap_interval

Values = Sequence[float | None] | NDArray[np.float64]

_FEWEST = 3
# Beyond any measurement; what is larger is no value.
_LARGEST = 1e12
_LILLIEFORS_SAMPLES = 4999
_LILLIEFORS_SEED = 20220914
_MOST_FOR_SHAPIRO = 5000
# Differences that are equal but for the last bits of a subtraction are ties.
_DECIMALS = 10


class NormalityTest(enum.Enum):
    """Which test decides whether differences count as normal."""

    KOLMOGOROV_SMIRNOV = "kolmogorov_smirnov"
    LILLIEFORS = "lilliefors"
    SHAPIRO_WILK = "shapiro_wilk"


class Test(enum.Enum):
    """The test of the difference."""

    __test__ = False

    PAIRED_T = "paired_t"
    WILCOXON = "wilcoxon"
    NONE = "none"


class Effect(enum.Enum):
    """What an effect size is."""

    COHENS_DZ = "cohens_dz"
    RANK_BISERIAL = "rank_biserial"


@dataclass(frozen=True, kw_only=True)
class Normality:
    """Whether values may come from a normal distribution.

    Attributes:
        n: how many values.
        ks_statistic: largest distance of the empirical from the fitted normal distribution.
        ks_p: as published: as if mean and standard deviation had been known beforehand.
        lilliefors_p: of the same statistic, corrected for having estimated them; by simulation
            with a fixed seed (Lilliefors, J Am Stat Assoc 1967;62:399-402).
        shapiro_w: Shapiro and Wilk's statistic.
        shapiro_p: and its p value; None above 5000 values, beyond which it is not defined.
        remark: why a value is None; empty where none is.
    """

    n: int
    ks_statistic: float | None = None
    ks_p: float | None = None
    lilliefors_p: float | None = None
    shapiro_w: float | None = None
    shapiro_p: float | None = None
    remark: str = ""

    def p(self, test: NormalityTest) -> float | None:
        """The p value of one of the tests."""
        return {
            NormalityTest.KOLMOGOROV_SMIRNOV: self.ks_p,
            NormalityTest.LILLIEFORS: self.lilliefors_p,
            NormalityTest.SHAPIRO_WILK: self.shapiro_p,
        }[test]


@dataclass(frozen=True, kw_only=True)
class PairedTest:
    """Two methods on the same cases; differences are the first's less the second's.

    Attributes:
        n: pairs in which both have a value.
        left_out: pairs in which one has none (missing, NaN or infinite).
        normality: of the differences.
        test: which one was made.
        statistic: t, or the smaller sum of signed ranks.
        p: two-tailed.
        effect: what ``effect_size`` is.
        effect_size: Cohen's dz (mean over standard deviation of the differences) beside a t-test,
            the matched-pairs rank-biserial correlation (Kerby 2014) beside Wilcoxon's.
        mean_difference: None without a pair.
        ci_low: lower end of its bootstrap interval.
        ci_high: upper end.
        remark: what a reader must know; empty where nothing is out of the ordinary.
    """

    n: int
    left_out: int
    normality: Normality
    test: Test = Test.NONE
    statistic: float | None = None
    p: float | None = None
    effect: Effect | None = None
    effect_size: float | None = None
    mean_difference: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    remark: str = ""


def compare_paired(
    a: Values,
    b: Values,
    *,
    alpha: float = 0.05,
    confidence: float = 0.95,
    decided_by: NormalityTest = NormalityTest.KOLMOGOROV_SMIRNOV,
    seed: int = 0,
) -> PairedTest:
    """Compares two methods' values of one metric, case by case.

    Args:
        a: the first method's values; None, NaN and infinite ones have no pair.
        b: the second's, in the same order of cases.
        alpha: below this p value, differences do not count as normal.
        confidence: of the interval.
        decided_by: which normality test chooses between t and Wilcoxon.
        seed: of the bootstrap.

    Raises:
        UsageError: not as many values in both.
    """
    first, second = as_array(a), as_array(b)
    if len(first) != len(second):
        message = f"{len(first)} values against {len(second)}: a pair has one of each"
        raise UsageError(message)
    usable = np.isfinite(first) & np.isfinite(second)
    differences = np.round(first[usable] - second[usable], _DECIMALS)
    n, left_out = len(differences), int(np.count_nonzero(~usable))
    normality = judge_normality(differences)
    remarks = [f"{left_out} pairs without both values left out"] if left_out else []
    if n == 0:
        remarks.append("no pair to compare")
        return PairedTest(n=0, left_out=left_out, normality=normality, remark="; ".join(remarks))
    low, high = bootstrap_interval(differences, seed=seed, confidence=confidence)
    result = functools.partial(
        PairedTest,
        n=n,
        left_out=left_out,
        normality=normality,
        mean_difference=float(differences.mean()),
        ci_low=low,
        ci_high=high,
    )
    if n < _FEWEST:
        remarks.append(f"{n} pairs are too few for a test; it takes {_FEWEST}")
        return result(remark="; ".join(remarks))
    if not differences.any():
        remarks.append("every pair is equal: there is no difference to test")
        return result(remark="; ".join(remarks))
    normal_p = normality.p(decided_by)
    if normal_p is not None and normal_p >= alpha:
        found = stats.ttest_1samp(differences, 0.0)
        return result(
            test=Test.PAIRED_T,
            statistic=float(found.statistic),
            p=float(found.pvalue),
            effect=Effect.COHENS_DZ,
            effect_size=float(differences.mean() / differences.std(ddof=1)),
            remark="; ".join(remarks),
        )
    if normal_p is None:
        remarks.append(normality.remark or f"{decided_by.value} cannot be computed")
        remarks.append("so Wilcoxon's test, which does not ask for normality")
    return _wilcoxon(differences, alpha, result, remarks)


def judge_normality(values: Values) -> Normality:
    """Tests values for a normal distribution with their own mean and standard deviation.

    Args:
        values: None, NaN and infinite ones are left out.
    """
    array = as_array(values)
    array = array[np.isfinite(array)]
    n = len(array)
    if n < _FEWEST:
        return Normality(n=n, remark=f"normality cannot be judged from {n} values")
    spread = float(array.std(ddof=1))
    if np.ptp(array) <= 10.0**-_DECIMALS or not np.isfinite(spread):
        return Normality(n=n, remark="all values are equal: normality cannot be judged")
    standard = (array - array.mean()) / spread
    found = stats.kstest(standard, "norm")
    statistic = float(found.statistic)
    simulated = _lilliefors_statistics(n)
    beyond = int(np.count_nonzero(simulated >= statistic))
    shapiro = stats.shapiro(standard) if n <= _MOST_FOR_SHAPIRO else None
    return Normality(
        n=n,
        ks_statistic=statistic,
        ks_p=float(found.pvalue),
        lilliefors_p=(beyond + 1) / (len(simulated) + 1),
        shapiro_w=None if shapiro is None else float(shapiro.statistic),
        shapiro_p=None if shapiro is None else float(shapiro.pvalue),
        remark="" if shapiro else f"Shapiro-Wilk is not defined for {n} values",
    )


def holm(p_values: Iterable[float | None]) -> list[float | None]:
    """P values adjusted for having made several tests (Holm, Scand J Stat 1979;6:65-70).

    Args:
        p_values: None where no test could be made; it stays None and does not count as a test.

    Returns:
        In the same order.

    Raises:
        UsageError: a value is no probability.
    """
    given = list(p_values)
    made = [(p, place) for place, p in enumerate(given) if p is not None]
    for p, _ in made:
        if not 0.0 <= p <= 1.0:
            message = f"{p} is no p value; give one of 0 to 1, or None where no test was made"
            raise UsageError(message)
    adjusted: list[float | None] = [None] * len(given)
    largest = 0.0
    for rank, (p, place) in enumerate(sorted(made)):
        largest = max(largest, min(1.0, p * (len(made) - rank)))
        adjusted[place] = largest
    return adjusted


def _wilcoxon(
    differences: NDArray[np.float64],
    alpha: float,
    result: functools.partial[PairedTest],
    remarks: list[str],
) -> PairedTest:
    moved = differences[differences != 0]
    found = stats.wilcoxon(moved)
    ranks = stats.rankdata(np.abs(moved))
    if len(moved) < len(differences):
        remarks.append(f"{len(differences) - len(moved)} equal pairs left out by Wilcoxon's test")
    if 2.0 ** (1 - len(moved)) >= alpha:
        remarks.append(f"no p value of {len(moved)} pairs can fall below {alpha:g}")
    return result(
        test=Test.WILCOXON,
        statistic=float(found.statistic),
        p=float(found.pvalue),
        effect=Effect.RANK_BISERIAL,
        effect_size=float(ranks @ np.sign(moved) / ranks.sum()),
        remark="; ".join(remarks),
    )


@functools.lru_cache(maxsize=32)
def _lilliefors_statistics(n: int) -> NDArray[np.float64]:
    """Kolmogorov-Smirnov statistics of normal samples against their own fitted normal."""
    rng = np.random.default_rng(_LILLIEFORS_SEED)
    high, low = np.arange(1, n + 1) / n, np.arange(n) / n
    found = np.empty(_LILLIEFORS_SAMPLES)
    # In parts, so that a thousand cases do not take a hundred megabytes.
    for part in np.array_split(
        np.arange(_LILLIEFORS_SAMPLES), 1 + n * _LILLIEFORS_SAMPLES // 10**6
    ):
        sample = rng.standard_normal((len(part), n))
        centred = sample - sample.mean(axis=1, keepdims=True)
        scale = sample.std(axis=1, ddof=1, keepdims=True)
        below = stats.norm.cdf(np.sort(centred / scale, axis=1))
        found[part] = np.maximum((high - below).max(axis=1), (below - low).max(axis=1))
    found.setflags(write=False)
    return found


def as_array(values: Values) -> NDArray[np.float64]:
    """Values as an array, NaN where there is none or where it is beyond any measurement."""
    array = np.array([np.nan if value is None else float(value) for value in values], np.float64)
    array[~(np.abs(array) <= _LARGEST)] = np.nan
    return array
