import math

import numpy as np
import pytest

from parotid_brachy.lib.evaluation.grading.kappa import Weights, weighted_kappa


def by_case(first, second, cases=10):
    pairs: dict[str, list[tuple[int, int]]] = {}
    for place, pair in enumerate(zip(first, second, strict=True)):
        pairs.setdefault(f"c{place % cases}", []).append((int(pair[0]), int(pair[1])))
    return pairs


@pytest.mark.parametrize("weights", list(Weights))
def test_it_is_scikit_learns(weights):
    metrics = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(4)
    for _ in range(50):
        first = random.integers(0, 4, 60)
        second = np.clip(first + random.integers(-1, 2, 60), 0, 3)
        ours = weighted_kappa(by_case(first, second), weights=weights)
        theirs = metrics.cohen_kappa_score(
            first, second, weights=weights.value, labels=[0, 1, 2, 3]
        )
        assert math.isclose(ours.kappa, theirs, abs_tol=1e-12)
        assert ours.interval[0] <= ours.kappa <= ours.interval[1]


def test_it_is_what_a_hand_computes():
    pairs = {"a": [(2, 2), (2, 3)], "b": [(3, 3)], "c": [(3, 3)]}
    # Chance: P(2, 3) + P(3, 2) = 2/4 * 3/4 + 2/4 * 1/4 = 1/2; kappa = 1 - (1/4) / (1/2).
    found = weighted_kappa(pairs, weights=Weights.LINEAR)
    assert (found.n, found.agreement, found.kappa) == (4, 0.75, 0.5)


def test_quadratic_weights_punish_far_grades_more():
    near = {f"c{n}": [(n % 4, max(n % 4 - 1, 0))] for n in range(12)}
    far = {f"c{n}": [(n % 4, 3 - n % 4 if n < 4 else n % 4)] for n in range(12)}
    gap = {
        name: weighted_kappa(pairs, weights=Weights.QUADRATIC).kappa
        - weighted_kappa(pairs, weights=Weights.LINEAR).kappa
        for name, pairs in (("near", near), ("far", far))
    }
    assert gap["near"] > 0.1
    assert gap["far"] < 0


def test_equal_grades_throughout_are_answered_in_words():
    found = weighted_kappa({f"c{n}": [(3, 3)] for n in range(5)}, weights=Weights.LINEAR)
    assert (found.n, found.agreement, found.kappa, found.interval) == (5, 1.0, None, None)
    assert "both graded 3 throughout" in found.remark


def test_one_constant_grader_agrees_as_chance_does():
    pairs = {f"c{n}": [(3, n % 4)] for n in range(8)}
    found = weighted_kappa(pairs, weights=Weights.QUADRATIC)
    assert found.kappa == pytest.approx(0.0)
    assert "same grade throughout" in found.remark


def test_nothing_and_few_cases_are_answered_in_words():
    assert weighted_kappa({}, weights=Weights.LINEAR).remark == "no item was graded by both"
    assert weighted_kappa({"a": []}, weights=Weights.LINEAR).n == 0
    few = weighted_kappa({"a": [(0, 1), (2, 2)], "b": [(3, 3)]}, weights=Weights.LINEAR)
    assert few.kappa is not None
    assert few.interval is None
    assert "too few" in few.remark


def test_no_interval_where_most_resamples_are_degenerate():
    pairs = {"a": [(2, 2)], **{f"c{n}": [(3, 3)] for n in range(9)}}
    found = weighted_kappa(pairs, weights=Weights.LINEAR)
    assert found.kappa == 1.0
    assert found.interval is None
    assert "resamples all grades are equal" in found.remark


def test_the_interval_resamples_cases_not_items():
    first = np.array([3, 0, 3, 0, 3, 0] * 10)
    second = np.array([3, 0, 3, 0, 0, 3] * 10)
    own = weighted_kappa(by_case(first, second, cases=60), weights=Weights.LINEAR)
    clustered = weighted_kappa(by_case(first, second, cases=6), weights=Weights.LINEAR)
    assert own.kappa == clustered.kappa
    assert np.ptp(clustered.interval) > 1.5 * np.ptp(own.interval)
    assert own == weighted_kappa(by_case(first, second, cases=60), weights=Weights.LINEAR)
