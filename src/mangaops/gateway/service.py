"""One worker's answers: from a text to an answer, its ticket, its row in the log, its copy for the shadow.

    text ─▶ served release (one reference, taken once) ─▶ lane ─▶ answer ─▶ log, mirror ─▶ reply

Nothing here knows HTTP; everything runs on the event loop but the lane's threads.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from mangaops.errors import SetupError
from mangaops.gateway import gauges
from mangaops.gateway.follower import Follower
from mangaops.gateway.lane import Asked, Full, Lane, Late
from mangaops.gateway.mirror import OFF, SENT, SHED_DOWN, Mirror
from mangaops.gateway.pins import Pins
from mangaops.gateway.slots import Served, Slots
from mangaops.gateway.tickets import Tickets
from mangaops.gateway.units import Unit
from mangaops.inference.families import Said
from mangaops.store.request_log import LogWriter

_LOG: Final = logging.getLogger("mangaops.gateway")


class Unavailable(SetupError):
    """No answer now: too many wait, it took too long, or the model failed. Try again."""


@dataclass(frozen=True)
class Reply:
    """What a user gets: what the unit's family says, and what gave it; `answer` is what that is made of."""

    said: Mapping[str, Any]
    answer: Said
    request_id: str
    release: str
    generation: int

    def as_dict(self) -> dict[str, Any]:
        """The reply as JSON values."""
        told = {"request_id": self.request_id, "release": self.release, "generation": self.generation}
        return {**self.said, **told}


@dataclass(frozen=True)
class Caller:
    """Who asks, as far as the request says, and what beside the text; `options` are JSON values."""

    conversation: str | None = None
    user: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


class Clock:
    """UTC that goes on evenly from the start of the process: a jump of the wall clock moves no event time."""

    def __init__(self) -> None:
        self._start, self._from = time.time(), time.monotonic()

    def now(self) -> float:
        """Seconds since 1970."""
        return self._start + time.monotonic() - self._from

    @property
    def off(self) -> float:
        """Seconds by which the wall clock is ahead by now: it was set since the process began."""
        return time.time() - self.now()


@dataclass
class Service:
    """What a worker needs to answer, and the way it does."""

    units: Mapping[str, Unit]
    slots: Mapping[str, Slots]
    follower: Follower
    lane: Lane
    tickets: Tickets
    pins: Pins
    log: LogWriter
    mirror: Mirror
    writer: str
    clock: Clock
    draining: bool = False

    async def answer(
        self,
        unit: Unit,
        texts: Sequence[str],
        caller: Caller,
        *,
        served: Served | None = None,
    ) -> list[Reply]:
        """A reply to each text, all from one release: `served`, or the one that is this caller's now.

        Raises:
            Unavailable: the queue is full, the time limit passed, or the model failed.
        """
        begun = time.perf_counter()
        served = served or self._served(unit, caller)
        self.mirror.asked(len(texts))
        if served.slot is None:
            return [self._without(unit, served, text, caller, begun) for text in texts]
        asked: list[Asked] = []
        try:
            for text in texts:
                read = unit.serving.asks(text, caller.options)
                asked.append(self.lane.ask(served.slot, read, together=unit.serving.together))
            answers = [await each.future for each in asked]
        except Exception as error:
            for each in asked:
                if not each.future.cancel() and not each.future.cancelled():
                    each.future.exception()  # heard here, or asyncio says that nobody did
            raise self._unavailable(unit, served, texts[0], caller, begun, error) from error
        spent = time.perf_counter() - begun
        return [
            self._reply(unit, served, text, caller, answer, spent, each.batch)
            for text, answer, each in zip(texts, answers, asked, strict=True)
        ]

    def _served(self, unit: Unit, caller: Caller) -> Served:
        """Today's release, or the one that the caller's conversation is pinned to while that is warm."""
        slots = self.slots[unit.name]
        served = slots.served
        if not unit.pin_seconds or caller.conversation is None:
            return served
        pinned = self.pins.pinned(
            unit.name, caller.conversation, served.generation, slots.pins_from, unit.pin_seconds
        )
        if pinned == served.generation:
            return served
        chain = self.follower.wanted[unit.name].chain
        return slots.of_generation(pinned, chain.release_of(pinned)) or served

    def _reply(
        self,
        unit: Unit,
        served: Served,
        text: str,
        caller: Caller,
        answer: Said,
        spent: float,
        batch: int,
    ) -> Reply:
        request_id = self.tickets.give(unit.name, served.generation)
        logged = json.dumps(answer.as_dict(), separators=(",", ":"), ensure_ascii=False)
        challenger = self.follower.wanted[unit.name].chain.shadow_of(served.release)
        word = self._mirrored(unit, challenger, request_id) if challenger else OFF
        row = self._row(unit, served, text, caller, request_id)
        row |= {"answer": logged, "latency_ms": spent * 1000, "error": None, "batch": batch, "mirror": word}
        seq = self.log.put(row)
        if word == SENT and seq is None:
            word = SHED_DOWN  # a copy without a row of its request would belong to nothing
        gauges.answered(unit.name, served.release, spent, batch, word)
        if word == SENT:
            copy = {**row, "at": row["at"].timestamp(), "challenger": challenger}
            self.mirror.send({**copy, "seq": seq, "writer": self.writer}, unit.shadow)
        said = unit.serving.says(answer)
        return Reply(said, answer, request_id, served.release, served.generation)

    def _mirrored(self, unit: Unit, challenger: str, request_id: str) -> str:
        """What becomes of the copy: none is sent while its request has no row in the log to belong to."""
        logged = self.log.trouble is None
        return self.mirror.decide(unit.shadow, challenger, request_id, logged=logged)

    def _without(self, unit: Unit, served: Served, text: str, caller: Caller, begun: float) -> Reply:
        request_id = self.tickets.give(unit.name, served.generation)
        spent = time.perf_counter() - begun
        gauges.answered(unit.name, served.release, spent, 1, OFF)
        row = self._row(unit, served, text, caller, request_id)
        answer = unit.without_release
        logged = json.dumps(answer.as_dict(), separators=(",", ":"))
        row |= {"answer": logged, "latency_ms": spent * 1000, "error": None, "batch": 1, "mirror": OFF}
        self.log.put(row)
        return Reply(unit.serving.says(answer), answer, request_id, served.release, served.generation)

    def _row(self, unit: Unit, served: Served, text: str, caller: Caller, request_id: str) -> dict[str, Any]:
        return {
            "at": datetime.fromtimestamp(self.clock.now(), UTC),
            "request_id": request_id,
            "unit": unit.name,
            "release": served.release,
            "generation": served.generation,
            "conversation_id": caller.conversation,
            "user_id": caller.user,
            "text": text,
            "options": json.dumps(caller.options, separators=(",", ":")) if caller.options else None,
        }

    def _unavailable(
        self, unit: Unit, served: Served, text: str, caller: Caller, begun: float, error: BaseException
    ) -> Unavailable:
        why, says = _why(error, self.lane)
        gauges.REFUSED.labels(unit.name, why).inc()
        if why == "full":  # under overload a row for each refusal would make it worse; the counter has them
            return says
        row = self._row(unit, served, text, caller, self.tickets.give(unit.name, served.generation))
        spent = (time.perf_counter() - begun) * 1000
        self.log.put(row | {"answer": "null", "latency_ms": spent, "error": why, "batch": 1, "mirror": OFF})
        return says


def _why(error: BaseException, lane: Lane) -> tuple[str, Unavailable]:
    waiting = f"{len(lane.waiting)} texts wait"
    if isinstance(error, Full):
        return "full", Unavailable(
            "no answer now: too many wait",
            found=waiting,
            accepted=f"at most {lane.capacity} texts that wait",
            next_step="try again in a second; mangaops serve --queue raises the limit",
        )
    if isinstance(error, Late | asyncio.TimeoutError):
        return "late", Unavailable(
            f"no answer within {lane.time_limit:g} s",
            found=waiting,
            accepted="as many texts as are answered in that time",
            next_step="try again in a second; mangaops serve --time-limit raises the limit",
        )
    _LOG.error("a model failed: %s", type(error).__name__)  # its words may hold the text of a user
    return "failed", Unavailable(
        "no answer: the model failed",
        found=type(error).__name__,
        accepted="a model that answers",
        next_step="try again in a second; where it goes on, roll back: mangaops release rollback",
    )
