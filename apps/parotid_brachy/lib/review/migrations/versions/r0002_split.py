"""The patients' parts in trainings."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0002"
down_revision: Final = "0001"

_NAME: Final = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Makes the table."""
    op.create_table(
        "split_patients",
        sa.Column("case_id", _NAME, nullable=False),
        sa.Column("patient", _NAME, nullable=False),
        sa.Column("part", sa.Text, nullable=False),
        sa.Column("assigned", sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint("case_id", name="pk_split_patients"),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name="fk_split_patients_case_id"),
        sa.CheckConstraint(
            "part IN ('train', 'validation', 'test')", name=op.f("ck_split_patients_part")
        ),
    )
    op.create_index("ix_split_patients_patient", "split_patients", ["patient"])
