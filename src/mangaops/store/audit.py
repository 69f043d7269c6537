"""The ledger against itself and against heads that were witnessed outside.

A row that was edited, lost or moved breaks its own hash or the chain. A tail that was cut, or a stream that
was written anew from some row on, can be a perfect chain: only a head that somebody else kept tells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import Any, Final

from sqlalchemy import Connection, Row, func, select

from mangaops.errors import MangaopsError
from mangaops.registry import GENESIS, Event, fold_stream
from mangaops.store.database import Database
from mangaops.store.heads import Head
from mangaops.store.rows import event_of, hash_of
from mangaops.store.tables import EVENTS, HEADS
from mangaops.vocabulary import Digest

Progress = Callable[[str, int, int], None] | None
Witness = Mapping[str, tuple[int, Digest]] | Iterable[Head]

_EVERY: Final = 1000


class Damage(StrEnum):
    """What can be wrong with a ledger."""

    EDITED = "edited"
    MISSING = "missing"
    REORDERED = "reordered"
    CUT = "cut"
    REWRITTEN = "rewritten"
    ILLEGAL = "illegal"


@dataclass(frozen=True)
class Problem:
    """One thing that does not add up, and where."""

    stream: str
    revision: int
    damage: Damage
    says: str


@dataclass(frozen=True)
class Audit:
    """What a check of the whole ledger found. `heads` are those of the rows that are there."""

    problems: tuple[Problem, ...]
    heads: Mapping[str, Head]
    events: int
    witnessed: int

    @property
    def ok(self) -> bool:
        """Whether everything adds up, as far as the witness reaches."""
        return not self.problems


def audit(database: Database, witness: Witness = (), *, progress: Progress = None) -> Audit:
    """What `Ledger.verify` says, for any database."""
    witnessed = [Head(s, *h) for s, h in witness.items()] if isinstance(witness, Mapping) else list(witness)
    problems: list[Problem] = []
    found: dict[str, dict[int, Digest]] = {}
    with database.reading() as connection:
        heads = {row.stream: Head(*row) for row in connection.execute(select(HEADS))}
        for stream, rows in _streams(connection, progress):
            problems += _stream_problems(stream, rows, heads.get(stream, Head(stream, 0, GENESIS)))
            found[stream] = {row.revision: row.hash for row in rows}
    lost = [head for head in heads.values() if head.revision and head.stream not in found]
    problems += [_cut(head, 0, "the ledger's own head") for head in lost]
    problems += [p for head in witnessed for p in _against(head, found.get(head.stream, {}))]
    tips = {s: Head(s, max(rows), rows[max(rows)]) for s, rows in found.items()}
    events = sum(len(rows) for rows in found.values())
    return Audit(tuple(dict.fromkeys(problems)), tips, events, len(witnessed))


def _streams(connection: Connection, progress: Progress) -> Iterator[tuple[str, list[Row[Any]]]]:
    total = connection.execute(select(func.count()).select_from(EVENTS)).scalar_one()
    rows = connection.execution_options(yield_per=_EVERY).execute(
        select(EVENTS).order_by(EVENTS.c.stream, EVENTS.c.revision)
    )
    done = 0
    for stream, group in groupby(rows, key=lambda row: row.stream):
        kept = []
        for row in group:
            kept.append(row)
            done += 1
            if progress is not None and (done % _EVERY == 0 or done == total):
                progress("rows verified", done, total)
        yield stream, kept


def _stream_problems(stream: str, rows: list[Row[Any]], head: Head) -> list[Problem]:
    problems = [*_row_problems(stream, rows), *_chain_problems(stream, rows)]
    tip = rows[-1]
    if head.revision > tip.revision:
        problems.append(_cut(head, tip.revision, "the ledger's own head"))
    elif (head.revision, head.hash) != (tip.revision, tip.hash):
        says = f"the head says revision {head.revision}, the newest event is {tip.revision}"
        problems.append(Problem(stream, tip.revision, Damage.EDITED, says))
    return problems or _illegal(stream, rows)


def _row_problems(stream: str, rows: list[Row[Any]]) -> Iterator[Problem]:
    wrong = [row for row in rows if hash_of(row) != row.hash]
    for row in wrong:
        places = {other.revision for other in wrong} - {row.revision}
        was = next((r for r in places if hash_of(row, revision=r) == row.hash), None)
        if was is not None:
            yield Problem(stream, row.revision, Damage.REORDERED, f"this row was written as revision {was}")
        else:
            says = f"the {row.kind} of {row.at} by {row.actor} is not what was hashed"
            yield Problem(stream, row.revision, Damage.EDITED, says)


def _chain_problems(stream: str, rows: list[Row[Any]]) -> Iterator[Problem]:
    revision, tip = 0, GENESIS
    for row in rows:
        if row.revision != revision + 1:
            gap = range(revision + 1, row.revision)
            says = f"no row for revision {gap[0]}" + (f" to {gap[-1]}" if len(gap) > 1 else "")
            yield Problem(stream, gap[0], Damage.MISSING, says)
        elif row.previous_hash != tip and hash_of(row) == row.hash:
            says = f"it follows {row.previous_hash[:19]}..., but the row before it is {tip[:19]}..."
            yield Problem(stream, row.revision, Damage.EDITED, says)
        revision, tip = row.revision, row.hash


def _illegal(stream: str, rows: list[Row[Any]]) -> list[Problem]:
    """What the lifecycle says of a chain that is whole: a row that was added by hand breaks its rules."""
    revision = 0

    def events() -> Iterator[Event]:
        nonlocal revision
        for row in rows:
            revision = row.revision
            yield event_of(row)

    try:
        fold_stream(stream, events())
    except (MangaopsError, ValueError, KeyError, TypeError) as error:
        return [Problem(stream, revision, Damage.ILLEGAL, str(error).replace("\n", ";"))]
    return []


def _against(head: Head, found: Mapping[int, Digest]) -> list[Problem]:
    newest = max(found, default=0)
    if head.revision > newest:
        return [_cut(head, newest, "a witness")]
    if head.revision and found.get(head.revision) != head.hash:
        says = f"a witness saw {head.hash[:19]}..., here is {found.get(head.revision, 'nothing')[:19]}..."
        return [Problem(head.stream, head.revision, Damage.REWRITTEN, says)]
    return []


def _cut(head: Head, newest: int, who: str) -> Problem:
    says = f"{who} saw revision {head.revision}, the newest event is {newest or 'none'}"
    return Problem(head.stream, newest + 1, Damage.CUT, says)
