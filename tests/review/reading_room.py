"""What two readers may do with a case, told again in plain words, apart from the code under test.

Written from the rules that the readers agreed on, sentence by sentence, and not from the table
that the program works by: the two say the same, or one of them is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass


class RefusedError(Exception):
    """The model's no.

    Attributes:
        kind: ``role`` (may not), ``state`` (not now), ``words`` (a reason is missing), ``nothing``
            (there is no such label).
    """

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


@dataclass(frozen=True)
class Person:
    name: str
    role: str

    @property
    def is_senior(self) -> bool:
        return self.role in {"reviewer", "admin"}

    @property
    def is_admin(self) -> bool:
        return self.role == "admin"


@dataclass
class Folder:
    """A case's folder on the desk.

    Attributes:
        state: where it lies.
        is_consensus: everybody contours it, nobody reviews it.
        one_reader: the team has one reader.
        initial_by: who made the initial contours that lie in it.
        approved_by: who approved, while it is approved.
    """

    state: str = "new"
    is_consensus: bool = False
    one_reader: bool = False
    initial_by: str | None = None
    approved_by: str | None = None

    def _goes_to(self, state: str) -> None:
        if not self.is_consensus:
            self.state = state

    def _only_seniors(self, who: Person) -> None:
        if not who.is_senior:
            raise RefusedError("role")

    def _not_for_consensus(self) -> None:
        if self.is_consensus:
            raise RefusedError("state")

    def _must_be_with_the_seniors(self) -> None:
        """Something was handed in, and no approval stands."""
        self._not_for_consensus()
        if self.state in {"new", "drafted", "approved"}:
            raise RefusedError("state")

    def draft(self, who: Person) -> None:
        """A draft never changes what readers did."""
        if self.state == "new":
            self._goes_to("drafted")

    def submit(self, who: Person) -> None:
        """Reader 1 hands in, and again until a senior has begun, or when it came back."""
        if not self.is_consensus and self.state in {"in_review", "approved", "reopened"}:
            raise RefusedError("state")
        self._goes_to("submitted")
        self.initial_by = who.name

    def correct(self, who: Person) -> None:
        self._only_seniors(who)
        self._must_be_with_the_seniors()
        self._goes_to("in_review")

    def comment(self, who: Person) -> None:
        """A comment begins the review of what was handed in; it moves nothing else."""
        self._only_seniors(who)
        self._not_for_consensus()
        if self.state in {"new", "drafted"}:
            raise RefusedError("state")
        if self.state == "submitted":
            self._goes_to("in_review")

    def send_back(self, who: Person) -> None:
        self._only_seniors(who)
        self._must_be_with_the_seniors()
        self._goes_to("returned")

    def resume(self, who: Person) -> None:
        self._only_seniors(who)
        self._not_for_consensus()
        if self.state != "returned":
            raise RefusedError("state")
        self._goes_to("in_review")

    def approve(self, who: Person) -> None:
        """Nobody approves his or her own initial contours, unless the team has one reader."""
        self._only_seniors(who)
        self._must_be_with_the_seniors()
        if self.initial_by == who.name and not self.one_reader:
            raise RefusedError("role")
        self._goes_to("approved")
        self.approved_by = who.name

    def reopen(self, who: Person, reason: str) -> None:
        """Only a senior, only what is approved, only with a reason."""
        self._only_seniors(who)
        self._not_for_consensus()
        if self.state != "approved":
            raise RefusedError("state")
        if not reason.strip():
            raise RefusedError("words")
        self._goes_to("reopened")
        self.approved_by = None

    def withdraw_correction(self, who: Person) -> None:
        self._only_seniors(who)
        self._must_be_with_the_seniors()

    def withdraw(self, who: Person) -> None:
        """Initial contours and drafts are an admin's to take away, approved cases nobody's."""
        if not who.is_admin:
            raise RefusedError("role")
        if not self.is_consensus and self.state == "approved":
            raise RefusedError("state")
