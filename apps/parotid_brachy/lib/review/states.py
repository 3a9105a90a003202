"""What can be done with a case, by whom, and what becomes of it: one table.

Reader 1 submits initial contours; a senior corrects, returns or approves them. Everything that
changes a case's labels or its review asks :func:`decide` first.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

from parotid_brachy.lib.errors import ConflictError, NotAllowedError, UsageError
from parotid_brachy.lib.review.roles import Reader, Role


class CaseState(enum.Enum):
    """Where a case is on its way from the image to approved contours."""

    NEW = "new"
    DRAFTED = "drafted"
    SUBMITTED = "submitted"
    IN_REVIEW = "in_review"
    RETURNED = "returned"
    APPROVED = "approved"
    REOPENED = "reopened"


class Action(enum.Enum):
    """What somebody does with a case."""

    DRAFT = "draft"
    """A model's label map is kept."""
    SUBMIT = "submit"
    """Reader 1 hands over initial contours."""
    CORRECT = "correct"
    """A senior saves corrected contours."""
    COMMENT = "comment"
    """A senior notes a level of difficulty or a comment."""
    RETURN = "return"
    """A senior sends the case back to reader 1 (flagged, in the stock Reviewer's words)."""
    RESUME = "resume"
    """A senior takes the flag off."""
    APPROVE = "approve"
    """A senior approves one version."""
    REOPEN = "reopen"
    """A senior takes an approval back, with a reason."""
    WITHDRAW_CORRECTION = "withdraw_correction"
    """A senior takes a corrected version out of the clients' sight."""
    WITHDRAW = "withdraw"
    """An admin takes initial contours or a draft out of the clients' sight."""


@dataclass(frozen=True)
class Rule:
    """One action's rule.

    Attributes:
        role: the least role that may.
        leads_to: the state after it, by the state before; where a state is missing, it is refused.
        needs_reason: whether words are asked for.
    """

    role: Role
    leads_to: Mapping[CaseState, CaseState]
    needs_reason: bool = False


def _to(target: CaseState, *sources: CaseState) -> dict[CaseState, CaseState]:
    return dict.fromkeys(sources, target)


def _stays(*states: CaseState) -> dict[CaseState, CaseState]:
    return {state: state for state in states}


_S = CaseState
_BEFORE_REVIEW: Final = (_S.NEW, _S.DRAFTED)
_WITH_A_SENIOR: Final = (_S.SUBMITTED, _S.IN_REVIEW, _S.REOPENED)

RULES: Final[Mapping[Action, Rule]] = MappingProxyType(
    {
        # A draft never changes what readers did; it only makes a new case a drafted one.
        Action.DRAFT: Rule(Role.ANNOTATOR, {**{state: state for state in _S}, _S.NEW: _S.DRAFTED}),
        # While a senior is at work, reader 1 cannot exchange the contours under review.
        Action.SUBMIT: Rule(
            Role.ANNOTATOR, _to(_S.SUBMITTED, *_BEFORE_REVIEW, _S.SUBMITTED, _S.RETURNED)
        ),
        Action.CORRECT: Rule(Role.REVIEWER, _to(_S.IN_REVIEW, *_WITH_A_SENIOR, _S.RETURNED)),
        Action.COMMENT: Rule(
            Role.REVIEWER,
            {
                **_stays(_S.IN_REVIEW, _S.RETURNED, _S.APPROVED, _S.REOPENED),
                _S.SUBMITTED: _S.IN_REVIEW,
            },
        ),
        Action.RETURN: Rule(Role.REVIEWER, _to(_S.RETURNED, *_WITH_A_SENIOR, _S.RETURNED)),
        Action.RESUME: Rule(Role.REVIEWER, _to(_S.IN_REVIEW, _S.RETURNED)),
        Action.APPROVE: Rule(Role.REVIEWER, _to(_S.APPROVED, *_WITH_A_SENIOR, _S.RETURNED)),
        Action.REOPEN: Rule(Role.REVIEWER, _to(_S.REOPENED, _S.APPROVED), needs_reason=True),
        Action.WITHDRAW_CORRECTION: Rule(Role.REVIEWER, _stays(*_WITH_A_SENIOR, _S.RETURNED)),
        Action.WITHDRAW: Rule(Role.ADMIN, _stays(*_BEFORE_REVIEW, *_WITH_A_SENIOR, _S.RETURNED)),
    }
)

_ON_CONSENSUS: Final = frozenset({Action.DRAFT, Action.SUBMIT, Action.WITHDRAW})


@dataclass(frozen=True)
class CaseFacts:
    """What :func:`decide` has to know of a case.

    Attributes:
        case: its id.
        state: where it is.
        is_consensus: whether every reader contours it for training, apart from the study.
        initial_author: who made the initial contours that the clients see; None: there are none.
        approved_by: who approved, where it is approved.
        approved_at: when, in UTC.
        reviewer: the senior who did something with it last.
    """

    case: str
    state: CaseState
    is_consensus: bool = False
    initial_author: str | None = None
    approved_by: str | None = None
    approved_at: datetime | None = None
    reviewer: str | None = None


@dataclass(frozen=True)
class ReviewPolicy:
    """What a team has agreed on.

    Attributes:
        has_one_reader: the team has one reader, who approves what he or she contoured.
    """

    has_one_reader: bool = False


def decide(
    facts: CaseFacts,
    action: Action,
    actor: Reader,
    *,
    reason: str = "",
    policy: ReviewPolicy = ReviewPolicy(),
) -> CaseState:
    """The state that an action leads to.

    Args:
        facts: of the case, as they are at this moment.
        action: what is to be done.
        actor: by whom.
        reason: the actor's words, where the rule wants some.
        policy: what the team has agreed on.

    Raises:
        NotAllowedError: the role does not include it, or the contours are the actor's own.
        ConflictError: the case's state does not permit it; says who approved and when.
        UsageError: the reason is missing.
    """
    rule = RULES[action]
    if not actor.may(rule.role):
        message = (
            f"{facts.case}: {actor.name} is {actor.role.value}; to {action.value} a case, "
            f"{rule.role.value} is needed"
        )
        raise NotAllowedError(message)
    if facts.is_consensus:
        if action not in _ON_CONSENSUS:
            message = f"{facts.case} is a consensus case: it is contoured by all and not reviewed"
            raise ConflictError(message)
        return facts.state
    if facts.state not in rule.leads_to:
        raise ConflictError(_why_not(facts, action))
    if rule.needs_reason and not reason.strip():
        message = f"{facts.case}: to {action.value} it, give a reason"
        raise UsageError(message)
    if action is Action.APPROVE:
        _refuse_own(facts, actor, policy)
    return rule.leads_to[facts.state]


def _refuse_own(facts: CaseFacts, actor: Reader, policy: ReviewPolicy) -> None:
    if facts.initial_author == actor.name and not policy.has_one_reader:
        message = (
            f"{facts.case}: the initial contours are {actor.name}'s own; somebody else approves "
            "them (a team with one reader says so in the configuration)"
        )
        raise NotAllowedError(message)


def _why_not(facts: CaseFacts, action: Action) -> str:
    what = f"{facts.case}: cannot {action.value}"
    if facts.state is CaseState.APPROVED:
        when = f" on {facts.approved_at:%Y-%m-%d %H:%M} UTC" if facts.approved_at else ""
        return (
            f"{what}, because {facts.approved_by or 'a senior'} approved it{when}. "
            "A senior can reopen it, with a reason."
        )
    if action is Action.SUBMIT:
        return (
            f"{what}, because {facts.reviewer or 'a senior'} is reviewing it. "
            "Ask to have it returned; save your contours in your client meanwhile."
        )
    if action is Action.REOPEN:
        return f"{what}, because it is {facts.state.value}, not approved."
    if facts.state in _BEFORE_REVIEW:
        return f"{what}, because nobody has submitted contours yet."
    return f"{what}, because it is {facts.state.value}."


def rule_table() -> str:
    """The rules as a Markdown table: a row for each action, a column for each state."""
    head = ["action", "least role", *(state.value for state in CaseState)]
    lines = [" | ".join(["", *head, ""]).strip(), "|" + "---|" * len(head)]
    for action, rule in RULES.items():
        cells = [rule.leads_to[s].value if s in rule.leads_to else "-" for s in CaseState]
        name = f"{action.value} (with a reason)" if rule.needs_reason else action.value
        lines.append(" | ".join(["", name, rule.role.value, *cells, ""]).strip())
    return "\n".join(lines)
