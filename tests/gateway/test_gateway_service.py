"""The service without HTTP: one release a request, pins, what is logged and mirrored, nothing unheard."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from following import FAMILIES
from gateway_parts import FALLBACK, PATIENCE, Says, echoed, told, warm_slot

import histories as h
from mangaops.datasets.logged import kept
from mangaops.errors import UsageError
from mangaops.gateway import gauges
from mangaops.gateway.follower import Follower
from mangaops.gateway.lane import Lane
from mangaops.gateway.link import Link
from mangaops.gateway.mirror import Mirror
from mangaops.gateway.pins import Pins
from mangaops.gateway.releases import Releases
from mangaops.gateway.service import Caller, Clock, Service, Unavailable
from mangaops.gateway.slots import Slots
from mangaops.gateway.tickets import Tickets
from mangaops.gateway.units import Unit, units_of
from mangaops.inference import Answer
from mangaops.inference.families import SERVING, serving
from mangaops.registry import fold
from mangaops.stack import LogSpec, ShadowSpec
from mangaops.store import Artifacts, Ledger, LogWriter
from mangaops.store.log_reading import read_log
from mangaops.vocabulary import Family

UNIT = Unit("router", Family.INTENT_CLASSIFIER, FALLBACK, ShadowSpec(), LogSpec(text="keep"), 600.0)


def service_in(folder: Path, *, capacity: int = 64, time_limit: float = PATIENCE) -> Service:
    """A service on the running loop that nothing follows: the test moves its slots."""
    slots = {"router": Slots.of("router", FALLBACK)}
    missing = f"sqlite:///{folder}/none.db"
    link = Link(
        lambda: Ledger(missing, create=False),
        gateway="g",
        worker=0,
        copies=folder / "chain",
        poll=1,
        doing=dict,
    )
    releases = Releases(folder, lambda: Artifacts(folder / "artifacts"), FAMILIES)
    lane = Lane(1, capacity=capacity, batch=4, time_limit=time_limit, rested=slots["router"].rest)
    return Service(
        units={"router": UNIT},
        slots=slots,
        follower=Follower(slots, releases, link, asyncio.get_running_loop(), lambda *_: None),
        lane=lane,
        tickets=Tickets(b"k" * 32),
        pins=Pins(folder / "pins.bin"),
        log=LogWriter(folder / "journal", "requests", "w", prepare=kept({"router": UNIT.log})),
        mirror=Mirror(str(folder / "s"), lane, workers=1),
        writer="w",
        clock=Clock(),
    )


def run(folder: Path, scenario: Callable[[Service], Awaitable[None]], **options: Any) -> list[str]:
    """What went wrong in the loop that nobody heard of, after the scenario."""
    unheard: list[str] = []

    async def inner() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, c: unheard.append(str(c["message"])))
        service = service_in(folder, **options)
        await asyncio.wait_for(scenario(service), 2 * PATIENCE)
        service.lane.close()
        service.log.close()

    asyncio.run(inner())
    return unheard


def test_a_request_of_many_texts_sees_one_release_over_a_cutover(tmp_path: Path) -> None:
    async def scenario(service: Service) -> None:
        slots = service.slots["router"]
        warm_slot(slots, "router-1", Says(lambda texts: echoed(["one"] * len(texts))))
        slots.cut_over("router-1", 1)
        old = asyncio.create_task(service.answer(UNIT, ["a", "b", "c"], Caller()))
        await asyncio.sleep(0)
        warm_slot(slots, "router-2", Says(lambda texts: echoed(["two"] * len(texts))))
        slots.cut_over("router-2", 2)
        new = await service.answer(UNIT, ["a", "b"], Caller())
        seen = [(each.said["intent"], each.release, each.generation) for each in await old + new]
        assert seen == [("one", "router-1", 1)] * 3 + [("two", "router-2", 2)] * 2

    assert run(tmp_path, scenario) == []


def test_a_conversation_stays_with_its_release_until_a_rollback(tmp_path: Path) -> None:
    async def scenario(service: Service) -> None:
        slots = service.slots["router"]

        async def release(conversation: str | None) -> str:
            return (await service.answer(UNIT, ["text"], Caller(conversation)))[0].release

        warm_slot(slots, "router-1")
        slots.cut_over("router-1", 1)
        assert await release("old") == "router-1"
        warm_slot(slots, "router-2")
        slots.cut_over("router-2", 2)
        assert [await release("old"), await release("new"), await release(None)] == [
            "router-1",
            "router-2",
            "router-2",
        ]
        slots.cut_over("router-1", 3, pins_from=3)
        assert [await release("old"), await release("new")] == ["router-1", "router-1"]
        assert slots.keep(frozenset({"router-1"})) == ["router-2"]
        assert await release("new") == "router-1"

    assert run(tmp_path, scenario) == []


def test_a_pin_to_a_release_that_is_closed_leads_to_todays(tmp_path: Path) -> None:
    async def scenario(service: Service) -> None:
        slots = service.slots["router"]
        for number in (1, 2):
            warm_slot(slots, f"router-{number}")
            slots.cut_over(f"router-{number}", number)
            await service.answer(UNIT, ["text"], Caller(f"c{number}"))
        slots.keep(frozenset({"router-2"}))
        (reply,) = await service.answer(UNIT, ["text"], Caller("c1"))
        assert (reply.release, reply.generation) == ("router-2", 2)

    assert run(tmp_path, scenario) == []


@pytest.mark.parametrize("served", [0, 1, 2])
def test_what_fails_is_told_once_and_leaves_nothing_unheard(tmp_path: Path, served: int) -> None:
    """Several texts of one request that all fail, or are late, or find the queue full after some."""

    def fails(texts: Sequence[str]) -> list[Answer]:
        raise ArithmeticError

    def slow(texts: Sequence[str]) -> list[Answer]:
        threading.Event().wait(0.05)
        return echoed(texts)

    say, options, why = [
        (fails, {}, "the model failed"),
        (slow, {"time_limit": 0.01}, "within 0.01 s"),
        (slow, {"capacity": 2}, "too many wait"),
    ][served]

    async def scenario(service: Service) -> None:
        slots = service.slots["router"]
        slot = warm_slot(slots, "router-1", Says(say))  # type: ignore[arg-type]
        slots.cut_over("router-1", 1)
        with pytest.raises(Unavailable, match=why):
            await service.answer(UNIT, [f"text {n}" for n in range(6)], Caller())
        while slot.running:
            await asyncio.sleep(0.001)
        gc.collect()

    assert run(tmp_path, scenario, **options) == []  # type: ignore[arg-type]


def test_every_request_has_one_row_also_those_that_failed(tmp_path: Path) -> None:
    async def scenario(service: Service) -> None:
        slots = service.slots["router"]

        def sometimes(texts: Sequence[str]) -> list[Answer]:
            if "bad" in texts:
                raise ArithmeticError
            return [told("promotion") for _ in texts]

        await service.answer(UNIT, ["nobody serves"], Caller())
        warm_slot(slots, "router-1", Says(sometimes))
        slots.cut_over("router-1", 1)
        await service.answer(UNIT, ["good \ud83d"], Caller("c\ud83d", "u"))
        with pytest.raises(Unavailable):
            await service.answer(UNIT, ["bad"], Caller())

    assert run(tmp_path, scenario) == []
    from mangaops.store import Roller

    Roller(tmp_path / "journal", tmp_path).roll(living=())
    rows = read_log(tmp_path, "requests", unit="router", since=None).sort("seq").to_dicts()
    assert [row["text"] for row in rows] == ["nobody serves", "good ?", "bad"]
    assert [row["release"] for row in rows] == [FALLBACK, "router-1", "router-1"]
    assert [row["error"] for row in rows] == [None, None, "failed"]
    assert {row["mirror"] for row in rows} == {"off"}


def mirrored(word: str) -> float:
    """How many answers the metrics count under that word."""
    return gauges.MIRRORED.labels("router", word)._value.get()


@pytest.mark.parametrize(("full", "word", "copies"), [(False, "sent", 1), (True, "shed_down", 0)])
def test_a_copy_whose_request_gets_no_row_is_shed_and_not_sent(
    tmp_path: Path, full: bool, word: str, copies: int
) -> None:
    async def scenario(service: Service) -> None:
        slots = service.slots["router"]
        warm_slot(slots, "router-1")
        slots.cut_over("router-1", 1)
        history = [*h.weeks(1), h.model(2), h.release(2), h.evidence(2), h.passed(2), h.shadowed(2)]
        service.follower.wanted["router"].chain.state = fold(h.sealed(history))
        service.mirror._ready = frozenset({"router-2"})
        if full:
            service.log.close()  # it takes no row any more, as one whose queue is over
        before = mirrored(word)
        await service.answer(UNIT, ["text"], Caller())
        assert mirrored(word) == before + 1
        assert len(service.mirror._queue) == copies

    assert run(tmp_path, scenario) == []


def test_every_family_that_a_unit_can_be_served_with_says_what_and_under_which_path() -> None:
    for family, each in SERVING.items():
        assert serving(family) is each
        assert each.path
        assert each.outputs
        nothing = each.fallback("offer_human")
        assert each.saying.model_validate(each.says(nothing)).model_dump() == each.says(nothing)
        rows = [output.of(nothing) for output in each.outputs]
        wide = [
            None if output.width is None else len(row) for output, row in zip(each.outputs, rows, strict=True)
        ]
        assert wide == [output.width for output in each.outputs]
        json.dumps(nothing.as_dict())
    paths = [each.path for each in SERVING.values()]
    assert len(set(paths)) == len(paths)


def test_two_units_of_one_path_are_refused(world: Any) -> None:
    stack = world.shop.desk.stack
    assert list(units_of(stack)) == ["router"]
    twice = replace(stack, units={"router": stack.units["router"], "second": stack.units["router"]})
    with pytest.raises(UsageError, match="/v1/route"):
        units_of(twice)
