import math

import numpy as np
import pytest
from scipy import stats

from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.evaluation.agreement_statistics import bland_altman, spearman

pytestmark = pytest.mark.filterwarnings("error")


def test_limits_of_agreement_are_bland_and_altmans():
    a, b = np.array([1.0, 2.0, 4.0, 3.0]), np.array([1.0, 1.0, 2.0, 4.0])
    found = bland_altman(a, b)
    sd = np.std([0, 1, 2, -1], ddof=1)
    t = stats.t.ppf(0.975, 3)
    assert (found.n, found.bias, found.sd) == (4, 0.5, pytest.approx(sd))
    assert found.lower_limit == pytest.approx(0.5 - 1.959964 * sd)
    assert found.upper_limit == pytest.approx(0.5 + 1.959964 * sd)
    assert found.bias_ci == pytest.approx((0.5 - t * sd / 2, 0.5 + t * sd / 2))
    half = t * sd * math.sqrt(3 / 4)
    assert found.upper_limit_ci == pytest.approx(
        (found.upper_limit - half, found.upper_limit + half)
    )
    assert found.lower_limit_ci == pytest.approx(
        (found.lower_limit - half, found.lower_limit + half)
    )
    assert found.remark == ""


def test_equal_measurements_agree_within_nothing():
    found = bland_altman([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    assert (found.bias, found.sd, found.lower_limit, found.upper_limit) == (0, 0, 0, 0)
    assert "same" in found.remark


@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_pairs_are_answered_in_words(n):
    limits, ranks = bland_altman([1.0] * n, [0.5] * n), spearman([1.0] * n, [0.5] * n)
    assert limits.lower_limit is None
    assert limits.bias == (0.5 if n else None)
    assert (ranks.rho, ranks.p) == (None, None)
    assert f"{n} pairs" in limits.remark
    assert f"{n} pairs" in ranks.remark


def test_spearman_correlates_ranks():
    found = spearman([1, 2, 3, 4, 5], [1, 8, 27, 125, 64])
    assert found.rho == pytest.approx(0.9)
    assert found.p == pytest.approx(stats.spearmanr([1, 2, 3, 4, 5], [1, 2, 3, 5, 4]).pvalue)
    assert found.remark == ""


def test_a_constant_measurement_has_no_ranks():
    found = spearman([0.9, 0.9, 0.9, 0.9], [1, 2, 3, 4])
    assert (found.rho, found.p) == (None, None)
    assert "equal" in found.remark


def test_pairs_without_both_values_are_left_out():
    a, b = [1, 2, None, 4, math.nan, 6], [2, 1, 3, 4, 5, math.inf]
    assert (bland_altman(a, b).n, spearman(a, b).n) == (3, 3)
    assert "3 pairs" in bland_altman(a, b).remark
    assert "3 pairs" in spearman(a, b).remark


@pytest.mark.parametrize("function", [bland_altman, spearman])
def test_unequal_numbers_of_values_are_refused(function):
    with pytest.raises(UsageError, match="1 values against 2"):
        function([1], [1, 2])
