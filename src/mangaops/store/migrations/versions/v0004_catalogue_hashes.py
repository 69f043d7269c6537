"""Each delta of a catalogue has a hash over its body and the hash of the delta before it."""

import hashlib
from itertools import groupby

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_GENESIS = "sha256:" + "0" * 64


def upgrade() -> None:
    """The column is there, with the hashes of the deltas that there are."""
    op.add_column("catalogue_deltas", sa.Column("hash", sa.Text, nullable=False, server_default=""))
    table = sa.table("catalogue_deltas", *map(sa.column, ("catalogue", "number", "body", "hash")))
    connection, of = op.get_bind(), table.c
    rows = connection.execute(sa.select(of.catalogue, of.number, of.body).order_by(of.catalogue, of.number))
    for catalogue, deltas in groupby(rows.all(), lambda row: row.catalogue):
        held = _GENESIS
        for row in deltas:
            held = "sha256:" + hashlib.sha256(f"{held}\n{row.body}".encode()).hexdigest()
            here = (of.catalogue == catalogue) & (of.number == row.number)
            connection.execute(sa.update(table).where(here).values(hash=held))
