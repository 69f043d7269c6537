"""Who waits for news of a ledger is woken by the commit of an append, where the database can do that."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from sqlalchemy import Connection, func, select

from mangaops.store.database import Database

CHANNEL: Final = "mangaops"
"""The channel of PostgreSQL's LISTEN and NOTIFY; what is told is the name of the stream that moved."""


def announce(database: Database, connection: Connection, streams: Collection[str]) -> None:
    """Listeners are told of the streams when, and only if, the transaction commits; nothing on SQLite."""
    if not database.is_sqlite:
        for stream in sorted(streams):
            connection.execute(select(func.pg_notify(CHANNEL, stream)))
