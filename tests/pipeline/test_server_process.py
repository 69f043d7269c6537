"""A server of ours ends with who started it, however that one lets go of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mangaops.pipeline import server_keeper
from mangaops.pipeline.server_process import ServerProcess

SERVER = """
import http.server
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Ready)
print("http://127.0.0.1:%d" % server.server_port, flush=True)
server.serve_forever()
"""
ENDS = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
print("up", flush=True)
signal.pause()
"""
STAYS = ENDS.replace("lambda *_: sys.exit(7)", "signal.SIG_IGN").replace(
    "signal.pause()", "while True: signal.pause()"
)


@contextmanager
def kept(server: str, patience: float) -> Iterator[subprocess.Popen[str]]:
    """The keeper of a server that is up."""
    keeper = [sys.executable, "-I", "-S", server_keeper.__file__, str(patience), sys.executable, "-c", server]
    with subprocess.Popen(keeper, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield process


@contextmanager
def a_forked_child() -> Iterator[None]:
    """A child that holds whatever this process held open at its birth."""
    reads, writes = os.pipe()
    if not (pid := os.fork()):
        os.close(writes)
        os.read(reads, 1)
        os._exit(0)
    os.close(reads)
    try:
        yield
    finally:
        os.close(writes)
        os.waitpid(pid, 0)


@pytest.mark.timeout(60)
def test_a_server_ends_while_a_child_holds_its_standard_input() -> None:
    server = ServerProcess([sys.executable, "-c", SERVER])
    with a_forked_child():
        server.close()
    with pytest.raises(OSError, match="refused"):
        server.get("/health/ready")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("asks", ["by a signal", "by two signals", "by the end of standard input"])
@pytest.mark.parametrize(
    ("server", "patience", "code"), [(ENDS, 50.0, 7), (STAYS, 0.2, 128 + signal.SIGKILL)]
)
def test_a_server_is_asked_to_end_and_killed_where_it_does_not(
    server: str, patience: float, code: int, asks: str
) -> None:
    with kept(server, patience) as keeper:
        assert keeper.stdin is not None
        if asks == "by the end of standard input":
            keeper.stdin.close()
        else:
            for _ in range(2 if asks == "by two signals" else 1):
                keeper.terminate()
        assert keeper.wait() == code


@pytest.mark.timeout(60)
def test_a_keeper_that_nobody_holds_ends_its_server_and_one_that_is_held_lets_it_run() -> None:
    keeper = [sys.executable, "-I", "-S", server_keeper.__file__, "0.2", sys.executable, "-c", STAYS]
    alone = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", *keeper], capture_output=True, text=True, check=False
    )
    assert (alone.stderr, alone.returncode in {128 + signal.SIGTERM, 128 + signal.SIGKILL}) == ("", True)
    with kept("print('up', flush=True); raise SystemExit(3)", 0.2) as held:
        assert held.wait() == 3
