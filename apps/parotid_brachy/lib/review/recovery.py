"""What a killed process or a failed save leaves behind, and how it is cleared away.

A save puts its files first and its rows after; killed in between, it leaves files that no row
names. Nobody was told that they were kept. They are moved aside, not deleted at once: were the
database an older copy by mistake, the newer files would still be there.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, select

from parotid_brachy.lib.imaging.atomic import TEMPORARY_ENDING
from parotid_brachy.lib.review.database import Database
from parotid_brachy.lib.review.objects import ObjectFolder, object_name
from parotid_brachy.lib.review.records import StoredFile
from parotid_brachy.lib.review.schema import objects

KEPT_ASIDE_DAYS: Final = 30
"""How long files without a row are kept aside."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recovered:
    """What a recovery found.

    Attributes:
        orphans: names of files that no row named, now aside.
        temporary: how many half-written files were removed.
    """

    orphans: tuple[str, ...]
    temporary: int


def recover(database: Database, folder: ObjectFolder, aside: Path) -> Recovered:
    """Clears the folder of durable files; the caller holds the store's lock for itself alone.

    Args:
        database: with the rows.
        folder: of the durable files.
        aside: where files without a row go.

    Raises:
        StoreError: the database cannot be read.
        OSError: a file cannot be moved.
    """
    orphans: list[str] = []
    temporary = 0
    with database.reading() as connection:
        for shelf, files in folder.shelves():
            known = _known(connection, shelf) if files else set()
            for path in files:
                if path.name.startswith(".") and path.name.endswith(TEMPORARY_ENDING):
                    path.unlink()
                    temporary += 1
                elif path.name not in known:
                    _move_aside(path, aside)
                    orphans.append(path.name)
    _clear_aside(aside)
    if orphans or temporary:
        logger.warning(
            "after a sudden end: %d files without a row moved to %s, %d half-written ones removed",
            len(orphans),
            aside.name,
            temporary,
        )
    return Recovered(tuple(orphans), temporary)


def discard(database: Database, folder: ObjectFolder, files: Iterable[StoredFile]) -> None:
    """Removes the files of one failed save; the caller holds the store's lock alone.

    They are not moved aside: the disk may be full, and whoever saved was told that it failed.

    Raises:
        StoreError: the database cannot be read.
        OSError: a file cannot be removed.
    """
    with database.reading() as connection:
        for file in files:
            name = object_name(file)
            known = select(objects.c.name).where(objects.c.name == name)
            if connection.execute(known).scalar() is None:
                (folder.root / name[:2] / name).unlink(missing_ok=True)


def _known(connection: Connection, shelf: str) -> set[str]:
    # "g" follows the last hexadecimal digit.
    here = (objects.c.name >= shelf) & (objects.c.name < f"{shelf}g")
    return set(connection.execute(select(objects.c.name).where(here)).scalars())


def _move_aside(path: Path, aside: Path) -> None:
    aside.mkdir(parents=True, exist_ok=True)
    path.replace(aside / path.name)
    os.utime(aside / path.name)


def _clear_aside(aside: Path) -> None:
    if not aside.is_dir():
        return
    oldest = time.time() - KEPT_ASIDE_DAYS * 24 * 3600
    for path in aside.iterdir():
        if path.is_file() and path.stat().st_mtime < oldest:
            path.unlink()
