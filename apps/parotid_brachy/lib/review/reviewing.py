"""A senior's word on a version: what it asks for, and what becomes of the case.

The stock Reviewer sends its whole record each time: status, level and comment. Here it is found out
which action that is, and the state table is asked.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any, Final

from parotid_brachy.lib.errors import ConflictError, UsageError
from parotid_brachy.lib.review.records import Kind, Level, Note, ReviewStatus, Version
from parotid_brachy.lib.review.roles import Reader
from parotid_brachy.lib.review.states import Action, CaseState, ReviewPolicy, decide
from parotid_brachy.lib.review.writing import Change

_LONGEST_COMMENT: Final = 4000
_NO_TEXT: Final = ("Cc", "Cs")


@dataclass(frozen=True)
class Review:
    """A senior's word on a version, as a client sends it.

    Attributes:
        status: approved, flagged or neither.
        level: how hard the case was.
        comment: free text; the reason, where one is asked for.
    """

    status: ReviewStatus = ReviewStatus.NONE
    level: Level = Level.NONE
    comment: str = ""

    def __post_init__(self) -> None:
        """Refuses a comment that is no comment any more."""
        if len(self.comment) > _LONGEST_COMMENT:
            message = f"a comment of {len(self.comment)} characters: up to {_LONGEST_COMMENT}"
            raise UsageError(message)
        if any(
            unicodedata.category(one) in _NO_TEXT and one not in "\n\r\t" for one in self.comment
        ):
            message = "a comment with control characters or halves of characters: send plain text"
            raise UsageError(message)


@dataclass(frozen=True)
class Reviewing:
    """One senior's review within one change of the store.

    Attributes:
        change: the open transaction.
        reader: the senior.
        policy: what the team has agreed on.
        loaded_by: as whom the label maps were loaded, where a client loads them in another's name.
    """

    change: Change
    reader: Reader
    policy: ReviewPolicy
    loaded_by: Reader | None = None

    def apply(self, version: Version, review: Review, *, is_new: bool = False) -> None:
        """Does what a word on a version asks for; nothing, where it says nothing new.

        Args:
            version: that the word is on.
            review: the senior's word.
            is_new: the senior has just saved the version, and so knows it.

        Raises:
            NotAllowedError, ConflictError, UsageError: the state table forbids it.
        """
        case = self.change.case(version.case)
        before = self.change.newest_note(version)
        is_approved = case.approved_version == version.number
        was = ReviewStatus.APPROVED if is_approved else _standing(before)
        if review.status is was:
            known = Review() if before is None else Review(was, before.level, before.comment)
            if review != known:
                # The stock Reviewer repeats a flag with another level; with other words, the flag
                # is a new one, where reader 1 has submitted again since.
                is_anew = was is ReviewStatus.FLAGGED and review.comment != known.comment
                is_back = case.state is CaseState.RETURNED
                self._note(
                    version, Action.RETURN if is_anew and not is_back else Action.COMMENT, review
                )
            return
        # A flag on another version than the approved one is refused: after an approval, the stock
        # Reviewer repeats the flags that it has in mind of the others.
        is_other_approval = review.status is ReviewStatus.APPROVED
        if case.state is CaseState.APPROVED and (is_approved or is_other_approval):
            self.reopen(case.id, review.comment)
        if review.status is ReviewStatus.APPROVED:
            self._approve(version, review, is_new=is_new)
        elif review.status is ReviewStatus.FLAGGED:
            self._note(version, Action.RETURN, review)
        elif was is ReviewStatus.FLAGGED and case.state is CaseState.RETURNED:
            self._note(version, Action.RESUME, review)
        elif not is_approved:
            self._note(version, Action.COMMENT, review)

    def reopen(self, case: str, reason: str) -> None:
        """Takes the approval of a case back.

        Raises:
            NotAllowedError, ConflictError, UsageError: the state table forbids it.
        """
        facts = self.change.facts(case)
        state = decide(facts, Action.REOPEN, self.reader, reason=reason, policy=self.policy)
        self._take_off(case, ReviewStatus.APPROVED)
        self.change.set_state(case, state, reviewer=self.reader.name)
        moved = {"from": facts.state.value, "to": state.value}
        self.change.record(Action.REOPEN.value, case, {**moved, "reason": reason})

    def _approve(self, version: Version, review: Review, *, is_new: bool) -> None:
        if version.kind is Kind.DRAFT:
            message = (
                f"{version.case}: {version.tag!r} is a model's draft; "
                "only contours that a reader made are approved"
            )
            raise ConflictError(message)
        reader = (self.loaded_by or self.reader).name
        served = None if is_new else self.change.last_served(version.case, version.tag, reader)
        if served is not None and served != version.number:
            message = (
                f"{version.case}: the contours under {version.tag!r} were saved anew after "
                f"{reader} loaded them. Load them again, then approve."
            )
            raise ConflictError(message)
        self._take_off(version.case, ReviewStatus.APPROVED, ReviewStatus.FLAGGED)
        self._note(version, Action.APPROVE, review)

    def _note(self, version: Version, action: Action, review: Review) -> None:
        facts = self.change.facts(version.case)
        state = decide(facts, action, self.reader, reason=review.comment, policy=self.policy)
        self.change.add_note(
            Note(
                version.case,
                version.number,
                self.reader.name,
                review.status,
                review.level,
                review.comment,
                datetime.now(timezone.utc),
            )
        )
        self.change.set_state(
            version.case,
            state,
            reviewer=self.reader.name,
            approved_version=version.number if action is Action.APPROVE else None,
        )
        said = {"level": review.level.value, "comment": review.comment}
        moved = told(version, facts.state, state)
        self.change.record(action.value, version.case, {**moved, **said})

    def _take_off(self, case: str, *statuses: ReviewStatus) -> None:
        """Takes these statuses off the case's versions, so that clients never see two approved."""
        for note in self.change.current_notes(case).values():
            if note.status in statuses:
                self.change.add_note(
                    replace(
                        note,
                        reviewer=self.reader.name,
                        status=ReviewStatus.NONE,
                        created=datetime.now(timezone.utc),
                    )
                )


def _standing(note: Note | None) -> ReviewStatus:
    """The status that a version which is not approved is in."""
    if note is not None and note.status is ReviewStatus.FLAGGED:
        return ReviewStatus.FLAGGED
    return ReviewStatus.NONE


def told(version: Version, before: CaseState, after: CaseState) -> dict[str, Any]:
    """What the journal tells of something done with a version."""
    return {
        "version": version.number,
        "tag": version.tag,
        "sha256": version.file.sha256,
        "from": before.value,
        "to": after.value,
    }
