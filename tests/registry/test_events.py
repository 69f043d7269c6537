from __future__ import annotations

import inspect
import math
from dataclasses import replace

import pytest

import histories as h
from mangaops.errors import IntegrityError, UsageError
from mangaops.registry import GENESIS, Draft, canonical, chained, check, drafts, seal
from mangaops.registry.events import BODIES, SCHEMAS
from mangaops.vocabulary import EventKind, Outcome, Verdict


def arguments(function: object) -> dict[str, object]:
    made: dict[str, object] = {}
    for name, parameter in inspect.signature(function).parameters.items():  # type: ignore[arg-type]
        text = str(parameter.annotation)
        made[name] = (
            1
            if text == "int"
            else False
            if text == "bool"
            else "schedule"
            if text == "Because"
            else "latency"
            if text == "EvidenceKind"
            else "HOLD"
            if text == "Outcome"
            else {}
            if "Mapping" in text or "Facts" in text
            else []
            if "Sequence" in text
            else "router"
        )
    return made


@pytest.mark.parametrize("kind", EventKind)
def test_every_kind_has_a_function_a_body_and_a_schema(kind: EventKind) -> None:
    made = getattr(drafts, kind.value)(**arguments(getattr(drafts, kind.value)))
    assert made.kind == kind
    assert set(made.body) == set(BODIES[kind]) | {"reason"}
    assert SCHEMAS[kind] >= 1


@pytest.mark.parametrize("kind", EventKind)
@pytest.mark.parametrize("lacking", ["reason", "actor"])
def test_nothing_happens_without_a_reason_and_an_actor(kind: EventKind, lacking: str) -> None:
    function = getattr(drafts, kind.value)
    with pytest.raises(UsageError, match=f"no {lacking}"):
        function(**{**arguments(function), lacking: "  "})


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "no release"),
        ({"release": "router-1", "to": "x"}, "unknown field to"),
        ({"release": 7}, "release is int, not str"),
        ({"release": True}, "release is bool, not str"),
        ({"release": ""}, "release is empty"),
    ],
)
def test_a_body_that_is_not_as_its_kind_wants_it_is_refused(body: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        check(Draft("router", EventKind.OFFLINE_PASSED, {**body, "reason": "r"}, "me"))


@pytest.mark.parametrize("stream", ["", "Router", "data/", "a/b/c", "../x", "router\n", "ro uter"])
def test_a_stream_that_is_none_is_refused(stream: str) -> None:
    with pytest.raises(UsageError, match="is no unit"):
        check(Draft(stream, EventKind.OFFLINE_PASSED, {"release": "r", "reason": "r"}, "me"))


@pytest.mark.parametrize("stream", ["router", "data/intent-data", "stack", "unit_2.b"])
def test_a_stream_that_is_one_is_taken(stream: str) -> None:
    assert check(Draft(stream, EventKind.OFFLINE_PASSED, {"release": "r", "reason": "r"}, "me"))


def test_closed_words_are_closed() -> None:
    with pytest.raises(UsageError, match="because is 'whim'"):
        h.release(1, because="whim")
    with pytest.raises(UsageError, match="evidence_kind is 'rumour'"):
        h.evidence(1, "rumour")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="outcome is 'MAYBE'"):
        h.decided(1, "MAYBE")  # type: ignore[arg-type]


def test_an_actor_with_control_characters_is_refused() -> None:
    with pytest.raises(UsageError, match="control characters"):
        check(Draft("router", EventKind.OFFLINE_PASSED, {"release": "r", "reason": "r"}, "me\x00"))


@pytest.mark.parametrize("value", [math.nan, math.inf, 2**60, "\ud800", {1: 2}, object()])
def test_what_is_no_json_is_refused(value: object) -> None:
    with pytest.raises(UsageError, match="not JSON"):
        canonical({"x": value})


def test_canonical_text_is_that_of_rfc_8785() -> None:
    numbers = [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001]
    text = canonical({"numbers": numbers, "literals": [None, True, False], "€": "\u000f\nA'\u0042\u0022"})
    wanted = '"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"€":"\\u000f\\nA\'B\\""}'
    assert text == '{"literals":[null,true,false],' + wanted


@pytest.mark.parametrize(
    "at", ["", "yesterday", "2026-04-20", "2026-04-20T03:00:00+09:00", "2026-04-20 03:00:00Z"]
)
def test_a_time_that_is_not_in_utc_is_refused(at: str) -> None:
    with pytest.raises(UsageError, match="no time in UTC"):
        seal(h.passed(1), revision=1, at=at, previous_hash=GENESIS)


@pytest.mark.parametrize("at", ["2026-04-20T03:00:00Z", "2026-04-20T03:00:00.123456+00:00"])
def test_a_time_is_kept_as_it_was_written(at: str) -> None:
    assert seal(h.passed(1), revision=1, at=at, previous_hash=GENESIS).at == at


def test_the_hash_covers_all_that_an_event_says() -> None:
    event = h.sealed(h.week(1, after=None, generation=1))[2]
    said = (event.stream, event.revision, event.at, event.actor, event.kind, event.schema, event.text)
    assert chained(*said, event.previous_hash) == event.hash
    for place in range(7):
        changed = list(said)
        changed[place] = 99 if isinstance(said[place], int) else f"{said[place]} "
        assert chained(*changed, event.previous_hash) != event.hash  # type: ignore[arg-type]
    assert chained(*said, GENESIS) != event.hash


def test_the_body_is_what_the_draft_said_and_verdicts_are_spelled_out() -> None:
    draft = drafts.decided(
        "router",
        release="router-1",
        decision=h.digest("d"),
        outcome=Outcome.HOLD,
        verdicts={"latency": Verdict.INCONCLUSIVE},
        look=2,
        **h.WHO,
    )
    event = seal(draft, revision=1, at=h.AT, previous_hash=GENESIS)
    assert event.body["verdicts"] == {"latency": "INCONCLUSIVE"}
    assert event.reason == "because of the test"


@pytest.mark.parametrize("text", ["", "nonsense", "[1]"])
def test_a_stored_body_that_is_no_object_is_refused(text: str) -> None:
    event = replace(h.sealed([h.passed(1)])[0], text=text)
    with pytest.raises(IntegrityError, match="no JSON object"):
        _ = event.body
