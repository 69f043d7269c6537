"""Waiting for a ledger to move: at once with PostgreSQL, by patience with SQLite."""

from __future__ import annotations

import selectors
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

from sqlalchemy.pool import PoolProxiedConnection

from mangaops.errors import SetupError
from mangaops.store.announcing import CHANNEL
from mangaops.store.ledger import Ledger


class Changes:
    """Waits of one thread for news of a ledger; others may interrupt them. What is new is read elsewhere."""

    def __init__(self, ledger: Ledger) -> None:
        self._database = ledger.database
        self._bell, self._ear = socket.socketpair()
        self._bell.setblocking(False)
        self._ear.setblocking(False)
        self._listener: PoolProxiedConnection | None = None

    def wait(self, seconds: float) -> None:
        """Some stream may have moved, or so many seconds passed, or another thread interrupted.

        With PostgreSQL it returns when an append commits, and at once where it had to begin to listen: what
        moved before that was not heard. With SQLite it knows nothing and waits.

        Raises:
            SetupError: the server cannot be reached, or was lost; the next wait connects anew.
        """
        if not self._database.is_sqlite and self._listener is None:
            self._listen()
            return
        with selectors.DefaultSelector() as selector:
            selector.register(self._ear, selectors.EVENT_READ)
            if self._listener is not None:
                selector.register(self._driver, selectors.EVENT_READ)
            heard = [key.fileobj for key, _ in selector.select(max(0.0, seconds))]
        if self._ear in heard:
            self._ear.recv(4096)
        if any(each is not self._ear for each in heard):
            self._drain()

    def interrupt(self) -> None:
        """The wait that is under way returns, or else the next one."""
        try:
            self._bell.send(b"!")
        except OSError:
            return  # a full bell rings already, and one that is closed has nobody to wake

    def close(self) -> None:
        """Nothing is open; no thread waits any more."""
        self._forget()
        self._bell.close()
        self._ear.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self.close()

    def _listen(self) -> None:
        self._listener = self._database.listener()
        with self._heard():
            self._driver.execute(f"LISTEN {CHANNEL}")

    def _drain(self) -> None:
        """What was told is taken off the line, so that the next wait waits for something newer."""
        with self._heard():
            for _each in self._driver.notifies(timeout=0):
                continue

    @contextmanager
    def _heard(self) -> Iterator[None]:
        from psycopg import Error

        try:
            yield
        except (Error, OSError) as lost:
            self._forget()
            raise SetupError(
                f"the ledger {self._database.shown} cannot be heard any more",
                found=next(iter(str(lost).splitlines()), type(lost).__name__),
                next_step="check that its server runs; the next wait connects anew",
            ) from lost

    def _forget(self) -> None:
        if self._listener is not None:
            self._driver.close()
            self._listener = None

    @property
    def _driver(self) -> Any:
        return self._listener.dbapi_connection if self._listener else None
