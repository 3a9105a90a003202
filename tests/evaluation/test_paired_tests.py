import dataclasses
import math

import numpy as np
import pytest
from scipy import stats

from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.evaluation.paired_tests import (
    Effect,
    NormalityTest,
    Test,
    compare_paired,
    holm,
    judge_normality,
)

pytestmark = pytest.mark.filterwarnings("error")


def normal_pairs(n, seed=1, shift=0.05):
    rng = np.random.default_rng(seed)
    base = rng.uniform(0.6, 0.9, n)
    return base + shift + 0.03 * rng.standard_normal(n), base


def has_no_nan(found):
    return all(
        not (isinstance(value, float) and math.isnan(value))
        for one in (found, found.normality)
        for value in (getattr(one, field.name) for field in dataclasses.fields(one))
    )


def test_normal_differences_get_the_paired_t_test():
    a, b = normal_pairs(30)
    found = compare_paired(a, b)
    expected = stats.ttest_rel(a, b)
    assert found.test is Test.PAIRED_T
    assert (found.statistic, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert found.effect is Effect.COHENS_DZ
    assert found.effect_size == pytest.approx(expected.statistic / math.sqrt(30))
    assert found.mean_difference == pytest.approx((a - b).mean())
    assert found.ci_low < found.mean_difference < found.ci_high
    assert found.remark == ""


def test_differences_far_from_normal_get_wilcoxons_test():
    rng = np.random.default_rng(3)
    differences = np.r_[rng.normal(0.01, 0.001, 38), 4.0, 5.0]
    a = 1 + differences
    found = compare_paired(a, np.ones(40))
    expected = stats.wilcoxon(differences)
    assert found.normality.ks_p < 0.05
    assert found.test is Test.WILCOXON
    assert (found.statistic, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert (found.effect, found.effect_size) == (Effect.RANK_BISERIAL, 1.0)


def test_the_rank_biserial_is_the_share_of_ranks_for_less_that_against():
    differences = np.array([1.0, 1.5, 2.0, 300.0, -2.5, 3.5])
    found = compare_paired(differences, np.zeros(6), decided_by=NormalityTest.LILLIEFORS)
    assert found.test is Test.WILCOXON
    assert found.effect_size == pytest.approx((21 - 2 * 4) / 21)


def test_the_published_normality_test_is_laxer_than_lilliefors():
    values = np.random.default_rng(7).exponential(size=30)
    found = judge_normality(values)
    assert found.ks_p > 0.05 > found.lilliefors_p
    assert found.shapiro_p < 0.05
    published = compare_paired(values, np.zeros(30))
    strict = compare_paired(values, np.zeros(30), decided_by=NormalityTest.LILLIEFORS)
    assert (published.test, strict.test) == (Test.PAIRED_T, Test.WILCOXON)


def test_lilliefors_rejects_normal_samples_as_often_as_it_says():
    rng = np.random.default_rng(11)
    p = [judge_normality(rng.standard_normal(20)).lilliefors_p for _ in range(400)]
    assert 0.02 < np.mean(np.array(p) < 0.05) < 0.09


def test_lilliefors_critical_value_is_the_tabulated_one():
    # Lilliefors 1967, n = 20: 0.190 at 5 %; later simulations give 0.192.
    rng = np.random.default_rng(5)
    found = [judge_normality(rng.exponential(size=20)) for _ in range(200)]
    near = [one for one in found if 0.185 < one.ks_statistic < 0.197]
    assert near
    assert all(0.03 < one.lilliefors_p < 0.075 for one in near)


def test_equal_pairs_are_answered_in_words():
    found = compare_paired([0.8] * 10, [0.8] * 10)
    assert (found.test, found.p, found.mean_difference) == (Test.NONE, None, 0.0)
    assert "every pair is equal" in found.remark


def test_one_and_the_same_difference_everywhere_is_tested_by_wilcoxon():
    found = compare_paired(np.linspace(0.5, 0.9, 12) + 0.05, np.linspace(0.5, 0.9, 12))
    assert found.test is Test.WILCOXON
    assert found.p < 0.01
    assert found.ci_low == pytest.approx(0.05)
    assert "normality cannot be judged" in found.remark
    assert has_no_nan(found)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_fewer_than_three_pairs_are_answered_in_words(n):
    found = compare_paired([0.9] * n, [0.7] * n)
    assert (found.n, found.test, found.p) == (n, Test.NONE, None)
    assert found.remark
    assert (found.mean_difference is None) == (n == 0)
    assert has_no_nan(found)


def test_pairs_without_both_values_are_left_out_and_counted():
    a, b = normal_pairs(20)
    odd = [None, math.nan, math.inf, 0.5, 1e300]
    found = compare_paired([*a, *odd], [*b, 0.5, 0.5, 0.5, None, -1e300])
    assert (found.n, found.left_out) == (20, 5)
    assert "5 pairs" in found.remark
    whole = compare_paired(a, b)
    assert (found.p, found.ci_low) == (whole.p, whole.ci_low)


def test_too_few_pairs_for_wilcoxon_to_reject_are_told():
    found = compare_paired([1.0] * 5, [0.9] * 5)
    assert found.p >= 0.05
    assert "can fall below 0.05" in found.remark


def test_pairs_that_are_equal_are_left_out_of_wilcoxons_ranks():
    found = compare_paired([1.0, 1.0, 1.0, 1.0, 1.0, 2.0], [1.0] * 6, decided_by=LILLIEFORS)
    assert found.test is Test.WILCOXON
    assert "5 equal pairs left out" in found.remark
    assert has_no_nan(found)


LILLIEFORS = NormalityTest.LILLIEFORS


@pytest.mark.parametrize("seed", range(20))
def test_nothing_answers_a_nan(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(0, 9))
    values = [0.0, 1.0, 0.5, 1e-12, 1e300, -1e300, math.nan, math.inf, None]
    a, b = ([values[i] for i in rng.integers(0, len(values), n)] for _ in range(2))
    assert has_no_nan(compare_paired(a, b))


def test_the_same_seed_gives_the_same_interval():
    a, b = normal_pairs(25)
    assert compare_paired(a, b, seed=4) == compare_paired(a, b, seed=4)
    assert compare_paired(a, b, seed=4).ci_low != compare_paired(a, b, seed=5).ci_low


def test_unequal_numbers_of_values_are_refused():
    with pytest.raises(UsageError, match="3 values against 2"):
        compare_paired([1, 2, 3], [1, 2])


def test_holm_is_the_textbooks():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_leaves_tests_that_were_not_made_out_of_the_count():
    assert holm([None, 0.02, None, 0.04]) == [None, 0.04, None, 0.04]
    assert holm([]) == []


def test_holm_never_exceeds_one():
    assert holm([0.9, 0.8]) == [1.0, 1.0]


@pytest.mark.parametrize("p", [-0.1, 1.1, math.nan])
def test_holm_refuses_what_is_no_p_value(p):
    with pytest.raises(UsageError, match="no p value"):
        holm([0.5, p])
