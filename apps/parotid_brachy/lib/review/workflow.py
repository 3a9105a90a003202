"""What readers do with a case, from the client's words to the version store.

Every change asks the state table first, keeps the file before its row, and journals what was done.
The wire's words are the stock clients': tags ``original``, ``final``, ``version_N``, and a review
of status, level and comment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from parotid_brachy.lib.errors import (
    ConflictError,
    GeometryError,
    InputRefusedError,
    NotAllowedError,
    NotFoundError,
    TooLargeError,
    UsageError,
)
from parotid_brachy.lib.imaging.volume import Grid
from parotid_brachy.lib.review.intake import Intake, take_in
from parotid_brachy.lib.review.quarantine import Quarantine
from parotid_brachy.lib.review.received_map import ending_of
from parotid_brachy.lib.review.records import (
    CORRECTION_PREFIX,
    DRAFT_TAG,
    INITIAL_TAG,
    Kind,
    Version,
)
from parotid_brachy.lib.review.reviewing import Review, Reviewing, told
from parotid_brachy.lib.review.roles import Reader, Role
from parotid_brachy.lib.review.states import (
    Action,
    CaseFacts,
    CaseState,
    ReviewPolicy,
    decide,
)
from parotid_brachy.lib.review.store import VersionStore
from parotid_brachy.lib.review.tag_names import correction_number
from parotid_brachy.lib.review.writing import Change

_UNTOUCHED: Final = (CaseState.NEW, CaseState.DRAFTED)


class Images(Protocol):
    """The cases' images."""

    def grid_of(self, case: str) -> Grid:
        """The grid of a case's image; NotFoundError without one."""


@dataclass(frozen=True)
class Received:
    """A label map as a client sent it.

    Attributes:
        content: the file.
        name: what the client called it; its ending tells the format.
        label_info: the client's list of ``{"name", "idx"}``, where it sent one.
        info: what else it said.
        review: a review sent along, as the stock Reviewer does with a correction.
    """

    content: bytes
    name: str
    label_info: Sequence[Mapping[str, Any]] | None = None
    info: Mapping[str, Any] = field(default_factory=dict)
    review: Review | None = None


class Workflow:
    """What readers do with the cases of one store.

    Args:
        store: the version store.
        images: the cases' images.
        quarantine: where refused label maps are kept aside.
        policy: what the team has agreed on.
    """

    def __init__(
        self,
        store: VersionStore,
        images: Images,
        quarantine: Quarantine,
        policy: ReviewPolicy,
    ) -> None:
        self._store = store
        self._images = images
        self._quarantine = quarantine
        self._policy = policy

    def save(self, case: str, received: Received, reader: Reader, *, tag: str = "") -> Version:
        """Keeps contours: reader 1's as a submission, a senior's on another's as a correction.

        Args:
            case: its id.
            received: what the client sent.
            reader: who sent it.
            tag: the client's wish: none or ``final``, or ``version_N``.

        Raises:
            UsageError: no such tag.
            NotFoundError: no such case.
            NotAllowedError, ConflictError: the state table forbids it; nothing is kept.
            InputRefusedError, GeometryError, TooLargeError: the map is refused and kept aside.
            StoreFullError: nothing could be kept.
        """
        _require_label_tag(tag)
        # Before the work: what is refused for its state is refused at once, and kept nowhere.
        self._place(self._store.facts(case), reader, tag)
        intake = self._checked(case, received, reader)
        with self._store.writing() as writing:
            original = writing.put(received.content, ending_of(received.name))
            file = writing.put(intake.content, intake.ending)
            with writing.change(reader) as change:
                facts = change.facts(case)
                action, state = self._place(facts, reader, tag)
                is_correction = action is Action.CORRECT
                parent = change.tagged(case, INITIAL_TAG if is_correction else DRAFT_TAG)
                version = change.add_version(
                    case,
                    tag=_correction_tag(change, case, tag, reader)
                    if is_correction
                    else INITIAL_TAG,
                    kind=Kind.CORRECTION if is_correction else Kind.INITIAL,
                    author=reader.name,
                    file=file,
                    received=original,
                    volumes_ml=intake.volumes_ml,
                    parent=None if parent is None else parent.number,
                    info=received.info,
                )
                if is_correction:
                    change.set_state(case, state, reviewer=reader.name)
                else:
                    change.set_state(case, state, initial_author=reader.name)
                change.record(action.value, case, told(version, facts.state, state))
                if received.review is not None and reader.may(Role.REVIEWER):
                    reviewing = Reviewing(change, reader, self._policy)
                    reviewing.apply(version, received.review, is_new=True)
        return version

    def keep_draft(
        self, case: str, drafted: Intake, reader: Reader, *, info: Mapping[str, Any]
    ) -> Version:
        """Keeps a model's label map as the case's newest draft."""
        with self._store.writing() as writing:
            file = writing.put(drafted.content, drafted.ending)
            with writing.change(reader) as change:
                facts = change.facts(case)
                state = decide(facts, Action.DRAFT, reader, policy=self._policy)
                version = change.add_version(
                    case,
                    tag=DRAFT_TAG,
                    kind=Kind.DRAFT,
                    author=reader.name,
                    file=file,
                    received=None,
                    volumes_ml=drafted.volumes_ml,
                    info=info,
                )
                change.set_state(case, state)
                change.record(Action.DRAFT.value, case, told(version, facts.state, state))
        return version

    def review(
        self,
        case: str,
        tag: str,
        review: Review,
        reader: Reader,
        *,
        loaded_by: Reader | None = None,
    ) -> None:
        """Does what a senior's word on the version under a tag asks for.

        A word that changes nothing does nothing: the stock Reviewer repeats itself.

        Args:
            case: its id.
            tag: of the version.
            review: the senior's word.
            reader: the senior.
            loaded_by: as whom the senior's client loads label maps, if not in his or her name.

        Raises:
            NotFoundError: no such case, or nothing under the tag.
            NotAllowedError, ConflictError, UsageError: the state table forbids it.
        """
        with self._store.writing() as writing, writing.change(reader) as change:
            version = change.tagged(case, tag)
            if version is None:
                change.facts(case)  # says so if it is the case that is missing
                message = f"{case}: there is no label map under {tag!r}"
                raise NotFoundError(message)
            Reviewing(change, reader, self._policy, loaded_by).apply(version, review)

    def reopen(self, case: str, reason: str, reader: Reader) -> None:
        """Takes an approval back.

        Raises:
            NotFoundError, NotAllowedError, ConflictError, UsageError: as :meth:`review`.
        """
        with self._store.writing() as writing, writing.change(reader) as change:
            Reviewing(change, reader, self._policy).reopen(case, reason)

    def withdraw(self, case: str, tag: str, reader: Reader) -> Version:
        """Takes the version under a tag out of the clients' sight; it stays in the store.

        Raises:
            NotFoundError, NotAllowedError, ConflictError: as :meth:`review`.
        """
        _require_label_tag(tag, also=(DRAFT_TAG,))
        is_correction = tag.startswith(CORRECTION_PREFIX)
        action = Action.WITHDRAW_CORRECTION if is_correction else Action.WITHDRAW
        with self._store.writing() as writing, writing.change(reader) as change:
            facts = change.facts(case)
            state = decide(facts, action, reader, policy=self._policy)
            version = change.withdraw(case, tag)
            if facts.is_consensus:
                pass  # its cases have no states to go back to
            elif tag == INITIAL_TAG:
                drafted = change.tagged(case, DRAFT_TAG) is not None
                state = CaseState.DRAFTED if drafted else CaseState.NEW
                change.set_state(case, state, initial_author=None)
            elif tag == DRAFT_TAG and facts.state is CaseState.DRAFTED:
                state = CaseState.NEW
                change.set_state(case, state)
            change.record(action.value, case, told(version, facts.state, state))
        return version

    def set_consensus(self, case: str, reader: Reader, *, is_consensus: bool) -> None:
        """Puts a case into the consensus set, or takes it out, before anybody has worked on it.

        Raises:
            NotAllowedError: seniors choose the set.
            ConflictError: contours were submitted for the study, or for the consensus.
        """
        if not reader.may(Role.REVIEWER):
            message = f"{case}: the consensus set is chosen by seniors; {reader.name} is none"
            raise NotAllowedError(message)
        with self._store.writing() as writing, writing.change(reader) as change:
            facts = change.facts(case)
            if facts.is_consensus == is_consensus:
                return
            if facts.state not in _UNTOUCHED or facts.initial_author is not None:
                message = (
                    f"{case}: contours were submitted already; a case belongs to the study or to "
                    "the consensus set before the first contours"
                )
                raise ConflictError(message)
            change.set_consensus(case, is_consensus)
            change.record("set_consensus", case, {"is_consensus": is_consensus})

    def _checked(self, case: str, received: Received, reader: Reader) -> Intake:
        grid = self._images.grid_of(case)
        try:
            return take_in(
                received.content,
                name=received.name,
                grid=grid,
                label_info=received.label_info,
                case=case,
            )
        except (InputRefusedError, GeometryError, TooLargeError) as refused:
            self._quarantine.keep(
                received.content,
                name=received.name,
                case=case,
                reader=reader.name,
                reason=str(refused),
            )
            raise

    def _place(self, facts: CaseFacts, reader: Reader, tag: str) -> tuple[Action, CaseState]:
        """Whether a save is a submission or a correction, and the state that it leads to."""
        is_anothers = facts.initial_author not in (None, reader.name)
        is_senior = reader.may(Role.REVIEWER) and not facts.is_consensus
        corrects = tag.startswith(CORRECTION_PREFIX) or (is_senior and is_anothers)
        action = Action.CORRECT if corrects else Action.SUBMIT
        return action, decide(facts, action, reader, policy=self._policy)


def _require_label_tag(tag: str, *, also: Sequence[str] = ("",)) -> None:
    """Refuses a tag under which nobody saves: drafts are the models'."""
    if tag not in (INITIAL_TAG, *also) and correction_number(tag) is None:
        message = (
            f"tag {tag[:60]!r}: contours are saved without a tag, under {INITIAL_TAG!r}, or under "
            f"{CORRECTION_PREFIX}1, {CORRECTION_PREFIX}2, ..."
        )
        raise UsageError(message)


def _correction_tag(change: Change, case: str, wish: str, reader: Reader) -> str:
    """The client's tag where that harms nobody, else the next one.

    Saving one's own correction again moves its tag; another's correction is never hidden so.
    """
    following = change.next_correction_tag(case)
    wanted = correction_number(wish)
    if wanted is None or wanted > int(following.removeprefix(CORRECTION_PREFIX)):
        return following
    current = change.tagged(case, wish)
    return wish if current is None or current.author == reader.name else following
