"""The scratch world that benches and tests of serving stand on: real verbs, as often as wanted."""

from __future__ import annotations

from pathlib import Path

import pytest

from mangaops.errors import IntegrityError, RefusedError
from mangaops.inference import load
from mangaops.pipeline.gateway_world import MODEL, GatewayWorld
from mangaops.registry import permit
from mangaops.vocabulary import Purpose, State
from mangaops.wiring import make_world
from tiny import shared_artifact


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared_artifact(tmp_path_factory.getbasetemp().parent / "tiny").folder


@pytest.fixture
def world(tmp_path: Path, artifact: Path) -> GatewayWorld:
    return make_world(tmp_path / "world", artifact)


def predicted(world: GatewayWorld) -> list[str]:
    found = permit(world.state(), world.champion, Purpose.SERVE)[MODEL]
    predictor = load(world.shop.desk.artifacts.open(found.artifact), found)
    return [predictor.answer(each.text).label for each in world.questions(40)]


def test_a_world_has_a_champion_that_loads_and_whose_answers_say_who_gave_them(world: GatewayWorld) -> None:
    assert world.champion == "router-1"
    assert set(predicted(world)) <= set(world.expected()["router-1"])
    assert world.expected() == {"router-1": ("order_tracking.1", "promotion.1", "escalation.1")}


def test_releases_are_promoted_one_after_another_with_labels_of_their_own(world: GatewayWorld) -> None:
    assert [world.promote_next().champion for _ in range(3)] == ["router-2", "router-3", "router-4"]
    labels = [label for own in world.expected().values() for label in own]
    assert len(set(labels)) == len(labels) == 12
    assert set(predicted(world)) <= set(world.expected()["router-4"])
    assert world.history() == {0: "fallback"} | {n: f"router-{n}" for n in range(1, 5)}


def test_one_release_is_promoted_and_rolled_back_again_and_again(world: GatewayWorld) -> None:
    for _ in range(12):
        assert world.promote_next().champion == "router-2"
        assert world.roll_back().to == "router-1"
    assert len(world.state().models) == 2
    assert world.state().generation == 25
    assert (world.history()[24], world.history()[25]) == ("router-2", "router-1")


def test_rolled_back_to_nothing_the_fallback_answers_and_the_world_goes_on(world: GatewayWorld) -> None:
    assert world.roll_back().to == "fallback:offer_human"
    assert (world.champion, world.history()[2]) == ("fallback", "fallback")
    assert world.promote_next().generation == 3


def test_a_release_that_is_ready_stays_so(world: GatewayWorld) -> None:
    assert world.ready() == world.ready() == "router-2"
    assert world.shadow_next() == "router-2"
    assert world.state().releases["router-2"].state == State.SHADOW
    assert world.promote_next().champion == "router-2"


def test_a_shadow_ends_and_begins_again(world: GatewayWorld) -> None:
    for _ in range(3):
        assert world.shadow_next() == "router-2"
        world.end_shadow()
        assert world.state().challenger is None
    world.end_shadow()
    assert world.promote_next().champion == "router-2"


def test_a_world_is_gone_on_with_by_another_process(world: GatewayWorld, artifact: Path) -> None:
    world.promote_next()
    again = make_world(world.folder, artifact)
    assert again.champion == "router-2"
    assert again.roll_back().to == "router-1"


def test_a_release_whose_artifact_is_broken_is_not_promoted(world: GatewayWorld) -> None:
    release = world.ready()
    broken = permit(world.state(), release, Purpose.MEASURE)[MODEL].artifact
    (world.shop.desk.artifacts.open(broken) / "labels.json").write_text("{}")
    with pytest.raises(IntegrityError):
        world.promote(release)
    assert world.champion == "router-1"


def test_a_promotion_that_was_not_decided_is_refused(world: GatewayWorld) -> None:
    world.promote_next()
    world.roll_back()
    with pytest.raises(RefusedError):
        world.promote("router-2")
    assert world.champion == "router-1"
