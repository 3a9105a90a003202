"""Random sequences of what readers do, against the rules told a second time (reading_room)."""

import itertools
from dataclasses import replace
from datetime import datetime, timezone

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.review.reading_room import Folder, Person, RefusedError

from parotid_brachy.lib.errors import ConflictError, NotAllowedError, UsageError
from parotid_brachy.lib.review.roles import Reader, Role
from parotid_brachy.lib.review.states import Action, CaseFacts, CaseState, ReviewPolicy, decide

PEOPLE = [
    Person("Ada", "annotator"),
    Person("Ben", "annotator"),
    Person("Cleo", "reviewer"),
    Person("Dan", "reviewer"),
    Person("Eve", "admin"),
]
REASONS = ["", "  ", "the condyle was missed"]
KIND_OF = {NotAllowedError: "role", ConflictError: "state", UsageError: "words"}
NOES = frozenset(KIND_OF.values())
TOLD = {
    Action.DRAFT: Folder.draft,
    Action.SUBMIT: Folder.submit,
    Action.CORRECT: Folder.correct,
    Action.COMMENT: Folder.comment,
    Action.RETURN: Folder.send_back,
    Action.RESUME: Folder.resume,
    Action.APPROVE: Folder.approve,
    Action.REOPEN: Folder.reopen,
    Action.WITHDRAW_CORRECTION: Folder.withdraw_correction,
    Action.WITHDRAW: Folder.withdraw,
}


def told(folder, action, who, reason):
    """The state that the model leads to, or why it refuses."""
    try:
        TOLD[action](folder, who, *([reason] if action is Action.REOPEN else []))
    except RefusedError as refused:
        return refused.kind
    return folder.state


def decided(facts, action, who, reason, policy):
    """The same of :func:`decide`."""
    reader = Reader(who.name, Role(who.role))
    try:
        return decide(facts, action, reader, reason=reason, policy=policy).value
    except tuple(KIND_OF) as error:
        return KIND_OF[type(error)]


def after(facts, action, state, name):
    """The facts that a store would give next."""
    if action is Action.SUBMIT:
        facts = replace(facts, initial_author=name)
    if action is Action.APPROVE:
        facts = replace(facts, approved_by=name, approved_at=datetime.now(timezone.utc))
    if action is Action.REOPEN:
        facts = replace(facts, approved_by=None, approved_at=None)
    return replace(facts, state=state)


@pytest.mark.parametrize("state", CaseState)
@pytest.mark.parametrize("who", PEOPLE, ids=lambda who: who.name)
def test_every_single_deed_is_decided_as_told(state, who):
    initial = None if state in {CaseState.NEW, CaseState.DRAFTED} else "Cleo"
    approved = "Dan" if state is CaseState.APPROVED else None
    flags = (False, True)
    for action, reason, is_consensus, alone in itertools.product(Action, REASONS, flags, flags):
        folder = Folder(state.value, is_consensus, alone, initial, approved)
        facts = CaseFacts("case", state, is_consensus, initial, approved)
        found = decided(facts, action, who, reason, ReviewPolicy(has_one_reader=alone))
        assert found == told(folder, action, who, reason), f"{action}, consensus {is_consensus}"


class DecidesAsTold(RuleBasedStateMachine):
    """One case; what :func:`decide` lets happen to it, beside what the model lets happen."""

    facts = CaseFacts("case", CaseState.NEW)

    @initialize(alone=st.booleans(), is_consensus=st.sampled_from([False, False, True]))
    def case_arrives(self, alone, is_consensus):
        self.folder = Folder("new", is_consensus, alone)
        self.policy = ReviewPolicy(has_one_reader=alone)
        self.facts = CaseFacts("case", CaseState.NEW, is_consensus)

    @rule(
        who=st.sampled_from(PEOPLE),
        action=st.sampled_from(Action),
        reason=st.sampled_from(REASONS),
    )
    def somebody_acts(self, who, action, reason):
        before = self.facts
        expected = told(self.folder, action, who, reason)
        found = decided(before, action, who, reason, self.policy)
        assert found == expected
        if found not in NOES:
            self.facts = after(before, action, CaseState(found), who.name)
        if before.state is CaseState.APPROVED and self.facts.state is not CaseState.APPROVED:
            assert (action, who.is_senior, reason) == (Action.REOPEN, True, REASONS[-1])

    @invariant()
    def an_approval_has_an_author_who_is_not_reader_1(self):
        assert (self.facts.state is CaseState.APPROVED) == (self.facts.approved_by is not None)
        if self.facts.approved_by is not None and not self.policy.has_one_reader:
            assert self.facts.approved_by != self.facts.initial_author


TestDecidesAsTold = DecidesAsTold.TestCase
TestDecidesAsTold.settings = settings(max_examples=100, stateful_step_count=50)
