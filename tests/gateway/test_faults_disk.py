"""A disk that is full, or a limit under which no file may grow, while users ask: logs stop, answers go on."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from servers import UNDER_WAY, Gateway, logged, serving, tiny_world, until, users
from serving_room import serving as one_worker

from mangaops.gateway.pins import Pins
from mangaops.pipeline.gateway_world import GatewayWorld

pytestmark = [pytest.mark.xdist_group("gateway-disk"), pytest.mark.timeout(300)]

SIZE = 32 * 2**20


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> GatewayWorld:
    made = tiny_world(tmp_path_factory)
    made.promote_next()
    made.shadow_next()
    return made


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """The folder is a disk of its own, of few bytes. Skips where no disk may be mounted."""
    folder.mkdir(parents=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def full(folder: Path) -> Iterator[Callable[[], None]]:
    """Not one byte is free on the folder's disk; what is yielded takes what became free since."""
    filler = folder / "filler"

    def fill() -> None:
        for size in (2**16, 1):
            with suppress(OSError), filler.open("ab", buffering=0) as file:
                while True:
                    file.write(b"x" * size)

    try:
        fill()
        yield fill
    finally:
        filler.unlink()


@contextmanager
def no_file_grows(gateway: Gateway) -> Iterator[None]:
    """No process of the gateway may write beyond the first byte of any file."""
    with ExitStack() as undo:
        for pid in gateway.children():
            before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, before[1]))
            undo.callback(resource.prlimit, pid, resource.RLIMIT_FSIZE, before)
        yield


def drops(gateway: Gateway) -> bool:
    """Whether health and metrics say that rows of the request log are dropped, and users should ask on."""
    said = gateway.health()
    warned = any("the request log drops rows" in each for each in said["warnings"])
    return warned and said["status"] == 200 and gateway.metric("mangaops_log_dropped") > 0


def recovers(gateway: Gateway) -> bool:
    """Whether new rows reach the disk again, and nothing is wrong any more."""
    before = gateway.metric("mangaops_log_acknowledged", log="requests")
    until(
        lambda: gateway.metric("mangaops_log_acknowledged", log="requests") > before + 10, "rows on the disk"
    )
    until(lambda: not gateway.health()["warnings"], "no warning")
    return True


def test_a_full_disk_stops_the_logs_and_the_shadow_and_nothing_else(world: GatewayWorld) -> None:
    folder = world.home / "gateway" / "full"
    with small_disk(folder):
        (folder / "tmp").mkdir()
        env = {"TMPDIR": str(folder / "tmp")}
        with serving(world, name="full", env=env, options=("--roll", "0.5")) as gateway:
            assert gateway.shadows()
            workers = gateway.worker_pids()
            with users(gateway) as asking:
                with full(folder) as fill:
                    until(lambda: drops(gateway), "dropped rows that are told")
                    until(lambda: not shadowed_more(gateway), "a shadow that rests")
                    back = world.roll_back()
                    assert len(back.acknowledged) == 2
                    assert gateway.route()["release"] == back.to
                    pid = gateway.kill_worker(0)
                    until(lambda: fill() or new_worker(gateway, pid), "a worker that starts on a full disk")
                    told = {"request_id": gateway.route()["request_id"], "outcome": "helped"}
                    assert gateway.post("/v1/feedback", told)[0] in (202, 503)
                until(lambda: recovers(gateway), "a log that goes on")
                assert gateway.post("/v1/feedback", told)[0] in (202, 409)
            assert asking.lost <= UNDER_WAY
            assert not asking.mixed
            assert gateway.worker_pids()[1] == workers[1]
            dropped = gateway.health_of(1)["log"]["dropped"]
    rows = logged(gateway, 1, workers[1])
    assert rows["seq"].n_unique() == rows.height
    assert rows["seq"].max() - rows.height == dropped > 0


def new_worker(gateway: Gateway, before: int) -> bool:
    """Whether the first worker is another process by now, and serves."""
    return gateway.settled() and gateway.worker_pids()[0] != before


def shadowed_more(gateway: Gateway) -> bool:
    """Whether the shadow answers what users ask in half a second of their asking."""
    before = gateway.metric("mangaops_shadowed_total")
    asked = gateway.metric("mangaops_requests_total")
    until(lambda: gateway.metric("mangaops_requests_total") > asked + 15, "users who ask")
    return gateway.metric("mangaops_shadowed_total") > before


def test_files_that_may_not_grow_stop_the_logs_and_no_answer(world: GatewayWorld) -> None:
    with serving(world, name="limited", options=("--roll", "0.5")) as gateway:
        workers = gateway.worker_pids()
        with users(gateway) as asking:
            with no_file_grows(gateway):
                until(lambda: drops(gateway), "dropped rows that are told")
            until(lambda: recovers(gateway), "a log that goes on")
        assert asking.saw_nothing()
        until(gateway.settled, "members that beat again")
        assert gateway.worker_pids() == workers
        assert os.path.exists(gateway.folder / "journal")


def test_the_first_request_of_all_is_answered_and_counted_under_that_limit(world: GatewayWorld) -> None:
    with serving(world, name="first", workers=1) as gateway:
        until(lambda: 'mangaops_log_acknowledged{log="shadow"}' in gateway.get("/metrics")[1], "a shadow")
        children = gateway.children()
        with no_file_grows(gateway):
            assert gateway.route()["release"] == world.state().champion
            assert gateway.metric("mangaops_requests_total") == 1
            until(lambda: gateway.metric("mangaops_log_dropped") == 1, "a dropped row that is told")
        assert gateway.shadows()
        assert gateway.children() == children


PIN = """
import sys
from pathlib import Path
from mangaops.gateway.pins import Pins
pins = Pins(Path(sys.argv[1]))
print(*(pins.pinned("router", f"c{n}", generation, 0, 600) for generation in (1, 2) for n in range(300)))
"""


def pinned_in(path: Path) -> str:
    done = subprocess.run([sys.executable, "-c", PIN, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.replace("\n", "")


def test_where_the_disk_has_no_room_for_pins_there_are_none_and_no_worker_dies(tmp_path: Path) -> None:
    first, second = " ".join(["1"] * 300), " ".join(["2"] * 300)
    with small_disk(tmp_path / "disk"):
        with full(tmp_path / "disk"):
            assert pinned_in(tmp_path / "disk" / "pins.bin") == f"{first} {second}"
        assert pinned_in(tmp_path / "disk" / "pins.bin") == f"{first} {first}"
        with full(tmp_path / "disk"):  # the file has its room by now
            assert pinned_in(tmp_path / "disk" / "pins.bin") == f"{first} {first}"


def test_a_worker_without_pins_warns_and_is_ready(world: GatewayWorld, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk"), one_worker(world, tmp_path / "gateway") as server:
        assert not server.ask("GET", "/health/ready").json["warnings"]
        with full(tmp_path / "disk"):
            server.service.pins = Pins(tmp_path / "disk" / "pins.bin")
            said = server.ask("GET", "/health/ready")
        (warning,) = said.json["warnings"]
        assert said.status == 200
        assert warning.startswith("conversations are not pinned")
        assert server.route("where is my order", conversation_id="c1").status == 200
