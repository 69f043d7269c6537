"""Command lines that are killed or race, and gateways that restart meanwhile, while users ask."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from servers import UNDER_WAY, Gateway, command, runs, serving, tiny_world, until, users

from mangaops.pipeline.gateway_world import UNIT, WHY, GatewayWorld
from mangaops.registry import Event
from mangaops.vocabulary import Acknowledged, EventKind

pytestmark = [pytest.mark.xdist_group("gateway-commands"), pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> GatewayWorld:
    return tiny_world(tmp_path_factory)


@pytest.fixture(scope="module")
def gateway(world: GatewayWorld) -> Iterator[Gateway]:
    with serving(world) as made:
        yield made


def promoting(release: str) -> tuple[str, ...]:
    return ("release", "promote", release, "--reason", WHY)


def events(world: GatewayWorld, kind: EventKind, release: str) -> list[Event]:
    told = world.shop.desk.ledger.read(UNIT)
    return [each for each in told if each.kind == kind and each.body.get("release") == release]


def answer_of(process: subprocess.Popen[str]) -> tuple[int, dict[str, Any]]:
    """Exit code and JSON document of a command that ends by itself."""
    said, _ = process.communicate(timeout=90)
    return process.returncode, json.loads(said)


@contextmanager
def slow_member(world: GatewayWorld) -> Iterator[Callable[[Event, Acknowledged], None]]:
    """A worker of another gateway lives, and says to cutovers only what it is told to say."""
    gateways = world.shop.desk.gateways
    name = gateways.join("elsewhere", 0, {"units": {}})
    alive = {"units": {}}

    def say(event: Event, word: Acknowledged) -> None:
        gateways.beat(name, alive)
        gateways.acknowledge(name, UNIT, event.revision, word)

    try:
        yield say
    finally:
        gateways.leave(name)


def test_a_command_that_is_killed_after_it_prepared_goes_on_when_it_is_called_again(
    world: GatewayWorld, gateway: Gateway
) -> None:
    release, before = world.ready(), world.champion
    with users(gateway) as asking:
        with slow_member(world), command(world, *promoting(release)) as killed:
            until(lambda: events(world, EventKind.CUTOVER_PREPARED, release), "a cutover that is prepared")
            killed.kill()
            killed.wait()
        assert world.champion == before == gateway.route()["release"]
        with command(world, *promoting(release)) as again:
            code, answer = answer_of(again)
        assert code == 0, answer
        assert gateway.route()["release"] == release == world.champion
    assert asking.saw_nothing()
    assert len(events(world, EventKind.CUTOVER_PREPARED, release)) == 1
    assert len(events(world, EventKind.PROMOTED, release)) == 1
    world.roll_back()


def test_a_command_that_is_killed_after_it_promoted_goes_on_when_it_is_called_again(
    world: GatewayWorld, gateway: Gateway
) -> None:
    release = world.ready()
    done = len(events(world, EventKind.PROMOTED, release))
    with users(gateway) as asking:
        with slow_member(world) as say, command(world, *promoting(release)) as killed:
            before = len(events(world, EventKind.CUTOVER_PREPARED, release))
            asked = until(lambda: events(world, EventKind.CUTOVER_PREPARED, release)[before:], "a cutover")[0]
            say(asked, Acknowledged.READY)
            until(lambda: len(events(world, EventKind.PROMOTED, release)) > done, "a promotion")
            killed.kill()
            killed.wait()
        with command(world, *promoting(release)) as again:
            code, answer = answer_of(again)
        assert code == 0, answer
        assert gateway.settled()
        assert gateway.route()["release"] == release == world.champion
    assert asking.saw_nothing()
    assert len(events(world, EventKind.PROMOTED, release)) == done + 1
    world.roll_back()


def test_of_two_promotions_at_once_the_champion_moves_once(world: GatewayWorld, gateway: Gateway) -> None:
    release = world.ready()
    done, generation = len(events(world, EventKind.PROMOTED, release)), world.state().generation
    with (
        users(gateway) as asking,
        command(world, *promoting(release)) as one,
        command(world, *promoting(release)) as other,
    ):
        ends = [answer_of(one), answer_of(other)]
        assert gateway.route()["release"] == release
    assert asking.saw_nothing()
    assert 0 in {code for code, _ in ends}, ends
    assert len(events(world, EventKind.PROMOTED, release)) == done + 1
    assert world.state().generation == generation + 1
    assert gateway.settled()
    world.roll_back()


def test_a_promotion_while_a_worker_restarts_waits_for_the_new_one(
    world: GatewayWorld, gateway: Gateway
) -> None:
    release = world.ready()
    with users(gateway) as asking:
        gateway.kill_worker(1)
        world.promote(release)
        until(gateway.settled, "two workers that serve the release")
        assert {gateway.route()["release"] for _ in range(20)} == {release}
    assert asking.lost <= UNDER_WAY
    assert not asking.mixed
    world.roll_back()


def test_a_promotion_while_a_whole_gateway_restarts_is_served_once_it_is_back(
    world: GatewayWorld, gateway: Gateway
) -> None:
    release = world.ready()  # the last test of this file: it kills the gateway that the others share
    port = gateway.address.rpartition(":")[2]
    left = gateway.children()
    gateway.process.kill()
    until(lambda: not any(map(runs, left)), "the end of what it had started")
    with serving(world, workers=1, options=("--port", port), wait=False) as back:
        with command(world, *promoting(release)) as promotion:
            code, answer = answer_of(promotion)
        assert code == 0, answer
        until(back.settled, "a gateway that answers")
        assert back.address == gateway.address
        assert back.route()["release"] == release
        assert back.route()["generation"] == world.state().generation
