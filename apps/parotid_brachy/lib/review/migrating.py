"""Brings a database to this program's schema, and knows whose files belong to it."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, insert, select, text

from parotid_brachy.lib.errors import StoreError
from parotid_brachy.lib.review.database import Database
from parotid_brachy.lib.review.schema import FIRST_HASH, journal_head, store

_FOLDER: Final = Path(__file__).with_name("migrations")
_POSTGRES_LOCK: Final = 0x7061726F746964
"""An advisory lock of PostgreSQL: one process at a time brings the schema up to date."""


def migrate(database: Database) -> str:
    """Makes the tables that are missing.

    Returns:
        The store's identity.

    Raises:
        StoreError: a newer program has made the tables.
    """
    with database.reading() as connection:
        if revisions(connection) == [newest_revision()]:
            return str(connection.execute(select(store.c.identity)).scalar_one())
    with database.writing(is_empty=True) as connection:
        if not database.is_sqlite:
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_POSTGRES_LOCK})"))
        _require_known(revisions(connection), database.name)
        command.upgrade(_configuration(connection), "head")
        identity = connection.execute(select(store.c.identity)).scalar()
        if identity is None:
            identity = secrets.token_hex(16)
            now = datetime.now(timezone.utc)
            connection.execute(insert(store).values(id=1, identity=identity, created=now))
            connection.execute(insert(journal_head).values(id=1, sequence=0, hash=FIRST_HASH))
        return str(identity)


def newest_revision() -> str:
    """The schema's revision that this program works with."""
    return str(ScriptDirectory(str(_FOLDER)).get_current_head())


def known_revisions() -> frozenset[str]:
    """All revisions of the schema up to this program's."""
    return frozenset(s.revision for s in ScriptDirectory(str(_FOLDER)).walk_revisions())


def revisions(connection: Connection) -> list[str]:
    """The schema's revision of a database; empty where there is none."""
    return list(MigrationContext.configure(connection).get_current_heads())


def _require_known(present: Collection[str], name: str) -> None:
    unknown = set(present) - known_revisions()
    if unknown:
        message = (
            f"{name}: its schema {', '.join(sorted(unknown))} was made by a newer version of this "
            "program. Use that version."
        )
        raise StoreError(message)


def _configuration(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
