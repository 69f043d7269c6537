"""The users of the quickstart say what they saw, also where they saw nothing."""

from __future__ import annotations

import socket

import pytest
from starlette.requests import Request
from starlette.responses import Response

from a_server import answer, serving
from mangaops.gates import Finding
from mangaops.pipeline.live_traffic import Told
from mangaops.pipeline.quickstart import spoiled_by_load
from mangaops.simulation.load import LoadPlan, Question, run_load
from mangaops.simulation.outcome import LoadReport
from mangaops.vocabulary import EvidenceKind, Verdict


def seen(url: str) -> LoadReport:
    return run_load(LoadPlan(url, (Question("hello"),), seconds=5.0, rate=100.0, requests=5))


def test_users_whom_nobody_answered_say_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    told = Told.of(seen(f"http://127.0.0.1:{port}"))
    assert told.p95_ms is None
    assert told.says == "users meanwhile: 5 requests, 5 failed, 0 with mixed versions, no answer"


def test_users_say_how_long_they_waited_and_who_answered() -> None:
    async def well(_request: Request) -> Response:
        return answer()

    with serving(well) as url:
        told = Told.of(seen(url))
    assert told.p95_ms is not None
    assert told.says.endswith(f"P95 {told.p95_ms:.0f} ms; answered by router-1 5")


@pytest.mark.parametrize(
    ("verdict", "anew"),
    [
        (Verdict.PASS, {EvidenceKind.LATENCY}),
        (Verdict.INCONCLUSIVE, {EvidenceKind.LATENCY, EvidenceKind.SHADOW}),
    ],
)
def test_a_story_that_coverage_holds_takes_the_shadow_anew(verdict: Verdict, anew: set[EvidenceKind]) -> None:
    latency = Finding(gate="latency", subject="P95", verdict=Verdict.PASS, says="")
    shadow = Finding(gate="disagreement", subject="disagreement on traffic", verdict=verdict, says="")
    assert spoiled_by_load([latency.as_dict(), shadow.as_dict()]) == anew
