"""Rows of the events table, or of a copy of it, to events and back; the hash of a row as it stands."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from sqlalchemy import Row

from mangaops.errors import SetupError
from mangaops.registry import Event, chained
from mangaops.vocabulary import Digest, EventKind


def hash_of(row: Row[Any] | SimpleNamespace, *, revision: int | None = None) -> Digest:
    """What the row's hash must be, were it written as that revision (its own where none is given)."""
    return chained(
        row.stream,
        row.revision if revision is None else revision,
        row.at,
        row.actor,
        row.kind,
        row.schema,
        row.body,
        row.previous_hash,
    )


def event_of(row: Row[Any] | SimpleNamespace) -> Event:
    """The row as an event. Raises SetupError for a kind that this version does not know."""
    try:
        kind = EventKind(row.kind)
    except ValueError as error:
        raise SetupError(
            f"event {row.revision} of {row.stream} was refused: {row.kind} is a word of a newer mangaops",
            next_step="install the version of mangaops that wrote it, or a newer one",
        ) from error
    return Event(
        stream=row.stream,
        revision=row.revision,
        at=row.at,
        actor=row.actor,
        kind=kind,
        schema=row.schema,
        text=row.body,
        previous_hash=row.previous_hash,
        hash=row.hash,
    )


def row_of(event: Event) -> dict[str, Any]:
    """The event as a row."""
    return {
        "stream": event.stream,
        "revision": event.revision,
        "at": event.at,
        "actor": event.actor,
        "kind": str(event.kind),
        "schema": event.schema,
        "body": event.text,
        "previous_hash": event.previous_hash,
        "hash": event.hash,
    }
