"""A cutover that is prepared: by the rules of a promotion, cleared by whatever ends it."""

from __future__ import annotations

import pytest

import histories as h
from mangaops.errors import IllegalMove, Untracked
from mangaops.registry import Cutover, Draft, UnitState, fold, permit
from mangaops.vocabulary import Outcome, Purpose, State

READY = [*h.weeks(1), *h.week(2, after=1, generation=2)[:-1]]
PREPARED = [*READY, h.prepared(2, after=1, generation=2)]
PROMOTE = h.promoted(2, after=1, generation=2)


def after(*told: Draft) -> UnitState:
    return fold(h.sealed(told))


def refused(match: str, before: list[Draft], last: Draft) -> None:
    after(*before)
    with pytest.raises(IllegalMove, match=match):
        after(*before, last)


def test_a_prepared_cutover_is_told_and_moves_nothing() -> None:
    state = after(*PREPARED)
    digest = h.digest(f"decision 2 {Outcome.PROMOTE} 1")
    assert state.prepared == Cutover("router-2", digest, 2, len(PREPARED), h.AT)
    assert (state.champion, state.generation, state.rollback) == ("router-1", 1, (h.FALLBACK,))
    assert state.releases["router-2"].state == State.SHADOW


def test_a_second_preparation_takes_the_place_of_the_first() -> None:
    state = after(*PREPARED, h.prepared(2, after=1, generation=2))
    assert state.prepared is not None
    assert state.prepared.revision == len(PREPARED) + 1


def test_a_promotion_needs_no_preparation_and_ends_one() -> None:
    assert after(*READY, PROMOTE).champion == "router-2"
    state = after(*PREPARED, PROMOTE)
    assert (state.champion, state.generation, state.prepared) == ("router-2", 2, None)


@pytest.mark.parametrize(
    "end",
    [
        [h.aborted(2)],
        [h.rejected(2)],
        [h.withdrawn(2)],
        [h.rolled_back(1, h.FALLBACK, 2)],
        [h.decided(2, Outcome.HOLD, 2)],
        [h.withdrawn(2), h.reopened(2)],
    ],
    ids=lambda end: "+".join(str(each.kind) for each in end),
)
def test_what_ends_a_cutover_clears_it(end: list[Draft]) -> None:
    assert after(*PREPARED, *end).prepared is None


def test_what_does_not_end_a_cutover_leaves_it() -> None:
    state = after(*PREPARED, h.requested(1, "router"))
    assert state.prepared is not None
    assert state.prepared.release == "router-2"


def test_a_cutover_is_prepared_by_the_rules_of_a_promotion() -> None:
    prepare = h.prepared(2, after=1, generation=2)
    held = [*READY, h.decided(2, Outcome.HOLD, 2)]
    refused("latest decision", held, prepare)
    refused("no decision", READY[:-1], prepare)
    refused("decided at generation 1, now 2", [*READY, h.rolled_back(1, h.FALLBACK, 2)], prepare)
    refused("is withdrawn", [*READY, h.withdrawn(2)], prepare)
    refused("generation 3", READY, h.prepared(2, after=1, generation=3))
    refused("from None", READY, h.prepared(2, after=None, generation=2))
    again = [*READY, h.withdrawn(2), h.reopened(2), h.passed(2)]
    refused("reopened since", again, prepare)


def test_only_what_is_prepared_is_aborted_or_promoted_after_it() -> None:
    refused("prepared is nothing", READY, h.aborted(2))
    refused("prepared is nothing", [*PREPARED, PROMOTE], h.aborted(2))
    assert after(*PREPARED, h.aborted(2), PROMOTE).champion == "router-2"


def test_a_prepared_release_may_be_loaded_to_serve_until_its_cutover_ends() -> None:
    assert permit(after(*PREPARED), "router-2", Purpose.SERVE)
    for state in (after(*READY), after(*PREPARED, h.aborted(2))):
        with pytest.raises(Untracked):
            permit(state, "router-2", Purpose.SERVE)


def test_a_refused_load_is_told_in_the_stream_of_the_stack_alone() -> None:
    state = after(h.requested(1), h.load_refused(2))
    assert (state.unit, state.revision, state.releases) == ("stack", 2, {})
    stray = Draft("router", h.load_refused(2).kind, h.load_refused(2).body, "me")
    refused("stream stack", READY, stray)
