"""Approved contours on their way to the archive: kept here first, sent until they have arrived.

One folder a version: the objects as they were made, once, and a note of how far they have come. A
repetition sends the same objects with the same UIDs, which an archive keeps once; so neither a
kill nor an archive that goes away in the middle of a sending loses or doubles anything.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final, Protocol

import pydicom

from parotid_brachy.lib.dicomweb.access import ArchiveError
from parotid_brachy.lib.dicomweb.archive_series import is_uid
from parotid_brachy.lib.errors import StoreError
from parotid_brachy.lib.imaging.atomic import synchronise_folder, write_atomically

logger = logging.getLogger(__name__)

_NOTE: Final = "item.json"
_NUMBER: Final = re.compile(r"[0-9]{6}")
_PARTIAL: Final = ".part-"
_UID_TAGS: Final = ["SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"]

Make = Callable[[Path], Sequence[Path]]
"""Makes the objects of a version in a folder; returns their files."""


class Receiver(Protocol):
    """The archive, as far as the outbox needs it."""

    def has_instance(self, study_uid: str, series_uid: str, uid: str) -> bool:
        """Whether it keeps an object."""

    def send(self, study_uid: str, objects: Sequence[bytes]) -> None:
        """Sends it objects of one study."""

    def remove_series(self, series_uid: str) -> bool:
        """Removes a series of ours; whether it can do that at all."""


@dataclass(frozen=True)
class OutboxObject:
    """One object.

    Attributes:
        file: its name in the item's folder.
        uid: SOP Instance UID.
        series_uid: its series, which it has for itself.
    """

    file: str
    uid: str
    series_uid: str


@dataclass(frozen=True)
class OutboxItem:
    """The objects of one approved version.

    Attributes:
        case: the case's id.
        version: the version's number.
        study_uid: of the study that they belong to.
        objects: the objects.
        sent_at: when all of them had arrived; None: they have not yet.
        superseded_at: when a later version took their place; None: they are the newest.
        is_removed: whether the archive has them no more, because they were superseded.
    """

    case: str
    version: int
    study_uid: str
    objects: tuple[OutboxObject, ...]
    sent_at: str | None = None
    superseded_at: str | None = None
    is_removed: bool = False

    @classmethod
    def of_json(cls, told: Any) -> OutboxItem:
        """From what :meth:`to_json` gave.

        Raises:
            ValueError, TypeError, KeyError: it is something else.
        """
        objects = tuple(OutboxObject(**one) for one in told["objects"])
        item = cls(**{**told, "objects": objects})
        if not all(map(is_uid, (item.study_uid, *(one.uid for one in objects)))):
            message = "no UIDs"
            raise ValueError(message)
        return item

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


class Outbox:
    """One folder's outbox. One process at a time may use it to send.

    Args:
        folder: of the items; it is made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def items(self, case: str | None = None) -> list[OutboxItem]:
        """All items, or those of a case, the oldest versions first."""
        return [item for item in self._items() if case is None or item.case == case]

    def find(self, case: str, version: int) -> OutboxItem | None:
        """The item of a version, if there is one.

        Raises:
            StoreError: its note is damaged.
        """
        folder = self._folder_of(case, version)
        return self._read(folder) if folder.is_dir() else None

    def prepare(self, case: str, version: int, make: Make) -> OutboxItem:
        """Has the objects of a version made, once; they are durable afterwards.

        Args:
            case: the case's id.
            version: the version's number.
            make: is called unless it was done before.

        Raises:
            StoreError: the note of an earlier time is damaged.
            ParotidBrachyError, OSError: they could not be made; nothing is kept.
        """
        found = self.find(case, version)
        if found is not None:
            return found
        target = self._folder_of(case, version)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=target.parent))
        try:
            item = _item_of(case, version, make(partial))
            write_atomically(partial / _NOTE, _content(item))
            partial.rename(target)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        synchronise_folder(target.parent)
        return item

    def deliver(self, item: OutboxItem, receiver: Receiver) -> OutboxItem:
        """Sends what has not arrived yet.

        Returns:
            The item as sent, to be noted.

        Raises:
            ArchiveError, ArchiveUnreachableError: something has not arrived; to be tried again.
            OSError: an object cannot be read.
        """
        folder = self._folder_of(item.case, item.version)
        for one in item.objects:
            where = (item.study_uid, one.series_uid, one.uid)
            if receiver.has_instance(*where):
                continue
            receiver.send(item.study_uid, [(folder / one.file).read_bytes()])
            if not receiver.has_instance(*where):
                message = f"{item.case}: the archive took {one.file} but does not list it"
                raise ArchiveError(message)
        return replace(item, sent_at=_now())

    def outdated(self, newest: OutboxItem) -> list[OutboxItem]:
        """Earlier items of a case that are not superseded yet."""
        return [
            item
            for item in self.items(newest.case)
            if item.version < newest.version and item.superseded_at is None
        ]

    @staticmethod
    def take_back(item: OutboxItem, receiver: Receiver) -> OutboxItem:
        """Has the objects of an item removed, where the archive can.

        Returns:
            The item as superseded, to be noted.

        Raises:
            ArchiveError, ArchiveUnreachableError: to be tried again.
        """
        removed = [receiver.remove_series(one.series_uid) for one in item.objects]
        return replace(item, superseded_at=_now(), is_removed=all(removed))

    def note(self, item: OutboxItem) -> None:
        """Writes down how far an item has come."""
        folder = self._folder_of(item.case, item.version)
        write_atomically(folder / _NOTE, _content(item))

    def clear_up(self) -> None:
        """Removes what killed processes have left half made; nobody else may be at work."""
        for partial in self.folder.glob(f"*/{_PARTIAL}*"):
            shutil.rmtree(partial, ignore_errors=True)

    def _items(self) -> Iterator[OutboxItem]:
        for folder in sorted(self.folder.glob("*/*")):
            if _NUMBER.fullmatch(folder.name):
                try:
                    yield self._read(folder)
                except StoreError as error:
                    logger.warning("outbox: %s", error)

    def _folder_of(self, case: str, version: int) -> Path:
        return self.folder / case / f"{version:06d}"

    def _read(self, folder: Path) -> OutboxItem:
        try:
            return OutboxItem.of_json(json.loads((folder / _NOTE).read_bytes()))
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            message = (
                f"{folder.parent.name}: the outbox's note of version {folder.name} is damaged "
                f"({error}). Remove {folder.parent.name}/{folder.name} from the outbox: it is "
                "made anew, and an archive may have it twice then."
            )
            raise StoreError(message) from error


def _item_of(case: str, version: int, files: Sequence[Path]) -> OutboxItem:
    objects, studies = [], set()
    for file in files:
        header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=_UID_TAGS)
        objects.append(
            OutboxObject(file.name, str(header.SOPInstanceUID), str(header.SeriesInstanceUID))
        )
        studies.add(str(header.StudyInstanceUID))
    if len(studies) != 1:
        message = f"{case}: objects of {len(studies)} studies; they go to one"
        raise StoreError(message)
    return OutboxItem(case, version, studies.pop(), tuple(objects))


def _content(item: OutboxItem) -> bytes:
    return json.dumps(item.to_json(), indent=1).encode()


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
