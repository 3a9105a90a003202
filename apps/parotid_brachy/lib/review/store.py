"""The version store of one studies folder: how it is opened, written and cleared up.

Label maps are immutable files named by content; who made them, what state a case is in and what
was done stand in a database. A file is durable before its row is committed, and the row before
anybody is told. Threads and several processes may use one folder at once.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

from sqlalchemy import insert, update

from parotid_brachy.lib.errors import ParotidBrachyError, StoreFullError
from parotid_brachy.lib.review import handovers, registering, rows, splits
from parotid_brachy.lib.review.belonging import require_not_lost, require_own_files
from parotid_brachy.lib.review.canonical_json import canonical_json
from parotid_brachy.lib.review.database import Database, postgres_url, sqlite_url
from parotid_brachy.lib.review.database_errors import disk_errors
from parotid_brachy.lib.review.folder_lock import exclusive_lock_if_free, shared_lock
from parotid_brachy.lib.review.migrating import migrate
from parotid_brachy.lib.review.objects import ObjectFolder
from parotid_brachy.lib.review.published import LABELS_FOLDER, PublishedLabels
from parotid_brachy.lib.review.reading import StoreReading
from parotid_brachy.lib.review.records import HandOver, StoredFile
from parotid_brachy.lib.review.recovery import Recovered, discard, recover
from parotid_brachy.lib.review.roles import Reader
from parotid_brachy.lib.review.schema import cases, servings
from parotid_brachy.lib.review.splits import Placed, Placing
from parotid_brachy.lib.review.writing import Writing

_DATABASE: Final = "store.sqlite"
_LOCK: Final = "store.lock"
_PUBLISHING_LOCK: Final = "labels.lock"
_ASIDE: Final = "set-aside"
_RECOVERY_WAIT_S: Final = 2.0

logger = logging.getLogger(__name__)


class VersionStore(StoreReading):
    """One store; see :meth:`open`.

    Attributes:
        folder: the store's, within the folder of studies.
        published: the tree for other tools.
    """

    def __init__(self, folder: Path, database: Database, objects: ObjectFolder) -> None:
        super().__init__(database, objects)
        self.folder = folder
        self.published = PublishedLabels(
            folder.parent / LABELS_FOLDER,
            folder / _ASIDE / LABELS_FOLDER,
            folder / _PUBLISHING_LOCK,
            database,
            objects,
        )

    @classmethod
    def open(cls, folder: Path, *, database_url: str | None = None) -> VersionStore:
        """Opens a folder's store; makes it if there is none, and clears up after a sudden end.

        Args:
            folder: ``.parotid`` within a folder of studies.
            database_url: of a PostgreSQL database; None: SQLite in the folder.

        Raises:
            UsageError: no such kind of database.
            StoreError: damaged, made by a newer program, or files and database of two stores.
            StoreFullError: it cannot be made.
        """
        store = cls.open_as_it_is(folder, database_url=database_url)
        try:
            store.recover()
        except StoreFullError as error:  # what is there can still be read
            logger.warning("%s: not cleared up: %s", folder, error)
        except BaseException:
            store.close()
            raise
        store.published.repair()
        return store

    @classmethod
    def open_as_it_is(cls, folder: Path, *, database_url: str | None = None) -> VersionStore:
        """Opens a store and clears nothing up; otherwise as :meth:`open`."""
        with disk_errors(folder.name):
            folder.mkdir(parents=True, exist_ok=True)
        path = folder / _DATABASE
        if database_url is None:
            require_not_lost(folder, path)
        url = sqlite_url(path) if database_url is None else postgres_url(database_url)
        database = Database(url)
        try:
            objects = ObjectFolder(folder / "objects")
            require_own_files(folder, objects, database, migrate(database))
            return cls(folder, database, objects)
        except BaseException:
            database.close()
            raise

    def close(self) -> None:
        """Closes all connections."""
        self.database.close()

    def recover(self, *, wait_s: float = _RECOVERY_WAIT_S) -> Recovered | None:
        """Clears away what killed processes left.

        Args:
            wait_s: how long to wait for others who are just saving.

        Returns:
            What was found; None: others were saving all the time, so that it is left to the next
            start or to ``parotid store verify``.
        """
        with exclusive_lock_if_free(self.folder / _LOCK, wait_s=wait_s) as is_ours:
            if not is_ours:
                logger.info("%s: others are saving; recovery is left to a later start", self.folder)
                return None
            with disk_errors("the folder of files"):
                return recover(self.database, self.objects, self.folder / _ASIDE / "objects")

    @contextlib.contextmanager
    def writing(self) -> Iterator[Writing]:
        """A visit to write; until it ends, nobody clears away what it has put.

        Raises:
            StoreFullError, StoreError: nothing was kept.
        """
        writing = Writing(self.database, self.objects, publish=self.published.publish)
        try:
            with shared_lock(self.folder / _LOCK):
                yield writing
        finally:
            if writing.unclaimed:
                self._discard(writing.unclaimed)

    def register(
        self, images: Mapping[str, str], *, notes: Mapping[str, Mapping[str, str]] | None = None
    ) -> None:
        """Makes the store's cases those of the folder.

        Args:
            images: file names of all images that are there, by case.
            notes: what is noted about the images of cases that are new, by case.

        Raises:
            UsageError: no case can be called so.
        """
        registering.require_case_ids(images)
        with self.database.reading() as connection:
            if not registering.difference(connection, images):
                return
        with self.database.writing() as connection:
            found = registering.difference(connection, images)
            if found:
                now = datetime.now(timezone.utc)
                registering.follow(connection, found, now, notes=notes or {})

    def keep_image_info(self, case: str, info: Mapping[str, Any]) -> None:
        """Adds to what is noted about a case's image.

        Raises:
            NotFoundError: no such case.
            UsageError: no JSON values.
        """
        canonical_json(dict(info), what=f"{case}: what is noted about the image")
        with self.database.writing() as connection:
            known = rows.case_of(rows.case_row(connection, case, is_held=True)).image_info
            merged = {**known, **info}
            connection.execute(update(cases).where(cases.c.id == case).values(image_info=merged))

    def note_served(self, case: str, tag: str, reader: str, version: int) -> None:
        """Notes which version a reader was given under a tag; writes only what is new.

        Raises:
            NotFoundError: no such version.
        """
        if self.last_served(case, tag, reader) == version:
            return
        here = {"case_id": case, "tag": tag, "reader": reader}
        with self.database.writing() as connection:
            rows.version(connection, case, version)
            known = update(servings).filter_by(**here).values(number=version)
            if connection.execute(known).rowcount == 0:
                connection.execute(insert(servings).values(**here, number=version))

    def keep_agreement(self, hand_over: HandOver, rows: Sequence[Mapping[str, Any]]) -> None:
        """Keeps what was computed for a hand-over.

        Args:
            hand_over: of :meth:`handovers_without_agreement`.
            rows: JSON objects; empty, where nothing can be said.

        Raises:
            NotFoundError: there is no such hand-over.
            UsageError: no JSON values.
        """
        with self.database.writing() as connection:
            handovers.keep_agreement(connection, hand_over, rows)

    def place(
        self, place: Callable[[Mapping[str, Placed]], Iterable[Placing]], actor: Reader
    ) -> list[Placed]:
        """Writes down for ever to which part of the trainings cases belong.

        Args:
            place: is given what is written down already, which nobody else changes meanwhile;
                returns what is to be added.
            actor: the journal names him or her.

        Raises:
            ConflictError: a case, or its patient, is in another part already; nothing was added.
            NotFoundError: no such case.
        """
        with self.database.writing() as connection:
            added = place(splits.placed(connection))
            return splits.add(connection, added, actor.name, datetime.now(timezone.utc))

    def _discard(self, files: set[StoredFile]) -> None:
        """Clears away what a failed save has put; later, if others are saving just now."""
        try:
            with exclusive_lock_if_free(self.folder / _LOCK) as is_ours:
                if is_ours:
                    discard(self.database, self.objects, files)
        except (OSError, ParotidBrachyError) as error:
            logger.info("files of a failed save are left to the next start: %s", error)
