"""Brings label maps that were made elsewhere into the version store.

Each map passes the same checks as one that a client sends. A case's maps, their reviews and its
state are kept together or not at all, and journalled; the old files stay as they are. Importing
again keeps only what is new; a case that was worked on here is never mixed with older work.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from parotid_brachy.lib.errors import (
    ConflictError,
    InputRefusedError,
    ParotidBrachyError,
    StoreError,
    StoreFullError,
    TooLargeError,
    UsageError,
)
from parotid_brachy.lib.imaging.volume import Grid
from parotid_brachy.lib.review.canonical_json import canonical_json
from parotid_brachy.lib.review.change import Change
from parotid_brachy.lib.review.found import Complaint, Found
from parotid_brachy.lib.review.intake import LIMITS, Intake, NamesFrom, take_in
from parotid_brachy.lib.review.outcome import Kept, Outcome, outcome_of
from parotid_brachy.lib.review.received_map import ending_of
from parotid_brachy.lib.review.records import Kind, Note, StoredFile, Version
from parotid_brachy.lib.review.roles import Reader
from parotid_brachy.lib.review.seed_plans import ACTION as SEED_PLAN
from parotid_brachy.lib.review.states import Action, CaseState, ReviewPolicy
from parotid_brachy.lib.review.store import VersionStore
from parotid_brachy.lib.review.tag_names import order_of

IMPORT: Final = "import"
"""The journal's word for a version that was brought in, and for what became of its case."""
_NOT_WORK: Final = (IMPORT, Action.DRAFT.value, SEED_PLAN)
_LONGEST_INFO: Final = 64 * 1024
_JOURNAL_PAGE: Final = 100
_TWO_READERS: Final = ReviewPolicy()


@dataclass
class ImportReport:
    """What became of the label maps that were found.

    Attributes:
        kept: the versions that were made of them.
        already_kept: how many were there before.
        refused: what was not kept, and why.
        reservations: what was kept, and should be looked at.
    """

    kept: list[Version] = field(default_factory=list)
    already_kept: int = 0
    refused: list[Complaint] = field(default_factory=list)
    reservations: list[Complaint] = field(default_factory=list)


def import_into(
    store: VersionStore,
    found: Iterable[Found],
    *,
    grid_of: Callable[[str], Grid],
    actor: Reader,
    policy: ReviewPolicy = _TWO_READERS,
) -> ImportReport:
    """Keeps label maps that were found elsewhere.

    Args:
        store: whose cases are registered.
        found: label maps; under one tag, the newest last.
        grid_of: the grid of a case's image; raises where there is none.
        actor: who imports; the journal names him or her.
        policy: whether an approval of one's own contours holds.

    Returns:
        What became of each. What is refused stops nothing else.

    Raises:
        StoreFullError, StoreError: the store cannot be written; cases before are kept.
    """
    report = ImportReport()
    by_case = sorted(found, key=lambda one: (one.case, order_of(one.tag)))
    for case, group in itertools.groupby(by_case, key=lambda one: one.case):
        own = list(group)
        try:
            _CaseImport(store, actor, policy, report).run(case, own, grid_of)
        except (StoreError, StoreFullError):
            raise
        except ParotidBrachyError as error:
            report.refused += [Complaint(one.source, str(error)) for one in own]
    return report


@dataclass(frozen=True)
class _Checked:
    """A map that passed the checks."""

    found: Found
    received: bytes
    intake: Intake
    sha256: str

    def among(self, versions: Sequence[Version]) -> Version | None:
        """The version of the same tag and content."""
        tag, sha256 = self.found.tag, self.sha256
        same = (one for one in versions if one.tag == tag and one.file.sha256 == sha256)
        return next(same, None)


@dataclass(frozen=True)
class _CaseImport:
    """The import of one case."""

    store: VersionStore
    actor: Reader
    policy: ReviewPolicy
    report: ImportReport

    def run(self, case: str, own: Sequence[Found], grid_of: Callable[[str], Grid]) -> None:
        """Checks and keeps a case's maps.

        Raises:
            ParotidBrachyError: none of the new ones can be kept.
        """
        known = self.store.versions(case)
        grid = grid_of(case)
        checked = [one for item in own if (one := self._checked(item, grid)) is not None]
        new = self._new(checked, known)
        if not new:
            return
        try:
            state = self._untouched_state(case)
            pairs, outcome = self._keep(case, state, checked, new, known)
        except ConflictError as error:
            self.report.refused += [Complaint(one.found.source, str(error)) for one in new]
            return
        numbers = {version.number for version in known}
        self.report.kept += [version for _, version in pairs if version.number not in numbers]
        self.report.reservations += [Complaint(case, words) for words in outcome.reservations]
        self.report.reservations += [
            Complaint(
                one.found.source,
                "nobody noted what its values mean; they were taken for the app's labels 1-7, as "
                "MONAI Label's training takes them. Have a look at it",
            )
            for one in new
            if one.intake.names_from is NamesFrom.VALUES
        ]

    def _checked(self, found: Found, grid: Grid) -> _Checked | None:
        try:
            received = _content(found)
            intake = take_in(
                received,
                name=found.path.name,
                grid=grid,
                label_info=found.label_info,
                case=found.case,
                reading=found.reading,
            )
        except (InputRefusedError, TooLargeError) as error:
            self.report.refused.append(Complaint(found.source, str(error)))
            return None
        return _Checked(found, received, intake, hashlib.sha256(intake.content).hexdigest())

    def _new(self, checked: Sequence[_Checked], known: Sequence[Version]) -> list[_Checked]:
        """What is not there yet, and is not older than a draft that was made here."""
        has_draft = any(v.kind is Kind.DRAFT and IMPORT not in v.info for v in known)
        new: dict[tuple[str, str], _Checked] = {}
        for one in checked:
            key = (one.found.tag, one.sha256)
            if one.among(known) is not None or key in new:
                self.report.already_kept += 1
            elif has_draft and one.found.kind is Kind.DRAFT:
                reason = "a newer draft was made here. The file stays where it is"
                self.report.refused.append(Complaint(one.found.source, reason))
            else:
                new[key] = one
        return list(new.values())

    def _untouched_state(self, case: str) -> CaseState:
        """The state of a case on which no reader has worked here.

        Raises:
            ConflictError: somebody has.
        """
        now = self.store.case(case)
        if now.is_consensus:
            message = f"{case} is a consensus case here; older contours are not mixed with it"
            raise ConflictError(message)
        after = 0
        while entries := self.store.journal(case=case, after=after, limit=_JOURNAL_PAGE):
            worked = next((one for one in entries if one.action not in _NOT_WORK), None)
            if worked is not None:
                message = (
                    f"{case}: {worked.actor} worked on it here on {worked.at:%Y-%m-%d} "
                    f"({worked.action}), so that nothing older is mixed with it. The file stays "
                    "where it is"
                )
                raise ConflictError(message)
            after = entries[-1].sequence
        return now.state

    def _keep(
        self,
        case: str,
        state: CaseState,
        checked: Sequence[_Checked],
        new: Sequence[_Checked],
        known: Sequence[Version],
    ) -> tuple[Kept, Outcome]:
        with self.store.writing() as writing:
            files = [
                (
                    writing.put(one.intake.content, one.intake.ending),
                    writing.put(one.received, ending_of(one.found.path.name)),
                )
                for one in new
            ]
            with writing.change(self.actor) as change:
                if change.facts(case).state is not state:
                    message = f"{case}: somebody is working on it just now. Import it again later"
                    raise ConflictError(message)
                kept = [_kept(change, one, *put) for one, put in zip(new, files, strict=True)]
                there = [*known, *kept]
                pairs = [
                    (one.found, version)
                    for one in checked
                    if (version := one.among(there)) is not None
                ]
                outcome = outcome_of(pairs, policy=self.policy)
                _settle(change, case, pairs, outcome, before=state)
        return pairs, outcome


def _content(found: Found) -> bytes:
    try:
        size_bytes = found.path.stat().st_size
        if size_bytes <= LIMITS.received_bytes:
            return found.path.read_bytes()
    except OSError as error:
        message = f"{found.source}: cannot be read ({error.strerror}). Check the file."
        raise InputRefusedError(message) from error
    message = f"{found.source}: {size_bytes} bytes; at most {LIMITS.received_bytes} are taken."
    raise TooLargeError(message)


def _kept(change: Change, one: _Checked, file: StoredFile, received: StoredFile) -> Version:
    found = one.found
    version = change.add_version(
        found.case,
        tag=found.tag,
        kind=found.kind,
        author=found.author,
        file=file,
        received=received,
        volumes_ml=one.intake.volumes_ml,
        info={**_kept_info(found), IMPORT: {"file": found.source}},
        created=found.created,
    )
    told = {
        "version": version.number,
        "tag": found.tag,
        "author": found.author,
        "created": found.created.isoformat(),
        "file": found.source,
        "sha256": file.sha256,
        "received_sha256": received.sha256,
    }
    change.record(IMPORT, found.case, told)
    return version


def _kept_info(found: Found) -> dict[str, Any]:
    """What was noted about a map, unless it is more, or other, than a note can be."""
    try:
        fits = len(canonical_json(dict(found.info), what=found.source)) <= _LONGEST_INFO
    except UsageError:
        fits = False
    return dict(found.info) if fits else {}


def _settle(change: Change, case: str, pairs: Kept, outcome: Outcome, *, before: CaseState) -> None:
    """Notes the reviews, and puts the case where it stands."""
    approval = outcome.approval
    for found, version in pairs:
        review = found.review
        if review is not None and change.newest_note(version) is None:
            words = (outcome.standing(review, version), review.level, review.comment)
            change.add_note(Note(case, version.number, review.reviewer, *words, review.at))
    change.set_state(
        case,
        outcome.state,
        initial_author=outcome.initial_author,
        reviewer=outcome.reviewer,
        approved_version=None if approval is None else approval.version,
        approved_at=None if approval is None else approval.at,
        approved_by=None if approval is None else approval.by,
    )
    told: dict[str, Any] = {"from": before.value, "to": outcome.state.value}
    if approval is not None:
        told |= {
            "approved_version": approval.version,
            "approved_by": approval.by,
            "approved_at": approval.at.isoformat(),
        }
    change.record(IMPORT, case, told)
