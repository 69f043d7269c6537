"""A gateway that serves for long while releases come and go and processes are killed.

`MANGAOPS_SOAK_MINUTES` (30 unless told) is how long. Load is a quarter of the measured capacity, the shadow
answers a copy of each request, and now and then something happens: a cutover, a rollback, a worker or the
shadow killed with SIGKILL. It is always the last worker that is killed, and the shadow only in the first
third, so that a worker, a shadow and the supervisor live long enough for a leak to show.
"""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from servers import Gateway, logged, resident, serving, tiny_world, until, users

from mangaops.pipeline.gateway_world import UNIT, GatewayWorld
from mangaops.simulation.load import LoadPlan
from mangaops.simulation.loader import Loader
from mangaops.store import read_log

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]

MINUTES = float(os.environ.get("MANGAOPS_SOAK_MINUTES", "30"))
WARM_UP = 0.2
"""Share of a process's life in which memory may still grow: allocators, caches, the first cutovers."""

LONG_ENOUGH = 40
"""Looks, one a second, that a process must have had before its growth can be told from noise."""

GROWTH = 0.05

MOMENT = 0.05
"""Seconds of asking that a killed worker may cost: what it was answering, and what it had taken in."""


@dataclass
class Looks:
    """What one process held at each look, in bytes, and when, in seconds."""

    what: str
    at: list[float] = field(default_factory=list)
    held: list[int] = field(default_factory=list)

    @property
    def counted(self) -> int:
        """How many looks there were after the warm-up."""
        return len(self.at) - int(len(self.at) * WARM_UP)

    @property
    def growth(self) -> float:
        """The share by which memory grew after the warm-up: Theil-Sen slope times length, over the median."""
        at, held = np.array(self.at[-self.counted :]), np.array(self.held[-self.counted :], float)
        step = max(1, len(at) // 400)
        at, held = at[::step], held[::step]
        one, other = np.triu_indices(len(at), 1)
        slope = np.median((held[other] - held[one]) / (at[other] - at[one]))
        return float(slope * (at[-1] - at[0]) / np.median(held))


@dataclass
class Kills:
    """What was killed, and the newest number that its log said was on disk before."""

    workers: dict[tuple[int, int], int] = field(default_factory=dict)
    shadows: int = 0


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> GatewayWorld:
    made = tiny_world(tmp_path_factory)
    made.promote_next()
    made.roll_back()
    return made


def capacity(gateway: Gateway) -> float:
    """Answers a second with two clients a worker, measured for three seconds."""
    plan = LoadPlan(gateway.address, gateway.world.questions(), 3.0, concurrency=4)
    with Loader(plan) as loader:
        return loader.report().throughput


def happenings(gateway: Gateway, kills: Kills) -> Iterator[str]:
    """One thing after another happens to the gateway, and is over; says what it was."""
    world, number = gateway.world, gateway.workers - 1
    spared = time.monotonic() + 60.0 * MINUTES / 3
    for turn in itertools.count():
        release = world.shadow_next()
        until(gateway.settled, "a gateway that answers as the ledger says")
        yield f"{release} is shadowed"
        if turn % 2 == 1:
            acknowledged = gateway.health_of(number)["log"]["acknowledged"]
            kills.workers[number, gateway.kill_worker(number)] = acknowledged
            until(lambda: len(gateway.worker_pids()) == gateway.workers, "a new worker")
            yield f"worker {number} was killed"
        elif time.monotonic() < spared:
            os.kill(gateway.shadow_pid(), signal.SIGKILL)
            kills.shadows += 1
            yield "the shadow was killed"
        until(gateway.settled, "a gateway that answers as the ledger says")
        yield f"{release} is shadowed still"
        promoted = world.promote(release)
        assert len(promoted.acknowledged) == gateway.workers, promoted
        yield f"{release} is promoted"
        back = world.roll_back()
        assert len(back.acknowledged) == gateway.workers, back


def test_a_long_time_leaves_no_trace(world: GatewayWorld) -> None:
    kills, memory = Kills(), dict[int, Looks]()
    with serving(world, options=("--roll", "5")) as gateway:
        rate = capacity(gateway) / 4
        with users(gateway, rate) as asking:
            begun = time.monotonic()
            happening = happenings(gateway, kills)
            due = begun
            while (now := time.monotonic()) < begun + 60.0 * MINUTES:
                if now >= due:
                    print(f"{now - begun:6.0f} s: {next(happening)}", flush=True)
                    due = time.monotonic() + max(2.0, MINUTES / 3)
                look(gateway, memory, time.monotonic() - begun)
                asking.ask_on(1.0)
            until(gateway.settled, "a gateway that answers")
        assert gateway.health()["log"]["dropped"] == 0
        workers = [(number, pid) for number, pid in gateway.worker_pids().items()]
        assert gateway.stop() == 0
    report = asking.report
    print(f"{rate:.0f} requests/s, {report.as_dict(world.history())}")
    assert asking.lost <= MOMENT * rate * len(kills.workers), report.errors
    assert asking.mixed == 0
    assert kills.workers
    assert kills.shadows
    require_flat(list(memory.values()))
    answered = 0
    for number, pid in [*kills.workers, *workers]:
        rows = logged(gateway, number, pid)
        answered += rows.height
        assert rows["seq"].to_list() == list(range(1, rows.height + 1)), f"worker {number} {pid}"
        assert rows.height >= kills.workers.get((number, pid), 1)
    assert answered >= report.answered
    shadowed = read_log(world.home, "shadow", unit=UNIT)
    for _, each in shadowed.group_by("writer"):
        assert each["seq"].sort().to_list() == list(range(1, each.height + 1))
    print(
        f"{answered} rows of requests, {shadowed.height} of the shadow, {len(kills.workers)} workers killed"
    )


def require_flat(memory: Sequence[Looks]) -> None:
    """No process grew, and one of each kind lived long enough to tell."""
    long = [each for each in memory if each.counted >= LONG_ENOUGH]
    told = [
        (each.what, each.counted, round(each.held[-1] / 2**20, 1), round(each.growth, 4)) for each in long
    ]
    print(f"process, looks, MiB, growth: {told}")
    assert {each.what.split()[0] for each in long} == {"supervisor", "worker", "shadow"}
    assert all(each.growth < GROWTH for each in long), told


def test_growth_is_told_from_noise() -> None:
    rng = np.random.default_rng(5)
    at = list(range(1000))
    noise = rng.normal(0, 2e6, 1000)
    flat = Looks("worker 0", at, [int(2e8 + each) for each in noise])
    leaky = Looks(
        "worker 0", at, [int(2e8 + 2e4 * when + each) for when, each in zip(at, noise, strict=True)]
    )
    settling = Looks("worker 0", at, [int(2e8 - 5e7 * np.exp(-when / 30)) for when in at])
    assert abs(flat.growth) < 0.01
    assert leaky.growth > GROWTH
    assert abs(settling.growth) < 0.01


def look(gateway: Gateway, memory: dict[int, Looks], at: float) -> None:
    """What each process of the gateway holds now is noted."""
    named = {pid: f"worker {number}" for number, pid in gateway.worker_pids().items()}
    for pid in [gateway.process.pid, *gateway.children()]:
        what = "supervisor" if pid == gateway.process.pid else named.get(pid, "shadow")
        if held := resident(pid):
            seen = memory.setdefault(pid, Looks(what))
            seen.at.append(at)
            seen.held.append(held)
