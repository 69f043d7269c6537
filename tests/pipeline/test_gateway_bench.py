"""The bench of a gateway, against small servers that follow the ledger as one does, or fail to."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import Response

from a_server import answer, serving
from ends import Ends
from mangaops.errors import SetupError, UsageError
from mangaops.pipeline.gateway_bench import BenchPlan, BenchResult, mirrored, run_bench, settled
from mangaops.pipeline.gateway_world import GatewayWorld
from mangaops.pipeline.load_chart import load_curve
from mangaops.pipeline.server_process import ServerProcess
from mangaops.release import promote as promotion
from mangaops.release import rollback
from mangaops.wiring import bench_gateway, make_world
from tiny import shared_artifact


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared_artifact(tmp_path_factory.getbasetemp().parent / "tiny").folder


@pytest.fixture
def world(tmp_path: Path, artifact: Path) -> GatewayWorld:
    return make_world(tmp_path / "world", artifact)


def quiet(_what: str, _done: int, _total: int) -> None:
    """Nobody looks."""


def page(**counts: int) -> str:
    """What /metrics says of so many copies."""
    result, mirror = 'shadowed_total{result="%s"', 'mirrored_total{mirror="%s"'
    lines = ["# HELP x y"]
    for word, count in counts.items():
        named = (result if word in {"answered", "failed"} else mirror) % word
        lines.append(f'mangaops_{named},unit="router"}} {count}.0')
    return "\n".join(lines)


@contextmanager
def following(world: GatewayWorld, artifact: Path, *, torn: bool = False) -> Iterator[str]:
    """A server that answers with the label of today's champion; a torn one with that of the first release."""
    reading = make_world(world.folder, artifact)
    copies = [0]

    async def well(_request: Request) -> Response:
        generation, release = max(reading.history().items())
        copies[0] += 1
        own = reading.expected()["router-1" if torn else release]
        return answer(own[0], release, generation)

    async def metrics(_request: Request) -> Response:
        shed, failed = copies[0] // 4, copies[0] // 8
        sent = copies[0] - shed
        return Response(page(sent=sent, shed_rate=shed, failed=failed, answered=sent - failed))

    with serving(well, metrics=metrics) as url:
        yield url


@dataclass
class Followed(GatewayWorld):
    """A world of which two gateway workers say how long they took to follow; one of them does not say."""

    def promote(self, release: str) -> promotion.Promoted:
        return replace(super().promote(release), acknowledged={"shop/0": 2.0, "shop/1": None})

    def roll_back(self) -> rollback.RolledBack:
        return replace(super().roll_back(), acknowledged={"shop/0": 7.0, "shop/1": None})


def run(plan: BenchPlan, url: str, world: GatewayWorld | None, page: str = "") -> BenchResult:
    return run_bench(plan, url, world, lambda: page, quiet)


def test_champions_move_under_load_and_no_request_is_mixed(world: GatewayWorld, artifact: Path) -> None:
    plan = BenchPlan(rate=40.0, seconds=2.0, cutovers=4, rollbacks=3)
    with following(world, artifact) as url:
        told = run(plan, url, world).as_dict()
    assert (told["failed"], told["mixed_version"], told["errors"]) == (0, 0, {})
    assert (told["cutovers"], told["rollbacks"]) == (4, 3)
    assert {each["release"] for each in told["versions"]} == {"router-1", "router-2"}
    assert told["requests"] == told["answered"] == sum(each["answers"] for each in told["versions"]) >= 40
    assert told["promotion_ms"] >= told["promotion_ms_median"] > 0
    assert told["rollback_ms"] > 0
    assert world.champion == "router-2"
    wanted = {"requests", "failed", "mixed_version", "switch_ms", "rollback_ms", "p50_ms", "p95_ms", "p99_ms"}
    assert wanted | {"p95_ms_low", "p95_ms_high", "capacity", "shed"} <= told.keys()


def test_the_switch_of_a_rollback_counts_as_that_of_a_promotion_does(
    world: GatewayWorld, artifact: Path
) -> None:
    followed = Followed(world.folder, world.artifact, world.shop)
    with following(world, artifact) as url:
        told = run(BenchPlan(rate=20.0, seconds=0.5, cutovers=1, rollbacks=1), url, followed).as_dict()
    assert (told["switch_ms"], told["switch_ms_median"]) == (7.0, 4.5)


def test_a_server_that_answers_with_the_old_release_is_found_out(world: GatewayWorld, artifact: Path) -> None:
    with following(world, artifact, torn=True) as url:
        told = run(BenchPlan(rate=40.0, seconds=1.0, cutovers=1), url, world).as_dict()
    new = sum(each["answers"] for each in told["versions"] if each["release"] == "router-2")
    assert told["mixed_version"] == new > 0
    assert told["failed"] == 0


def test_shed_copies_are_those_of_the_load_alone(world: GatewayWorld, artifact: Path) -> None:
    plan = BenchPlan(rate=40.0, seconds=2.0, shadow=True)
    with following(world, artifact) as url:
        from urllib.request import urlopen

        result = run_bench(plan, url, world, lambda: urlopen(f"{url}/metrics").read().decode(), quiet)
    told = result.as_dict()
    assert sum(told["shed_by"].values()) == told["shed"] == pytest.approx(told["requests"] / 4, abs=2)
    assert told["unanswered"] == pytest.approx(told["requests"] / 8, abs=2)
    assert told["coverage"] == pytest.approx(0.625, abs=0.02)
    assert world.state().challenger == "router-2"


def test_a_page_without_a_mirror_has_no_shadow() -> None:
    nothing = {"shed": 0, "shed_by": {}, "unanswered": 0, "coverage": None}
    assert mirrored("mangaops_requests_total 3.0\n").as_dict() == nothing


def test_copies_under_way_are_waited_for_before_they_are_counted() -> None:
    pages = [page(sent=9, answered=done, failed=2, shed_queue=1) for done in (0, 6, 7)]
    told = settled(iter(pages).__next__).as_dict()
    assert told == {"shed": 1, "shed_by": {"shed_queue": 1}, "unanswered": 2, "coverage": 0.7}


def test_lost_copies_are_not_waited_for_without_end_and_are_not_covered() -> None:
    assert settled(lambda: page(sent=4, answered=3), patience=0.2).coverage == 0.75


def test_somebody_elses_gateway_is_loaded_and_never_moved(world: GatewayWorld, artifact: Path) -> None:
    with following(world, artifact) as url:
        told = bench_gateway(
            BenchPlan(rate=30.0, seconds=1.0),
            url=url,
            workers=1,
            threads=None,
            artifact=None,
            plot=None,
            progress=quiet,
        )
        with pytest.raises(UsageError, match="a stack that others use"):
            run(BenchPlan(cutovers=1), url, None)
    assert (told["failed"], told["mixed_version"], told["cutovers"]) == (0, 0, 0)
    assert told["switch_ms"] is told["coverage"] is None
    assert world.champion == "router-1"


@pytest.mark.parametrize("moving", [{"cutovers": 1}, {"shadow": True}])
def test_what_may_not_be_asked_of_somebody_elses_gateway_says_what_to_do(moving: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="a stack that others use") as caught:
        run(BenchPlan(**moving), "http://127.0.0.1:1", None)  # type: ignore[arg-type]
    assert "leave --url out" in caught.value.next_step


def test_nobody_listens(world: GatewayWorld) -> None:
    with pytest.raises(SetupError, match="answers nothing") as caught:
        run(BenchPlan(seconds=1.0), "http://127.0.0.1:1", world)
    assert "http://127.0.0.1:1/health/ready" in caught.value.next_step


@pytest.mark.parametrize(
    "wrong", [{"rollbacks": 1}, {"load": 0.0}, {"load": 3.0}, {"rate": -1.0}, {"seconds": 0.0}]
)
def test_a_plan_that_cannot_be_done_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="the bench was refused") as caught:
        BenchPlan(**wrong)  # type: ignore[arg-type]
    assert caught.value.next_step


def test_a_load_curve_is_drawn_with_a_line_a_quantile(world: GatewayWorld, artifact: Path) -> None:
    with following(world, artifact) as url:
        result = run(BenchPlan(rate=20.0, seconds=0.5, curve=True), url, world)
    assert [point.share for point in result.curve][-1] == 0.8
    told = result.as_dict()["curve"]
    assert all(point["p50_ms"] <= point["p95_ms"] <= point["p99_ms"] for point in told)
    drawn = ET.fromstring(load_curve(result.curve, "latency by load"))
    assert len(drawn.findall("{*}polyline")) == 3


# The process of a server -----------------------------------------------------------------------------

SERVER = """
import http.server, os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
class Ready(http.server.BaseHTTPRequestHandler):
    asked = 0
    def do_GET(self):
        Ready.asked += 1
        self.send_response(200 if Ready.asked > 2 else 503)
        self.end_headers()
        self.wfile.write(f"{os.getpid()} {child.pid}".encode())
    def log_message(self, *_): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Ready)
print('{"address": "http://127.0.0.1:%d"}' % server.server_port, flush=True)
server.serve_forever()
"""


def test_a_server_is_waited_for_and_ends_with_its_children() -> None:
    heard: list[float] = []
    with ServerProcess([sys.executable, "-c", SERVER], waiting=heard.append) as server:
        ends = [Ends(int(pid)) for pid in server.get("/health/ready").split()]
        assert not any(each.within(0.0) for each in ends)
    assert heard
    assert all(each.within(10.0) for each in ends)


def test_a_server_that_ends_says_its_last_words() -> None:
    with pytest.raises(SetupError, match="port is taken"):
        ServerProcess([sys.executable, "-c", "raise SystemExit('port is taken')"])


def test_a_server_that_never_gets_ready_is_ended() -> None:
    code = SERVER.replace("Ready.asked > 2", "False")
    with pytest.raises(SetupError, match="not ready within 1 s"):
        ServerProcess([sys.executable, "-c", code], patience=1.0)
