"""The HTTP interface on a real server: answers, refusals, limits, feedback. No 5xx but the documented 503."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gateway_parts import Says, echoed, told, until
from serving_room import Server, serving

from mangaops.gateway.feedback import FeedbackDesk
from mangaops.inference import Answer
from mangaops.pipeline.gateway_world import GatewayWorld
from mangaops.store import FeedbackBook

LABELS = ("order_tracking.1", "promotion.1", "escalation.1")


def test_a_text_is_answered_with_release_generation_and_a_known_id(server: Server) -> None:
    reply = server.route("where is my order", conversation_id="c1", user_id="u1")
    assert reply.status == 200
    assert reply.json["intent"] in LABELS
    assert 0 <= reply.json["confidence"] <= 1
    assert (reply.json["release"], reply.json["generation"]) == ("router-1", 1)
    ticket = server.service.tickets.read(reply.json["request_id"])
    assert (ticket.unit, ticket.generation) == ("router", 1)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "text", ["", " \t\n", "返品したい", "😀" * 200, "nul\0byte", "[CLS] </s>", "x" * 1000]
)
def test_any_text_within_the_limit_is_answered(server: Server, text: str) -> None:
    assert server.route(text).json["intent"] in LABELS


def test_every_answer_is_logged_on_disk(server: Server) -> None:
    before = server.service.log.acknowledged
    server.route("a row for the log")
    assert server.service.log.wait(before + 1, 10)
    assert (server.service.log.dropped, server.service.log.trouble) == (0, None)


WRONG = {
    "no JSON": b"{nope",
    "nothing": b"",
    "another form": b"[1, 2]",
    "no text": b"{}",
    "a number": b'{"text": 3}',
    "an unknown key": b'{"text": "a", "texts": "b"}',
    "a long id": json.dumps({"text": "a", "user_id": "x" * 201}).encode(),
    "a lone surrogate": b'{"text": "\\ud83d"}',
    "no UTF-8": b'{"text": "\xff\xfe"}',
    "deep": b'{"text": ' + b"[" * 3000 + b"]" * 3000 + b"}",
    "a huge number": b'{"text": ' + b"9" * 7000 + b"}",
    "not a number": b'{"text": NaN}',
}


@pytest.mark.parametrize("path", ["/v1/route", "/v1/feedback", "/v2/models/router/infer"])
@pytest.mark.parametrize("body", WRONG)
def test_a_body_that_cannot_be_used_is_422_and_is_not_repeated(server: Server, path: str, body: str) -> None:
    reply = server.ask("POST", path, WRONG[body])
    assert reply.status == 422
    assert reply.json.keys() == {"error", "kind", "found", "accepted", "next"}
    assert reply.json["kind"] == "InputError"


def test_what_was_sent_is_not_told_back(server: Server) -> None:
    reply = server.ask("POST", "/v1/route", {"text": "a", "user_id": "secret" * 40})
    assert b"secret" not in reply.body


def test_a_text_over_the_limit_is_413(server: Server) -> None:
    assert server.route("x" * 1000).status == 200
    reply = server.route("x" * 1001)
    assert (reply.status, reply.json["kind"], reply.json["found"]) == (413, "TooLarge", "1001 characters")


def chunks(size: int) -> Iterator[bytes]:
    text = json.dumps({"text": "short"}).encode()
    yield text + b" " * (size - len(text) - 1)
    yield b" "


def test_bodies_up_to_the_limit_are_read_and_longer_ones_are_413(server: Server) -> None:
    limit = server.settings.body_limit
    whole = b"".join(chunks(limit))
    assert len(whole) == limit
    assert server.ask("POST", "/v1/route", whole).status == 200
    assert server.ask("POST", "/v1/route", whole + b" ").status == 413
    assert server.ask("POST", "/v1/route", chunks(limit)).status == 200
    refused = server.ask("POST", "/v1/route", chunks(limit + 1))
    assert (refused.status, refused.json["kind"]) == (413, "TooLarge")
    assert refused.json["accepted"] == f"at most {limit} bytes"
    both = {"Content-Length": "10", "Transfer-Encoding": "chunked"}
    assert server.ask("POST", "/v1/route", b"0\r\n\r\n     ", both).status == 400  # neither can be trusted


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v1/nothing"), ("GET", "/%ff%fe"), ("POST", "/v1/sentiment")],
)
def test_paths_that_are_none_say_so(server: Server, method: str, path: str) -> None:
    reply = server.ask(method, path)
    assert (reply.status, reply.json["next"]) == (404, "GET /openapi.json")
    assert "allow" not in reply.headers


@pytest.mark.parametrize(
    ("method", "path", "meant"),
    [
        ("GET", "/v1/route", "POST"),
        ("DELETE", "/v1/feedback", "POST"),
        ("GET", "/v2/models/router/infer", "POST"),
        ("POST", "/v2/models/router", "GET"),
    ],
)
def test_another_method_than_that_of_a_path_is_told_which_one_is_meant(
    server: Server, method: str, path: str, meant: str
) -> None:
    reply = server.ask(method, path)
    assert (reply.status, reply.headers["allow"]) == (405, meant)
    assert reply.json["accepted"] == f"{meant} {path}"
    assert reply.json["next"] == f"{meant} {path}, as /openapi.json says"


def test_a_settled_worker_is_ready_and_says_what_it_serves(server: Server) -> None:
    for path in ("/health/ready", "/v2/health/ready"):
        reply = server.ask("GET", path)
        assert reply.status == 200
        assert (reply.json["ready"], reply.json["reasons"], reply.json["warnings"]) == (True, [], [])
        assert reply.json["units"]["router"]["active"] == "router-1"
    assert (
        server.ask("GET", "/health/live").json == server.ask("GET", "/v2/health/live").json == {"live": True}
    )


@pytest.mark.parametrize("place", ["/health", "/v2/health"])
def test_head_of_health_is_answered_as_get_is_without_a_body(own: Callable[..., Any], place: str) -> None:
    def asked(path: str) -> tuple[int, str | None]:
        reply = server.ask("HEAD", path)
        assert reply.body == b""
        got = server.ask("GET", path)
        assert (got.status, got.headers.get("retry-after")) == (
            reply.status,
            reply.headers.get("retry-after"),
        )
        return reply.status, reply.headers.get("retry-after")

    with own() as server:
        assert asked(f"{place}/live") == asked(f"{place}/ready") == (200, None)
        server.service.draining = True
        assert asked(f"{place}/live") == (200, None)
        assert asked(f"{place}/ready") == (503, "1")
        assert server.ask("HEAD", "/v1/route").status == 405


def tell(server: Server, request_id: str, **said: Any) -> Any:
    return server.ask("POST", "/v1/feedback", {"request_id": request_id, **said})


def test_feedback_on_a_known_request_is_on_disk_before_it_is_accepted_and_taken_once(server: Server) -> None:
    asked = server.route("where is my order").json["request_id"]
    accepted = tell(server, asked, outcome="helped", label="promotion.1")
    assert (accepted.status, accepted.json) == (202, {"request_id": asked, "kept": True})
    book = FeedbackBook(server.settings.folder / "feedback.db")  # as another process sees it
    (row,) = [row for row in book.rows() if row["request_id"] == asked]
    book.close()
    assert (row["unit"], row["release"], row["generation"]) == ("router", "router-1", 1)
    assert (row["outcome"], row["label"], row["reviewed"]) == ("helped", "promotion.1", 0)
    again = tell(server, asked, outcome="not_helped")
    assert (again.status, again.json["kind"]) == (409, "RefusedError")


@pytest.mark.parametrize("request_id", ["", "nothing", "router.1.00.000000000000", "返品.1.2.3", "." * 300])
def test_feedback_on_a_request_that_nobody_made_is_404(server: Server, request_id: str) -> None:
    assert tell(server, request_id, outcome="helped").status == 404


@pytest.mark.parametrize("said", [{}, {"outcome": "great"}, {"label": "promotion.2"}, {"label": "x" * 201}])
def test_feedback_that_says_nothing_known_is_422_and_can_be_mended(server: Server, said: Any) -> None:
    asked = server.route("where is my order").json["request_id"]
    assert tell(server, asked, **said).status == 422
    assert tell(server, asked, outcome="asked_for_human").status == 202


def test_a_label_of_feedback_is_one_of_the_release_that_answered(world: GatewayWorld, tmp_path: Path) -> None:
    with serving(world, tmp_path / "gateway") as server:
        asked = server.route("where is my order").json
        world.promote_next()
        assert (asked["release"], server.route("hello").json["release"]) == ("router-1", "router-2")
        assert tell(server, asked["request_id"], label="promotion.2").status == 422
        assert tell(server, asked["request_id"], label="promotion.1").status == 202


def test_more_feedback_than_the_rate_is_429_with_retry_after(server: Server) -> None:
    slow = FeedbackDesk(server.service, server.desk.book, rate=2.0)
    known = server.route("where is my order").json["request_id"]

    async def take(times: int, request_id: str) -> list[int]:
        from mangaops.gateway.bodies import Feedback
        from mangaops.gateway.refusals import refusal

        statuses = []
        for _ in range(times):
            try:
                await slow.take(Feedback(request_id=request_id, outcome="helped"))
            except Exception as error:  # noqa: BLE001 - the status of whatever it is
                answer = refusal(error)  # type: ignore[arg-type]
                statuses.append(answer.status_code)
                assert ("retry-after" in answer.headers) == (answer.status_code == 429)
            else:
                statuses.append(202)
        return statuses

    def told(times: int, request_id: str) -> list[int]:
        return asyncio.run_coroutine_threadsafe(take(times, request_id), server.loop).result(10)

    assert told(50, "nothing") == [404] * 50  # invented ids starve nobody
    statuses = told(5, known)
    assert statuses[:2] == [202, 409]
    assert 429 in statuses[2:]


@pytest.fixture
def own(tmp_path: Path, world: GatewayWorld) -> Callable[..., Any]:
    """A server that the test may change."""
    return lambda **options: serving(world, tmp_path / "gateway", **options)


def in_place_of_the_model(server: Server, say: Callable[..., list[Answer]]) -> None:
    slot = server.service.slots["router"].served.slot
    slot.predictor = Says(say)  # type: ignore[union-attr]


def test_overload_and_slowness_and_failure_are_503_with_retry_after(own: Callable[..., Any]) -> None:
    with own(queue=1, time_limit=0.3) as server:
        opened, entered = threading.Event(), threading.Event()

        def held(texts: Any) -> list[Answer]:
            entered.set()
            opened.wait(30)
            return echoed(texts)

        in_place_of_the_model(server, held)
        replies: list[Any] = []
        first = threading.Thread(target=lambda: replies.append(server.route("held")))
        first.start()
        assert entered.wait(10)
        second = threading.Thread(target=lambda: replies.append(server.route("waits")))
        second.start()
        until(lambda: len(server.service.lane.waiting) == 1, "waiting")
        full = server.route("no room")
        first.join()
        second.join()
        opened.set()
        for reply in (full, *replies):
            assert (reply.status, reply.headers["retry-after"]) == (503, "1")
        assert full.json["error"] == "no answer now: too many wait"
        assert {each.json["error"] for each in replies} == {"no answer within 0.3 s"}
        until(lambda: server.service.slots["router"].served.slot.running == 0, "rest")  # type: ignore[union-attr]

        def fails(texts: Any) -> list[Answer]:
            raise ArithmeticError("secret text in a message")

        in_place_of_the_model(server, fails)
        failed = server.route("text")
        assert (failed.status, failed.json["found"]) == (503, "ArithmeticError")
        assert b"secret" not in failed.body
        in_place_of_the_model(server, lambda texts: [told("promotion.1") for _ in texts])
        assert server.route("text").status == 200


def test_after_a_rollback_to_nothing_the_fallback_answers(
    own: Callable[..., Any], world: GatewayWorld
) -> None:
    with own() as server:
        assert world.roll_back().to == "fallback:offer_human"
        until(lambda: server.service.slots["router"].served.slot is None, "the rollback")
        reply = server.route("where is my order").json
        assert (reply["intent"], reply["action"], reply["generation"]) == (None, "offer_human", 2)
        assert reply["release"] == "fallback:offer_human"
        assert tell(server, reply["request_id"], outcome="helped").status == 202
        assert server.ask("GET", "/v2/models/router").status == 404
        assert server.ask("GET", "/health/ready").status == 200


def test_a_worker_that_drains_or_cannot_load_is_not_ready_and_still_answers(own: Callable[..., Any]) -> None:
    with own() as server:
        server.service.draining = True
        reply = server.ask("GET", "/health/ready")
        assert (reply.status, reply.json["reasons"]) == (503, ["it drains: it was told to stop"])
        assert reply.headers["retry-after"] == "1"
        assert server.route("where is my order").status == 200
