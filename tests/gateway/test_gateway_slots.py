"""Slots: the table of moves, one reference that is swapped, and what stays warm."""

from __future__ import annotations

from itertools import product

import pytest
from gateway_parts import FALLBACK, Says, warm_slot
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mangaops.errors import IllegalMove
from mangaops.gateway.slots import BLUE, GREEN, MOVES, WARM, Served, Slot, Slots
from mangaops.vocabulary import SlotState

S = SlotState
ARROWS = {
    (S.ADDING, S.WARMING),
    (S.ADDING, S.CLOSED),
    (S.WARMING, S.HEALTHY),
    (S.WARMING, S.CLOSED),
    (S.HEALTHY, S.ACTIVE),
    (S.HEALTHY, S.CLOSED),
    (S.ACTIVE, S.DRAINING),
    (S.DRAINING, S.HEALTHY),
    (S.DRAINING, S.ACTIVE),
    (S.DRAINING, S.CLOSED),
}


@pytest.fixture
def slots() -> Slots:
    return Slots.of("router", FALLBACK)


def serving(slots: Slots, *releases: str) -> None:
    """Each release in turn was cut over to."""
    for release in releases:
        if slots.warm(release) is None:
            warm_slot(slots, release)
        slots.cut_over(release, slots.served.generation + 1)


def test_every_state_has_a_row_in_the_table() -> None:
    assert set(MOVES) == set(SlotState)


@pytest.mark.parametrize(("before", "after"), product(SlotState, SlotState))
def test_a_slot_moves_only_along_the_arrows_of_the_table(before: SlotState, after: SlotState) -> None:
    slot = Slot("router-1", BLUE, before)
    if (before, after) in ARROWS:
        slot.move(after)
        assert slot.state == after
    else:
        with pytest.raises(IllegalMove) as refused:
            slot.move(after)
        assert slot.state == before
        assert refused.value.found == before
        assert refused.value.accepted


@pytest.mark.parametrize("state", SlotState)
def test_any_slot_can_be_closed_and_then_holds_no_model(state: SlotState) -> None:
    slot = Slot("router-1", BLUE, state, Says())
    slot.close()
    assert (slot.state, slot.predictor) == (S.CLOSED, None)


@pytest.mark.parametrize("state", SlotState)
def test_only_what_could_answer_counts_as_warm(slots: Slots, state: SlotState) -> None:
    slots.held["router-1"] = slot = Slot("router-1", BLUE, state)
    assert slots.warm("router-1") is (slot if state in WARM else None)
    assert (state in WARM) == (state in {"healthy", "active", "draining"})
    assert slots.warm("router-2") is None


def test_without_any_release_the_fallback_answers(slots: Slots) -> None:
    assert slots.served == Served(FALLBACK, 0, None)
    assert slots.doing() == {"active": None, "generation": 0, "slots": {}, "colours": {}}


def test_a_cutover_replaces_one_reference_and_who_holds_the_old_one_keeps_it(slots: Slots) -> None:
    serving(slots, "router-1")
    taken = slots.served
    warm_slot(slots, "router-2")
    slots.cut_over("router-2", 2)
    assert (taken.release, taken.generation, taken.slot) == ("router-1", 1, slots.held["router-1"])
    assert (slots.served.release, slots.served.generation) == ("router-2", 2)
    assert slots.served.slot is slots.held["router-2"]
    assert slots.doing()["slots"] == {"router-1": "healthy", "router-2": "active"}


class Turning:
    """The state of a slot, during whose telling another slot is added."""

    def __init__(self, slots: Slots) -> None:
        self.slots = slots

    def __str__(self) -> str:
        if "router-2" not in self.slots.held:
            self.slots.add("router-2")
        return "adding"


def test_what_is_told_of_slots_is_whole_while_they_change(slots: Slots) -> None:
    slots.add("router-1").state = Turning(slots)  # type: ignore[assignment]
    assert slots.doing()["slots"] == {"router-1": "adding"}
    assert slots.doing()["slots"] == {"router-1": "adding", "router-2": "adding"}


def test_the_old_slot_drains_until_its_last_request_ends_and_is_warm_again(slots: Slots) -> None:
    serving(slots, "router-1")
    old = slots.held["router-1"]
    old.running = 2
    serving(slots, "router-2")
    assert old.state == S.DRAINING
    old.running = 1
    slots.rest(old)
    assert old.state == S.DRAINING
    old.running = 0
    slots.rest(old)
    assert old.state == S.HEALTHY
    assert old.predictor is not None


def test_a_slot_that_answers_is_not_put_to_rest(slots: Slots) -> None:
    serving(slots, "router-1")
    slots.rest(slots.held["router-1"])
    assert slots.held["router-1"].state == S.ACTIVE


def test_a_release_that_still_drains_can_come_back_at_once(slots: Slots) -> None:
    serving(slots, "router-1")
    slots.held["router-1"].running = 1
    serving(slots, "router-2", "router-1")
    assert slots.held["router-1"].state == S.ACTIVE
    assert slots.held["router-2"].state == S.HEALTHY


def test_a_new_generation_of_the_release_that_answers_moves_no_slot(slots: Slots) -> None:
    serving(slots, "router-1", "router-1")
    assert (slots.served.generation, slots.held["router-1"].state) == (2, S.ACTIVE)


def test_colours_take_turns(slots: Slots) -> None:
    serving(slots, "router-1", "router-2", "router-3")
    assert list(slots.doing()["colours"].values()) == [BLUE, GREEN, BLUE]  # type: ignore[attr-defined]
    serving(slots, "router-2")
    assert slots.add("router-4").colour == BLUE


def test_rolled_back_to_the_fallback_nothing_serves_and_the_old_release_stays_warm(slots: Slots) -> None:
    serving(slots, "router-1")
    slots.cut_over(FALLBACK, 2, pins_from=2)
    assert slots.served == Served(FALLBACK, 2, None)
    assert slots.held["router-1"].state == S.HEALTHY


def test_only_a_rollback_overrides_pins(slots: Slots) -> None:
    serving(slots, "router-1", "router-2")
    assert slots.pins_from == 0
    assert slots.by_generation[1].release == "router-1"
    slots.cut_over("router-1", 3, pins_from=3)
    assert slots.pins_from == 3
    serving(slots, "router-2")
    assert slots.pins_from == 3


def test_only_what_nobody_wants_and_nothing_runs_in_is_closed(slots: Slots) -> None:
    serving(slots, "router-1", "router-2", "router-3")
    busy, idle = slots.held["router-1"], slots.held["router-2"]
    busy.running = 1
    assert slots.keep(frozenset({"router-3", "router-2"})) == []
    assert slots.keep(frozenset()) == ["router-2"]
    assert (idle.state, idle.predictor) == (S.CLOSED, None)
    assert slots.held.keys() == {"router-1", "router-3"}
    busy.running = 0
    assert slots.keep(frozenset()) == ["router-1"]
    assert slots.served.slot is slots.held["router-3"]
    assert slots.by_generation.keys() == {3}


class EveryOrder(RuleBasedStateMachine):
    """Whatever the order of loads, cutovers, requests and ends: what answers is active, and it alone."""

    names = st.sampled_from([f"router-{n}" for n in range(1, 5)])

    @initialize()
    def begin(self) -> None:
        self.slots = Slots.of("router", FALLBACK)
        self.running: list[Served] = []

    @rule(name=names)
    def load(self, name: str) -> None:
        if self.slots.warm(name) is None:
            warm_slot(self.slots, name)

    @rule(name=st.one_of(names, st.just(FALLBACK)), rollback=st.booleans())
    def cut_over(self, name: str, rollback: bool) -> None:
        if name == FALLBACK or self.slots.warm(name) is not None:
            self.slots.cut_over(name, self.slots.served.generation + 1, rollback)

    @rule()
    def ask(self) -> None:
        if self.slots.served.slot is not None:
            self.running.append(self.slots.served)
            self.slots.served.slot.running += 1

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        served = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        assert served.slot is not None
        served.slot.running -= 1
        self.slots.rest(served.slot)

    @rule(wanted=st.frozensets(names))
    def keep(self, wanted: frozenset[str]) -> None:
        self.slots.keep(wanted)

    @invariant()
    def what_answers_is_active_and_nothing_else(self) -> None:
        if hasattr(self, "slots"):
            active = [slot for slot in self.slots.held.values() if slot.state == S.ACTIVE]
            served = self.slots.served.slot
            assert active == ([served] if served is not None else [])

    @invariant()
    def who_was_asked_can_answer(self) -> None:
        if hasattr(self, "slots"):
            for served in self.running:
                assert served.slot is not None
                assert served.slot.state in WARM
                assert served.slot.predictor is not None

    @invariant()
    def nothing_drains_for_nobody(self) -> None:
        if hasattr(self, "slots"):
            for slot in self.slots.held.values():
                assert (slot.state == S.DRAINING) <= (slot.running > 0)


EveryOrder.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestEveryOrder = EveryOrder.TestCase
