"""A client that costs tens of microseconds a request: kept connections, prepared bytes, a C parser.

A connection carries one request at a time. It is left alone once it was idle for longer than servers
keep one open, so that a server that closes an idle connection costs no request.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from mangaops.errors import UsageError
from mangaops.store.addresses import without_credentials

IDLE: Final = 2.0
"""Seconds; uvicorn closes a connection that was idle for five."""

Told = Callable[["Sent", int, bytes, str], None]
"""Called once for each request: status (0 without an answer), body, and what went wrong ("" for nothing)."""


@dataclass(slots=True)
class Sent:
    """A request on its way. `due`: the moment from which its latency counts; `at`: when it was written."""

    number: int
    due: float
    at: float = 0.0


@dataclass(frozen=True)
class Target:
    """Where requests go."""

    host: str
    port: int
    path: str

    @classmethod
    def of(cls, url: str, path: str) -> Target:
        """The target of `http://HOST:PORT`.

        Raises:
            UsageError: another scheme, no host, or no port.
        """
        with suppress(ValueError):  # a port over 65,535, or half an IPv6 address
            parts = urlsplit(url)
            if parts.scheme == "http" and parts.hostname and parts.port:
                return cls(parts.hostname, parts.port, path)
        raise UsageError(
            f"the load on {without_credentials(url)!r} was refused",
            accepted="http://HOST:PORT of a running gateway",
            next_step="give the address that the gateway printed when it started",
        )

    def request(self, body: bytes) -> bytes:
        """The bytes of a request."""
        head = (
            f"POST {self.path} HTTP/1.1\r\nhost: {self.host}:{self.port}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


class _Connection(asyncio.Protocol):
    """One connection; asked by the pool, answered to `told`."""

    def __init__(self, pool: Pool) -> None:
        import httptools

        self._pool, self._new_parser = pool, httptools.HttpResponseParser
        self.sent: Sent | None = None
        self.idle_since = 0.0
        self._transport: asyncio.Transport | None = None
        self._begin()

    def _begin(self) -> None:
        self._parser = self._new_parser(self)
        self._body = b""
        self._whole = self._keeps = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def ask(self, sent: Sent, data: bytes) -> None:
        """The request is written."""
        assert self._transport is not None
        self.sent, sent.at = sent, time.monotonic()
        self._transport.write(data)

    def on_body(self, body: bytes) -> None:
        """A part of the answer's body."""
        self._body += body

    def on_message_complete(self) -> None:
        """The answer is whole; only now the parser knows whether the connection is kept."""
        self._whole, self._keeps = True, self._parser.should_keep_alive()

    def data_received(self, data: bytes) -> None:
        """Bytes of an answer; what is no answer ends the connection."""
        import httptools

        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._end("garbage")
            return
        if self.sent is None:
            self._end("garbage")
        elif self._whole:
            sent, self.sent = self.sent, None
            status, keeps, body = self._parser.get_status_code(), self._keeps, self._body
            self._begin()
            if not keeps:
                self.close()
            self._pool.answered(self, sent, status, body, keeps=keeps)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the name is asyncio's
        """A request that was on its way has failed."""
        self._end("closed")

    def give_up(self) -> None:
        """The request took too long: it failed, and its answer would be nobody's."""
        self._end("timeout")

    def close(self) -> None:
        """The connection ends."""
        if self._transport is not None:
            self._transport.abort()

    def _end(self, why: str) -> None:
        sent, self.sent = self.sent, None
        self.close()
        self._pool.lost(self, sent, why)


class Pool:
    """Connections to one target, at most `most`; requests beyond wait, and their waiting counts."""

    def __init__(self, target: Target, requests: list[bytes], told: Told, *, most: int, patience: float):
        self._target, self._requests, self._told = target, requests, told
        self._most, self._patience = most, patience
        self._idle: list[_Connection] = []
        self._busy: set[_Connection] = set()
        self._waiting: deque[Sent] = deque()
        self._opening: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def on_the_way(self) -> int:
        """Requests that are neither answered nor failed."""
        return len(self._waiting) + len(self._busy)

    async def warm(self, count: int) -> None:
        """So many connections stand; those that fail are told when they are needed."""
        made = await asyncio.gather(*(self._open() for _ in range(count)), return_exceptions=True)
        for each in made:
            if isinstance(each, _Connection):
                self._free(each)

    def ask(self, number: int, due: float) -> None:
        """The request goes out as soon as a connection is free."""
        sent, now = Sent(number, due), time.monotonic()
        while self._idle:
            connection = self._idle.pop()
            if now - connection.idle_since < IDLE:
                self._write(connection, sent)
                return
            connection.close()
        self._waiting.append(sent)
        self._fill()

    def _fill(self) -> None:
        """Who waits gets a connection of its own, as long as there may be another one."""
        while (
            not self._closed
            and len(self._opening) < len(self._waiting)
            and len(self._busy) + len(self._opening) < self._most
        ):
            self._opening.add(asyncio.get_running_loop().create_task(self._connect()))

    def _write(self, connection: _Connection, sent: Sent) -> None:
        self._busy.add(connection)
        connection.ask(sent, self._requests[sent.number % len(self._requests)])

    async def _open(self) -> _Connection:
        target, loop = self._target, asyncio.get_running_loop()
        return (await loop.create_connection(lambda: _Connection(self), target.host, target.port))[1]

    async def _connect(self) -> None:
        made, why = None, ""
        try:
            made = await asyncio.wait_for(self._open(), self._patience)
        except OSError as error:
            why = "timeout" if isinstance(error, TimeoutError) else "refused"
        if (task := asyncio.current_task()) is not None:
            self._opening.discard(task)
        if made is not None:
            self._free(made)
        elif self._waiting:
            self._told(self._waiting.popleft(), 0, b"", why)
        self._fill()

    def _free(self, connection: _Connection) -> None:
        if self._waiting:
            self._write(connection, self._waiting.popleft())
        else:
            connection.idle_since = time.monotonic()
            self._idle.append(connection)

    def answered(self, connection: _Connection, sent: Sent, status: int, body: bytes, *, keeps: bool) -> None:
        """The answer is told, and the connection is free unless the server closes it."""
        self._busy.discard(connection)
        if keeps:
            self._free(connection)
        self._told(sent, status, body, "")
        self._fill()

    def lost(self, connection: _Connection, sent: Sent | None, why: str) -> None:
        """The connection is gone, and with it what was on its way."""
        self._busy.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if sent is not None:
            self._told(sent, 0, b"", why)
            self._fill()

    def sweep(self) -> None:
        """What took longer than the patience has failed, on its way or still waiting."""
        late = time.monotonic() - self._patience
        for connection in [each for each in self._busy if each.sent and each.sent.due < late]:
            connection.give_up()
        while self._waiting and self._waiting[0].due < late:
            self._told(self._waiting.popleft(), 0, b"", "timeout")

    def close(self) -> None:
        """Every connection ends; what was on its way is told as a timeout."""
        self._closed = True
        for task in list(self._opening):
            task.cancel()
        for connection in list(self._busy):
            connection.give_up()
        while self._waiting:
            self._told(self._waiting.popleft(), 0, b"", "timeout")
        for connection in list(self._idle):
            connection.close()
