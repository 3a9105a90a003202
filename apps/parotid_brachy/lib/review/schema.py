"""The version store's tables.

Rows are never deleted. What changes in place is a pointer (tags, a case's state, the journal's
head); label maps, notes and journal entries only ever come to it.
"""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    false,
)
from sqlalchemy.types import TypeDecorator

from parotid_brachy.lib.review.canonical_json import canonical_json

FIRST_HASH: Final = "0" * 64
"""What the journal's first entry has for the hash of the entry before."""

RANDOM_KEYS: Final = 2**31
"""Each case has a random key below this, by which the next case is drawn."""

Name: Final = Text().with_variant(Text(collation="C"), "postgresql")
"""Text that is sorted by code point in every database, whatever its language."""


class Utc(TypeDecorator[datetime]):
    """A point in time with its zone, kept in UTC."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """To UTC without a zone."""
        return None if value is None else value.astimezone(timezone.utc).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """To UTC with its zone."""
        return None if value is None else value.replace(tzinfo=timezone.utc)


class Json(TypeDecorator[Any]):
    """JSON values as canonical text; None is NULL."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002
        """To text."""
        return None if value is None else canonical_json(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002
        """From text."""
        return None if value is None else json.loads(value)


metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(column_0_N_label)s",
    }
)

store = Table(
    "store",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="one"), primary_key=True),
    Column("identity", Text, nullable=False),
    Column("created", Utc, nullable=False),
)
"""One row: which folder of files belongs to this database."""

objects = Table(
    "objects",
    metadata,
    Column("name", Name, primary_key=True),
    Column("sha256", Text, nullable=False),
    Column("ending", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("created", Utc, nullable=False),
)
"""The durable files; their name is their SHA-256 and ending."""

cases = Table(
    "cases",
    metadata,
    Column("id", Name, primary_key=True),
    Column("image_name", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("is_consensus", Boolean, nullable=False, server_default=false()),
    Column("is_present", Boolean, nullable=False),
    Column("created", Utc, nullable=False),
    Column("changed", Utc, nullable=False),
    Column("initial_author", Text),
    Column("reviewer", Text),
    Column("approved_by", Text),
    Column("approved_at", Utc),
    Column("approved_version", Integer),
    Column("image_info", Json, nullable=False),
    Column("random_key", Integer, nullable=False),
    Index("ix_cases_draw", "is_present", "is_consensus", "state", "random_key"),
)

versions = Table(
    "versions",
    metadata,
    Column("case_id", Name, ForeignKey("cases.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("tag", Name, nullable=False),
    Column("kind", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("created", Utc, nullable=False),
    Column("file", Name, ForeignKey("objects.name"), nullable=False),
    Column("received", Name, ForeignKey("objects.name")),
    Column("volumes_ml", Json, nullable=False),
    Column("parent", Integer),
    Column("info", Json, nullable=False),
    Column("is_withdrawn", Boolean, nullable=False, server_default=false()),
    CheckConstraint("number > 0", name="number"),
)

tags = Table(
    "tags",
    metadata,
    Column("case_id", Name, ForeignKey("cases.id"), primary_key=True),
    Column("tag", Name, primary_key=True),
    Column("number", Integer),
    ForeignKeyConstraint(["case_id", "number"], ["versions.case_id", "versions.number"]),
)
"""Where each tag points now; a withdrawn one at nothing."""

notes = Table(
    "notes",
    metadata,
    Column("case_id", Name, ForeignKey("cases.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("version", Integer, nullable=False),
    Column("reviewer", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("level", Text, nullable=False),
    Column("comment", Text, nullable=False),
    Column("created", Utc, nullable=False),
    ForeignKeyConstraint(["case_id", "version"], ["versions.case_id", "versions.number"]),
)

journal = Table(
    "journal",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("at", Utc, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("case_id", Name),
    Column("details", Text, nullable=False),
    Column("previous_hash", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Index("ix_journal_case", "case_id", "sequence"),
)

journal_head = Table(
    "journal_head",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="one"), primary_key=True),
    Column("sequence", Integer, nullable=False),
    Column("hash", Text, nullable=False),
)
"""One row: the last entry. Who writes holds it, so that nobody forks the chain; and a journal whose
end was cut off does not reach it."""

servings = Table(
    "servings",
    metadata,
    Column("case_id", Name, primary_key=True),
    Column("tag", Name, primary_key=True),
    Column("reader", Name, primary_key=True),
    Column("number", Integer, nullable=False),
    ForeignKeyConstraint(["case_id", "number"], ["versions.case_id", "versions.number"]),
)
"""Which version each reader saw last under a tag."""

handovers = Table(
    "handovers",
    metadata,
    Column("case_id", Name, primary_key=True),
    Column("before", Integer, primary_key=True, autoincrement=False),
    Column("after", Integer, primary_key=True, autoincrement=False),
    Column("kind", Name, primary_key=True),
    Column("created", Utc, nullable=False),
    Column("agreement", Json),
    ForeignKeyConstraint(["case_id", "before"], ["versions.case_id", "versions.number"]),
    ForeignKeyConstraint(["case_id", "after"], ["versions.case_id", "versions.number"]),
)
"""Two versions to be compared; without an agreement until that was computed."""

split_patients = Table(
    "split_patients",
    metadata,
    Column("case_id", Name, ForeignKey("cases.id"), primary_key=True),
    Column("patient", Name, nullable=False),
    Column("part", Text, nullable=False),
    Column("assigned", Utc, nullable=False),
    CheckConstraint("part IN ('train', 'validation', 'test')", name="part"),
    Index("ix_split_patients_patient", "patient"),
)
"""Each case that takes part in trainings: whose it is, and in which part that patient is for
ever."""

seed_plans = Table(
    "seed_plans",
    metadata,
    Column("case_id", Name, ForeignKey("cases.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("author", Text, nullable=False),
    Column("created", Utc, nullable=False),
    Column("file", Name, ForeignKey("objects.name"), nullable=False),
    Column("received_as", Text, nullable=False),
    Column("received_sha256", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("seeds", Integer, nullable=False),
    CheckConstraint("number > 0", name="number"),
)
"""The seed plans that readers have given a case; the newest counts."""

Index(
    "ix_handovers_open",
    handovers.c.created,
    sqlite_where=handovers.c.agreement.is_(None),
    postgresql_where=handovers.c.agreement.is_(None),
)
