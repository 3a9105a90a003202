"""How two measurements of the same thing agree: Bland and Altman's limits, Spearman's rank test.

What cannot be computed is None with a remark that says why; nothing here answers a NaN.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.evaluation.paired_tests import Values, as_array

_FEWEST = 3


@dataclass(frozen=True, kw_only=True)
class BlandAltman:
    """Limits of agreement (Bland and Altman, Lancet 1986;327:307-310).

    Attributes:
        n: pairs in which both have a value.
        bias: mean difference, the first less the second; None without a pair.
        bias_ci: its interval, by Student's t.
        sd: of the differences.
        lower_limit: ``bias - 1.96 sd``: 95 % of differences are expected between the limits.
        upper_limit: ``bias + 1.96 sd``.
        lower_limit_ci: the lower limit's interval, with the authors' standard error
            ``sqrt(3 / n) sd``.
        upper_limit_ci: likewise.
        remark: why a value is None; empty where nothing is out of the ordinary.
    """

    n: int
    bias: float | None = None
    bias_ci: tuple[float, float] | None = None
    sd: float | None = None
    lower_limit: float | None = None
    upper_limit: float | None = None
    lower_limit_ci: tuple[float, float] | None = None
    upper_limit_ci: tuple[float, float] | None = None
    remark: str = ""


@dataclass(frozen=True, kw_only=True)
class RankCorrelation:
    """Spearman's rank correlation.

    Attributes:
        n: pairs in which both have a value.
        rho: None where there is none.
        p: two-tailed.
        remark: why; empty where there is one.
    """

    n: int
    rho: float | None = None
    p: float | None = None
    remark: str = ""


def bland_altman(a: Values, b: Values, *, confidence: float = 0.95) -> BlandAltman:
    """Bias and limits of agreement of two measurements.

    Args:
        a: the first; None, NaN and infinite values have no pair.
        b: the second, in the same order.
        confidence: of the intervals.

    Raises:
        UsageError: not as many values in both.
    """
    first, second, remark = _pairs(a, b)
    differences = first - second
    n = len(differences)
    if n < _FEWEST:
        few = f"{n} pairs are too few for limits of agreement; it takes {_FEWEST}"
        bias = float(differences.mean()) if n else None
        return BlandAltman(n=n, bias=bias, remark=_joined(remark, few))
    bias, sd = float(differences.mean()), float(differences.std(ddof=1))
    quantile = float(stats.norm.ppf(0.975))
    lower, upper = bias - quantile * sd, bias + quantile * sd
    t = float(stats.t.ppf((1 + confidence) / 2, n - 1))
    of_bias, of_limit = t * sd / math.sqrt(n), t * sd * math.sqrt(3 / n)
    return BlandAltman(
        n=n,
        bias=bias,
        bias_ci=(bias - of_bias, bias + of_bias),
        sd=sd,
        lower_limit=lower,
        upper_limit=upper,
        lower_limit_ci=(lower - of_limit, lower + of_limit),
        upper_limit_ci=(upper - of_limit, upper + of_limit),
        remark=_joined(remark, "" if np.ptp(differences) else "every difference is the same"),
    )


def spearman(a: Values, b: Values) -> RankCorrelation:
    """Spearman's rank correlation of two measurements, with its two-tailed p value.

    Args:
        a: the first; None, NaN and infinite values have no pair.
        b: the second, in the same order.

    Raises:
        UsageError: not as many values in both.
    """
    first, second, remark = _pairs(a, b)
    n = len(first)
    if n < _FEWEST:
        few = f"{n} pairs are too few for a rank correlation; it takes {_FEWEST}"
        return RankCorrelation(n=n, remark=_joined(remark, few))
    if not np.ptp(first) or not np.ptp(second):
        equal = "all values of one measurement are equal: there are no ranks to correlate"
        return RankCorrelation(n=n, remark=_joined(remark, equal))
    found = stats.spearmanr(first, second)
    return RankCorrelation(n=n, rho=float(found.statistic), p=float(found.pvalue), remark=remark)


def _pairs(a: Values, b: Values) -> tuple[NDArray[np.float64], NDArray[np.float64], str]:
    if len(a) != len(b):
        message = f"{len(a)} values against {len(b)}: a pair has one of each"
        raise UsageError(message)
    first, second = as_array(a), as_array(b)
    usable = np.isfinite(first) & np.isfinite(second)
    left_out = int(np.count_nonzero(~usable))
    remark = f"{left_out} pairs without both values left out" if left_out else ""
    return first[usable], second[usable], remark


def _joined(*remarks: str) -> str:
    return "; ".join(remark for remark in remarks if remark)
