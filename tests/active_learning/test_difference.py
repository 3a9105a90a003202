import numpy as np
import pytest

from parotid_brachy.lib.active_learning.difference import differences

VECTORS = {
    "a": np.array([0.0, 0.0, 5.0], np.float32),
    "b": np.array([1.0, 0.0, 5.0], np.float32),
    "c": np.array([4.0, 3.0, 5.0], np.float32),
    "d": np.array([4.0, 4.0, 5.0], np.float32),
}


def test_each_case_is_compared_with_the_learned_one_that_is_most_like_it():
    found = differences(VECTORS, ["a", "d"], ["b", "c"])
    assert {case: one.nearest for case, one in found.items()} == {"b": "a", "c": "d"}


def test_the_difference_is_in_standard_deviations_of_the_features_that_vary():
    sd = np.std(list(VECTORS.values()), axis=0)[:2]
    found = differences(VECTORS, ["a"], ["c"])["c"]
    assert found.sd == pytest.approx(np.sqrt(np.mean((np.array([4.0, 3.0]) / sd) ** 2)))


def test_another_scale_of_a_feature_changes_nothing():
    stretched = {case: vector * np.float32([10, 0.1, 1]) for case, vector in VECTORS.items()}
    first, second = (differences(one, ["a"], ["b", "c", "d"]) for one in (VECTORS, stretched))
    for case, one in first.items():
        assert second[case].sd == pytest.approx(one.sd, rel=1e-5)


def test_a_learned_case_does_not_differ():
    assert differences(VECTORS, ["a", "b"], ["b"])["b"].sd == 0.0


@pytest.mark.parametrize(("learned", "asked"), [([], ["a"]), (["x"], ["a"]), (["a"], ["x"])])
def test_without_vectors_nothing_is_said(learned, asked):
    assert differences(VECTORS, learned, asked) == {}


def test_equal_cases_do_not_differ():
    same = dict.fromkeys(("a", "b"), np.ones(4, np.float32))
    assert differences(same, ["a"], ["b"])["b"].sd == 0.0
