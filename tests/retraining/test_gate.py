import json

import pytest
from tests.retraining.painted_cases import (
    compared,
    failing,
    moved,
    painted_cases,
    shuffled,
    stub,
    without,
)

from parotid_brachy.lib.anatomy import MANDIBULAR_RAMUS, SKIN, STRUCTURES
from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.retraining.comparison import Contender
from parotid_brachy.lib.retraining.comparison_table import scores_json, table_json, table_text
from parotid_brachy.lib.retraining.gate import GatePolicy, Verdict, judge


@pytest.fixture(scope="module")
def cases():
    return painted_cases()


@pytest.fixture
def verdict(cases):
    def judged(candidate, champion=None, **policy):
        return judge(compared(candidate, champion, cases=cases), GatePolicy(**policy))

    return judged


def test_a_candidate_that_is_as_good_is_promoted(verdict):
    decision = verdict(stub())
    assert decision.verdict is Verdict.PROMOTE
    assert "on 4 validation patients" in decision.reasons[0]


def test_a_better_candidate_is_promoted(verdict):
    assert verdict(stub(), stub(moved(1))).verdict is Verdict.PROMOTE


def test_a_candidate_of_shuffled_labels_waits_and_every_organ_says_why(verdict):
    decision = verdict(stub(shuffled))
    assert decision.verdict is Verdict.WAIT
    for structure in STRUCTURES[:-1]:
        assert any(r.startswith(f"{structure.name}: mean DSC 0.000") for r in decision.reasons)


def test_an_organ_missed_in_one_case_is_enough_to_wait(verdict):
    decision = verdict(stub(without(SKIN, cases=("case2",))), margin_dsc=1.0)
    assert decision.verdict is Verdict.WAIT
    assert decision.reasons == ("skin: missed in case2, where the champion finds it",)


def test_what_the_champion_misses_too_is_not_held_against_the_candidate(verdict):
    both = without(SKIN, cases=("case2",))
    assert verdict(stub(both), stub(both)).verdict is Verdict.PROMOTE


def test_one_organ_that_got_worse_is_enough_and_the_margin_is_its_own(verdict):
    worse = stub(moved(1, only=MANDIBULAR_RAMUS))
    decision = verdict(worse)
    assert decision.verdict is Verdict.WAIT
    assert [reason.split(":")[0] for reason in decision.reasons] == ["mandibular_ramus"]
    assert "lower, at most 0.01 is permitted" in decision.reasons[0]
    wide = {"mandibular_ramus": 0.9}
    assert verdict(worse, margins=wide).verdict is Verdict.PROMOTE
    assert verdict(worse, margins={"skin": 0.9}).verdict is Verdict.WAIT


@pytest.mark.parametrize(("seconds", "wanted"), [(1.5, Verdict.PROMOTE), (1.51, Verdict.WAIT)])
def test_half_as_slow_again_is_the_limit(verdict, seconds, wanted):
    decision = verdict(stub(seconds=seconds))
    assert decision.verdict is wanted
    assert ("takes 1.51 s a case" in decision.reasons[0]) is (wanted is Verdict.WAIT)


def test_a_first_case_that_takes_long_is_no_slowness(cases):
    seconds = iter([60.0, 1.0, 1.0, 1.0])
    slow_start = Contender("slow", lambda case: (case.labels, next(seconds)))
    assert judge(compared(slow_start, cases=cases)).verdict is Verdict.PROMOTE


def test_few_patients_are_not_enough(cases):
    found = compared(stub(), cases=cases[:2])
    decision = judge(found)
    assert decision.verdict is Verdict.WAIT
    assert decision.reasons == ("compared on 2 validation patients, at least 3 are needed",)
    assert judge(found, GatePolicy(fewest_patients=2)).verdict is Verdict.PROMOTE


def test_an_organ_that_no_patient_has_is_told(cases):
    plain = [type(c)(**{**vars(c), "contoured": c.contoured - {"skin"}}) for c in cases]
    found = compared(stub(), cases=plain)
    assert judge(found).reasons == (
        "skin: no validation patient has it, so that nothing is known of it",
    )
    assert judge(found, GatePolicy(may_lack=frozenset({"skin"}))).verdict is Verdict.PROMOTE


def test_a_candidate_that_fails_waits(verdict):
    decision = verdict(Contender("broken", failing))
    assert decision.verdict is Verdict.WAIT
    assert any("could not label it" in reason for reason in decision.reasons)


def test_without_a_champion_a_person_decides():
    decision = judge(None)
    assert decision.verdict is Verdict.WAIT
    assert decision.to_json()["comparison"] is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"margin_dsc": -0.1},
        {"margin_dsc": float("nan")},
        {"margins": {"skin": 2.0}},
        {"most_seconds_factor": 0.0},
        {"fewest_patients": 0},
    ],
)
def test_a_policy_that_makes_no_gate_is_refused(wrong):
    with pytest.raises(UsageError):
        GatePolicy(**wrong)


def test_table_and_decision_are_json_and_words(cases):
    found = compared(
        stub(without(SKIN, cases=("case1",)), name="candidate"), cases=cases, structures=STRUCTURES
    )
    content = json.loads(json.dumps(judge(found).to_json(), allow_nan=False))
    skin = content["comparison"]["rows"][2]
    assert (skin["structure"], skin["candidate_dsc"], skin["newly_missed"]) == (
        "skin",
        0.75,
        ["case1"],
    )
    assert content["comparison"] == json.loads(json.dumps(table_json(found)))
    assert len(json.loads(json.dumps(scores_json(found)))) == 28
    text = table_text(found)
    (line,) = (line for line in text.splitlines() if line.startswith("skin"))
    assert line.split()[:5] == ["skin", "4", "1.000", "0.750", "-0.250"]
    assert line.endswith("case1")
