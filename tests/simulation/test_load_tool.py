"""The load tool against real servers that stall, fail, mix versions and speak nonsense."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from starlette.requests import Request
from starlette.responses import Response

from a_server import answer, serving, speaking
from mangaops.errors import SetupError, UsageError
from mangaops.simulation.histogram import Histogram, bucket_of, middle_of
from mangaops.simulation.load import SEARCH, LoadPlan, Question, moments, run_load
from mangaops.simulation.loader import Loader
from mangaops.simulation.outcome import LoadReport, marked

ASKED = (Question("where is my order", "c1", "u1"), Question("hello"))


def plan(url: str, **changed: object) -> LoadPlan:
    given = {"seconds": 20.0, "rate": 400.0, "requests": 120, "timeout": 3.0} | changed
    return LoadPlan(url, ASKED, **given)  # type: ignore[arg-type]


async def well(_request: Request) -> Response:
    return answer()


# The histogram ------------------------------------------------------------------------------------


@pytest.mark.parametrize("draw", ["exponential", "lognormal", "uniform"])
def test_quantiles_agree_with_numpy_on_the_raw_values(draw: str) -> None:
    rng = np.random.default_rng(3)
    raw = getattr(rng, draw)(size=20_000) * 0.02
    histogram = Histogram()
    for value in raw:
        histogram.record(value)
    for q in (0.01, 0.5, 0.95, 0.99, 0.999, 1.0):
        wanted = np.quantile(raw, q, method="inverted_cdf") * 1000
        assert histogram.quantile(q) == pytest.approx(wanted, rel=0.008, abs=0.001)
    assert len(histogram) == 20_000
    assert histogram.longest == histogram.quantile(1.0) == histogram.values()[-1]


@given(st.integers(min_value=0, max_value=2**34 - 1))
def test_every_duration_lies_in_its_bucket(microseconds: int) -> None:
    bucket = bucket_of(microseconds)
    assert middle_of(bucket) * 1000 == pytest.approx(microseconds, rel=0.008, abs=0.5)
    assert bucket_of(microseconds + 1) in (bucket, bucket + 1)


def test_an_absurd_duration_is_counted_all_the_same() -> None:
    histogram = Histogram()
    histogram.record(-1.0)
    histogram.record(1e9)
    assert (histogram.quantile(0.5), len(histogram)) == (0.0005, 2)


def test_without_durations_there_is_no_quantile() -> None:
    assert np.isnan(Histogram().quantile(0.5))
    assert np.isnan(Histogram().longest)


# The arrivals -------------------------------------------------------------------------------------


def test_poisson_arrivals_have_the_asked_rate_and_exponential_gaps() -> None:
    due = moments(200.0, 100.0, "poisson", np.random.default_rng(5))
    assert abs(len(due) - 20_000) < 4 * 20_000**0.5
    assert stats.kstest(np.diff(due), "expon", args=(0, 1 / 200)).pvalue > 0.01
    assert (np.diff(due) >= 0).all()
    assert due[-1] < 100.0


def test_even_arrivals_are_evenly_apart() -> None:
    due = moments(50.0, 2.0, "even", np.random.default_rng(5))
    assert len(due) == 100
    assert np.diff(due) == pytest.approx(np.full(99, 0.02))


def test_requests_are_written_when_they_are_due() -> None:
    arrived: list[float] = []

    async def noting(_request: Request) -> Response:
        arrived.append(time.monotonic())
        return answer()

    with serving(noting) as url:
        report = run_load(plan(url, rate=200.0, requests=200, arrivals="even"))
    assert report.failed == 0
    assert arrived[-1] - arrived[0] == pytest.approx(199 / 200, rel=0.25)
    assert report.late.quantile(0.5) < 5.0


# Latency ------------------------------------------------------------------------------------------


def test_a_server_that_stalls_shows_it_in_every_request_that_was_due_meanwhile() -> None:
    began: list[float] = []

    async def stalling(_request: Request) -> Response:
        began.append(time.monotonic())
        if len(began) == 50:
            time.sleep(1.0)  # the whole server stands still, as under a long collection
        return answer()

    with serving(stalling) as url:
        begun = time.monotonic()
        report = run_load(plan(url, rate=100.0, requests=300, arrivals="even", connections=4))
        took = (time.monotonic() - begun) * 1000
    assert report.failed == 0
    # Of 3 s of arrivals a third was due within the stall: they waited for half a second on the average.
    assert report.latencies.quantile(0.85) > 450.0
    assert 950.0 < report.latencies.longest < took


def test_a_server_that_does_not_stall_shows_none() -> None:
    with serving(well) as url:
        report = run_load(plan(url, rate=100.0))
    assert report.latencies.quantile(0.5) < 100.0


def test_connections_are_kept_and_used_again() -> None:
    ports: set[int] = set()

    async def noting(request: Request) -> Response:
        assert request.client is not None
        ports.add(request.client.port)
        return answer()

    with serving(noting) as url:
        report = run_load(plan(url, rate=None, concurrency=3))
    assert (report.answered, len(ports)) == (120, 3)


def test_a_slow_answer_takes_as_long_as_it_takes() -> None:
    async def slow(_request: Request) -> Response:
        await asyncio.sleep(0.2)
        return answer()

    with serving(slow) as url:
        report = run_load(plan(url))
    assert report.latencies.quantile(0.1) > 195.0
    assert report.failed == 0


def test_the_interval_holds_the_estimate() -> None:
    with serving(well) as url:
        report = run_load(plan(url, requests=400))
    estimate, low, high = report.interval(0.5)
    assert low is not None
    assert high is not None
    assert low <= estimate <= high
    assert estimate == pytest.approx(report.latencies.quantile(0.5))


# Throughput ---------------------------------------------------------------------------------------


def test_a_closed_loop_keeps_so_many_requests_on_the_way() -> None:
    now, most = [0], [0]

    async def counting(_request: Request) -> Response:
        now[0] += 1
        most[0] = max(most[0], now[0])
        await asyncio.sleep(0.02)
        now[0] -= 1
        return answer()

    with serving(counting) as url:
        report = run_load(plan(url, rate=None, concurrency=5, requests=200))
    assert most[0] == 5
    assert report.requests == 200
    assert report.throughput < 5 / 0.02


# What goes wrong ----------------------------------------------------------------------------------


def test_errors_are_told_apart_and_have_no_latency() -> None:
    turn = itertools.count()

    async def failing(_request: Request) -> Response:
        return [
            answer(),
            Response("{}", 503),
            Response("oops", 500),
            Response("no json"),
            Response('{"release": 1}'),
            Response("[]"),
        ][next(turn) % 6]

    with serving(failing) as url:
        report = run_load(plan(url))
    assert dict(report.errors) == {"status 503": 20, "status 500": 20, "garbage": 60}
    assert (report.requests, report.failed, report.answered) == (120, 100, 20)
    assert len(report.latencies) == 20


def test_a_server_that_closes_every_connection_costs_no_request() -> None:
    async def closing(_request: Request) -> Response:
        kept = answer()
        kept.headers["connection"] = "close"
        return kept

    with serving(closing) as url:
        report = run_load(plan(url))
        crowded = run_load(plan(url, rate=None, concurrency=16))
    assert (report.failed, report.answered) == (0, 120)
    assert (crowded.failed, crowded.answered) == (0, 120)


@pytest.mark.parametrize(
    ("words", "why"),
    [(b"", "closed"), (b"HTTP/1.1 200 OK\r\ncontent-le", "closed"), (b"\0\1nonsense", "garbage")],
)
def test_a_connection_that_ends_or_speaks_nonsense_fails_its_request(words: bytes, why: str) -> None:
    with speaking(words) as url:
        report = run_load(plan(url, requests=40))
    assert dict(report.errors) == {why: 40}


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    report = run_load(plan(f"http://127.0.0.1:{port}", requests=40))
    assert dict(report.errors) == {"refused": 40}


def test_an_answer_that_never_comes_is_a_timeout() -> None:
    forever = asyncio.Event

    async def hanging(request: Request) -> Response:
        body = await request.json()
        if body["text"] == "hello":
            await asyncio.wait_for(forever().wait(), 2.0)
        return answer()

    with serving(hanging) as url:
        report = run_load(plan(url, timeout=0.4, requests=20))
    assert dict(report.errors) == {"timeout": 10}
    assert report.answered == 10


def test_requests_that_find_no_connection_wait_and_fail_after_their_time() -> None:
    async def hanging(_request: Request) -> Response:
        await asyncio.sleep(1.0)
        return answer()

    with serving(hanging) as url:
        report = run_load(plan(url, timeout=0.3, requests=30, connections=2))
    assert dict(report.errors) == {"timeout": 30}


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:80",
        "https://127.0.0.1:80",
        "http://127.0.0.1",
        "http://127.0.0.1:99999",
        "http://[::1:80",
        "https://mei:hunter2@127.0.0.1:80",
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="was refused") as caught:
        run_load(plan(url))
    assert "hunter2" not in caught.value.message


@pytest.mark.parametrize("wrong", [{"rate": 0.0}, {"seconds": 0.0}, {"concurrency": 0}])
def test_a_plan_that_asks_nothing_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="the load was refused"):
        plan("http://127.0.0.1:1", **wrong)


# Versions -----------------------------------------------------------------------------------------

EXPECTED = {"router-1": ("faq.1",), "router-2": ("faq.2",)}


def test_clean_versions_are_counted_and_nothing_is_mixed() -> None:
    turn = itertools.count()

    async def moving(_request: Request) -> Response:
        return answer() if next(turn) < 60 else answer("faq.2", "router-2", 2)

    with serving(moving) as url:
        report = run_load(plan(url, expected=EXPECTED))
    assert dict(report.versions) == {("router-1", 1): 60, ("router-2", 2): 60}
    assert report.mixed() == report.mixed({1: "router-1", 2: "router-2"}) == 0
    assert report.as_dict()["mixed_version"] == 0


def test_a_generation_of_two_releases_is_mixed() -> None:
    turn = itertools.count()

    async def torn(_request: Request) -> Response:
        return answer() if next(turn) % 12 else answer("faq.2", "router-2", 1)

    with serving(torn) as url:
        report = run_load(plan(url, expected=EXPECTED))
    assert report.mixed() == report.mixed({1: "router-1"}) == 10
    assert report.mixed({1: "router-2"}) == 110


def test_an_answer_of_another_release_is_mixed() -> None:
    turn = itertools.count()

    async def torn(_request: Request) -> Response:
        return answer("faq.2" if next(turn) % 10 == 0 else "faq.1")

    with serving(torn) as url:
        report = run_load(plan(url, expected=EXPECTED))
        unknown = run_load(plan(url))
    assert report.mixed() == report.mixed({1: "router-1"}) == 12
    assert unknown.mixed() == 0


def test_answers_without_a_release_are_those_of_the_fallback() -> None:
    async def falling_back(_request: Request) -> Response:
        return answer("", None, 3)

    with serving(falling_back) as url:
        report = run_load(plan(url))
    assert dict(report.versions) == {("fallback", 3): 120}
    assert report.mixed({3: "fallback"}) == 0


def test_a_list_of_another_release_or_question_is_mixed() -> None:
    def item(name: str) -> dict[str, object]:
        return {"item_id": name, "title": "a title", "score": 0.25}

    async def searched(request: Request) -> Response:
        asked = (await request.json())["query"]
        told = {"items": [item(f"{asked}.1")], "release": "retrieval-1", "generation": 1}
        return Response(json.dumps(told))

    own = tuple(marked([item(f"{each.text}.1")]) for each in ASKED)
    asking = {"path": SEARCH.path, "body": SEARCH.body, "reads": SEARCH.reads}
    with serving(searched, path=SEARCH.path) as url:
        right = run_load(plan(url, expected={"retrieval-1": own}, **asking))
        torn = run_load(plan(url, expected={"retrieval-1": (own[0], "of another release")}, **asking))
        turned = run_load(plan(url, expected={"retrieval-1": own[::-1]}, **asking))
        unknown = run_load(plan(url, **asking))
    assert (right.answered, right.mixed(), unknown.mixed()) == (120, 0, 0)
    assert (torn.mixed(), turned.mixed()) == (60, 120)


# What is sent -------------------------------------------------------------------------------------


def test_questions_arrive_in_turn_with_their_ids_or_in_anothers_form() -> None:
    heard: list[object] = []

    async def hearing(request: Request) -> Response:
        heard.append(await request.json())
        return Response('{"anything": 1}')

    with serving(hearing) as url:
        run_load(plan(url, requests=3, arrivals="even", rate=20.0))
        report = run_load(plan(url, requests=2, body='{"inputs": ["TEXT"]}', reads="any", rate=20.0))
    first, second = {"text": "where is my order", "conversation_id": "c1", "user_id": "u1"}, {"text": "hello"}
    assert heard == [first, second, first, {"inputs": ["where is my order"]}, {"inputs": ["hello"]}]
    assert (report.answered, dict(report.versions)) == (2, {})


# In a process of its own --------------------------------------------------------------------------


def test_a_load_in_its_own_process_reports_the_same() -> None:
    with serving(well) as url, Loader(plan(url, expected=EXPECTED)) as loader:
        report = loader.report()
        assert loader.wait(0.0)
    assert (report.answered, report.mixed()) == (120, 0)
    assert dict(report.versions) == {("router-1", 1): 120}
    assert len(report.latencies) == len(report.late) == 120


def test_a_load_is_stopped_and_everything_asked_is_accounted_for() -> None:
    asked = [0]

    async def counting(_request: Request) -> Response:
        asked[0] += 1
        return answer()

    with serving(counting) as url, Loader(plan(url, requests=None, seconds=600.0)) as loader:
        while asked[0] < 50:
            assert not loader.wait(0.01)
        report = loader.stop()
    assert report.requests == report.answered == asked[0]


def test_a_load_that_cannot_begin_says_why() -> None:
    with Loader(plan("https://127.0.0.1:1")) as loader, pytest.raises(SetupError, match="was refused"):
        loader.report()


def test_a_report_is_read_as_it_was_written() -> None:
    with serving(well) as url:
        report = run_load(plan(url))
    again = LoadReport.from_json(report.as_json())
    assert again.as_dict() == report.as_dict()
    assert json.loads(json.dumps(again.as_dict()))["requests"] == 120
