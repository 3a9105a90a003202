"""The cases' seed plans."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0003"
down_revision: Final = "0002"

_NAME: Final = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Makes the table."""
    op.create_table(
        "seed_plans",
        sa.Column("case_id", _NAME, nullable=False),
        sa.Column("number", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("created", sa.DateTime, nullable=False),
        sa.Column("file", _NAME, nullable=False),
        sa.Column("received_as", sa.Text, nullable=False),
        sa.Column("received_sha256", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("seeds", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("case_id", "number", name="pk_seed_plans"),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name="fk_seed_plans_case_id"),
        sa.ForeignKeyConstraint(["file"], ["objects.name"], name="fk_seed_plans_file"),
        sa.CheckConstraint("number > 0", name=op.f("ck_seed_plans_number")),
    )
