"""The mirror against a real socket: bounded in length and rate, silent while nobody listens, never stuck."""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gateway_parts import PATIENCE, Says, echoed
from hypothesis import given
from hypothesis import strategies as st

from mangaops.gateway.lane import Lane
from mangaops.gateway.mirror import (
    _AGAIN,
    _GATHER,
    _TICK,
    OUT,
    SENT,
    SHED_DOWN,
    SHED_QUEUE,
    SHED_RATE,
    Mirror,
)
from mangaops.gateway.slots import BLUE, Slot
from mangaops.stack import ShadowSpec
from mangaops.stack.share import in_share
from mangaops.vocabulary import SlotState

FAST = ShadowSpec(rate=1e9, time_limit_ms=60_000)


class Shadow:
    """The other end of the socket: it says what it has loaded, and keeps the copies that come."""

    def __init__(self) -> None:
        self.copies: list[dict[str, Any]] = []
        self.late: list[dict[str, Any]] = []
        self.arrived, self.connected = asyncio.Condition(), asyncio.Condition()
        self.writers: list[asyncio.StreamWriter] = []
        self.reads = asyncio.Event()
        self.reads.set()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        async with self.connected:
            self.connected.notify_all()
        while line := await self._line(reader):
            async with self.arrived:
                kept = self.late if line.startswith(b"!") else self.copies
                kept.append(json.loads(line.lstrip(b"!")))
                self.arrived.notify_all()
        writer.close()

    async def _line(self, reader: asyncio.StreamReader) -> bytes:
        await self.reads.wait()
        return await reader.readline()

    async def of(self, count: int) -> list[dict[str, Any]]:
        async with self.arrived:
            await self.arrived.wait_for(lambda: len(self.copies) >= count)
        return self.copies

    async def connections(self, count: int = 1) -> None:
        async with self.connected:
            await self.connected.wait_for(lambda: len(self.writers) >= count)

    def say(self, *ready: str, end: bytes = b"\n") -> None:
        self.writers[-1].write(json.dumps({"ready": ready}).encode() + end)

    async def crash(self) -> None:
        """The connection is gone."""
        self.writers[-1].close()
        await self.writers[-1].wait_closed()


@asynccontextmanager
async def listening(path: Path) -> Any:
    shadow = Shadow()
    server = await asyncio.start_unix_server(shadow.take, path)
    try:
        yield shadow
    finally:
        server.close()
        for writer in shadow.writers:
            writer.close()


async def decided(mirror: Mirror, word: str, spec: ShadowSpec = FAST, challenger: str = "router-2") -> None:
    """The mirror decides so from now on."""
    while mirror.decide(spec, challenger, "r") != word:
        await asyncio.sleep(0.001)


Scenario = Callable[[Path, Lane], Awaitable[None]]


def run(scenario: Scenario) -> None:
    """The scenario ran with a free path for a socket, and a lane of one thread that is idle."""

    async def inner() -> None:
        lane = Lane(1, capacity=64, batch=4, time_limit=PATIENCE)
        with tempfile.TemporaryDirectory(prefix="m") as folder:  # pytest's own paths are too long for sockets
            await asyncio.wait_for(scenario(Path(folder) / "s", lane), 2 * PATIENCE)
        lane.close()

    asyncio.run(inner())


@asynccontextmanager
async def mirroring(path: Path, lane: Lane, *, workers: int = 1) -> Any:
    mirror = Mirror(str(path), lane, workers=workers)
    mirror.start()
    try:
        yield mirror
    finally:
        await mirror.close()


def test_a_worker_that_never_saw_the_challenger_sheds_what_falls_into_the_share() -> None:
    """It may be one that was started again while the shadow was down: nobody else counts its requests."""

    async def scenario(path: Path, lane: Lane) -> None:
        async with listening(path) as shadow, mirroring(path, lane) as mirror:
            assert mirror.decide(FAST, "router-2", "r") == SHED_DOWN
            await shadow.connections()
            shadow.say("router-1")
            await decided(mirror, SENT, challenger="router-1")
            assert mirror.decide(FAST, "router-2", "r") == SHED_DOWN
            assert mirror.decide(FAST, "router-1", "r", logged=False) == SHED_DOWN

    run(scenario)


def test_what_falls_out_of_the_share_is_out_also_while_nothing_can_be_sent() -> None:
    async def scenario(path: Path, lane: Lane) -> None:
        half = ShadowSpec(share=0.5, rate=1e9)
        ids = [f"r{number}" for number in range(200)]
        wanted = [SHED_DOWN if in_share(0.5, each) else OUT for each in ids]
        mirror = Mirror(str(path), lane, workers=1)
        assert [mirror.decide(half, "router-2", each) for each in ids] == wanted
        assert [mirror.decide(half, "router-2", each, logged=False) for each in ids] == wanted

    run(scenario)


def test_a_shadow_that_ends_every_connection_is_not_asked_again_and_again_without_a_pause() -> None:
    async def scenario(path: Path, lane: Lane) -> None:
        async with listening(path) as shadow, mirroring(path, lane):
            await shadow.connections()
            begun = time.monotonic()
            for count in (2, 3):
                await shadow.crash()
                await shadow.connections(count)
            assert time.monotonic() - begun >= 2 * _AGAIN

    run(scenario)


def test_copies_arrive_whole_and_in_order() -> None:
    async def scenario(path: Path, lane: Lane) -> None:
        async with listening(path) as shadow, mirroring(path, lane) as mirror:
            await shadow.connections()
            shadow.say("router-2")
            await decided(mirror, SENT)
            sent = [{"seq": n, "text": text} for n, text in enumerate(["", "返品", "\ud83d", "x\n" * 9000])]
            for copy in sent:
                mirror.send(copy, FAST)
            assert await shadow.of(4) == sent
            assert shadow.late == []

    run(scenario)


def test_no_more_copies_wait_than_may_and_the_rest_is_shed() -> None:
    async def scenario(path: Path, lane: Lane) -> None:
        spec = ShadowSpec(rate=1e9, queue=5, time_limit_ms=60_000)
        async with listening(path) as shadow, mirroring(path, lane) as mirror:
            await shadow.connections()
            shadow.say("router-2")
            await decided(mirror, SENT)
            words = []
            for number in range(8):  # the event loop is ours, so nothing leaves the queue meanwhile
                words.append(mirror.decide(spec, "router-2", "r"))
                if words[-1] == SENT:
                    mirror.send({"seq": number}, spec)
            assert words == [SENT] * 5 + [SHED_QUEUE] * 3
            assert [copy["seq"] for copy in await shadow.of(5)] == [0, 1, 2, 3, 4]
            await decided(mirror, SENT, spec)

    run(scenario)


def test_a_shadow_that_reads_nothing_fills_the_queue_and_no_memory() -> None:
    async def scenario(path: Path, lane: Lane) -> None:
        spec = ShadowSpec(rate=1e9, queue=5, time_limit_ms=60_000)
        async with listening(path) as shadow, mirroring(path, lane) as mirror:
            await shadow.connections()
            shadow.reads.clear()
            shadow.say("router-2")
            await decided(mirror, SENT)
            while mirror.decide(spec, "router-2", "r") == SENT:
                mirror.send({"text": "x" * 8192}, spec)
                await asyncio.sleep(0.002)
            assert mirror.decide(spec, "router-2", "r") == SHED_QUEUE
            shadow.reads.set()
            await decided(mirror, SENT, spec)

    run(scenario)


def test_a_stated_rate_is_shared_by_the_workers_and_what_exceeds_it_is_shed() -> None:
    async def scenario(path: Path, lane: Lane) -> None:
        async with listening(path) as shadow, mirroring(path, lane, workers=2) as mirror:
            await shadow.connections()
            shadow.say("router-2")
            await decided(mirror, SENT)
            spec = ShadowSpec(rate=0.01)  # one copy in 200 s a worker: none while this test runs
            mirror.decide(spec, "router-2", "r")
            assert [mirror.decide(spec, "router-2", "r") for _ in range(20)] == [SHED_RATE] * 20
            assert mirror.decide(FAST, "router-2", "r") == SENT

    run(scenario)


def test_without_a_stated_rate_the_shadow_gets_what_users_leave() -> None:
    async def scenario(path: Path, lane: Lane) -> None:
        mirror = Mirror(str(path), lane, workers=2)
        assert mirror.rate == 0  # nothing is measured yet
        mirror.capacity = 1000.0
        assert mirror.rate == 1000 / 2 / 2  # what the shadow's one thread can answer, for two workers
        mirror._rate = 150.0  # a second, here; the other worker has as many, three tenths of capacity in all
        assert mirror.rate == pytest.approx((0.38 - 0.30) * 4 * 1000 / 2)
        mirror._rate = 250.0
        assert mirror.rate == 0.02 * 1000 / 2  # busy as users are, evidence goes on growing

    run(scenario)


@pytest.mark.parametrize(("asked", "least"), [(60, 0.93), (120, 0.97), (500, 0.995), (1000, 0.999)])
def test_at_a_quarter_of_capacity_chance_takes_few_copies(asked: int, least: float) -> None:
    async def scenario(path: Path, lane: Lane) -> None:
        mirror, rng = Mirror(str(path), lane, workers=1), np.random.default_rng(5)
        mirror.capacity = 4.0 * asked
        mirrored = []
        for arrived in rng.poisson(asked * _TICK, 4000):
            mirror._follow(arrived / _TICK)
            mirrored.append(min(1.0, mirror.rate / asked))
        assert statistics.mean(mirrored) > least

    run(scenario)


def test_users_who_come_are_made_room_for_at_once_and_who_go_slowly() -> None:
    async def scenario(path: Path, lane: Lane) -> None:
        mirror = Mirror(str(path), lane, workers=1)
        mirror.capacity = 1000.0
        for _ in range(20):
            mirror._follow(20.0)
        free = mirror.rate
        mirror._follow(500.0)
        assert mirror.rate == 0.02 * 1000 < free
        mirror._follow(20.0)
        assert mirror.rate < free

    run(scenario)


def test_what_users_ask_is_measured() -> None:
    async def scenario(path: Path, lane: Lane) -> None:
        async with mirroring(path, lane) as mirror:
            mirror.capacity = 1000.0
            free = mirror.rate
            while mirror.rate == free:
                mirror.asked()
                await asyncio.sleep(0.001)
            assert mirror.rate < free
            while mirror.rate < 0.8 * free:  # nobody asks any more
                await asyncio.sleep(0.01)

    run(scenario)


def test_copies_wait_while_users_wait_and_old_ones_expire() -> None:
    async def scenario(path: Path, lane: Lane) -> None:
        opened = asyncio.Event()
        loop = asyncio.get_running_loop()

        def held(texts: Any) -> Any:
            asyncio.run_coroutine_threadsafe(opened.wait(), loop).result(PATIENCE)
            return echoed(texts)

        async with listening(path) as shadow, mirroring(path, lane) as mirror:
            await shadow.connections()
            shadow.say("router-2")
            await decided(mirror, SENT)
            asked = lane.ask(Slot("router-1", BLUE, SlotState.ACTIVE, Says(held)), "text")
            while lane.idle:
                await asyncio.sleep(0.001)
            brief = ShadowSpec(rate=1e9, time_limit_ms=1)
            mirror.send({"seq": 1}, brief)
            mirror.send({"seq": 2}, FAST)  # another unit's copy has a time limit of its own
            while shadow.late != [{"seq": 1}]:
                await asyncio.sleep(0.001)
            assert shadow.copies == []
            opened.set()
            await asked.future
            assert await shadow.of(1) == [{"seq": 2}]
            assert shadow.late == [{"seq": 1}]

    run(scenario)


def test_no_copy_is_late_because_it_waited_for_others() -> None:
    async def scenario(path: Path, lane: Lane) -> None:
        async with listening(path) as shadow, mirroring(path, lane) as mirror:
            await shadow.connections()
            shadow.say("router-2")
            await decided(mirror, SENT)
            brief = ShadowSpec(rate=1e9, time_limit_ms=int(_GATHER * 1000))
            mirror.send({"seq": 1}, brief)
            assert await shadow.of(1) == [{"seq": 1}]

    run(scenario)


@pytest.mark.parametrize(
    ("spec", "waits"),
    [(FAST, _GATHER), (ShadowSpec(queue=4), 0.0), (ShadowSpec(time_limit_ms=20), 0.01)],
    ids=["long queue", "short queue", "short limit"],
)
def test_copies_wait_for_others_only_where_there_is_room_and_time(spec: ShadowSpec, waits: float) -> None:
    async def scenario(path: Path, lane: Lane) -> None:
        mirror = Mirror(str(path), lane, workers=1)
        mirror.send({"seq": 1}, spec)
        assert 0.5 * waits <= mirror._gather() <= waits

    run(scenario)


def test_copies_that_come_one_after_another_leave_together() -> None:
    async def scenario(path: Path, lane: Lane) -> None:
        async with listening(path) as shadow, mirroring(path, lane) as mirror:
            await shadow.connections()
            shadow.say("router-2")
            await decided(mirror, SENT)
            begun = time.monotonic()
            for number in range(5):
                mirror.send({"seq": number}, FAST)
                await asyncio.sleep(0.002)
                early = shadow.copies and time.monotonic() - begun < _GATHER
                assert not early
            assert [copy["seq"] for copy in await shadow.of(5)] == [0, 1, 2, 3, 4]

    run(scenario)


@pytest.mark.parametrize("last", [b"", b'{"ready": ["rou', b"[]\n", b"nonsense\n", b'{"ready": 3}\n'])
def test_a_shadow_that_is_gone_sheds_and_one_that_comes_back_gets_copies_again(last: bytes) -> None:
    async def scenario(path: Path, lane: Lane) -> None:
        async with listening(path) as shadow, mirroring(path, lane) as mirror:
            await shadow.connections()
            shadow.say("router-2")
            await decided(mirror, SENT)
            shadow.writers[-1].write(last)
            await shadow.crash()
            await decided(mirror, SHED_DOWN)
            assert mirror.decide(FAST, "router-3", "r") == SHED_DOWN
            await shadow.connections(2)
            shadow.say("router-2", "router-3")
            await decided(mirror, SENT)
            mirror.send({"seq": 7}, FAST)
            assert (await shadow.of(1))[-1] == {"seq": 7}

    run(scenario)


def test_what_waited_for_a_shadow_that_died_is_not_sent_to_the_next() -> None:
    async def scenario(path: Path, lane: Lane) -> None:
        async with listening(path) as shadow, mirroring(path, lane) as mirror:
            await shadow.connections()
            shadow.reads.clear()
            shadow.say("router-2")
            await decided(mirror, SENT)
            for number in range(200):
                mirror.send({"old": number, "text": "x" * 4096}, FAST)
            await shadow.crash()
            await decided(mirror, SHED_DOWN)
            shadow.reads.set()
            await shadow.connections(2)
            shadow.say("router-2")
            await decided(mirror, SENT)
            mirror.send({"new": 1}, FAST)
            while {"new": 1} not in await shadow.of(1):
                await asyncio.sleep(0.001)
            assert sum("old" in copy for copy in shadow.copies) < 200

    run(scenario)


def test_where_nobody_listens_at_first_the_mirror_waits_for_somebody() -> None:
    async def scenario(path: Path, lane: Lane) -> None:
        async with mirroring(path, lane) as mirror:
            assert mirror.decide(FAST, "router-2", "r") == SHED_DOWN
            async with listening(path) as shadow:
                await shadow.connections()
                shadow.say("router-2")
                await decided(mirror, SENT)

    run(scenario)


def test_the_share_is_by_hash_of_the_request_and_the_same_everywhere() -> None:
    ids = [f"router.1.{number:x}.{'0' * 12}" for number in range(4000)]
    inside = [in_share(0.25, each) for each in ids]
    assert statistics.fmean(inside) == pytest.approx(0.25, abs=0.03)
    assert all(in_share(0.5, each) for each, was in zip(ids, inside, strict=True) if was)
    code = f"from mangaops.stack.share import in_share; print([in_share(0.25, i) for i in {ids[:50]}])"
    elsewhere = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert elsewhere.stdout.strip() == str(inside[:50])


def test_what_falls_out_of_the_share_is_not_sent_and_costs_no_rate() -> None:
    async def scenario(path: Path, lane: Lane) -> None:
        spec = ShadowSpec(share=0.25, rate=1e9, queue=10_000)
        async with listening(path) as shadow, mirroring(path, lane) as mirror:
            await shadow.connections()
            shadow.say("router-2")
            await decided(mirror, SENT)
            for number in range(500):
                word = SENT if in_share(0.25, f"r{number}") else OUT
                assert mirror.decide(spec, "router-2", f"r{number}") == word
            slow = ShadowSpec(share=0.25, rate=0.01)
            outside = next(f"r{n}" for n in range(500) if not in_share(0.25, f"r{n}"))
            assert {mirror.decide(slow, "router-2", outside) for _ in range(50)} == {OUT}

    run(scenario)


@given(st.text())
def test_every_request_has_a_place_in_the_share(request_id: str) -> None:
    assert in_share(1.0, request_id)
    assert not in_share(0.0, request_id)
    assert in_share(0.5, request_id) == in_share(0.5, request_id)
