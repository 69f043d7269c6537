"""Waiting for a ledger to move."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from sqlalchemy import text

import histories as h
from mangaops.errors import SetupError
from mangaops.store import Changes, Ledger

LONG = 60.0


def waiting(changes: Changes) -> Future[None]:
    """A wait in another thread, which raises here what it raises there."""
    return ThreadPoolExecutor(1).submit(changes.wait, LONG)


def until_told(changes: Changes) -> None:
    """The server's last word may come before its end, and wake a waiter too."""
    for _ in range(2):
        changes.wait(LONG)


def test_an_append_wakes_a_waiter(postgres_url: str) -> None:
    with Ledger(postgres_url) as ledger, Ledger(postgres_url) as other, Changes(ledger) as changes:
        changes.wait(LONG)  # it begins to listen, and returns at once
        waiter = waiting(changes)
        other.append([h.requested(1)], expect={}, at=h.AT)
        waiter.result(LONG / 2)


def test_what_moved_before_a_wait_is_heard_once(postgres_url: str) -> None:
    with Ledger(postgres_url) as ledger, Changes(ledger) as changes:
        changes.wait(LONG)
        ledger.append([h.requested(1), h.dataset(1)], expect={}, at=h.AT)
        begun = time.monotonic()
        changes.wait(LONG)
        assert time.monotonic() - begun < LONG / 2
        changes.wait(0.0)


def test_an_append_that_is_refused_wakes_nobody(postgres_url: str) -> None:
    with Ledger(postgres_url) as ledger, Changes(ledger) as changes:
        changes.wait(LONG)

        def refuse(_connection: object) -> None:
            raise KeyError

        with pytest.raises(KeyError):
            ledger.append([h.requested(1)], expect={}, at=h.AT, check=refuse)
        begun = time.monotonic()
        changes.wait(0.2)
        assert time.monotonic() - begun >= 0.2


def test_a_wait_ends_when_its_time_is_over(ledger_url: str) -> None:
    with Ledger(ledger_url) as ledger, Changes(ledger) as changes:
        changes.wait(0.0)
        begun = time.monotonic()
        changes.wait(0.1)
        assert 0.1 <= time.monotonic() - begun < LONG


def test_another_thread_interrupts_the_wait_or_the_next_one(ledger_url: str) -> None:
    with Ledger(ledger_url) as ledger, Changes(ledger) as changes:
        changes.wait(0.0)
        waiter = waiting(changes)
        changes.interrupt()
        waiter.result(LONG / 2)
        for _ in range(100_000):
            changes.interrupt()
        changes.wait(LONG)
    changes.interrupt()


def test_a_lost_server_is_told_once_and_then_it_listens_anew(postgres_url: str) -> None:
    with Ledger(postgres_url) as ledger, Changes(ledger) as changes:
        changes.wait(LONG)
        with ledger.database.writing() as connection:
            others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
            assert connection.execute(text(others)).scalars().all() == [True]
        with pytest.raises(SetupError, match="cannot be heard"):
            until_told(changes)
        changes.wait(LONG)
        waiter = waiting(changes)
        ledger.append([h.requested(1)], expect={}, at=h.AT)
        waiter.result(LONG / 2)
