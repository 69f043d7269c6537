"""The supervisor when the system or its surroundings fail: it ends whole, or goes on, and never hangs."""

from __future__ import annotations

import os
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from servers import COMMAND, Gateway, place, runs, serving, tiny_world, until

from mangaops.gateway.connections import MOST
from mangaops.gateway.settings import GatewaySettings
from mangaops.pipeline.gateway_world import GatewayWorld

pytestmark = [pytest.mark.xdist_group("gateway-supervisor"), pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> GatewayWorld:
    return tiny_world(tmp_path_factory)


@pytest.fixture(scope="module")
def gateway(world: GatewayWorld) -> Iterator[Gateway]:
    """One worker."""
    with serving(world, workers=1, options=("--roll", "0.5")) as made:
        yield made


def counts(gateway: Gateway) -> Path:
    """Where the gateway's processes count."""
    told = Path(f"/proc/{gateway.children()[0]}/environ").read_bytes().decode()
    found = re.search(r"PROMETHEUS_MULTIPROC_DIR=([^\0]+)", told)
    assert found is not None
    return Path(found[1])


def test_a_process_that_cannot_be_started_is_tried_again(gateway: Gateway) -> None:
    pid = gateway.process.pid
    (before,) = gateway.worker_pids().values()
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        os.kill(before, signal.SIGKILL)
        until(lambda: gateway.log.read_text().count("could not be started") > 2, "starts that fail")
        assert gateway.process.poll() is None
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    until(lambda: gateway.settled() and gateway.worker_pids()[0] != before, "another worker")


def test_processes_that_crash_leave_no_files_of_counts(gateway: Gateway) -> None:
    assert gateway.route()
    until(lambda: len(list(counts(gateway).glob("counter_*"))) >= 2, "counts")
    asked, restarts = gateway.metric("mangaops_requests_total"), gateway.metric("mangaops_restarts_total")
    before = {path.name for path in counts(gateway).glob("*.db")}
    for number in range(2):
        os.kill(gateway.shadow_pid(), signal.SIGKILL)
        until(lambda n=number: gateway.metric("mangaops_restarts_total") == restarts + n + 1, "a restart")
    gateway.kill_worker(0)
    until(lambda: gateway.settled() and gateway.route(), "another worker")
    assert gateway.metric("mangaops_requests_total") > asked
    names = {path.name for path in counts(gateway).glob("*.db")}
    assert {name for name in names - before if not name.startswith("gauge")} == set()


def test_the_counts_are_read_beside_the_event_loop(gateway: Gateway) -> None:
    slow = counts(gateway) / "counter_slow.db"
    os.mkfifo(slow)
    pages: list[tuple[int, str]] = []
    asking = threading.Thread(target=lambda: pages.append(gateway.get("/metrics")))
    asking.start()
    try:
        with slow.open("wb") as pipe:  # opened once the page reads it
            assert gateway.get("/health/live")[0] == 200
            assert gateway.route()["release"]
            assert not pages
            pipe.write(struct.pack("<ii", 8, 0))
            slow.unlink()
    finally:
        asking.join()
    assert pages[0][0] == 200


def test_damaged_segments_and_what_waits_in_the_journal_are_told(gateway: Gateway) -> None:
    until(lambda: gateway.route() and gateway.metric("mangaops_journal_bytes") > 0, "bytes that wait")
    assert gateway.metric("mangaops_journal_segments", how="damaged") == 0
    (gateway.folder / "journal" / "requests" / "z@000000000001-spoiled.closed").write_bytes(b"spoiled" * 9)
    until(lambda: gateway.metric("mangaops_journal_segments", how="damaged") == 1, "a damaged segment")
    gateway.route()
    until(lambda: "damaged and kept" in gateway.log.read_text(), "a line in the log")


def test_a_worker_serves_so_many_connections_and_tells_the_others(gateway: Gateway) -> None:
    with ExitStack() as opened:
        held = [
            opened.enter_context(socket.create_connection(place_of(gateway), timeout=10)) for _ in range(MOST)
        ]
        until(lambda: gateway.get("/health/live")[0] == 503, "a connection too many")
        held[0].sendall(b"GET /health/live HTTP/1.1\r\nHost: here\r\n\r\n")
        assert held[0].recv(1000).startswith(b"HTTP/1.1 200")
    until(lambda: gateway.get("/health/live")[0] == 200, "a place that became free")


def ignores_hangups(pid: int) -> bool:
    """Whether the system throws a hangup of that process away."""
    ignored = re.search(r"^SigIgn:\t([0-9a-f]+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return ignored is not None and bool(int(ignored[1], 16) & 1 << (signal.SIGHUP - 1))


def test_a_hangup_ends_neither_worker_nor_shadow(gateway: Gateway) -> None:
    until(gateway.settled, "a worker that answers")
    pids = [*gateway.worker_pids().values(), gateway.shadow_pid()]
    until(lambda: all(map(ignores_hangups, pids)), "processes that have begun")
    restarts = gateway.metric("mangaops_restarts_total")
    for pid in pids:
        os.kill(pid, signal.SIGHUP)
    assert gateway.route()["release"]
    assert all(map(runs, pids))
    assert gateway.metric("mangaops_restarts_total") == restarts
    mine = ignores_hangups(
        os.getpid()
    )  # whoever closes its terminal ends the gateway, unless started by nohup
    assert ignores_hangups(gateway.process.pid) == mine


HUNG_UP = """
import os, signal, sys
from mangaops.gateway.lineage import end_with_supervisor
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup ignores it, and children inherit that
if sys.argv[1] == "guarded":
    end_with_supervisor()
os.kill(os.getpid(), signal.SIGHUP)
print("goes on")
"""


@pytest.mark.parametrize(("how", "code", "said"), [("guarded", 0, "goes on\n"), ("bare", -1, "")])
def test_a_process_of_a_gateway_goes_on_after_a_hangup_that_ends_any_other(
    how: str, code: int, said: str
) -> None:
    done = subprocess.run([sys.executable, "-c", HUNG_UP, how], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, said)


def test_logs_that_can_have_no_place_are_refused_at_the_start(world: GatewayWorld) -> None:
    words = [
        *COMMAND,
        "serve",
        *place(world),
        "--name",
        "placeless",
        "--port",
        "0",
        "--files",
        "nowhere://a/b",
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode != 0
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (world.home / "gateway" / "placeless").exists()


def place_of(gateway: Gateway) -> tuple[str, int]:
    """Host and port."""
    host, _, port = gateway.address.removeprefix("http://").partition(":")
    return host, int(port)


def test_a_gateway_that_ends_takes_no_connection_and_waits_for_no_roll_that_hangs(
    world: GatewayWorld,
) -> None:
    with serving(world, name="ending", workers=1) as gateway:
        closed = gateway.folder / "journal" / "requests"
        closed.mkdir(parents=True, exist_ok=True)
        os.mkfifo(closed / "z@000000000001-pipe.closed")
        until(lambda: [*gateway.folder.glob("journal/rolling/*/z@*")], "a roll that reads it, for ever")
        gateway.process.terminate()
        until(lambda: not gateway.children(), "the end of its workers")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(place_of(gateway), timeout=10).close()
        assert gateway.process.wait(30) == 0
    assert "stays in the journal" in gateway.log.read_text()


def test_a_request_that_does_not_arrive_holds_no_worker_that_has_no_time_to_drain(
    world: GatewayWorld,
) -> None:
    command = (sys.executable, str(Path(__file__).parent / "bounded.py"))
    limit = ("--set", "drain=0")
    with (
        serving(world, name="hasty", workers=1, command=command, options=limit) as gateway,
        socket.create_connection(place_of(gateway), timeout=10) as user,
    ):
        user.sendall(
            b"POST /v1/route HTTP/1.1\r\nHost: here\r\nContent-Length: 99\r\nExpect: 100-continue\r\n\r\n"
        )
        assert user.recv(1000).startswith(b"HTTP/1.1 100")
        assert gateway.stop() == 0
    assert "did not end in time" not in gateway.log.read_text()


LEFT = """
import sys
from pathlib import Path
from mangaops.gateway.settings import GatewaySettings
from mangaops.gateway.supervisor import Supervisor
from mangaops.gateway.units import units_of
from mangaops.wiring import read_stack

def ready(address):
    raise OSError("whoever was to be told is gone")

stack, home, ledger = sys.argv[1:]
given = GatewaySettings(Path(stack), Path(home), ledger, home, name="left", port=0)
Supervisor(units_of(read_stack(Path(stack))), given, ready).run()
"""


def test_a_supervisor_that_fails_ends_its_processes_and_itself(world: GatewayWorld) -> None:
    ledger = place(world)[-1]
    words = [sys.executable, "-c", LEFT, str(world.stack), str(world.home), ledger]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            _, said = process.communicate(timeout=90)
            until(lambda: not _group(process.pid), "the end of every process of the group")
        finally:
            if _group(process.pid):
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 1
    assert "whoever was to be told is gone" in said


def _group(leader: int) -> list[int]:
    """The processes of a group that still run."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            stat = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if stat[2] == str(leader) and stat[0] not in "ZX":
            found.append(int(entry.name))
    return found


def test_settings_do_not_show_the_password_of_the_ledger() -> None:
    given = GatewaySettings(Path("stack.yaml"), Path("home"), "postgresql://me:secret@here/db", "home")
    assert "secret" not in repr(given)
    assert given.ledger_url.endswith("db")


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="needs a file system in memory: /dev/shm")
def test_what_a_killed_supervisor_left_in_memory_goes_when_its_gateway_starts_again(
    world: GatewayWorld,
) -> None:
    with serving(world, name="left", workers=1) as gateway:
        mine = counts(gateway)
        assert mine.parent == Path("/dev/shm")
        os.kill(gateway.process.pid, signal.SIGKILL)
        gateway.process.wait(30)
    assert mine.exists()
    with serving(world, name="left", workers=1):
        assert not mine.exists()
