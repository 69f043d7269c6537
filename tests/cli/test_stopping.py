"""Ctrl-C: what the same command would do afterwards is said, and it is true of that command."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import Response

from a_server import answer, serving

COMMAND = (sys.executable, "-c", "from mangaops.cli import main; main()")
QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart" / "stack.yaml"


def started(*given: str | Path) -> subprocess.Popen[str]:
    words = [*COMMAND, *map(str, given)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def stopped(running: subprocess.Popen[str]) -> str:
    """The last words of a command after Ctrl-C."""
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "Traceback" not in said
    return said.splitlines()[-1]


def test_ctrl_c_says_how_to_go_on(tmp_path: Path) -> None:
    running = started("simulate", "traffic", "--out", tmp_path / "world", "--weeks", "500")
    assert running.stderr is not None
    assert "simulating week" in running.stderr.readline()
    assert stopped(running).startswith("stopped; run the same command again to go on")


def test_ctrl_c_in_a_quickstart_says_that_it_begins_anew(tmp_path: Path) -> None:
    running = started("quickstart", "--stack", QUICKSTART, "--folder", tmp_path / "world")
    assert running.stdout is not None
    assert running.stdout.readline()
    assert stopped(running) == "stopped; the same command begins anew"


def test_ctrl_c_in_a_bench_says_that_it_begins_anew() -> None:
    asked = threading.Event()

    async def answering(_request: Request) -> Response:
        asked.set()
        return answer()

    with serving(answering) as url:
        running = started("bench", "gateway", "--url", url, "--seconds", "60")
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
