"""Commands that are stopped say what the same command would do afterwards, and leave no process behind."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import Response

from a_server import answer, serving
from ends import Ends
from mangaops.pipeline.gateway_world import GatewayWorld

COMMAND = (sys.executable, "-c", "from mangaops.cli import main; main()")
QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart" / "stack.yaml"


@contextmanager
def started(*given: str | Path, by: tuple[str, ...] = COMMAND) -> Iterator[subprocess.Popen[str]]:
    """The command runs; afterwards it is gone."""
    words = [*by, *map(str, given)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        try:
            yield running
        finally:
            running.kill()


def first_line(running: subprocess.Popen[str]) -> str:
    """What it says first."""
    assert running.stdout is not None
    return running.stdout.readline()


def stopped(running: subprocess.Popen[str], by: signal.Signals = signal.SIGINT) -> str:
    """The last words of a command after Ctrl-C, or another signal."""
    running.send_signal(by)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 128 + by
    assert "Traceback" not in said
    return said.splitlines()[-1]


def test_ctrl_c_says_how_to_go_on(tmp_path: Path) -> None:
    with started("simulate", "traffic", "--out", tmp_path / "world", "--weeks", "500") as running:
        assert running.stderr is not None
        assert "simulating week" in running.stderr.readline()
        assert stopped(running).startswith("stopped; run the same command again to go on")


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_quickstart_that_is_stopped_says_that_it_begins_anew(tmp_path: Path, by: signal.Signals) -> None:
    with started("quickstart", "--stack", QUICKSTART, "--folder", tmp_path / "world") as running:
        assert first_line(running)
        assert stopped(running, by) == "stopped; the same command begins anew"


def test_ctrl_c_in_a_bench_says_that_it_begins_anew() -> None:
    asked = threading.Event()

    async def answering(_request: Request) -> Response:
        asked.set()
        return answer()

    with serving(answering) as url, started("bench", "gateway", "--url", url, "--seconds", "60") as running:
        assert asked.wait(60)
        assert stopped(running) == "stopped; the same command begins anew"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["quickstart"], "begins anew"),
        (["bench", "gateway"], "begins anew"),
        (["release", "run", "bench"], "go on where it stopped"),
        (["train", "quickstart"], "go on where it stopped"),
        ([], "go on where it stopped"),
    ],
)
def test_only_a_command_that_keeps_nothing_says_that_it_begins_anew(given: list[str], said: str) -> None:
    from mangaops.cli.main import _stopped

    assert said in _stopped(given)


STORY = """
import signal, sys
from pathlib import Path
from mangaops.cli import main
from mangaops.cli.main import app
from mangaops.pipeline.live_traffic import LiveTraffic
from mangaops.simulation.load import Question

@app.command()
def story(stack: Path, home: Path) -> None:
    with LiveTraffic(stack, home, (Question("hello"),)) as live:
        live.begin()
        print(live.url, flush=True)
        while True:
            signal.pause()

main()
"""
"""A command with the live side of a quickstart and nothing before it: a gateway, and users who ask it."""


def children(pid: int) -> list[int]:
    """A process and all that it started, and they in turn."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += children(int(child))
    return found


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_command_that_ends_by_a_signal_leaves_no_process_behind(
    world: GatewayWorld, by: signal.Signals
) -> None:
    with started(world.stack, world.home, by=(sys.executable, "-c", STORY, "story")) as running:
        assert first_line(running).startswith("http://")
        family = children(running.pid)
        assert len(family) >= 6, "the command, its keeper, gateway, worker, shadow and users"
        ends = [Ends(pid) for pid in family]
        assert not any(each.within(0.0) for each in ends)
        running.send_signal(by)
        assert all(each.within(60.0) for each in ends)
        assert running.wait() == (-by if by is signal.SIGKILL else 128 + by)


def test_a_hangup_that_is_ignored_ends_nothing(tmp_path: Path) -> None:
    given = ("quickstart", "--stack", QUICKSTART, "--folder", tmp_path / "world")
    with started(*given, by=("nohup", *COMMAND)) as running:
        assert first_line(running)
        running.send_signal(signal.SIGHUP)
        assert stopped(running, signal.SIGTERM) == "stopped; the same command begins anew"


def test_a_command_whose_terminal_closes_is_stopped_by_that(tmp_path: Path) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        words = [*COMMAND, "simulate", "traffic", "--out", str(tmp_path / "world"), "--weeks", "500"]
        os.execv(words[0], words)
    os.read(terminal, 1)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 128 + signal.SIGHUP


def test_a_terminal_that_is_gone_before_any_signal_ends_a_command_as_its_hangup(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()  # nobody's controlling terminal: that it closed is never signalled
    words = [*COMMAND, "simulate", "traffic", "--out", str(tmp_path / "world"), "--weeks", "500"]
    with subprocess.Popen(words, stdout=theirs, stderr=theirs, start_new_session=True) as running:
        os.close(theirs)
        os.read(ours, 1)
        os.close(ours)
        assert running.wait() == 128 + signal.SIGHUP


def test_a_command_in_a_program_leaves_its_signals_alone(mangaops) -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert mangaops("--version").code == 0
    assert signal.getsignal(signal.SIGTERM) == before
