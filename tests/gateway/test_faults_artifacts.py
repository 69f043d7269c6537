"""Artifacts that are corrupt, of another fingerprint, unregistered, gone or out of reach, while users ask."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from servers import Gateway, serving, tiny_world, until, users

import histories as h
from mangaops.errors import MangaopsError, RefusedError
from mangaops.pipeline.gateway_world import MODEL, UNIT, WHY, GatewayWorld
from mangaops.pipeline.scratch_model import variant
from mangaops.registry import Draft, Event, Permit, permit
from mangaops.release.desk import append
from mangaops.release.promote import promote
from mangaops.store import Artifacts
from mangaops.vocabulary import Acknowledged, EventKind, Purpose

pytestmark = [pytest.mark.xdist_group("gateway-artifacts"), pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> GatewayWorld:
    return tiny_world(tmp_path_factory)


@pytest.fixture(scope="module")
def gateway(world: GatewayWorld) -> Iterator[Gateway]:
    with serving(world) as made:
        yield made


def stored(world: GatewayWorld, release: str) -> Path:
    """The folder of the release's artifact in the store that everyone shares."""
    digest = permit(world.state(), release, Purpose.MEASURE)[MODEL].artifact
    return world.home / "artifacts" / digest[7:9] / digest[7:]


def local(gateway: Gateway, release: str) -> Path:
    """The folder of the gateway's own copy of it."""
    return gateway.folder / stored(gateway.world, release).relative_to(gateway.world.home)


def damage(folder: Path) -> Callable[[], None]:
    """One bit of the artifact's model is another; gives what mends it."""
    model = folder / "model.onnx"
    whole, mode = model.read_bytes(), model.stat().st_mode
    half = len(whole) // 2
    model.chmod(0o644)
    model.write_bytes(whole[:half] + bytes([whole[half] ^ 1]) + whole[half + 1 :])

    def mend() -> None:
        model.write_bytes(whole)
        model.chmod(mode)

    return mend


def refused_events(world: GatewayWorld) -> list[Event]:
    return [each for each in world.shop.desk.ledger.read("stack") if each.kind == EventKind.LOAD_REFUSED]


def test_an_artifact_that_breaks_after_it_was_proven_moves_no_champion(
    world: GatewayWorld, gateway: Gateway
) -> None:
    release, before = world.ready(), world.champion
    mends: list[Callable[[], None]] = []

    def prove(permitted: Permit) -> None:
        world.shop.load(permitted)
        if not mends:
            mends.append(damage(stored(world, release)))

    with users(gateway) as asking:
        with pytest.raises(RefusedError, match="did not get ready") as refused:
            promote(world.shop.desk, UNIT, release, prove=prove, reason=WHY)
        assert "not as it was sealed" in refused.value.found
        assert world.champion == before == gateway.route()["release"]
        assert gateway.health()["status"] == 200
        told = refused_events(world)[-1]
        assert (told.body["unit"], told.body["release"], told.body["gateway"]) == (UNIT, release, "gateway")
        assert gateway.metric("mangaops_load_refused_total", error="ArtifactTampered") >= 1
        mends[0]()
        assert len(world.promote(release).acknowledged) == 2
    assert asking.saw_nothing()
    world.roll_back()


def test_an_artifact_that_no_ledger_lists_is_served_on_no_path(
    world: GatewayWorld, gateway: Gateway, tmp_path: Path
) -> None:
    variant(world.artifact, tmp_path / "mine", 99)
    world.shop.desk.artifacts.put(tmp_path / "mine")
    Artifacts(gateway.folder / "artifacts").put(tmp_path / "mine")
    champion = world.champion
    body = {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["hello"]}]}
    assert gateway.post(f"/v2/models/router/versions/{champion}/infer", body)[0] == 200
    assert gateway.post("/v2/models/router/versions/router-99/infer", body)[0] == 404
    assert gateway.get("/v2/models/router/versions/router-99")[0] == 404
    assert gateway.post("/v1/route", {"text": "hello", "release": "router-99"})[0] == 422
    with pytest.raises(MangaopsError, match="router-99"):
        append(world.shop.desk, [h.prepared(99, after=1, generation=9)], expect={})
    pid = gateway.kill_worker(0)
    until(lambda: gateway.settled() and gateway.worker_pids()[0] != pid, "a new worker")
    assert {gateway.route()["release"] for _ in range(20)} == {champion}


def test_a_broken_local_copy_is_fetched_anew(world: GatewayWorld, gateway: Gateway) -> None:
    copy = local(gateway, world.champion)
    damage(copy)
    pid = gateway.kill_worker(1)
    with users(gateway) as asking:
        until(lambda: gateway.settled() and gateway.worker_pids()[1] != pid, "a worker that answers")
    assert asking.saw_nothing()
    assert (copy / "model.onnx").read_bytes() == (stored(world, world.champion) / "model.onnx").read_bytes()


@pytest.mark.parametrize("fault", ["newest gone", "newest corrupt", "store away"])
def test_a_rollback_needs_neither_the_newest_artifact_nor_the_store(
    world: GatewayWorld, gateway: Gateway, fault: str
) -> None:
    world.promote_next()
    newest, target = world.champion, world.state().rollback[-1]
    with users(gateway) as asking, broken(gateway, newest, fault):
        done = world.roll_back()
        assert (done.left, done.to) == (newest, target)
        assert sorted(done.acknowledged) == sorted(m.member for m in world.shop.desk.gateways.members())
        assert len(done.acknowledged) == 2
        assert done.silent == ()
        assert {gateway.route()["release"] for _ in range(10)} == {target}
    assert asking.saw_nothing()
    assert gateway.settled()


@contextmanager
def broken(gateway: Gateway, release: str, fault: str) -> Iterator[None]:
    """Within the block the artifacts have that fault, in the shared store and in the gateway's own copy."""
    store = gateway.world.home / "artifacts"
    folders = [stored(gateway.world, release), local(gateway, release)]
    with ExitStack() as undo:
        for place in [store] if fault == "store away" else folders:
            if fault == "newest corrupt":
                undo.callback(damage(place))
            else:
                away = place.with_name("away")
                place.rename(away)
                undo.callback(away.rename, place)
        yield


def test_a_gateway_that_can_load_no_champion_answers_with_the_fallback_and_says_why(
    world: GatewayWorld, gateway: Gateway
) -> None:
    with ExitStack() as away:
        away.enter_context(broken(gateway, world.champion, "store away"))
        with serving(world, name="bare", wait=False) as bare:
            said = until(lambda: answered(bare.health()), "an answer long before a slow start", seconds=30)
            assert said["status"] == 503
            assert f"{world.champion} cannot be loaded" in said["reasons"][0]
            assert bare.route()["release"] == "fallback:offer_human"
            away.close()
            until(bare.settled, "the champion, which is tried again")


def answered(said: dict[str, Any]) -> dict[str, Any]:
    return said if said["status"] else {}


def test_an_artifact_of_another_fingerprint_is_refused_by_every_worker(
    world: GatewayWorld, gateway: Gateway, tmp_path: Path
) -> None:
    before = world.champion  # the last test of this file: its release would be the next one to promote
    digest, _ = variant(world.artifact, tmp_path / "other", 50)
    world.shop.desk.artifacts.put(tmp_path / "other")
    with users(gateway) as asking:
        asked = append(world.shop.desk, history_of(world, 50, digest), expect={})[-1]
        words = until(lambda: refusals(world, asked), "a refusal of each worker")
        assert all("fingerprint" in each.reason for each in words)
        assert gateway.route()["release"] == before
        append(world.shop.desk, [h.aborted(50), h.withdrawn(50)], expect={UNIT: asked.revision})
    assert asking.saw_nothing()
    assert gateway.metric("mangaops_load_refused_total", error="FingerprintMismatch") >= 1
    assert gateway.settled()


def history_of(world: GatewayWorld, number: int, digest: str) -> list[Draft]:
    """All that leads to a cutover to a release whose record names a fingerprint that its files have not."""
    state = world.state()
    champion = int(world.champion.removeprefix("router-"))
    return [
        h.model(number, artifact=digest, fingerprint="sha256:" + "5" * 64),
        h.release(number),
        h.passed(number),
        h.decided(number),
        h.prepared(number, after=champion, generation=state.generation + 1),
    ]


def refusals(world: GatewayWorld, asked: Event) -> list[object]:
    words = world.shop.desk.gateways.acknowledgements(UNIT, asked.revision).values()
    refused = [each for each in words if each.word == Acknowledged.REFUSED]
    return refused if len(refused) == 2 else []
