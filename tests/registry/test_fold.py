from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import histories as h
from mangaops.errors import IllegalMove, LedgerTampered, SetupError
from mangaops.registry import (
    Draft,
    UnitState,
    drafts,
    fold,
    fold_data,
    fold_stream,
)
from mangaops.registry.events import SCHEMAS
from mangaops.registry.fold import UPGRADES, upgraded
from mangaops.vocabulary import EventKind, EvidenceKind, Outcome, State


def after(*told: Draft | list[Draft]) -> UnitState:
    return fold(h.sealed([d for part in told for d in (part if isinstance(part, list) else [part])]))


def refused(match: str, *told: Draft | list[Draft]) -> None:
    """All but the last of these are allowed, and the last is refused."""
    after(*told[:-1])
    with pytest.raises(IllegalMove, match=match):
        after(*told)


def test_no_events_are_an_empty_unit() -> None:
    assert fold([]) == UnitState("")


def test_a_first_champion_has_the_fallback_behind_it() -> None:
    state = after(h.week(1, after=None, generation=1))
    assert (state.unit, state.revision, state.champion, state.generation) == ("router", 7, "router-1", 1)
    assert state.rollback == (h.FALLBACK,)
    assert state.challenger is None
    assert state.releases["router-1"].state == State.CHAMPION


def test_a_promotion_retires_the_champion_and_keeps_it_as_rollback_pointer() -> None:
    state = after(h.weeks(3))
    assert [r.state for r in state.releases.values()] == [State.RETIRED, State.RETIRED, State.CHAMPION]
    assert (state.champion, state.generation) == ("router-3", 3)
    assert state.rollback == (h.FALLBACK, "router-1", "router-2")


def test_a_rollback_goes_one_back_again_and_again_down_to_the_fallback() -> None:
    state = after(h.weeks(2), h.rolled_back(2, "router-1", 3))
    assert (state.champion, state.generation, state.rollback) == ("router-1", 3, (h.FALLBACK,))
    assert state.releases["router-2"].state == State.ROLLED_BACK
    state = after(h.weeks(2), h.rolled_back(2, "router-1", 3), h.rolled_back(1, h.FALLBACK, 4))
    assert (state.champion, state.generation, state.rollback) == (None, 4, ())
    assert state.releases["router-1"].state == State.ROLLED_BACK


def test_a_rollback_over_a_pointer_takes_that_pointer_off_too() -> None:
    state = after(h.weeks(3), h.rolled_back(3, "router-1", 4))
    assert (state.champion, state.rollback) == ("router-1", (h.FALLBACK,))
    assert state.releases["router-2"].state == State.RETIRED
    refused("to router-2", h.weeks(3), h.rolled_back(3, "router-1", 4), h.rolled_back(1, "router-2", 5))


def test_after_a_rollback_the_next_release_replaces_the_restored_champion() -> None:
    state = after(h.weeks(2), h.rolled_back(2, "router-1", 3), h.week(3, after=1, generation=4))
    assert (state.champion, state.rollback) == ("router-3", (h.FALLBACK, "router-1"))


def test_after_the_fallback_a_champion_can_come_again() -> None:
    state = after(h.weeks(1), h.rolled_back(1, h.FALLBACK, 2), h.week(2, after=None, generation=3))
    assert (state.champion, state.rollback, state.generation) == ("router-2", (h.FALLBACK,), 3)


NEXT = [h.model(2), h.release(2), h.passed(2)]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"decision": h.digest("another")}, "latest decision"),
        ({"generation": 3}, "generation 3"),
        ({"rollback_pointer": h.FALLBACK}, "rollback pointer fallback"),
        ({"rollback_pointer": "router-2"}, "rollback pointer router-2"),
        ({"from_": None}, "from None"),
        ({"release": "router-1"}, "router-1 is champion"),
        ({"release": "router-9"}, "router-9 is no release"),
    ],
)
def test_a_promotion_that_does_not_fit_is_refused(changed: dict[str, Any], says: str) -> None:
    before = [*h.weeks(1), *NEXT, h.decided(2)]
    refused(says, before, h.promoted(2, **{"after": 1, "generation": 2, **changed}))
    assert after(before, h.promoted(2, after=1, generation=2)).champion == "router-2"


def test_a_first_champion_takes_the_fallback_as_pointer_and_no_release() -> None:
    before = h.week(1, after=None, generation=1)[:-1]
    refused(
        "rollback pointer router-1",
        before,
        h.promoted(1, after=None, generation=1, rollback_pointer="router-1"),
    )


def test_nothing_is_promoted_without_a_decision() -> None:
    refused("no decision", h.weeks(1), NEXT, h.promoted(2, after=1, generation=2))


@pytest.mark.parametrize("outcome", [Outcome.HOLD, Outcome.REJECT])
def test_only_promote_promotes(outcome: Outcome) -> None:
    decision = h.decided(2, outcome)
    refused(
        f"says {outcome}",
        h.weeks(1),
        NEXT,
        decision,
        h.promoted(2, after=1, generation=2, decision=decision.body["decision"]),
    )


def test_a_later_hold_takes_an_earlier_promote_back() -> None:
    told = [h.weeks(1), NEXT, h.decided(2), h.decided(2, Outcome.HOLD, look=2)]
    refused("latest decision", *told, h.promoted(2, after=1, generation=2))


def test_a_decision_against_another_champion_promotes_nothing() -> None:
    told = [h.weeks(2), h.model(3), h.release(3), h.passed(3), h.decided(3), h.rolled_back(2, "router-1", 3)]
    refused("decided at generation 2, now 3", *told, h.promoted(3, after=1, generation=4))


def test_a_candidate_is_not_promoted_before_the_offline_gates() -> None:
    refused("candidate", h.weeks(1), NEXT[:2], h.decided(2), h.promoted(2, after=1, generation=2))


def test_a_challenger_may_be_promoted_without_shadow_where_its_gates_ask_for_none() -> None:
    assert after(h.weeks(1), NEXT, h.decided(2), h.promoted(2, after=1, generation=2)).champion == "router-2"


def test_one_release_is_open_at_a_time() -> None:
    told = [h.weeks(1), h.model(2), h.release(2), h.model(3)]
    assert after(*told).challenger == "router-2"
    refused("router-2 is candidate", *told, h.release(3))
    state = after(*told, h.withdrawn(2), h.release(3))
    assert (state.challenger, state.releases["router-2"].state) == ("router-3", State.WITHDRAWN)


@pytest.mark.parametrize("leave", [h.rejected(2), h.withdrawn(2)])
def test_a_refused_release_is_reopened_as_candidate_and_must_be_decided_again(leave: Draft) -> None:
    told = [h.weeks(1), NEXT, h.decided(2), leave, h.reopened(2)]
    assert after(*told).releases["router-2"].state == State.CANDIDATE
    assert after(*told).challenger == "router-2"
    promotion = h.promoted(2, after=1, generation=2)
    refused("was reopened since", *told, h.passed(2), promotion)
    assert after(*told, h.passed(2), h.decided(2), promotion).champion == "router-2"


def test_a_release_that_was_rolled_back_from_may_be_reopened() -> None:
    state = after(h.weeks(2), h.rolled_back(2, "router-1", 3), h.reopened(2))
    assert state.releases["router-2"].state == State.CANDIDATE


def test_who_promotes_a_closed_release_is_told_to_reopen_it() -> None:
    told = [h.weeks(2), h.rolled_back(2, "router-1", 3)]
    with pytest.raises(IllegalMove) as caught:
        after(*told, h.promoted(2, after=1, generation=4))
    assert "mangaops release reopen router-2" in caught.value.next_step
    with pytest.raises(IllegalMove) as caught:
        after(*told, h.promoted(1, after=1, generation=4))
    assert caught.value.next_step == "mangaops release show router-1"


def test_who_promotes_what_was_not_decided_on_is_told_to_judge_again() -> None:
    """A unit that ranks may have learnt from logs of searches or not: its ledger does not say."""
    for family, files in (
        ("intent-classifier", "--logs FILE"),
        ("embedding-adapter", "--catalogue FILE --judgments FILE [--searches FILE]"),
    ):
        with pytest.raises(IllegalMove) as caught:
            after(
                h.model(1, family=family),
                h.release(1),
                h.passed(1),
                h.promoted(1, after=None, generation=1),
            )
        again = f"mangaops release bootstrap router --reason '...' {files}"
        assert caught.value.next_step == f"judge again: {again}"


def test_a_release_is_not_reopened_beside_an_open_one() -> None:
    told = [h.weeks(1), h.model(2), h.release(2), h.rejected(2), h.model(3), h.release(3)]
    refused("router-3 is candidate", *told, h.reopened(2))


def test_a_rejection_names_a_decision_that_says_reject_or_none() -> None:
    told = [h.weeks(1), NEXT]
    refused("nothing: it was not recorded", *told, h.rejected(2, decision=h.digest("x")))
    hold = h.decided(2, Outcome.HOLD)
    refused("says HOLD", *told, hold, h.rejected(2, decision=hold.body["decision"]))
    no = h.decided(2, Outcome.REJECT)
    state = after(*told, no, h.rejected(2, decision=no.body["decision"]))
    assert state.releases["router-2"].state == State.REJECTED
    assert after(*told, h.rejected(2)).releases["router-2"].stands_because == "because of the test"


@pytest.mark.parametrize(
    ("told", "says"),
    [
        (h.model(1), "intent-classifier@v1 is registered already"),
        (h.release(1, digest=h.digest("new")), "is registered as router-1"),
        (h.release(9, models={"intent-classifier": "v1"}, digest=h.digest("release 1")), "is registered as"),
        (h.release(9), "models intent-classifier@v9"),
        (h.release(9, models={}), r"models \(none\)"),
        (h.evidence(9), "router-9 is no release"),
        (h.evidence(1, metrics={"sentiment": {"accuracy": 1.0}}), "metrics of sentiment"),
        (h.rolled_back(9, h.FALLBACK, 2), "champion router-1"),
        (h.rolled_back(1, "router-9", 2), "to router-9"),
        (h.rolled_back(1, h.FALLBACK, 7), "generation 7"),
        (h.dataset(1, "x"), "does not belong into stream router"),
    ],
)
def test_what_does_not_fit_is_refused_and_says_why(told: Draft, says: str) -> None:
    before = h.weeks(1)
    told = replace(told, stream="router")
    refused(says, before, told)


def test_nothing_is_rolled_back_where_nothing_serves() -> None:
    refused("champion None", h.model(1), h.release(1), h.rolled_back(1, h.FALLBACK, 1))


def test_what_is_measured_completes_the_record_and_keeps_every_attempt() -> None:
    again = h.evidence(
        1, digest=h.digest("again"), attempt=2, metrics={"intent-classifier": {"accuracy": 0.93}}
    )
    late = h.evidence(1, EvidenceKind.LATENCY, metrics={"intent-classifier": {"p95_latency_ms": 9.5}})
    state = after(h.model(1), h.release(1), h.evidence(1), again, late)
    found = state.releases["router-1"]
    assert [(ref.kind, ref.attempt) for ref in found.evidence] == [
        (EvidenceKind.EVALUATION, 1),
        (EvidenceKind.EVALUATION, 2),
        (EvidenceKind.LATENCY, 1),
    ]
    newest = found.latest(EvidenceKind.EVALUATION)
    assert newest is not None
    assert newest.digest == h.digest("again")
    assert found.latest(EvidenceKind.SHADOW) is None
    assert state.models["intent-classifier@v1"].metrics == {
        "parity": 0.997,
        "accuracy": 0.93,
        "rare_accuracy": 0.88,
        "p95_latency_ms": 9.5,
    }


def test_a_review_is_opened_once_and_answered_by_whoever_answers() -> None:
    named = {"release": "router-1", "review": "review-1", "evidence": h.digest("shadow")}
    opened = drafts.review_opened("router", **named, **h.WHO)
    answered = drafts.review_answered(
        "router", **{**named, "evidence": h.digest("a")}, simulated=True, **h.WHO
    )
    told = [h.model(1), h.release(1)]
    (review,) = after(told, opened, answered).releases["router-1"].reviews
    assert (review.evidence, review.answer, review.simulated, review.actor) == (
        h.digest("shadow"),
        h.digest("a"),
        True,
        "tester",
    )
    refused("review-1 is open already", told, opened, opened)
    refused("no review review-1", told, answered)


def test_runs_are_requested_started_and_finished() -> None:
    told = {"run": "run-1", "because": "drift", "details": {"unit": "router"}}
    state = after(
        drafts.run_requested("router", **told, **h.WHO),
        drafts.run_started("router", **told, **h.WHO),
        drafts.run_finished("router", run="run-1", outcome="HOLD", details={"seconds": 3}, **h.WHO),
        h.requested(2, "router"),
    )
    run = state.runs["run-1"]
    assert (run.outcome, run.started_at, run.details) == ("HOLD", h.AT, {"unit": "router", "seconds": 3})
    assert state.runs["run-2"].started_at is None


def test_an_error_review_is_kept_with_its_release() -> None:
    told = drafts.error_review_opened("router", release="router-1", document=h.digest("d"), **h.WHO)
    assert after(h.model(1), h.release(1), h.rejected(1), told).releases["router-1"].error_reviews == (
        h.digest("d"),
    )
    refused("withdrawn", h.model(1), h.release(1), h.withdrawn(1), told)


@given(st.integers(min_value=0, max_value=25), st.integers(min_value=0, max_value=25))
def test_a_fold_goes_on_from_any_state(first: int, second: int) -> None:
    events = h.sealed([*h.weeks(3), h.rolled_back(3, "router-2", 4), h.model(4), h.release(4)])
    early, late = sorted((first, second))
    state = fold(events[late:], fold(events[early:late], fold(events[:early])))
    assert state == fold(events)


BREAKS: list[Callable[[list[Any]], list[Any]]] = [
    lambda e: e[:2] + e[3:],
    lambda e: [e[1], e[0], *e[2:]],
    lambda e: e[1:],
    lambda e: [e[0], replace(e[1], previous_hash=h.digest("x")), *e[2:]],
    lambda e: [e[0], replace(e[1], stream="other"), *e[2:]],
    lambda e: [*e, e[-1]],
]


@pytest.mark.parametrize("broken", BREAKS)
def test_a_chain_that_does_not_hang_together_is_refused(broken: Callable[[list[Any]], list[Any]]) -> None:
    with pytest.raises(LedgerTampered, match="does not follow"):
        fold(broken(h.sealed(h.weeks(1))))


def test_datasets_have_their_own_fold() -> None:
    events = h.sealed([h.dataset(1), h.dataset(2)])
    state = fold_data(events)
    assert (state.data, state.revision, list(state.versions)) == (
        "intent-data",
        2,
        ["intent-data-1", "intent-data-2"],
    )
    assert state.golden == h.digest("golden")
    assert fold_data(events[1:], fold_data(events[:1])) == state
    assert fold_stream("data/intent-data", events) == state
    assert fold_stream("router", h.sealed([h.model(1)])).revision == 1
    with pytest.raises(IllegalMove, match="recorded already"):
        fold_data(h.sealed([h.dataset(1)], events))
    with pytest.raises(IllegalMove, match="does not belong"):
        fold_data(h.sealed([h.requested(1, "data/intent-data")], events))
    with pytest.raises(LedgerTampered, match="does not follow"):
        fold_data(events[1:])


def test_a_frozen_golden_set_is_the_datasets() -> None:
    told = drafts.golden_frozen(
        "intent-data", name="intent-data-1", golden_digest=h.digest("g2"), rows=9, labels=["faq"], **h.WHO
    )
    assert fold_data(h.sealed([h.dataset(1), told])).golden == h.digest("g2")


def test_an_old_schema_is_brought_up_and_a_newer_one_is_refused() -> None:
    (event,) = h.sealed([h.requested(1)])
    table = {
        (EventKind.RUN_REQUESTED, 1): lambda body: {**body, "b": 1},
        (EventKind.RUN_REQUESTED, 2): lambda body: {**body, "c": body["b"] + 1},
    }
    newest = {EventKind.RUN_REQUESTED: 3}
    assert upgraded(event, table, newest) == {**event.body, "b": 1, "c": 2}
    assert upgraded(replace(event, schema=3), table, newest) == event.body
    assert upgraded(event) == event.body
    with pytest.raises(SetupError, match="of schema 2"):
        upgraded(replace(event, schema=2))
    with pytest.raises(SetupError, match="schemas up to 3"):
        upgraded(replace(event, schema=4), table, newest)


def test_every_schema_that_was_ever_written_leads_to_the_newest() -> None:
    assert {(kind, old) for kind, newest in SCHEMAS.items() for old in range(1, newest)} == set(UPGRADES)


def test_a_release_of_the_first_schema_has_no_parts() -> None:
    told = {"release": "router-1", "models": {"intent-classifier": "v1"}}
    assert UPGRADES[EventKind.RELEASE_REGISTERED, 1](told) == {**told, "parts": {}}
