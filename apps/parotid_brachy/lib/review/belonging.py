"""Whether a folder of files and a database belong together.

Beside another database, all files would look like a killed process's leavings, and all rows would
name files that are missing. So the folder notes the identity of the store in its database.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import exists, select

from parotid_brachy.lib.errors import StoreError
from parotid_brachy.lib.imaging.atomic import write_atomically
from parotid_brachy.lib.review.database import Database
from parotid_brachy.lib.review.database_errors import disk_errors
from parotid_brachy.lib.review.objects import ObjectFolder
from parotid_brachy.lib.review.schema import objects as object_rows

_IDENTITY: Final = "store.id"
_ADVICE: Final = (
    "Give the database that belongs to the folder (--database), bring it back from a copy, or "
    "restore an export into a new folder."
)


def has_store(folder: Path) -> bool:
    """Whether a store was made in a folder, here or in a database."""
    return (folder / _IDENTITY).exists()


def require_not_lost(folder: Path, database: Path) -> None:
    """Refuses to begin anew in a folder whose SQLite database is gone.

    Raises:
        StoreError: it is gone.
    """
    if has_store(folder) and not database.exists():
        message = f"{folder}: the files of a store are here, its database is not. {_ADVICE}"
        raise StoreError(message)


def require_own_files(
    folder: Path, objects: ObjectFolder, database: Database, identity: str
) -> None:
    """Refuses a folder and a database of two stores; marks a new folder as the database's.

    Raises:
        StoreError: they do not belong together.
        StoreFullError: the mark cannot be written.
    """
    mark = folder / _IDENTITY
    with disk_errors(mark.name):
        noted = _noted(mark)
        if noted is None and _are_both_new(objects, database):
            write_atomically(mark, f"{identity}\n".encode())
            return
        # Another process may have made and used the store since we looked.
        noted = noted or _noted(mark)
    if noted != identity:
        message = f"{folder}: its files belong to another store than {database.name}. {_ADVICE}"
        raise StoreError(message)


def _noted(mark: Path) -> str | None:
    try:
        return mark.read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        return None


def _are_both_new(objects: ObjectFolder, database: Database) -> bool:
    with database.reading() as connection:
        has_rows = connection.execute(select(exists(select(object_rows.c.name)))).scalar_one()
    return not has_rows and objects.is_empty()
