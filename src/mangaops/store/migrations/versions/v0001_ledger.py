"""Events, heads, journal and leases."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]


def upgrade() -> None:
    """The four tables exist."""
    op.create_table(
        "events",
        sa.Column("stream", sa.Text, primary_key=True),
        sa.Column("revision", sa.Integer, primary_key=True, autoincrement=False),
        *_texts("at", "actor", "kind"),
        sa.Column("schema", sa.Integer, nullable=False),
        *_texts("body", "previous_hash", "hash"),
    )
    op.create_table(
        "heads",
        sa.Column("stream", sa.Text, primary_key=True),
        sa.Column("revision", sa.Integer, nullable=False),
        *_texts("hash"),
    )
    op.create_table("journal", sa.Column("key", sa.Text, primary_key=True), *_texts("run", "step", "output"))
    op.create_table(
        "leases",
        sa.Column("name", sa.Text, primary_key=True),
        *_texts("token", "owner", "host"),
        sa.Column("pid", sa.Integer, nullable=False),
        *_texts("started"),
        sa.Column("since", sa.Float, nullable=False),
        sa.Column("expires", sa.Float, nullable=False),
    )
