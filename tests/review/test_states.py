"""What the table of states says in its errors, and that the documentation says the same."""

from datetime import datetime, timezone
from pathlib import Path

import pytest
from tests.review.studies import ANNA, SENIOR

from parotid_brachy.lib.errors import ConflictError, NotAllowedError
from parotid_brachy.lib.review.states import Action, CaseFacts, CaseState, decide, rule_table

DOCUMENT = Path(__file__).parents[2] / "docs" / "states.md"


def test_the_documented_table_is_the_programs():
    assert rule_table() in DOCUMENT.read_text()


def test_who_is_refused_on_an_approved_case_learns_who_approved_it_and_when():
    at = datetime(2026, 3, 4, 15, 6, tzinfo=timezone.utc)
    facts = CaseFacts("case_a", CaseState.APPROVED, False, "anna", "sofia", at)
    with pytest.raises(ConflictError, match="sofia approved it on 2026-03-04 15:06 UTC"):
        decide(facts, Action.SUBMIT, ANNA)


def test_who_may_not_learns_which_role_is_needed():
    facts = CaseFacts("case_a", CaseState.SUBMITTED, False, "anna")
    with pytest.raises(NotAllowedError, match=r"anna is annotator.*reviewer is needed"):
        decide(facts, Action.APPROVE, ANNA)


@pytest.mark.parametrize(
    ("state", "action", "why"),
    [
        (CaseState.NEW, Action.APPROVE, "nobody has submitted"),
        (CaseState.SUBMITTED, Action.REOPEN, "submitted, not approved"),
        (CaseState.SUBMITTED, Action.RESUME, "because it is submitted"),
    ],
)
def test_the_reason_is_the_cases_state(state, action, why):
    with pytest.raises(ConflictError, match=why):
        decide(CaseFacts("case_a", state, False, "anna"), action, SENIOR, reason="x")
