"""The ``labels/<tag>/<case>.seg.nrrd`` tree: the newest files, where other tools look for them.

It follows the version store and is never read back as truth. A file in the way that is none of
the store's is moved aside, not overwritten. What could not be written is written at the next start.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import stat
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Final, NamedTuple

from sqlalchemy import Connection, select

from parotid_brachy.lib.errors import ParotidBrachyError
from parotid_brachy.lib.imaging.atomic import TEMPORARY_ENDING, write_atomically
from parotid_brachy.lib.imaging.file_hash import sha256_of
from parotid_brachy.lib.review import rows
from parotid_brachy.lib.review.database import Database
from parotid_brachy.lib.review.folder_lock import exclusive_lock
from parotid_brachy.lib.review.objects import ObjectFolder
from parotid_brachy.lib.review.schema import objects, tags, versions

LABELS_FOLDER: Final = "labels"
_ENDING: Final = ".seg.nrrd"
_LATEST_NS: Final = 2**62
_TEMPORARY: Final = re.compile(rf"\..+\.[0-9a-f]{{16}}{re.escape(TEMPORARY_ENDING)}")

logger = logging.getLogger(__name__)


class _Wanted(NamedTuple):
    """What a tag's file should be; without time and size, there should be none."""

    case: str
    tag: str
    created: datetime | None
    size_bytes: int | None


class PublishedLabels:
    """The tree of one store.

    Args:
        root: the tree's folder; made when something is published.
        aside: where files go that are in the way.
        lock: a file by which processes take turns.
        database: with the tags.
        objects: the durable files.
    """

    def __init__(
        self, root: Path, aside: Path, lock: Path, database: Database, objects: ObjectFolder
    ) -> None:
        self.root = root
        self._aside = aside
        self._lock = lock
        self._database = database
        self._objects = objects

    def publish(self, moved: Sequence[tuple[str, str]]) -> None:
        """Makes the files of some pointers what the store says; a failure is logged, not raised.

        Args:
            moved: case and tag of each.
        """
        for case, tag in dict.fromkeys(moved):
            self._publish(case, tag)

    def repair(self) -> int:
        """Publishes whatever is missing or old, and removes what a killed process left.

        Returns:
            How many files were renewed or removed.

        Raises:
            StoreError: the database cannot be read.
        """
        with contextlib.suppress(OSError), exclusive_lock(self._lock):
            self._remove_temporary()
        stale = [(wanted.case, wanted.tag) for wanted in self._wanted() if self._is_stale(wanted)]
        self.publish(stale)
        return len(stale)

    def _publish(self, case: str, tag: str) -> None:
        try:
            with exclusive_lock(self._lock):
                self._follow(case, tag)
        except (OSError, ParotidBrachyError) as error:
            logger.warning(
                "%s: the file under %s was not renewed and will be at the next start: %s",
                case,
                tag,
                error,
            )

    def _wanted(self) -> list[_Wanted]:
        query = (
            select(tags.c.case_id, tags.c.tag, versions.c.created, objects.c.size_bytes)
            .join_from(
                tags,
                versions,
                (versions.c.case_id == tags.c.case_id) & (versions.c.number == tags.c.number),
                isouter=True,
            )
            .outerjoin(objects, objects.c.name == versions.c.file)
        )
        with self._database.reading() as connection:
            return [_Wanted(*row) for row in connection.execute(query)]

    def _is_stale(self, wanted: _Wanted) -> bool:
        """Whether a file is not what it should be, by its size and time alone."""
        try:
            found = self._place(wanted.case, wanted.tag).lstat()
        except OSError:
            return wanted.created is not None
        return (
            wanted.created is None
            or not stat.S_ISREG(found.st_mode)
            or found.st_size != wanted.size_bytes
            or found.st_mtime_ns != _nanoseconds(wanted.created)
        )

    def _follow(self, case: str, tag: str) -> None:
        """Makes one file what the store says."""
        path = self._place(case, tag)
        with self._database.reading() as connection:
            version = rows.tagged_version(connection, case, tag)
            present = _sha256_if_file(path)
            is_ours = present is not None and _is_known(connection, present)
        if version is None:
            if is_ours:
                path.unlink()
            elif os.path.lexists(path):
                self._move_aside(path)
            return
        if version.file.ending != _ENDING:
            return
        if present != version.file.sha256:
            content = self._objects.read(version.file)
            if not is_ours and os.path.lexists(path):
                self._move_aside(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, content)
        # The version's time marks the file as current, so that a start need not read it.
        os.utime(path, ns=(_nanoseconds(version.created),) * 2)

    def _place(self, case: str, tag: str) -> Path:
        return self.root / tag / f"{case}{_ENDING}"

    def _move_aside(self, path: Path) -> None:
        folder = self._aside / path.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / path.name
        if os.path.lexists(target):
            target = folder / f"{secrets.token_hex(4)}-{path.name}"
        path.rename(target)
        logger.warning("%s: none of the store's files; moved to %s", path, target)

    def _remove_temporary(self) -> None:
        for folder in self.root.iterdir():
            if folder.is_dir() and not folder.is_symlink():
                for path in folder.iterdir():
                    if _TEMPORARY.fullmatch(path.name):
                        path.unlink()


def _sha256_if_file(path: Path) -> str | None:
    """The hash of a plain file; None: there is none, or something else."""
    try:
        return sha256_of(path) if stat.S_ISREG(path.lstat().st_mode) else None
    except FileNotFoundError:
        return None


def _is_known(connection: Connection, sha256: str) -> bool:
    """Whether a content is one of the store's."""
    # An object's name goes on with a dot; "/" follows it.
    here = (objects.c.name >= sha256) & (objects.c.name < f"{sha256}/")
    return connection.execute(select(objects.c.name).where(here)).first() is not None


def _nanoseconds(time: datetime) -> int:
    since = time - datetime(1970, 1, 1, tzinfo=timezone.utc)
    # What is brought in from elsewhere can have a time that no file has.
    return min(max(0, (since // timedelta(microseconds=1)) * 1000), _LATEST_NS)
