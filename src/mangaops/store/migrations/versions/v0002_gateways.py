"""Members of gateways, and what they acknowledged."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]


def upgrade() -> None:
    """The two tables exist."""
    op.create_table(
        "members",
        sa.Column("member", sa.Text, primary_key=True),
        *_texts("gateway"),
        sa.Column("worker", sa.Integer, nullable=False),
        *_texts("host"),
        sa.Column("pid", sa.Integer, nullable=False),
        *_texts("started"),
        sa.Column("beat", sa.Float, nullable=False),
        *_texts("doing"),
    )
    op.create_table(
        "acknowledgements",
        sa.Column("unit", sa.Text, primary_key=True),
        sa.Column("revision", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("member", sa.Text, primary_key=True),
        *_texts("word", "reason"),
        sa.Column("milliseconds", sa.Float, nullable=True),
        sa.Column("at", sa.Float, nullable=False),
    )
