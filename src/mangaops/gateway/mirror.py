"""The mirror: copies of answered requests, on their way to the shadow process through a bounded queue.

A copy costs the user nothing: it is offered after the answer is made, it waits while users wait, and what
does not fit is shed and counted. The rate is bounded by how busy users are, since niceness alone would not
protect them: two models that run by turns drive each other out of the processor's caches. And it stands
still while a user's text is answered (`pause`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import time
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Final

from mangaops.gateway.lane import Lane, nobody
from mangaops.gateway.pause import pause_of
from mangaops.stack import ShadowSpec
from mangaops.stack.share import in_share

OFF, OUT, SENT = "off", "out", "sent"
"""What becomes of a copy; `off`: no challenger is wanted."""

SHED_QUEUE, SHED_RATE, SHED_DOWN = "shed_queue", "shed_rate", "shed_down"

_TICK: Final = 0.25

_FOLLOWS: Final = 0.25
"""How far what users ask in a tick moves the idea of it."""

_CHANCE: Final = 3.0
"""Standard deviations of chance above which more users have come: they are made room for at once."""

_AT_ONCE: Final = 0.25
"""Seconds of the rate that may be sent at once, after a pause."""

_AGAIN: Final = 0.25
_BREATH: Final = 0.001

_GATHER: Final = 0.05
"""Seconds for which a first copy waits for others that leave with it."""

_BUSY: Final = 0.38
"""Part of the capacity that users take when the shadow gets no more than the least."""

_STEEP: Final = 4.0
"""How much of the capacity the shadow gets for each part by which users stay under that."""

_LEAST: Final = 0.02
"""Part of the capacity that the shadow gets however busy the users are, so that evidence goes on growing."""

_BUFFER: Final = 16_384

_BACKLOG: Final = 128
"""Copies that wait when the shadow no longer stands still for users; half of a queue that is short."""

_LATE: Final = b"!"
"""Before a copy that waited longer than its time limit: it is logged as such, and asked of nobody."""


class Mirror:
    """One worker's way to the shadow process; used on the event loop alone."""

    def __init__(self, socket: str, lane: Lane, *, workers: int) -> None:
        """`workers`: how many share the machine, of which this is one."""
        self._socket, self._lane, self._workers = socket, lane, workers
        self._queue: deque[tuple[float, bytes]] = deque()
        """Each copy behind the moment after which it is late."""
        self._arrived = asyncio.Event()
        self._ready: frozenset[str] = frozenset()
        self._asked, self._rate = 0, 0.0
        self._tokens, self._filled = 1.0, time.monotonic()
        self.capacity = 0.0
        self._backlog = _BACKLOG
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Copies are sent from now on, as soon as the shadow process listens."""
        self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self._measure())]

    async def close(self) -> None:
        """What has not been sent is not sent any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def asked(self, texts: int = 1) -> None:
        """A user asked so many texts: the shadow's rate is what users leave."""
        self._asked += texts

    def decide(self, spec: ShadowSpec, challenger: str, request_id: str, *, logged: bool = True) -> str:
        """What becomes of the copy of this request: `sent`, `out` of the share, or shed and why.

        Shed is every request of the share that the challenger cannot get, also where this worker never saw
        one that could: what evidence lacks counts. `logged`: whether the request's row reaches the log.
        """
        if not in_share(spec.share, request_id):
            return OUT
        if not logged or challenger not in self._ready:
            return SHED_DOWN
        if len(self._queue) >= spec.queue:
            return SHED_QUEUE
        if not self._token(spec):
            return SHED_RATE
        return SENT

    def send(self, copy: Mapping[str, Any], spec: ShadowSpec) -> None:
        """The copy is queued; `decide` said `sent`."""
        line = json.dumps(copy, separators=(",", ":")).encode() + b"\n"
        self._backlog = min(_BACKLOG, max(1, spec.queue // 2))
        self._queue.append((time.monotonic() + spec.time_limit_ms / 1000, line))
        self._arrived.set()

    @property
    def rate(self) -> float:
        """Copies a second that this worker may send now: no more than the shadow's one thread can answer."""
        users = self._rate * self._workers
        left = max(_LEAST * self.capacity, _STEEP * (_BUSY * self.capacity - users))
        thread = self.capacity / (self._workers * self._lane.size)
        return min(left, thread) / self._workers

    def _token(self, spec: ShadowSpec) -> bool:
        now = time.monotonic()
        rate = self.rate if spec.rate is None else spec.rate / self._workers
        self._tokens = min(max(1.0, rate * _AT_ONCE), self._tokens + rate * (now - self._filled))
        self._filled = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    async def _measure(self) -> None:
        while True:
            begun = time.monotonic()
            await asyncio.sleep(_TICK)
            found = self._asked / (time.monotonic() - begun)
            self._asked = 0
            self._follow(found)

    def _follow(self, found: float) -> None:
        """So many texts a second were asked in the last tick."""
        chance = math.sqrt(max(self._rate, 1 / _TICK) / _TICK)
        came = found > self._rate + _CHANCE * chance
        self._rate += (found - self._rate) * (1.0 if came else _FOLLOWS)

    async def _run(self) -> None:
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(self._socket)
            except OSError:
                await asyncio.sleep(_AGAIN)
                continue
            writer.transport.set_write_buffer_limits(high=_BUFFER)
            pump = asyncio.create_task(self._pump(writer))
            try:
                with self._users_first(writer):
                    await self._listen(reader)
            finally:
                pump.cancel()
                await asyncio.gather(pump, return_exceptions=True)
                self._ready = frozenset()
                self._queue.clear()
                writer.close()
            await asyncio.sleep(
                _AGAIN
            )  # a shadow that takes connections only to end them costs users nothing

    @contextlib.contextmanager
    def _users_first(self, writer: asyncio.StreamWriter) -> Iterator[None]:
        """Inside, the shadow process stands still while a user's text is answered, where that can be had.

        It does not while many copies wait: it would never get through them.
        """
        if (pause := pause_of(writer.get_extra_info("socket"))) is None:
            yield
            return
        self._lane.busied = lambda busy: pause.users(busy and len(self._queue) < self._backlog)
        try:
            yield
        finally:
            self._lane.busied = nobody
            pause.close()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        """Which challengers the shadow process holds, as it tells, until it is gone or talks nonsense."""
        with contextlib.suppress(ConnectionError, ValueError, TypeError, KeyError):
            while line := await reader.readline():
                self._ready = frozenset(json.loads(line)["ready"])

    def _gather(self) -> float:
        """Seconds for which copies wait for others: never so long that one would be late or find no room."""
        if self._backlog < _BACKLOG:
            return 0.0
        return min(_GATHER, max(0.0, (self._queue[0][0] - time.monotonic()) / 2))

    async def _pump(self, writer: asyncio.StreamWriter) -> None:
        """Copies leave many at a time: each time the shadow wakes costs users something."""
        while True:
            while not self._queue:
                self._arrived.clear()
                await self._arrived.wait()
            await asyncio.sleep(self._gather())
            while self._queue:
                due, line = self._queue[0]
                late = time.monotonic() > due
                if not late and not self._lane.idle:
                    await asyncio.sleep(_BREATH)
                    continue
                writer.write(_LATE + line if late else line)
                await writer.drain()
                if self._queue:
                    self._queue.popleft()
