"""Sends approved contours to the archive that their images came from."""

from __future__ import annotations

import enum
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

from parotid_brachy.lib.datastore.approved_export import approved_contours
from parotid_brachy.lib.datastore.archive_studies import ArchiveStudies
from parotid_brachy.lib.dicom.case_series import CaseSeries
from parotid_brachy.lib.dicom.exporting import export_case
from parotid_brachy.lib.dicomweb.access import ArchiveUnreachableError
from parotid_brachy.lib.dicomweb.outbox import Outbox, OutboxItem, Receiver
from parotid_brachy.lib.errors import ParotidBrachyError
from parotid_brachy.lib.imaging.files import read_label_map, read_volume
from parotid_brachy.lib.imaging.gland_side import side_of_gland
from parotid_brachy.lib.review.clinical_facts import facts_of
from parotid_brachy.lib.review.folder_lock import exclusive_lock_if_free
from parotid_brachy.lib.review.records import CaseFilter
from parotid_brachy.lib.review.roles import Reader, Role
from parotid_brachy.lib.review.states import CaseState
from parotid_brachy.lib.version import project_version

logger = logging.getLogger(__name__)

OUTBOX: Final = "outbox"
SEND_OUT: Final = "send_out"
SUPERSEDE: Final = "supersede_sent"
"""What the journal calls it."""
_SERVER: Final = Reader("server", Role.ADMIN)
_TRIED_AGAIN_AFTER_S: Final = 600.0
"""What was refused is not better at once."""


class SendingState(enum.Enum):
    """How far approved contours have come."""

    WAITING = "waiting"
    """Not tried yet, or the archive is away."""
    REFUSED = "refused"
    """By us or by the archive; tried again later."""
    SENT = "sent"
    SUPERSEDED = "superseded"
    """A later version has been sent; ``is_removed``, whether the archive has this one no more."""


@dataclass(frozen=True)
class Sending:
    """How far the approved contours of a case have come.

    Attributes:
        case: the case's id.
        version: the version's number.
        state: how far.
        message: for a person; empty where nothing is the matter.
        item: what was made; None: nothing yet.
    """

    case: str
    version: int
    state: SendingState
    message: str = ""
    item: OutboxItem | None = None


class ApprovedSending:
    """The outbox of an archive's studies.

    Args:
        studies: whose approved contours.
        receiver: the archive.
    """

    def __init__(self, studies: ArchiveStudies, receiver: Receiver) -> None:
        self._studies = studies
        self._receiver = receiver
        self._outbox = Outbox(studies.store.folder / OUTBOX)
        self._settled: set[tuple[str, int]] = set()
        self._refused: dict[tuple[str, int], tuple[float, str]] = {}
        self._away = ""

    def look(self) -> None:
        """Sends what is approved and has not arrived; one process at a time.

        What is refused is logged and told by :meth:`sendings`.

        Raises:
            StoreError, StoreFullError: the store cannot be read, or the lock's file not be made.
        """
        self._outbox.folder.mkdir(parents=True, exist_ok=True)
        with exclusive_lock_if_free(self._outbox.folder / "lock") as is_ours:
            if is_ours:
                self._outbox.clear_up()
                self._look()

    def sendings(self) -> list[Sending]:
        """How far the approved contours have come, those in the outbox and those to come."""
        items = {(item.case, item.version): item for item in self._outbox.items()}
        approved = self._approved()
        told = [self._sending(key, items.get(key)) for key in approved]
        old = [item for key, item in items.items() if key not in approved and item.sent_at]
        told += [Sending(item.case, item.version, _state_of(item), item=item) for item in old]
        return sorted(told, key=lambda one: (one.case, one.version))

    def _sending(self, key: tuple[str, int], item: OutboxItem | None) -> Sending:
        if item is not None and item.sent_at is not None:
            return Sending(*key, SendingState.SENT, item=item)
        if key in self._refused:
            return Sending(*key, SendingState.REFUSED, self._refused[key][1], item)
        return Sending(*key, SendingState.WAITING, self._away, item)

    def _approved(self) -> Sequence[tuple[str, int]]:
        wanted = CaseFilter(states=(CaseState.APPROVED,), is_consensus=False)
        return [
            (case.id, case.approved_version)
            for case in self._studies.store.cases(wanted).items
            if case.approved_version is not None
        ]

    def _look(self) -> None:
        for key in self._approved():
            if key in self._settled or not self._is_due(key):
                continue
            try:
                self._send(*key)
            except ArchiveUnreachableError as error:
                if not self._away:
                    logger.warning("outbox: %s", error)
                self._away = str(error)
                return  # the others would fare no better
            except (ParotidBrachyError, OSError) as error:
                logger.warning("outbox: %s, version %d: %s", *key, error)
                self._refused[key] = (time.monotonic(), str(error))
            else:
                self._settled.add(key)
                self._refused.pop(key, None)
            self._away = ""

    def _is_due(self, key: tuple[str, int]) -> bool:
        since, _ = self._refused.get(key, (float("-inf"), ""))
        return time.monotonic() - since > _TRIED_AGAIN_AFTER_S

    def _send(self, case: str, version: int) -> None:
        """Makes, sends and supersedes; each step is done once, whenever it is repeated."""
        item = self._outbox.prepare(case, version, lambda folder: self._make(case, folder))
        # The journal is written first: killed in between, it says so twice, and never not at all.
        if item.sent_at is None:
            item = self._outbox.deliver(item, self._receiver)
            uids = {one.file: one.uid for one in item.objects}
            self._record(SEND_OUT, case, {"version": version, "objects": uids})
            self._outbox.note(item)
            logger.info("outbox: %s, version %d has arrived in the archive", case, version)
        for outdated in self._outbox.outdated(item):
            old = self._outbox.take_back(outdated, self._receiver)
            details = {"version": old.version, "by": version, "is_removed": old.is_removed}
            self._record(SUPERSEDE, case, details)
            self._outbox.note(old)

    def _make(self, case: str, folder: Path) -> Sequence[Path]:
        """The objects of a case's approved version."""
        store = self._studies.store
        approved = approved_contours(store, case)
        volume = read_volume(self._studies.images.path_of(case), case=case)
        labels = read_label_map(approved.labels, volume.grid)
        side = facts_of(store.case(case).image_info).side or side_of_gland(labels, volume)
        content = approved.content(side, made=datetime.now(timezone.utc), version=project_version())
        series = CaseSeries(store.folder).folder_of(case)
        made = export_case(labels, volume.grid, series, folder, content)
        return (made.seg, made.rtstruct)

    def _record(self, action: str, case: str, details: Mapping[str, object]) -> None:
        store = self._studies.store
        with store.writing() as writing, writing.change(_SERVER) as change:
            change.record(action, case, details)


def _state_of(item: OutboxItem) -> SendingState:
    return SendingState.SUPERSEDED if item.superseded_at else SendingState.SENT
