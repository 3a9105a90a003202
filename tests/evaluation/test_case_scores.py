import pytest

from parotid_brachy.lib.evaluation import case_scores
from parotid_brachy.lib.evaluation.cohort import CohortCase


def test_a_fault_in_one_case_does_not_cost_the_others(tmp_path, monkeypatch):
    def faulty(one, *_):
        if one.case == "bad":
            raise ZeroDivisionError("oops")
        return case_scores.CaseScores(one.case, (), ())

    monkeypatch.setattr(case_scores, "score_case", faulty)
    cases = [CohortCase(name, tmp_path / name, {}) for name in ("bad", "good")]
    bad, good = case_scores.score_cases(cases)
    assert [problem.case for problem in bad.problems] == ["bad"]
    assert "ZeroDivisionError: oops" in bad.problems[0].message
    assert good.problems == ()


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_missing_reference_is_a_problem_of_its_case(tmp_path, jobs):
    cases = [CohortCase(name, tmp_path / f"{name}.nii.gz", {}) for name in ("a", "b")]
    found = list(case_scores.score_cases(cases, jobs=jobs))
    assert sorted(one.case for one in found) == ["a", "b"]
    assert all("the reference was refused" in one.problems[0].message for one in found)
