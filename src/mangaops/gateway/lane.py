"""The lane: threads that answer texts off the event loop, behind a bounded queue.

A text that finds a thread idle is answered at once and alone, which is the shape that was evaluated. Only
while more texts wait than there are threads are some of like length answered together: that is the only time
when batches save work, and the oldest is always among them. What gains nothing from company, as a search does
not, is always answered alone.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Final

from mangaops.gateway.slots import Slot
from mangaops.gateway.together import answers_to, of_like_length
from mangaops.inference.families import Said

_LOOK: Final = 16
"""How many waiting texts are looked at for one of like length."""


class Full(Exception):
    """The queue has no room: the caller says so to its user."""


class Late(Exception):
    """No answer within the time limit."""


@dataclass(eq=False, slots=True)
class Asked:
    """One text on its way to an answer. `batch` is how many were answered with it, which it may be."""

    slot: Slot
    text: Any
    future: asyncio.Future[Said]
    together: bool = True
    timer: asyncio.TimerHandle | None = None
    batch: int = 1
    read: Any = None
    """The text as its model takes it, once it was looked at."""


class Lane:
    """`threads` threads that share one queue of at most `capacity` texts; used from one event loop.

    `texts` were answered in `seconds` of its threads, all told: what the machine can do is learnt from that.
    """

    def __init__(
        self,
        threads: int,
        *,
        capacity: int,
        batch: int,
        time_limit: float,
        rested: Callable[[Slot], None] = lambda _slot: None,
    ) -> None:
        self.capacity, self.batch, self.time_limit = capacity, batch, time_limit
        self.waiting: deque[Asked] = deque()
        self._loop = asyncio.get_running_loop()
        self._rested = rested
        self._tokens: SimpleQueue[bool] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._work, name=f"lane {number}", daemon=True)
            for number in range(threads)
        ]
        self.busy, self.texts, self.seconds = 0, 0, 0.0
        self._under_way = 0
        self.busied: Callable[[bool], None] = nobody
        """Called on the event loop when a first text is asked, and when none is under way any more."""
        for thread in self._threads:
            thread.start()

    @property
    def size(self) -> int:
        """How many threads answer."""
        return len(self._threads)

    @property
    def idle(self) -> bool:
        """Whether nothing waits and a thread is free."""
        return not self.waiting and self.busy < len(self._threads)

    def ask(self, slot: Slot, text: Any, *, together: bool = True) -> Asked:
        """The text is queued; its future has the answer, or `Late`, or what the predictor raised.

        `together`: whether it may be answered with others.

        Raises:
            Full: as many texts wait as may.
        """
        if len(self.waiting) >= self.capacity:
            raise Full
        asked = Asked(slot, text, self._loop.create_future(), together)
        asked.timer = self._loop.call_later(self.time_limit, _late, asked.future)
        slot.running += 1
        self._under_way += 1
        if self._under_way == 1:
            self.busied(True)
        self.waiting.append(asked)
        self._tokens.put(True)
        return asked

    def close(self) -> None:
        """The threads end after what they are answering."""
        for _ in self._threads:
            self._tokens.put(False)

    def _work(self) -> None:
        while self._tokens.get():
            with self._lock:
                batch = self._take()
                self.busy += bool(batch)
            if not batch:
                continue  # what this token was for went with another batch
            begun = time.perf_counter()
            done = _answered(batch)
            with self._lock:
                self.busy -= 1
                self.texts += len(batch)
                self.seconds += time.perf_counter() - begun
            try:
                self._loop.call_soon_threadsafe(self._finish, batch, done)
            except RuntimeError:
                return  # the loop is closed: nobody waits any more

    def _take(self) -> list[Asked]:
        """The oldest that still waits, and with it, under load, some of like length."""
        while self.waiting and self.waiting[0].future.done():
            self._give_up(self.waiting.popleft())
        if not self.waiting:
            return []
        first = self.waiting.popleft()
        room = min(self.batch, -(-(len(self.waiting) + 1) // len(self._threads))) - 1
        if not first.together or room < 1 or len(self.waiting) < len(self._threads):
            return [first]
        near = _nearest(first, list(self.waiting)[:_LOOK])[:room]
        for each in near:
            self.waiting.remove(each)
        return [first, *near]

    def _give_up(self, asked: Asked) -> None:
        self._loop.call_soon_threadsafe(self._release, asked)

    def _finish(self, batch: Sequence[Asked], done: Sequence[Said | Exception]) -> None:
        for asked, result in zip(batch, done, strict=True):
            self._release(asked)
            if asked.future.done():
                continue
            if isinstance(result, Exception):
                asked.future.set_exception(result)
            else:
                asked.batch = len(batch)
                asked.future.set_result(result)

    def _release(self, asked: Asked) -> None:
        if asked.timer is not None:
            asked.timer.cancel()
        asked.slot.running -= 1
        self._under_way -= 1
        if self._under_way == 0:
            self.busied(False)
        if asked.slot.running == 0:
            self._rested(asked.slot)


def _answered(batch: Sequence[Asked]) -> list[Said | Exception]:
    predictor = batch[0].slot.predictor
    if predictor is None:
        return [RuntimeError("the slot was closed")] * len(batch)
    try:
        read = [_read(asked) for asked in batch]
    except Exception as error:  # noqa: BLE001 - only a text that is alone is not read before it is taken
        return [error] * len(batch)
    return answers_to(predictor, read)


def _read(asked: Asked) -> Any:
    """The text as its model takes it, read once however often it is looked at."""
    if asked.read is None and asked.slot.predictor is not None:
        asked.read = asked.slot.predictor.read(asked.text)
    return asked.read


def _nearest(first: Asked, others: Sequence[Asked]) -> list[Asked]:
    """Those of like length, the nearest first, that may be answered together with the first."""
    mine = [each for each in others if each.slot is first.slot and not each.future.done()]
    try:
        near = of_like_length(len(_read(first)), [len(_read(each)) for each in mine])
    except Exception:  # noqa: BLE001 - who asked hears it when the text is answered alone
        return []
    return [mine[place] for place in near]


def nobody(_busy: bool) -> None:
    """Nobody wants to know."""


def _late(future: asyncio.Future[Said]) -> None:
    if not future.done():
        future.set_exception(Late())
