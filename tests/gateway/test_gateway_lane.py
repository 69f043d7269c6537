"""The lane: alone when idle, together only under load and only what is alike, bounded, and never stuck."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence

import pytest
from gateway_parts import PATIENCE, Says, echoed, told
from hypothesis import given, settings
from hypothesis import strategies as st

from mangaops.gateway.lane import Asked, Full, Lane, Late
from mangaops.gateway.slots import BLUE, Slot
from mangaops.inference import Answer
from mangaops.vocabulary import SlotState

S = SlotState


class Gate:
    """A function from texts to answers that holds every thread until it is opened, and keeps what it saw."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.entered: asyncio.Queue[tuple[str, ...]] = asyncio.Queue()
        self.batches: list[tuple[str, ...]] = []
        self._loop = asyncio.get_running_loop()

    def __call__(self, texts: Sequence[str]) -> list[Answer]:
        self.batches.append(tuple(texts))
        self._loop.call_soon_threadsafe(self.entered.put_nowait, tuple(texts))
        assert self.opened.wait(PATIENCE)
        return echoed(texts)


def slot_of(say: Callable[[Sequence[str]], list[Answer]] = echoed, release: str = "router-1") -> Slot:
    return Slot(release, BLUE, S.ACTIVE, Says(say))


def lane_of(
    threads: int = 1, *, capacity: int = 64, batch: int = 4, time_limit: float = PATIENCE, rested: list[Slot]
) -> Lane:
    return Lane(threads, capacity=capacity, batch=batch, time_limit=time_limit, rested=rested.append)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    """The scenario ran in a loop in which nothing went wrong that nobody heard of."""
    unheard: list[str] = []

    async def inner() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, c: unheard.append(str(c["message"])))
        await asyncio.wait_for(scenario(), 2 * PATIENCE)
        await asyncio.sleep(0)

    asyncio.run(inner())
    assert unheard == []


async def answered(asked: Sequence[Asked]) -> list[str]:
    return [(await each.future).label for each in asked]


async def rested_all(slot: Slot) -> None:
    while slot.running:
        await asyncio.sleep(0.001)


def test_a_text_is_answered_alone_and_the_slot_rests_afterwards() -> None:
    async def scenario() -> None:
        rested: list[Slot] = []
        lane, slot = lane_of(rested=rested), slot_of()
        for text in ("", "where is my order", "\ud83d", "x" * 10_000):
            assert lane.idle
            asked = lane.ask(slot, text)
            assert slot.running == 1
            assert await asked.future == told(text)
            assert (asked.batch, slot.running) == (1, 0)
        assert rested == [slot] * 4
        lane.close()

    run(scenario)


def test_while_threads_are_free_texts_are_never_answered_together() -> None:
    async def scenario() -> None:
        gate = Gate()
        lane, slot = lane_of(3, rested=[]), slot_of(gate)
        asked = []
        for text in ("one", "two", "six"):
            assert lane.idle
            asked.append(lane.ask(slot, text))
            await gate.entered.get()
        assert not lane.idle
        gate.opened.set()
        assert await answered(asked) == ["one", "two", "six"]
        assert sorted(gate.batches) == [("one",), ("six",), ("two",)]
        lane.close()

    run(scenario)


def test_what_gains_nothing_from_company_is_answered_alone_under_load_too() -> None:
    async def scenario() -> None:
        gate = Gate()
        lane, slot = lane_of(batch=3, rested=[]), slot_of(gate)
        asked = [lane.ask(slot, text, together=False) for text in ("first", "a", "b", "c")]
        await gate.entered.get()
        gate.opened.set()
        assert await answered(asked) == ["first", "a", "b", "c"]
        assert gate.batches == [("first",), ("a",), ("b",), ("c",)]
        assert [each.batch for each in asked] == [1, 1, 1, 1]
        lane.close()

    run(scenario)


def test_under_load_like_lengths_are_answered_together_and_the_oldest_is_among_them() -> None:
    async def scenario() -> None:
        gate = Gate()
        lane, slot = lane_of(batch=3, rested=[]), slot_of(gate)
        asked = [lane.ask(slot, "first")]
        await gate.entered.get()
        texts = ["a" * 40, "b", "c" * 44, "d" * 38, "e" * 39, "f" * 400]
        asked += [lane.ask(slot, text) for text in texts]
        gate.opened.set()
        assert await answered(asked) == ["first", *texts]
        a, b, c, d, e, f = texts
        assert gate.batches == [("first",), (a, e, d), (b,), (c,), (f,)], "the nearest lengths go together"
        assert [each.batch for each in asked] == [1, 3, 1, 1, 3, 3, 1]
        lane.close()

    run(scenario)


def test_the_length_is_that_of_what_the_model_reads_and_each_text_is_read_once() -> None:
    read: list[str] = []

    class Words(Says):
        def read(self, text: str) -> list[str]:  # type: ignore[override]
            read.append(text)
            return text.split()

        def answer_together(self, read: Sequence[list[str]]) -> list[Answer]:  # type: ignore[override]
            return self.say([" ".join(words) for words in read])

    async def scenario() -> None:
        gate = Gate()
        lane, slot = lane_of(rested=[]), Slot("router-1", BLUE, S.ACTIVE, Words(gate))
        asked = [lane.ask(slot, "first")]
        await gate.entered.get()
        texts = ["a b c d e f g h", "i" * 15, "jjjjjj kkkkkk llllll mmmmmm n o p qqqqqqqq"]
        asked += [lane.ask(slot, text) for text in texts]
        gate.opened.set()
        await answered(asked)
        assert gate.batches == [("first",), (texts[0], texts[2]), (texts[1],)]
        assert sorted(read) == sorted(["first", *texts])
        lane.close()

    run(scenario)


@pytest.mark.parametrize("unreadable", ["second", "third"])
def test_a_text_that_cannot_be_read_costs_nobody_else_an_answer(unreadable: str) -> None:
    class Picky(Says):
        def read(self, text: str) -> str:
            if text == unreadable:
                raise ValueError("unreadable")
            return text

    async def scenario() -> None:
        gate = Gate()
        lane, slot = lane_of(rested=[]), Slot("router-1", BLUE, S.ACTIVE, Picky(gate))
        asked = {"first": lane.ask(slot, "first")}
        await gate.entered.get()
        asked |= {text: lane.ask(slot, text) for text in ("second", "third", "fourth")}
        gate.opened.set()
        bad = asked.pop(unreadable)
        assert await answered(list(asked.values())) == list(asked)
        with pytest.raises(ValueError, match="unreadable"):
            await bad.future
        await rested_all(slot)
        lane.close()

    run(scenario)


def test_texts_of_two_releases_are_never_answered_together() -> None:
    async def scenario() -> None:
        gate = Gate()
        lane, blue, green = lane_of(rested=[]), slot_of(gate), slot_of(gate, "router-2")
        asked = [lane.ask(blue, "blue")]
        await gate.entered.get()
        asked += [lane.ask(slot, f"text {n}") for n, slot in enumerate([green, blue, blue, green])]
        gate.opened.set()
        await answered(asked)
        assert gate.batches == [("blue",), ("text 0", "text 3"), ("text 1", "text 2")]
        lane.close()

    run(scenario)


def test_two_threads_share_what_waits_rather_than_one_taking_all() -> None:
    async def scenario() -> None:
        gate = Gate()
        lane, slot = lane_of(2, batch=8, rested=[]), slot_of(gate)
        asked = [lane.ask(slot, text) for text in ("one", "two")]
        await gate.entered.get()
        await gate.entered.get()
        asked += [lane.ask(slot, f"t{n}") for n in range(4)]
        gate.opened.set()
        await answered(asked)
        assert max(len(batch) for batch in gate.batches) <= 2
        lane.close()

    run(scenario)


def test_no_more_wait_than_may_and_there_is_room_again_afterwards() -> None:
    async def scenario() -> None:
        gate = Gate()
        lane, slot = lane_of(capacity=2, rested=[]), slot_of(gate)
        asked = [lane.ask(slot, "answering")]
        await gate.entered.get()
        asked += [lane.ask(slot, "one"), lane.ask(slot, "two")]
        with pytest.raises(Full):
            lane.ask(slot, "three")
        assert slot.running == 3
        gate.opened.set()
        assert await answered(asked) == ["answering", "one", "two"]
        assert (await lane.ask(slot, "four").future).label == "four"
        assert slot.running == 0
        lane.close()

    run(scenario)


def test_who_waits_too_long_hears_so_and_nobody_answers_in_vain() -> None:
    async def scenario() -> None:
        gate = Gate()
        lane, slot = lane_of(time_limit=0.05, batch=1, rested=(rested := [])), slot_of(gate)
        asked = [lane.ask(slot, "hangs")]
        await gate.entered.get()
        asked += [lane.ask(slot, "waits"), lane.ask(slot, "waits too")]
        for each in asked:
            with pytest.raises(Late):
                await each.future
        assert (slot.running, rested) == (3, [])  # the thread still runs in that slot: it must not be closed
        gate.opened.set()
        await rested_all(slot)
        assert gate.batches == [("hangs",)]
        assert rested == [slot]
        lane.close()

    run(scenario)


def test_an_answer_in_time_is_not_late() -> None:
    async def scenario() -> None:
        lane, slot = lane_of(time_limit=PATIENCE, rested=[]), slot_of()
        asked = lane.ask(slot, "quick")
        await asked.future
        assert asked.timer is not None
        assert asked.timer.cancelled()
        lane.close()

    run(scenario)


def test_what_a_predictor_raises_goes_to_those_who_asked_and_the_lane_goes_on() -> None:
    def fails(texts: Sequence[str]) -> list[Answer]:
        if "bad" in texts:
            raise ArithmeticError("no numbers today")
        return echoed(texts)

    async def scenario() -> None:
        lane, slot = lane_of(rested=[]), slot_of(fails)
        for _ in range(3):
            with pytest.raises(ArithmeticError, match="no numbers"):
                await lane.ask(slot, "bad").future
            assert (await lane.ask(slot, "good").future).label == "good"
        assert slot.running == 0
        lane.close()

    run(scenario)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_predictor_that_gives_another_number_of_answers_fails_everybody_at_once(count: int) -> None:
    async def scenario() -> None:
        gate = Gate()
        lane, held, odd = lane_of(rested=[]), slot_of(gate), slot_of(lambda _: [told("odd")] * count)
        first = lane.ask(held, "first")
        await gate.entered.get()
        asked = [lane.ask(odd, "one"), lane.ask(odd, "two")]
        gate.opened.set()
        await first.future
        for each in asked:
            with pytest.raises(ValueError, match=f"{count} answers to 2 texts"):
                await each.future
        assert odd.running == 0
        lane.close()

    run(scenario)


def test_a_slot_without_a_model_fails_who_asked() -> None:
    async def scenario() -> None:
        lane, slot = lane_of(rested=[]), Slot("router-1", BLUE)
        with pytest.raises(RuntimeError, match="closed"):
            await lane.ask(slot, "text").future
        assert slot.running == 0
        lane.close()

    run(scenario)


def test_who_went_away_is_not_answered_and_holds_no_slot() -> None:
    async def scenario() -> None:
        gate = Gate()
        lane, slot = lane_of(batch=1, rested=[]), slot_of(gate)
        first = lane.ask(slot, "first")
        await gate.entered.get()
        gone, stays = lane.ask(slot, "gone"), lane.ask(slot, "stays")
        gone.future.cancel()
        gate.opened.set()
        assert await answered([first, stays]) == ["first", "stays"]
        await rested_all(slot)
        assert gate.batches == [("first",), ("stays",)]
        lane.close()

    run(scenario)


def test_closing_ends_the_threads_after_what_they_have_begun() -> None:
    async def scenario() -> None:
        gate, before = Gate(), set(threading.enumerate())
        lane, slot = lane_of(2, rested=[]), slot_of(gate)
        own = set(threading.enumerate()) - before
        assert lane.size == len(own) == 2
        asked = [lane.ask(slot, text) for text in ("one", "two")]
        await gate.entered.get()
        lane.close()
        gate.opened.set()
        assert await answered(asked) == ["one", "two"]
        while any(thread.is_alive() for thread in own):
            await asyncio.sleep(0.001)

    run(scenario)


QUESTIONS = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 60), st.sampled_from(["answer", "raise", "leave"])),
    max_size=40,
)


@given(QUESTIONS, st.integers(1, 3), st.integers(1, 5), st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_whatever_is_asked_everybody_hears_once_and_no_slot_stays_busy(
    questions: list[tuple[int, int, str]], threads: int, batch: int, capacity: int
) -> None:
    def say(texts: Sequence[str]) -> list[Answer]:
        if any(text.startswith("raise") for text in texts):
            raise ArithmeticError
        return echoed(texts)

    async def scenario() -> None:
        lane = lane_of(threads, capacity=capacity, batch=batch, rested=(rested := []))
        slots = [slot_of(say), slot_of(say, "router-2")]
        asked: list[tuple[str, Asked]] = []
        for number, (which, length, fate) in enumerate(questions):
            try:
                asked.append((fate, lane.ask(slots[which], f"{fate} {number} {'x' * length}")))
            except Full:
                await asyncio.sleep(0)
        for fate, each in asked:
            if fate == "leave":
                each.future.cancel()
        heard = await asyncio.gather(*(each.future for _, each in asked), return_exceptions=True)
        for (fate, each), result in zip(asked, heard, strict=True):
            if isinstance(result, Answer):
                assert result.label == each.text
            else:
                # who leaves too late has heard already, perhaps what was raised at one of the same batch
                left = (asyncio.CancelledError,) if fate == "leave" else ()
                assert isinstance(result, (ArithmeticError, *left))
            assert 1 <= each.batch <= batch
        for slot in slots:
            await rested_all(slot)
        assert (lane.waiting, lane.busy, len(rested) > 0) == (type(lane.waiting)(), 0, bool(asked))
        lane.close()

    run(scenario)
