"""Processes of a gateway that hang, crash or grow, while users ask."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import polars as pl
import pytest
from servers import PATIENCE, UNDER_WAY, Gateway, logged, serving, tiny_world, until, users

from mangaops.pipeline.gateway_world import GatewayWorld
from mangaops.store import read_log

pytestmark = [pytest.mark.xdist_group("gateway-processes"), pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> GatewayWorld:
    made = tiny_world(tmp_path_factory)
    made.shadow_next()
    return made


@pytest.fixture(scope="module")
def hanging(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a gateway whose processes hang when they get SIGUSR2, where that can be compiled."""
    if shutil.which("cc") is None:
        return {}
    library = tmp_path_factory.mktemp("hanging") / "hanging.so"
    source = Path(__file__).parent / "hanging.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    return {"LD_PRELOAD": str(library)}


@pytest.fixture(scope="module")
def gateway(world: GatewayWorld, hanging: dict[str, str]) -> Iterator[Gateway]:
    """Two workers and a shadow that answers."""
    with serving(world, options=("--roll", "0.5"), env=hanging) as made:
        assert made.shadows()
        yield made


def stands_still(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def restarts(gateway: Gateway, process: str) -> float:
    return gateway.metric("mangaops_restarts_total", process=process)


@pytest.mark.skipif(shutil.which("cc") is None, reason="hanging a process needs a C compiler: cc")
def test_a_shadow_that_hangs_is_killed_and_users_see_nothing(gateway: Gateway) -> None:
    before, pid = restarts(gateway, "shadow"), gateway.shadow_pid()
    with users(gateway) as asking:
        os.kill(pid, signal.SIGUSR2)  # to stand still is no fault: it does while users are answered
        until(lambda: restarts(gateway, "shadow") > before, "a shadow that was killed")
        until(gateway.shadows, "a new shadow that answers")
    assert asking.saw_nothing()
    assert gateway.shadow_pid() != pid
    assert gateway.settled()
    assert "no sign of life" in gateway.log.read_text()


def test_a_shadow_that_a_dead_worker_left_standing_still_goes_on(gateway: Gateway) -> None:
    before, pid = restarts(gateway, "shadow"), gateway.shadow_pid()
    os.kill(pid, signal.SIGSTOP)
    until(lambda: stands_still(pid), "a shadow that stands still")
    until(lambda: not stands_still(pid), "a shadow that goes on though no user asks")
    assert (gateway.shadow_pid(), restarts(gateway, "shadow")) == (pid, before)


def test_a_shadow_that_crashes_is_started_again_and_users_see_nothing(gateway: Gateway) -> None:
    before, pid = restarts(gateway, "shadow"), gateway.shadow_pid()
    with users(gateway) as asking:
        os.kill(pid, signal.SIGKILL)
        until(lambda: restarts(gateway, "shadow") > before, "a shadow that is counted as dead")
        assert gateway.health()["ready"]
        until(gateway.shadows, "a new shadow that answers")
    assert asking.saw_nothing()
    assert restarts(gateway, "shadow") == before + 1
    assert restarts(gateway, "worker") == 0


def test_a_killed_worker_costs_no_more_than_what_it_was_answering(gateway: Gateway) -> None:
    before = restarts(gateway, "worker")
    told = {"request_id": gateway.route()["request_id"], "outcome": "helped"}
    assert gateway.post("/v1/feedback", told)[0] == 202
    with users(gateway) as asking:
        until(lambda: gateway.health_of(0)["log"]["acknowledged"] > 10, "a log on disk")
        acknowledged = gateway.health_of(0)["log"]["acknowledged"]
        pid = gateway.kill_worker(0)
        until(lambda: restarts(gateway, "worker") > before, "a worker that is counted as dead")
        until(gateway.settled, "as many workers as before")
    assert asking.lost <= UNDER_WAY
    assert not asking.mixed
    assert gateway.worker_pids()[0] != pid
    until(lambda: logged(gateway, 0, pid).height >= acknowledged, "what was acknowledged, in Parquet")
    rows = logged(gateway, 0, pid)
    assert rows["seq"].to_list() == list(range(1, rows.height + 1))
    assert gateway.post("/v1/feedback", told)[0] == 409


def connected(gateway: Gateway, number: int) -> HTTPConnection:
    """A connection that this worker keeps."""

    def made() -> HTTPConnection | None:
        connection = HTTPConnection(gateway.address.removeprefix("http://"), timeout=PATIENCE)
        connection.request("GET", "/health/ready")
        if str(json.load(connection.getresponse())["member"]).startswith(f"{gateway.name}/{number}/"):
            return connection
        connection.close()
        return None

    found = until(made, f"a connection to worker {number}")
    assert found is not None
    return found


def test_a_worker_that_hangs_is_killed_and_holds_nobody_for_ever(gateway: Gateway) -> None:
    before, pid = restarts(gateway, "worker"), gateway.worker_pids()[0]
    with closing(connected(gateway, 0)) as user:
        os.kill(pid, signal.SIGSTOP)
        user.request("GET", "/health/live")
        with pytest.raises(ConnectionError):
            user.getresponse()
    until(lambda: restarts(gateway, "worker") == before + 1, "a worker that is counted as dead")
    until(gateway.settled, "as many workers as before")
    assert gateway.worker_pids()[0] != pid
    assert "worker 0 gave no sign of life" in gateway.log.read_text()


def test_every_worker_killed_at_once_comes_back_without_anybody_doing_anything(gateway: Gateway) -> None:
    pids = gateway.worker_pids()
    with users(gateway) as asking:
        for number in pids:
            gateway.kill_worker(number)
        until(gateway.settled, "as many workers as before")
    assert asking.lost <= 2 * UNDER_WAY
    assert not asking.mixed
    assert not set(gateway.worker_pids().values()) & set(pids.values())


def test_a_gateway_that_is_told_to_end_finishes_what_it_has_begun(world: GatewayWorld) -> None:
    with serving(world, name="leaving", workers=1) as gateway:
        until(gateway.health, "a first answer")
        with users(gateway, after=0.0) as asking:
            asking.ask_on(1.0)
        assert asking.saw_nothing()
        assert gateway.stop() == 0
    rows = read_log(world.home, "requests", unit="router")
    assert rows.filter(pl.col("writer").str.starts_with("leaving/")).height == asking.report.requests
    assert "leaving" not in {member.gateway for member in world.shop.desk.gateways.members()}


def test_a_shadow_that_grows_over_its_limit_is_killed_and_users_see_nothing(world: GatewayWorld) -> None:
    command = (sys.executable, str(Path(__file__).parent / "bounded.py"))
    limit = ("--set", f"shadow_memory={64 * 2**20}")
    with (
        serving(world, name="small", workers=1, command=command, options=limit) as gateway,
        users(gateway) as asking,
    ):
        until(lambda: restarts(gateway, "shadow") >= 2, "a shadow that was killed twice")
        assert gateway.health()["ready"]
    assert asking.saw_nothing()
    assert "over its limit" in gateway.log.read_text()
    assert "worker 0 ended" not in gateway.log.read_text()
