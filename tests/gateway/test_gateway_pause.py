"""A process that stands still while users wait: a real one, looked at from outside."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from gateway_parts import Says, echoed

from mangaops.gateway.lane import Lane
from mangaops.gateway.pause import LONGEST, Pause, pause_of
from mangaops.gateway.slots import BLUE, Slot
from mangaops.vocabulary import SlotState

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes in /proc")

LISTENS = """
import socket, sys
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
print("ready", flush=True)
held = server.accept()
sys.stdin.read()
"""


@pytest.fixture
def process(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that listens on a UNIX socket until it is killed."""
    command = [sys.executable, "-c", LISTENS, "s"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=tmp_path) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        yield running
        running.kill()


def stands(process: subprocess.Popen[str]) -> bool:
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


async def becomes(process: subprocess.Popen[str], still: bool) -> None:
    while stands(process) != still:
        await asyncio.sleep(0.001)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def inner() -> None:
        await asyncio.wait_for(scenario(), 30)

    asyncio.run(inner())


def test_it_stands_still_while_users_wait_and_goes_on_when_none_does(process: subprocess.Popen[str]) -> None:
    async def scenario() -> None:
        pause = Pause(process.pid)
        for _ in range(3):
            pause.users(True)
            await becomes(process, True)
            pause.users(False)
            await becomes(process, False)
        pause.close()

    run(scenario)


def test_it_goes_on_after_a_while_though_users_wait_on_and_when_it_is_let_alone(
    process: subprocess.Popen[str],
) -> None:
    async def scenario() -> None:
        pause = Pause(process.pid)
        pause.users(True)
        await becomes(process, True)
        begun = time.monotonic()
        await becomes(process, False)
        assert time.monotonic() - begun > LONGEST / 2
        pause.users(True)
        await becomes(process, True)
        pause.close()
        await becomes(process, False)

    run(scenario)


def test_one_that_ended_is_no_trouble(process: subprocess.Popen[str]) -> None:
    async def scenario() -> None:
        pause = Pause(process.pid)
        process.kill()
        process.wait()
        pause.users(True)
        pause.users(False)
        pause.close()

    run(scenario)


def test_the_process_at_the_other_end_is_the_one_and_never_this_one(
    process: subprocess.Popen[str], tmp_path: Path
) -> None:
    async def scenario() -> None:
        # a socket's path is short, and pytest's folders are not
        with contextlib.chdir(tmp_path), socket.socket(socket.AF_UNIX) as here:
            here.connect("s")
            pause = pause_of(here)
            assert pause is not None
            pause.users(True)
            await becomes(process, True)
            pause.close()
        one, other = socket.socketpair(socket.AF_UNIX)
        with one, other:
            assert pause_of(one) is None
        with socket.create_server(("127.0.0.1", 0)) as elsewhere:
            assert pause_of(elsewhere) is None

    run(scenario)


def test_a_lane_tells_when_its_first_text_comes_and_when_its_last_is_answered() -> None:
    async def scenario() -> None:
        told: list[bool] = []
        lane = Lane(2, capacity=8, batch=1, time_limit=30)
        lane.busied = told.append
        slot = Slot("router-1", BLUE, SlotState.ACTIVE, Says(echoed))
        for _ in range(2):
            asked = [lane.ask(slot, "text") for _ in range(3)]
            await asyncio.gather(*(each.future for each in asked))
            while slot.running:
                await asyncio.sleep(0.001)
        lane.close()
        assert told == [True, False] * 2

    run(scenario)
