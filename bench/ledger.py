"""Appends a second with fsync on, beside a bare INSERT and COMMIT; and the fold of 100,000 events."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import histories as h
import postgres
from mangaops.registry import Event, fold
from mangaops.store import Ledger

BLOCKS, PER_BLOCK, EVENTS = 7, 60, 100_000
ROW = ("stack", "2026-04-20T03:00:00Z", "x" * 200, "sha256:" + "0" * 64)


def rate(step: Callable[[], object], times: int) -> float:
    """How often a second `step` runs."""
    begun = time.perf_counter()
    for _ in range(times):
        step()
    return times / (time.perf_counter() - begun)


def interleaved(first: Callable[[], object], second: Callable[[], object]) -> tuple[float, float]:
    """The median rates of two steps whose blocks alternate."""
    rates: tuple[list[float], list[float]] = ([], [])
    for _ in range(BLOCKS):
        rates[0].append(rate(first, PER_BLOCK))
        rates[1].append(rate(second, PER_BLOCK))
    return statistics.median(rates[0]), statistics.median(rates[1])


@contextmanager
def bare_sqlite(path: Path) -> Iterator[Callable[[], object]]:
    """One row a transaction, by the driver alone, as durable as the ledger is."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE bare (stream TEXT, at TEXT, body TEXT, hash TEXT)")

    def step() -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO bare VALUES (?, ?, ?, ?)", ROW)
        connection.execute("COMMIT")

    yield step
    connection.close()


@contextmanager
def bare_postgres(folder: Path, database: str) -> Iterator[Callable[[], object]]:
    """One row a transaction, by the driver alone."""
    import psycopg

    with psycopg.connect(host=str(folder), user=postgres.ADMIN, dbname=database) as connection:
        connection.execute("CREATE TABLE bare (stream text, at text, body text, hash text)")
        connection.commit()

        def step() -> None:
            connection.execute("INSERT INTO bare VALUES (%s, %s, %s, %s)", ROW)
            connection.commit()

        yield step


def appender(ledger: Ledger) -> Callable[[], object]:
    """Appends one event at the revision that is expected."""
    told = h.requested(1)
    revision = 0

    def step() -> None:
        nonlocal revision
        (event,) = ledger.append([told], expect={"stack": revision}, at=h.AT)
        revision = event.revision

    return step


def measure_appends() -> Iterator[tuple[str, float, float]]:
    """Database, bare rate, append rate."""
    with (
        tempfile.TemporaryDirectory(dir=os.environ.get("MANGAOPS_BENCH_DISK")) as folder,
        Ledger(f"sqlite:///{folder}/ledger.db") as ledger,
        bare_sqlite(Path(folder) / "bare.db") as bare,
    ):
        yield "SQLite", *interleaved(bare, appender(ledger))
    if (why := postgres.reason_to_skip()) is not None:
        print(f"PostgreSQL was left out: {why}")
        return
    with postgres.server(fsync=True) as folder_of_socket:
        url = postgres.create_database(folder_of_socket, "bench")
        with Ledger(url) as ledger, bare_postgres(folder_of_socket, "bench") as bare:
            yield "PostgreSQL", *interleaved(bare, appender(ledger))


def history(count: int) -> list[Event]:
    """Weekly releases, each measured, decided and promoted, until there are so many events."""
    return h.sealed(h.weeks(count // 7 + 1))[:count]


def measure_fold() -> tuple[float, float]:
    """Seconds to parse the bodies of the events alone, and seconds to fold them from their text."""
    events = history(EVENTS)
    parsed, folded = [], []
    for _ in range(3):
        begun = time.perf_counter()
        for event in events:
            json.loads(event.text)
        parsed.append(time.perf_counter() - begun)
        fresh = [Event(**{k: v for k, v in vars(event).items() if k != "body"}) for event in events]
        begun = time.perf_counter()
        state = fold(fresh)
        folded.append(time.perf_counter() - begun)
        assert state.revision == EVENTS
    return statistics.median(parsed), statistics.median(folded)


def main() -> None:
    """Prints both tables."""
    load, python = os.getloadavg()[0], sys.version.split()[0]
    print(f"host: {platform.machine()}, {os.cpu_count()} cores, load {load:.1f}, Python {python}")
    print(
        f"\nappends a second, fsync on, one event each, medians of {BLOCKS} alternating blocks of {PER_BLOCK}"
    )
    print(f"{'database':<12}{'bare INSERT':>14}{'append':>10}{'ratio':>8}")
    for database, bare, append in measure_appends():
        print(f"{database:<12}{bare:>14.0f}{append:>10.0f}{append / bare:>8.2f}")
    parsed, folded = measure_fold()
    print(f"\nfold of {EVENTS:,} events, medians of 3")
    print(f"{'json.loads of the bodies alone':<34}{parsed:>8.2f} s{1:>8.2f}")
    print(f"{'fold':<34}{folded:>8.2f} s{folded / parsed:>8.2f}")


if __name__ == "__main__":
    main()
