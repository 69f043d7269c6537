"""The tables of the ledger database, as SQLAlchemy Core sees them; `migrations` makes them."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Float, Integer, MetaData, Table, Text

METADATA: Final = MetaData()

EVENTS: Final = Table(
    "events",
    METADATA,
    Column("stream", Text, primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("at", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("schema", Integer, nullable=False),
    Column("body", Text, nullable=False),
    Column("previous_hash", Text, nullable=False),
    Column("hash", Text, nullable=False),
)
"""Append-only. `at` and `body` are the very texts that were hashed."""

HEADS: Final = Table(
    "heads",
    METADATA,
    Column("stream", Text, primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("hash", Text, nullable=False),
)
"""The newest revision of each stream: the row that a transaction locks. Revision 0 is an empty stream."""

JOURNAL: Final = Table(
    "journal",
    METADATA,
    Column("key", Text, primary_key=True),
    Column("run", Text, nullable=False),
    Column("step", Text, nullable=False),
    Column("output", Text, nullable=False),
)
"""Finished steps of release runs, by the digest of what went into them."""

LEASES: Final = Table(
    "leases",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("token", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started", Text, nullable=False),
    Column("since", Float, nullable=False),
    Column("expires", Float, nullable=False),
)
"""Who holds what until when; seconds since 1970 by the database's clock."""

MEMBERS: Final = Table(
    "members",
    METADATA,
    Column("member", Text, primary_key=True),
    Column("gateway", Text, nullable=False),
    Column("worker", Integer, nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started", Text, nullable=False),
    Column("beat", Float, nullable=False),
    Column("doing", Text, nullable=False),
)
"""Workers of gateways and when they last beat, by the clock that they share; `doing` is JSON."""

ACKNOWLEDGEMENTS: Final = Table(
    "acknowledgements",
    METADATA,
    Column("unit", Text, primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("member", Text, primary_key=True),
    Column("word", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("milliseconds", Float, nullable=True),
    Column("at", Float, nullable=False),
)
"""The newest word of each member on an event that moves a champion, or is about to."""

CATALOGUE_DELTAS: Final = Table(
    "catalogue_deltas",
    METADATA,
    Column("catalogue", Text, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("body", Text, nullable=False),
    Column("hash", Text, nullable=False),
)
"""What came, changed and went since a catalogue's snapshot, numbered from 1; `body` is JSON, and `hash` is
over it and the hash of the delta before."""
