"""Leases: one run of a unit at a time, and a killed one frees its unit.

A holder renews its lease by a heartbeat. Its lease is free when it was not renewed for `ttl` seconds, and at
once when its process is known to be dead: same host, and that process number runs no more.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, select, update

from mangaops.errors import LeaseHeld, MangaopsError
from mangaops.store.database import Database
from mangaops.store.ledger import Ledger
from mangaops.store.processes import Process, is_dead, this_process
from mangaops.store.tables import LEASES


class Lease:
    """Something that is held by this process until the `with` block ends. `since` is UTC."""

    def __init__(self, database: Database, name: str, owner: str, ttl: float, token: str) -> None:
        self.name = name
        self.owner = owner
        self.ttl = ttl
        self.trouble: MangaopsError | None = None
        self._database = database
        self._token = token
        self._renewed = time.monotonic()
        self._ended = threading.Event()
        self._heart = threading.Thread(target=self._beat, name=f"lease {name}", daemon=True)

    def check(self) -> None:
        """Nothing happens while the lease is held; a step that writes asks first.

        Raises:
            LeaseHeld: it was lost: not renewed in time, and perhaps taken by another.
        """
        if isinstance(self.trouble, LeaseHeld):
            raise self.trouble
        if time.monotonic() - self._renewed > self.ttl:
            found = self.trouble.found if self.trouble else "this process was stopped"
            raise _lost(self.name, f"not renewed for {self.ttl:.0f} s: {found}")

    def renew(self) -> None:
        """The lease runs `ttl` seconds from now. Raises LeaseHeld where another has it."""
        begun = time.monotonic()
        with self._database.writing() as connection:
            expires = self._database.now(connection) + self.ttl
            mine = (LEASES.c.name == self.name, LEASES.c.token == self._token)
            kept = connection.execute(update(LEASES).where(*mine).values(expires=expires)).rowcount
        if not kept:
            raise _lost(self.name, "another run has it")
        self._renewed = begun

    def _beat(self) -> None:
        while not self._ended.wait(self.ttl / 3):
            try:
                self.renew()
                self.trouble = None
            except LeaseHeld as lost:
                self.trouble = lost
                return
            except MangaopsError as trouble:
                self.trouble = trouble

    def _begin(self) -> None:
        self._heart.start()

    def _end(self) -> None:
        self._ended.set()
        self._heart.join()
        with self._database.writing() as connection:
            mine = (LEASES.c.name == self.name, LEASES.c.token == self._token)
            connection.execute(delete(LEASES).where(*mine))


class Leases:
    """Leases by name, in the ledger's database."""

    def __init__(self, ledger: Ledger) -> None:
        self._database = ledger.database

    @contextmanager
    def hold(self, name: str, owner: str, ttl: float = 30.0) -> Iterator[Lease]:
        """The lease is held by `owner` while the block runs, and free afterwards.

        `ttl` in seconds is how long others wait when this process is killed on another host.

        Raises:
            LeaseHeld: says who holds it, since when, and what to do.
        """
        lease = Lease(self._database, name, owner, ttl, secrets.token_hex(8))
        self._take(lease)
        lease._begin()
        try:
            yield lease
        except BaseException as error:
            try:
                lease._end()
            except MangaopsError as trouble:
                error.add_note(f"the lease {name} was not given back and runs out in {ttl:.0f} s: {trouble}")
            raise
        lease._end()

    def _take(self, lease: Lease) -> None:
        me = this_process()
        with self._database.writing() as connection:
            now = self._database.now(connection)
            _clear(connection, lease.name, now)
            row: dict[str, str | int | float] = {"name": lease.name, "token": lease._token}
            row |= {"owner": lease.owner, "host": me.host}
            row |= {"pid": me.pid, "started": me.started, "since": now, "expires": now + lease.ttl}
            connection.execute(self._database.insert_new(LEASES), row)
            now_held = connection.execute(select(LEASES).where(LEASES.c.name == lease.name)).one()
            if now_held.token != lease._token:
                raise _held(now_held, now)


def _clear(connection: Connection, name: str, now: float) -> None:
    """No row of that name is left. Raises LeaseHeld where its owner lives."""
    held = connection.execute(select(LEASES).where(LEASES.c.name == name).with_for_update()).one_or_none()
    if held is None:
        return
    if held.expires > now and not is_dead(_holder(held)):
        raise _held(held, now)
    connection.execute(delete(LEASES).where(LEASES.c.name == name))


def _holder(row: Row[Any]) -> Process:
    return Process(row.host, row.pid, row.started)


def _held(row: Row[Any], now: float) -> LeaseHeld:
    since = datetime.fromtimestamp(row.since, UTC).isoformat(timespec="seconds")
    host = _holder(row).host_name
    return LeaseHeld(
        f"{row.name} was refused: another run holds it",
        found=f"{row.owner}, process {row.pid} on {host}, since {since}",
        accepted=f"one run at a time; a killed one frees it in {max(0.0, row.expires - now):.0f} s",
        next_step="wait for that run, or end its process and start again",
    )


def _lost(name: str, why: str) -> LeaseHeld:
    return LeaseHeld(
        f"{name} was lost by this run",
        found=why,
        next_step="start the run again: it resumes after the last finished step",
    )
