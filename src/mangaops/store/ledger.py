"""The ledger: events appended at the revisions that their authors expect, read back as they were hashed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, Row, insert, select, update

from mangaops.errors import LedgerTampered, RevisionConflict
from mangaops.registry import GENESIS, DataState, Draft, Event, UnitState, fold_stream, seal
from mangaops.store.announcing import announce
from mangaops.store.audit import Audit, Progress, Witness, audit
from mangaops.store.database import Database
from mangaops.store.heads import Head
from mangaops.store.rows import event_of, hash_of, row_of
from mangaops.store.tables import EVENTS, HEADS


class Ledger:
    """The one place where facts are kept. Threads may share it; each process opens its own."""

    def __init__(self, url: str, *, create: bool = True) -> None:
        """Opens the database at an SQLAlchemy URL as Database does, and raises as it does."""
        self.database = Database(url, create=create)
        self._states: dict[str, UnitState | DataState] = {}
        self._known: set[str] = set()

    @property
    def shown(self) -> str:
        """The URL without secrets."""
        return self.database.shown

    def append(
        self,
        drafts: Sequence[Draft],
        *,
        expect: Mapping[str, int],
        at: str,
        check: Callable[[Connection], None] | None = None,
    ) -> list[Event]:
        """The drafts are events, all or none, and every stream in `expect` was at that revision.

        `expect` names every stream that the decision read, also those that get no event; 0 is an empty
        stream. A draft for a stream that `expect` does not name is appended at whatever revision there is.
        An empty list of drafts checks the revisions and appends nothing. `check` sees the transaction, with
        the streams locked; what it raises is raised, and nothing is appended.

        Raises:
            RevisionConflict: names each stream that moved, expected and found revision.
            IllegalMove: the lifecycle does not allow one of the events.
            UsageError: a draft is incomplete, or `at` is no time in UTC.
            LedgerTampered: what is stored does not add up, so nothing is built on it.
        """
        streams = sorted({*expect, *(draft.stream for draft in drafts)})
        with self.database.writing() as connection:
            heads = self._lock(connection, streams)
            _refuse_moved(expect, heads)
            events = _sealed(drafts, heads, at)
            states = self._after(connection, events, heads)
            if check is not None:
                check(connection)
            _store(connection, events, heads)
            announce(self.database, connection, {event.stream for event in events})
        self._known.update(heads)
        self._states.update(states)
        return events

    def read(self, stream: str, after: int = 0) -> list[Event]:
        """The events of a stream after that revision, oldest first; none for a stream that never was.

        Raises:
            LedgerTampered: a row is not what was hashed, or the newest is not the one that the head names.
        """
        head = select(HEADS).where(HEADS.c.stream == stream)
        with self.database.reading() as connection:
            events = _read(connection, stream, after)
            known = next((Head(*row) for row in connection.execute(head)), Head(stream, 0, GENESIS))
        found = Head(stream, events[-1].revision, events[-1].hash) if events else None
        if (found or Head(stream, min(after, known.revision), known.hash)) != known:
            newest = found.revision if found else f"{after} or older"
            raise _torn(stream, f"head {known.revision}, but the newest event is {newest}")
        return events

    def heads(self) -> dict[str, Head]:
        """The newest revision and hash of each stream, by name; empty streams are left out."""
        query = select(HEADS).where(HEADS.c.revision > 0).order_by(HEADS.c.stream)
        with self.database.reading() as connection:
            return {row.stream: Head(*row) for row in connection.execute(query)}

    def verify(self, witness: Witness = (), *, progress: Progress = None) -> Audit:
        """Every row was read, hashed and folded, and compared with heads that were witnessed outside.

        `witness` is what reports and gateways keep: heads, or `{stream: (revision, hash)}`; a stream may be
        witnessed at several revisions. Damage is listed, not raised.

        Raises:
            SetupError: the database cannot be reached or read.
        """
        return audit(self.database, witness, progress=progress)

    def close(self) -> None:
        """No connection is open."""
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _lock(self, connection: Connection, streams: Sequence[str]) -> dict[str, Head]:
        """The heads of the streams, locked in order of name; a stream that never was gets a row first."""
        new = [stream for stream in streams if stream not in self._known]
        if new:
            empty = [{"stream": stream, "revision": 0, "hash": GENESIS} for stream in new]
            connection.execute(self.database.insert_new(HEADS), empty)
        query = select(HEADS).where(HEADS.c.stream.in_(streams)).order_by(HEADS.c.stream).with_for_update()
        heads = {row.stream: Head(*row) for row in connection.execute(query)} if streams else {}
        lost = [stream for stream in streams if stream not in heads]
        if lost:
            raise _torn(lost[0], "no head, where there was one")
        return heads

    def _after(
        self, connection: Connection, events: Sequence[Event], heads: Mapping[str, Head]
    ) -> dict[str, UnitState | DataState]:
        """The states of the touched streams after the events, which the lifecycle thereby allows."""
        states = {}
        for stream in {event.stream for event in events}:
            present = self._present(connection, heads[stream])
            states[stream] = fold_stream(stream, [e for e in events if e.stream == stream], present)
        return states

    def _present(self, connection: Connection, head: Head) -> UnitState | DataState | None:
        """The state at the head: what this ledger knows, and the events that it missed."""
        state = self._states.get(head.stream)
        if state is None or (state.revision, state.head) != (head.revision, head.hash):
            missed = _read(connection, head.stream, state.revision if state else 0)
            state = fold_stream(head.stream, missed, state)
        if (state.revision, state.head) != (head.revision, head.hash):
            raise _torn(head.stream, f"head {head.revision}, but events up to {state.revision}")
        return state


def _refuse_moved(expect: Mapping[str, int], heads: Mapping[str, Head]) -> None:
    moved = {stream: heads[stream].revision for stream in expect if heads[stream].revision != expect[stream]}
    if moved:
        raise RevisionConflict(
            "the change was refused: another one came first",
            found=", ".join(f"{stream} at revision {found}" for stream, found in moved.items()),
            accepted=", ".join(f"{stream} at revision {expect[stream]}" for stream in moved),
            next_step="read the state again, decide again",
        )


def _sealed(drafts: Iterable[Draft], heads: Mapping[str, Head], at: str) -> list[Event]:
    tips, events = dict(heads), []
    for draft in drafts:
        tip = tips[draft.stream]
        sealed = seal(draft, revision=tip.revision + 1, at=at, previous_hash=tip.hash)
        tips[draft.stream] = Head(draft.stream, sealed.revision, sealed.hash)
        events.append(sealed)
    return events


def _store(connection: Connection, events: Sequence[Event], heads: Mapping[str, Head]) -> None:
    if not events:
        return
    connection.execute(insert(EVENTS), [row_of(event) for event in events])
    for event in {event.stream: event for event in events}.values():
        moved = connection.execute(
            update(HEADS)
            .where(HEADS.c.stream == event.stream, HEADS.c.revision == heads[event.stream].revision)
            .values(revision=event.revision, hash=event.hash)
        )
        if moved.rowcount != 1:
            raise _torn(event.stream, "a head that moved under its lock")


def _read(connection: Connection, stream: str, after: int) -> list[Event]:
    query = (
        select(EVENTS).where(EVENTS.c.stream == stream, EVENTS.c.revision > after).order_by(EVENTS.c.revision)
    )
    return [_event(row) for row in connection.execute(query)]


def _event(row: Row[Any]) -> Event:
    if hash_of(row) != row.hash:
        raise _torn(row.stream, f"revision {row.revision} is not what was hashed")
    return event_of(row)


def _torn(stream: str, found: str) -> LedgerTampered:
    return LedgerTampered(
        f"the ledger's stream {stream} was refused: it does not add up",
        found=found,
        accepted="rows as they were appended",
        next_step="mangaops audit verify, then restore the ledger from its backup",
    )
