"""A wall clock that jumps, in every process of a real gateway, while users ask.

The clock of this machine is not touched: a library that is preloaded into the gateway adds what a file says.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest
from servers import Gateway, serving, tiny_world, until, users

from mangaops.gateway.service import Clock
from mangaops.pipeline.gateway_world import UNIT, GatewayWorld
from mangaops.store import read_log

pytestmark = [
    pytest.mark.xdist_group("gateway-clock"),
    pytest.mark.timeout(300),
    pytest.mark.skipif(shutil.which("cc") is None, reason="moving a process's clock needs a C compiler: cc"),
]

HOUR = 3600.0
Jump = Callable[[float], None]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> GatewayWorld:
    return tiny_world(tmp_path_factory)


@pytest.fixture
def jumping(world: GatewayWorld, tmp_path: Path) -> Iterator[tuple[Gateway, Jump]]:
    """A gateway, and what sets its wall clock so many seconds off."""
    library, offset = tmp_path / "wall_clock.so", tmp_path / "offset"
    source = Path(__file__).parent / "wall_clock.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source)], check=True)
    offset.write_bytes(struct.pack("l", 0))

    def jump(seconds: float) -> None:
        with offset.open("r+b") as file:
            file.write(struct.pack("l", int(seconds)))

    env = {"LD_PRELOAD": str(library), "CLOCK_OFFSET": str(offset)}
    jump(HOUR)
    assert ahead(env) == pytest.approx(HOUR, abs=60.0)
    jump(0.0)
    with serving(world, env=env, options=("--roll", "0.5")) as gateway:
        assert all(maps(pid, path) for pid in gateway.children() for path in env.values())
        yield gateway, jump


def ahead(env: dict[str, str]) -> float:
    """Seconds that the wall clock of a process with that environment is ahead of ours."""
    program = [sys.executable, "-c", "import time; print(time.time())"]
    told = subprocess.run(program, env={**os.environ, **env}, capture_output=True, text=True, check=True)
    return float(told.stdout) - time.time()


def maps(pid: int, path: str) -> bool:
    """Whether the process has that file in its memory."""
    return path in Path(f"/proc/{pid}/maps").read_text()


@pytest.mark.parametrize("seconds", [HOUR, -HOUR])
def test_a_jump_of_the_wall_clock_moves_nothing_that_counts(
    world: GatewayWorld, jumping: tuple[Gateway, Jump], seconds: float
) -> None:
    gateway, jump = jumping
    release, members = world.ready(), world.shop.desk.gateways.members()
    begun = time.time()
    with users(gateway) as asking:
        jump(seconds)
        beats = {each.member: each.beat for each in members}
        until(
            lambda: all(m.beat > beats[m.member] + 1.0 for m in world.shop.desk.gateways.members()),
            "beats after the jump",
        )
        promoted = world.promote(release)
        assert sorted(promoted.acknowledged) == sorted(beats)
        assert max(filter(None, promoted.acknowledged.values())) < 10_000
        assert sorted(world.roll_back().acknowledged) == sorted(beats)
        health = gateway.health()
        assert health["status"] == 200
        assert [f"is {seconds:+.0f} s off" in each for each in health["warnings"]] == [True]
    assert asking.saw_nothing()
    assert gateway.stop() == 0
    rows = read_log(world.home, "requests", unit=UNIT).filter(pl.col("at").dt.epoch("s") >= int(begun) - 1)
    assert rows.height >= asking.report.requests
    assert rows["at"].dt.epoch("s").max() <= time.time() + 1


def test_the_clock_of_events_goes_on_evenly() -> None:
    clock = Clock()
    one, steady = clock.now(), time.monotonic()
    assert one == pytest.approx(time.time(), abs=1.0)
    assert clock.now() - one == pytest.approx(time.monotonic() - steady, abs=0.5)
    assert clock.now() >= one
