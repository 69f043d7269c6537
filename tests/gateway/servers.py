"""Real gateways for tests: `mangaops serve` processes on loopback, users beside them, and ways to hurt them.

Everything that is started here is ended when its `with` block is left, however that happens.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import polars as pl
import pytest

from mangaops.errors import SetupError
from mangaops.pipeline.gateway_world import UNIT, GatewayWorld
from mangaops.pipeline.retrieval_world import RetrievalWorld
from mangaops.pipeline.scratch_pair import FAMILIES
from mangaops.simulation.load import LoadPlan
from mangaops.simulation.loader import Loader
from mangaops.simulation.outcome import LoadReport
from mangaops.store import read_log
from mangaops.wiring import make_search_world, make_world
from tiny import shared_artifact
from tiny_pairs import place as pairs_place
from tiny_pairs import shared

T = TypeVar("T")

COMMAND = (sys.executable, "-c", "import sys; from mangaops.cli import main; sys.exit(main())")
"""`mangaops` of the source that is tested."""

PATIENCE = 60.0
"""Seconds after which what a test waits for has failed; a machine with nothing else to do needs few."""

UNDER_WAY = 8
"""So many requests a worker may be answering when it is killed: the connections that users keep open."""


def until(condition: Callable[[], T], what: str, seconds: float = PATIENCE) -> T:
    """What the condition gives as soon as that is true."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}; the last look gave {found!r}")
        time.sleep(0.02)
    return found


def tiny_world(
    factory: pytest.TempPathFactory, ledger: str | None = None, folder: Path | None = None
) -> GatewayWorld:
    """A world of its own with a champion and a release to promote, made of the shared tiny artifact."""
    mine = factory.getbasetemp()
    shared = (mine.parent if "PYTEST_XDIST_WORKER" in os.environ else mine) / "tiny"
    return make_world(
        folder or factory.mktemp("world"), shared_artifact(shared).folder, ledger=ledger, actor="tester"
    )


def tiny_search_world(factory: pytest.TempPathFactory, ledger: str | None = None) -> RetrievalWorld:
    """A world of its own with a champion that searches, made of the shared tiny pair."""
    trained, pair = pairs_place(factory), factory.mktemp("pair")
    for name, family in FAMILIES.items():
        os.symlink(shared(trained, family).folder, pair / name)
    return make_search_world(factory.mktemp("world"), pair, ledger=ledger, actor="tester")


@dataclass
class Gateway:
    """A running gateway of a world."""

    world: GatewayWorld
    process: subprocess.Popen[str]
    address: str
    workers: int
    log: Path
    name: str
    expected: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """The gateway's own folder."""
        return self.world.home / "gateway" / self.name

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of a GET over a connection of its own; 0 where there was no answer."""
        return self._open(urllib.request.Request(self.address + path))

    def post(self, path: str, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and JSON body of a POST over a connection of its own."""
        asked = urllib.request.Request(self.address + path, json.dumps(body).encode())
        status, text = self._open(asked)
        return status, json.loads(text) if text else {}

    def route(self, text: str = "where is my order", **more: str) -> dict[str, Any]:
        """The answer to a user, which is one."""
        status, answer = self.post("/v1/route", {"text": text, **more})
        assert status == 200, answer
        return answer

    def search(self, query: str, **more: Any) -> dict[str, Any]:
        """The answer to a search, which is one."""
        status, answer = self.post("/v1/search", {"query": query, **more})
        assert status == 200, answer
        return answer

    def _open(self, request: urllib.request.Request) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(request, timeout=10.0) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode()
        except OSError as lost:
            return 0, json.dumps({"error": str(lost)})

    def health(self) -> dict[str, Any]:
        """What /health/ready says, with its `status`; nothing but a status of 0 where nobody answers."""
        status, body = self.get("/health/ready")
        return {"ready": False, "warnings": [], **json.loads(body), "status": status}

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric over all its series that have those labels; 0 where there is none."""
        lines = [line for line in self.get("/metrics")[1].splitlines() if line.startswith(name)]
        held = [line for line in lines if line[len(name)] in " {"]
        return sum(
            float(line.rpartition(" ")[2])
            for line in held
            if all(f'{key}="{value}"' in line for key, value in labels.items())
        )

    def children(self) -> list[int]:
        """The processes that the supervisor keeps alive."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
                if stat[1] == str(self.process.pid) and b"spawn_main" in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
        return found

    def worker_pids(self) -> dict[int, int]:
        """The process of each worker, by its number, as the living members say."""
        members = self.world.shop.desk.gateways.members()
        return {member.worker: member.pid for member in members if member.gateway == self.name}

    def shadow_pid(self) -> int:
        """The shadow process, once it has put itself last in the line for the processor."""
        return until(lambda: next((pid for pid in self.children() if _is_idle(pid)), 0), "a shadow process")

    def settled(self) -> bool:
        """Whether every worker is a member, and answers as the ledger says."""
        members = [m for m in self.world.shop.desk.gateways.members() if m.gateway == self.name]
        state = self.world.state()
        said = [m.doing["units"][self.world.unit] for m in members]
        there = all((s["active"], s["generation"]) == (state.champion, state.generation) for s in said)
        return len(members) == self.workers and there and self.health()["status"] == 200

    def shadows(self) -> bool:
        """Whether users' requests reach the shadow process, which answers them."""
        before = self.metric("mangaops_shadowed_total", result="answered")
        until(lambda: self.route() and self.metric("mangaops_shadowed_total", result="answered") > before,
              "a request that the shadow answered")  # fmt: skip
        return True

    def health_of(self, number: int) -> dict[str, Any]:
        """What one worker says in /health/ready: others are asked until it happens to answer."""
        start = f"{self.name}/{number}/"
        return until(
            lambda: next(
                (each for _ in range(20) if str((each := self.health()).get("member")).startswith(start)), {}
            ),
            f"an answer of worker {number}",
        )

    def kill_worker(self, number: int) -> int:
        """A worker is killed with SIGKILL; gives the process that it was."""
        pid = self.worker_pids()[number]
        os.kill(pid, signal.SIGKILL)
        until(lambda: not runs(pid), "the end of a killed worker")
        return pid

    def stop(self) -> int:
        """The gateway was asked to end, and did; gives its exit code."""
        self.process.terminate()
        return self.process.wait(PATIENCE)


@contextmanager
def serving(
    world: GatewayWorld,
    *,
    name: str = "gateway",
    workers: int = 2,
    command: Sequence[str] = (*COMMAND, "serve"),
    options: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    wait: bool = True,
    log: Path | None = None,
) -> Iterator[Gateway]:
    """A gateway of the world that answers, unless nobody is to `wait` for that; gone afterwards.

    It may be killed or ended within the block.
    """
    log = log or world.folder / f"serve-{time.monotonic_ns()}.log"
    words = [*command, *place(world), "--name", name, "--port", "0", "--workers", str(workers), "--json"]
    with log.open("w") as told:
        process = subprocess.Popen(
            [*words, *options],
            stdout=subprocess.PIPE,
            stderr=told,
            text=True,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert first, log.read_text()
        gateway = Gateway(world, process, json.loads(first)["address"], workers, log, name)
        if wait:
            until(gateway.settled, f"a gateway that answers; see {log}")
        yield gateway
        if process.poll() is None:
            assert gateway.stop() == 0, log.read_text()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


def place(world: GatewayWorld) -> list[str]:
    """The options that name the stack, home and ledger of a world."""
    url = world.shop.desk.ledger.database._engine.url.render_as_string(hide_password=False)
    return ["--stack", str(world.stack), "--home", str(world.home), "--ledger", url]


@contextmanager
def command(world: GatewayWorld, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A `mangaops` command line beside the test; killed at the end of the block where it still runs."""
    process = subprocess.Popen(
        [*COMMAND, *words, *place(world), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@dataclass
class Users:
    """Users of a gateway; what they saw is known once they have gone."""

    gateway: Gateway
    loader: Loader
    reports: list[LoadReport] = field(default_factory=list)

    @property
    def report(self) -> LoadReport:
        """What they saw."""
        return self.reports[0]

    def ask_on(self, seconds: float) -> None:
        """They have asked for so long since now."""
        assert not self.loader.wait(seconds), "the load ended too early"

    @property
    def mixed(self) -> int:
        """Answers of two releases, by what the ledger tells."""
        return self.report.mixed(self.gateway.world.history())

    @property
    def lost(self) -> int:
        """Requests whose connection broke before their answer came; no other one failed."""
        assert self.report.errors.keys() <= {"closed"}, self.report.errors
        return self.report.failed

    def saw_nothing(self) -> bool:
        """Whether each of their requests was answered, by one release."""
        assert self.report.requests > 20, "too few requests to tell"
        assert not self.report.failed, self.report.errors
        assert not self.mixed, self.report.versions
        return True


@contextmanager
def users(gateway: Gateway, rate: float = 30.0, after: float = 1.0, coming: int = 0) -> Iterator[Users]:
    """Users ask, from before the block until `after` seconds after it, at that rate.

    `coming`: how many releases are registered meanwhile whose answers are to be known.
    """
    with contextlib.suppress(SetupError):  # a ledger that is away has no new releases either
        gateway.expected = gateway.world.expected(coming)
    plan = LoadPlan(
        url=gateway.address,
        questions=gateway.world.questions(),
        seconds=7200.0,
        timeout=PATIENCE,
        rate=rate,
        expected=gateway.expected,
        path=gateway.world.way.path,
        body=gateway.world.way.body,
        reads=gateway.world.way.reads,
    )
    with Loader(plan) as loader:
        present = Users(gateway, loader)
        present.ask_on(0.3)
        yield present
        present.ask_on(after)
        present.reports.append(loader.stop())


def runs(pid: int) -> bool:
    """Whether the process runs; one that has ended and was not yet asked for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def _is_idle(pid: int) -> bool:
    try:
        return os.sched_getscheduler(pid) == os.SCHED_IDLE
    except OSError:
        return False


def logged(gateway: Gateway, number: int, pid: int) -> pl.DataFrame:
    """What one worker process logged, as far as it is rolled."""
    rows = read_log(gateway.world.home, "requests", unit=UNIT)
    return rows.filter(pl.col("writer").str.starts_with(f"{gateway.name}/{number}/{pid}-")).sort("seq")


def resident(pid: int) -> int:
    """Bytes of memory that a process holds, without files that it shares; 0 where it is gone."""
    try:
        told = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in told.splitlines() if line.startswith("RssAnon:"))
