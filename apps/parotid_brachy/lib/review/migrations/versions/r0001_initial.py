"""The first schema: cases, versions, tags, notes, journal."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0001"
down_revision: Final = None

_NAME: Final = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_VERSION: Final = ["versions.case_id", "versions.number"]


def upgrade() -> None:
    """Makes all tables."""
    _make_cases_and_versions()
    _make_journal()
    _make_followers()


def _make_cases_and_versions() -> None:
    op.create_table(
        "store",
        sa.Column("id", sa.Integer, autoincrement=False),
        sa.Column("identity", sa.Text, nullable=False),
        sa.Column("created", sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_store"),
        sa.CheckConstraint("id = 1", name=op.f("ck_store_one")),
    )
    op.create_table(
        "objects",
        sa.Column("name", _NAME, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("ending", sa.Text, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("created", sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_objects"),
    )
    op.create_table(
        "cases",
        sa.Column("id", _NAME, nullable=False),
        sa.Column("image_name", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("is_consensus", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("is_present", sa.Boolean, nullable=False),
        sa.Column("created", sa.DateTime, nullable=False),
        sa.Column("changed", sa.DateTime, nullable=False),
        sa.Column("initial_author", sa.Text),
        sa.Column("reviewer", sa.Text),
        sa.Column("approved_by", sa.Text),
        sa.Column("approved_at", sa.DateTime),
        sa.Column("approved_version", sa.Integer),
        sa.Column("image_info", sa.Text, nullable=False),
        sa.Column("random_key", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_cases"),
    )
    op.create_index("ix_cases_draw", "cases", ["is_present", "is_consensus", "state", "random_key"])
    op.create_table(
        "versions",
        sa.Column("case_id", _NAME, nullable=False),
        sa.Column("number", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("tag", _NAME, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("created", sa.DateTime, nullable=False),
        sa.Column("file", _NAME, nullable=False),
        sa.Column("received", _NAME),
        sa.Column("volumes_ml", sa.Text, nullable=False),
        sa.Column("parent", sa.Integer),
        sa.Column("info", sa.Text, nullable=False),
        sa.Column("is_withdrawn", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.PrimaryKeyConstraint("case_id", "number", name="pk_versions"),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name="fk_versions_case_id"),
        sa.ForeignKeyConstraint(["file"], ["objects.name"], name="fk_versions_file"),
        sa.ForeignKeyConstraint(["received"], ["objects.name"], name="fk_versions_received"),
        sa.CheckConstraint("number > 0", name=op.f("ck_versions_number")),
    )
    op.create_table(
        "tags",
        sa.Column("case_id", _NAME, nullable=False),
        sa.Column("tag", _NAME, nullable=False),
        sa.Column("number", sa.Integer),
        sa.PrimaryKeyConstraint("case_id", "tag", name="pk_tags"),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name="fk_tags_case_id"),
        sa.ForeignKeyConstraint(["case_id", "number"], _VERSION, name="fk_tags_case_id_number"),
    )


def _make_journal() -> None:
    op.create_table(
        "journal",
        sa.Column("sequence", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("case_id", _NAME),
        sa.Column("details", sa.Text, nullable=False),
        sa.Column("previous_hash", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_journal"),
    )
    op.create_index("ix_journal_case", "journal", ["case_id", "sequence"])
    op.create_table(
        "journal_head",
        sa.Column("id", sa.Integer, autoincrement=False),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_journal_head"),
        sa.CheckConstraint("id = 1", name=op.f("ck_journal_head_one")),
    )


def _make_followers() -> None:
    op.create_table(
        "notes",
        sa.Column("case_id", _NAME, nullable=False),
        sa.Column("number", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("reviewer", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("level", sa.Text, nullable=False),
        sa.Column("comment", sa.Text, nullable=False),
        sa.Column("created", sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint("case_id", "number", name="pk_notes"),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name="fk_notes_case_id"),
        sa.ForeignKeyConstraint(["case_id", "version"], _VERSION, name="fk_notes_case_id_version"),
    )
    op.create_table(
        "servings",
        sa.Column("case_id", _NAME, nullable=False),
        sa.Column("tag", _NAME, nullable=False),
        sa.Column("reader", _NAME, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("case_id", "tag", "reader", name="pk_servings"),
        sa.ForeignKeyConstraint(["case_id", "number"], _VERSION, name="fk_servings_case_id_number"),
    )
    op.create_table(
        "handovers",
        sa.Column("case_id", _NAME, nullable=False),
        sa.Column("before", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("after", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("kind", _NAME, nullable=False),
        sa.Column("created", sa.DateTime, nullable=False),
        sa.Column("agreement", sa.Text),
        sa.PrimaryKeyConstraint("case_id", "before", "after", "kind", name="pk_handovers"),
        sa.ForeignKeyConstraint(
            ["case_id", "before"], _VERSION, name="fk_handovers_case_id_before"
        ),
        sa.ForeignKeyConstraint(["case_id", "after"], _VERSION, name="fk_handovers_case_id_after"),
    )
    is_open = sa.text("agreement IS NULL")
    op.create_index(
        "ix_handovers_open",
        "handovers",
        ["created"],
        sqlite_where=is_open,
        postgresql_where=is_open,
    )
