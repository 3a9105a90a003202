"""Writing to the version store: durable files first, then rows in one transaction."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone

from parotid_brachy.lib.review.change import UNCHANGED, Change, Unchanged
from parotid_brachy.lib.review.database import Database
from parotid_brachy.lib.review.objects import ObjectFolder, described
from parotid_brachy.lib.review.records import StoredFile
from parotid_brachy.lib.review.roles import Reader

__all__ = ["UNCHANGED", "Change", "Unchanged", "Writing"]


class Writing:
    """One visit to write; made by :meth:`.store.VersionStore.writing`, for one thread.

    Args:
        database: for the rows.
        objects: for the files.
        publish: is told case and tag of each pointer that moved, after the commit.
    """

    def __init__(
        self,
        database: Database,
        objects: ObjectFolder,
        *,
        publish: Callable[[Sequence[tuple[str, str]]], None],
    ) -> None:
        self.unclaimed: set[StoredFile] = set()
        """What was put in this visit, and no change has given a row."""
        self._put: set[StoredFile] = set()
        self._database = database
        self._objects = objects
        self._publish = publish

    def put(self, content: bytes, ending: str) -> StoredFile:
        """Keeps a file; when it returns, the file outlasts a loss of power.

        Args:
            content: of the file; the same content is kept once.
            ending: such as ``.seg.nrrd``.

        Raises:
            UsageError: no such ending can be kept.
            StoreFullError, StoreError: nothing was kept.
        """
        file = described(content, ending)
        self.unclaimed.add(file)  # before: a failure may leave it there
        self._objects.keep(file, content)
        self._put.add(file)
        return file

    @contextlib.contextmanager
    def change(self, actor: Reader) -> Iterator[Change]:
        """A transaction over the rows: all of it when the block ends, nothing if it raises.

        Args:
            actor: who makes the change; the journal names him or her.

        Raises:
            StoreFullError, StoreError: nothing was changed.
        """
        with self._database.writing() as connection:
            now = datetime.now(timezone.utc)
            change = Change(connection, actor, is_durable=self._put.__contains__, now=now)
            yield change
        self.unclaimed -= change.claimed
        self._publish(change.moved)
