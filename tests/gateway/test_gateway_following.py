"""Followers of a real ledger: what it says is loaded, swapped and acknowledged, and a torn one is refused."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from following import FAMILIES, Room
from gateway_parts import FALLBACK, Says, until
from sqlalchemy import create_engine, text

import histories as h
from hanging_store import hanging
from mangaops.errors import IntegrityError, LedgerTampered, MangaopsError, RefusedError, SetupError
from mangaops.gateway.chain import Chain
from mangaops.gateway.link import Link
from mangaops.gateway.releases import Releases
from mangaops.gateway.slots import Slots
from mangaops.inference import Answer
from mangaops.pipeline.gateway_world import MODEL, GatewayWorld
from mangaops.registry import UnitState, permit
from mangaops.release.desk import append
from mangaops.store import Artifacts, ChainCopy, Ledger
from mangaops.vocabulary import Acknowledged, EventKind, Purpose

MakeRoom = Callable[..., Room]


def url_of(world: GatewayWorld) -> str:
    return f"sqlite:///{world.home / 'ledger.db'}"


def changed(url: str, statement: str) -> None:
    """Somebody changed the database behind the ledger's back."""
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


class Fakes:
    """Releases that load what a function makes, if the ledger permits them; nothing is read from a disk."""

    def __init__(self, make: Callable[[str], Says] = lambda _release: Says()) -> None:
        self.make = make
        self.asked: list[str] = []

    def load(self, state: UnitState, release: str, purpose: Purpose) -> Says:
        permit(state, release, purpose)
        self.asked.append(release)
        return self.make(release)


def words(world: GatewayWorld, revision: int) -> list[str]:
    found = world.shop.desk.gateways.acknowledgements("router", revision).values()
    return [each.word for each in found]


def test_the_champion_is_loaded_and_serves(any_world: GatewayWorld, ledger_url: str, room: MakeRoom) -> None:
    worker = room(ledger_url, any_world.home)
    worker.serves("router-1", 1)
    assert worker.follower.settled.wait(30)
    assert worker.follower.unready() == {}
    assert worker.link.trouble is None
    answer = worker.slots.served.slot.predictor.answer("where is my order")  # type: ignore[union-attr]
    assert answer.label in any_world.expected()["router-1"]
    assert worker.follower.seconds_a_text["router-1"] > 0
    (member,) = any_world.shop.desk.gateways.members()
    assert member.member == worker.link.member
    moved = worker.follower.wanted["router"].chain.moved_at
    until(lambda: words(any_world, moved) == [Acknowledged.ACTIVE], "the acknowledgement")


def test_a_promotion_waits_for_the_worker_and_a_rollback_is_acknowledged(
    any_world: GatewayWorld, ledger_url: str, room: MakeRoom
) -> None:
    worker = room(ledger_url, any_world.home)
    worker.serves("router-1", 1)
    promoted = any_world.promote_next()
    assert promoted.acknowledged.keys() == {worker.link.member}
    assert promoted.silent == ()
    worker.serves("router-2", 2)
    assert worker.states() == {"router-1": "healthy", "router-2": "active"}
    back = any_world.roll_back()
    assert back.acknowledged.keys() == {worker.link.member}
    worker.serves("router-1", 3)
    assert worker.slots.pins_from == 3
    until(lambda: worker.states() == {"router-1": "active"}, "closing what nobody wants")


def test_two_workers_both_follow(any_world: GatewayWorld, ledger_url: str, room: MakeRoom) -> None:
    workers = [room(ledger_url, any_world.home, worker=n, releases=Fakes()) for n in range(2)]
    for worker in workers:
        worker.serves("router-1", 1)
    promoted = any_world.promote_next()
    assert promoted.acknowledged.keys() == {worker.link.member for worker in workers}
    for worker in workers:
        worker.serves("router-2", 2)


def test_rolled_back_to_nothing_the_fallback_serves(world: GatewayWorld, room: MakeRoom) -> None:
    worker = room(url_of(world), world.home, releases=Fakes())
    worker.serves("router-1", 1)
    assert world.roll_back().acknowledged.keys() == {worker.link.member}
    worker.serves(FALLBACK, 2)
    assert worker.slots.served.slot is None
    assert worker.follower.unready() == {}
    world.promote_next()
    worker.serves("router-1", 3)


def test_what_cannot_be_loaded_is_refused_with_its_reason_and_the_champion_stays(
    world: GatewayWorld, room: MakeRoom
) -> None:
    worker = room(url_of(world), world.home)
    worker.serves("router-1", 1)
    release = world.ready()
    broken = permit(world.state(), release, Purpose.MEASURE)[MODEL].artifact
    labels = world.shop.desk.artifacts.open(broken) / "labels.json"
    kept = labels.read_bytes()
    worker_sees = threading.Event()

    def prove(found: Any) -> Any:
        predictor = world.shop.load(found)
        labels.write_text("{}")  # it breaks after it was proven where the command runs
        worker_sees.set()
        return predictor

    from mangaops.release import promote as promotion

    with pytest.raises(RefusedError, match="router-2") as refused:
        promotion.promote(world.shop.desk, "router", release, prove=prove, reason="a test")
    assert worker_sees.is_set()
    assert "labels.json" in refused.value.message
    assert worker.slots.served.release == "router-1"
    assert [(unit, name) for unit, name, _ in worker.refusals] == [("router", "router-2")]
    assert worker.states() == {"router-1": "active"}
    until(lambda: refused_loads(world) == [("router-2", "ArtifactTampered")], "the event of the refusal")
    labels.write_bytes(kept)
    world.promote(world.ready())
    worker.serves("router-2", 2)


def refused_loads(world: GatewayWorld) -> list[tuple[str, str]]:
    events = world.shop.desk.ledger.read("stack")
    kinds = [each for each in events if each.kind == EventKind.LOAD_REFUSED]
    return [(str(each.body["release"]), str(each.body["error"])) for each in kinds]


def test_a_model_that_breaks_while_it_is_warmed_is_refused_and_later_ones_load(
    world: GatewayWorld, room: MakeRoom
) -> None:
    def fails(texts: object) -> list[Answer]:
        raise RuntimeError("no such operator")

    fakes = Fakes(lambda release: Says(fails) if release == "router-2" else Says())
    worker = room(url_of(world), world.home, releases=fakes)
    worker.serves("router-1", 1)
    with pytest.raises(RefusedError, match="no such operator"):
        world.promote_next()
    assert worker.states() == {"router-1": "active"}
    fakes.make = lambda _release: Says()
    world.promote(world.ready())
    worker.serves("router-2", 2)


def test_a_champion_that_cannot_be_loaded_is_said_to_lack_and_told_to_the_ledger_once(
    world: GatewayWorld, room: MakeRoom
) -> None:
    def fails(_release: str) -> Says:
        raise SetupError("no memory")

    fakes = Fakes(fails)
    worker = room(url_of(world), world.home, releases=fakes, alone=False)
    until(lambda: len(worker.refusals) == 1, "the refusal")
    assert "router-1 cannot be loaded: no memory" in worker.follower.unready()["router"]
    assert worker.slots.served.slot is None
    assert not worker.follower.settled.is_set()
    until(lambda: len(worker.refusals) == 2, "the second attempt, after its pause")
    until(worker.follower.settled.is_set, "the end of leaving the answers to others")
    until(lambda: "router-1" not in worker.follower.wanted["router"].loading, "its end")
    assert refused_loads(world) == [("router-1", "SetupError")]
    fakes.make = lambda _release: Says()
    worker.serves("router-1", 1)
    assert worker.follower.unready() == {}


def test_while_the_ledger_is_away_the_worker_serves_and_it_follows_again(
    world: GatewayWorld, room: MakeRoom
) -> None:
    away = threading.Event()

    class Losing(Ledger):
        def heads(self) -> Any:
            if away.is_set():
                raise SetupError("the ledger cannot be reached")
            return super().heads()

    worker = room(
        url_of(world), world.home, releases=Fakes(), open_ledger=lambda: Losing(url_of(world), create=False)
    )
    worker.serves("router-1", 1)
    away.set()
    until(lambda: worker.link.trouble is not None, "the trouble")
    assert "cannot be reached" in str(worker.link.trouble)
    assert worker.slots.served.release == "router-1"
    assert worker.follower.unready() == {}
    away.clear()
    until(lambda: worker.link.trouble is None, "the end of the trouble")
    world.promote_next()
    worker.serves("router-2", 2)


def test_without_the_ledger_a_worker_starts_from_its_local_copy(world: GatewayWorld, room: MakeRoom) -> None:
    first = room(url_of(world), world.home)
    first.serves("router-1", 1)
    first.follower.close()
    (world.home / "artifacts").rename(world.home / "artifacts-away")
    alone = room(f"sqlite:///{world.folder}/nowhere.db", world.home)
    alone.serves("router-1", 1)
    assert alone.link.trouble is not None
    assert alone.link.member is None
    assert alone.follower.unready() == {}


@pytest.mark.parametrize("alone", [True, False])
def test_without_ledger_and_local_copy_a_worker_is_not_ready_and_says_why(
    world: GatewayWorld, room: MakeRoom, alone: bool
) -> None:
    worker = room(f"sqlite:///{world.folder}/nowhere.db", world.home, alone=alone)
    until(lambda: worker.link.trouble is not None, "the trouble")
    assert "the ledger was never read" in worker.follower.unready()["router"]
    until(worker.follower.settled.is_set, "the end of waiting")
    assert worker.follower.unready()


def test_a_worker_that_starts_during_a_cutover_loads_the_way_back_first(
    world: GatewayWorld, room: MakeRoom
) -> None:
    world.promote_next()
    assert world.ready() == "router-3"
    decision = world.state().releases["router-3"].decisions[-1].digest
    append(world.shop.desk, [h.prepared(3, after=2, generation=3, decision=decision)], expect={})
    fakes = Fakes()
    room(url_of(world), world.home, releases=fakes)
    until(lambda: len(fakes.asked) == 3, "all that is wanted")
    assert fakes.asked == ["router-2", "router-1", "router-3"]


class Broken(Slots):
    """Slots of a unit that cannot be settled."""

    def keep(self, releases: frozenset[str]) -> list[str]:
        raise RuntimeError("no such slot")


def test_a_unit_that_cannot_be_settled_keeps_no_other_one_from_following(
    world: GatewayWorld, room: MakeRoom
) -> None:
    worker = room(
        url_of(world), world.home, releases=Fakes(), before={"broken": Broken.of("broken", FALLBACK)}
    )
    worker.serves("router-1", 1)
    world.promote_next()
    worker.serves("router-2", 2)
    world.roll_back()
    worker.serves("router-1", 3)
    until(lambda: "settling broken: RuntimeError" in str(worker.link.trouble), "the trouble")


def test_a_heartbeat_that_fails_is_not_the_last_one(world: GatewayWorld, tmp_path: Path) -> None:
    said = iter([RuntimeError("what is told changed meanwhile")])

    def doing() -> dict[str, object]:
        for error in said:
            raise error
        return {}

    open_ledger = lambda: Ledger(url_of(world), create=False)  # noqa: E731
    link = Link(open_ledger, gateway="gateway", worker=0, copies=tmp_path / "chain", poll=0.1, doing=doing)
    link.start()
    try:
        until(lambda: link.member is not None, "a beat after the one that failed")
        assert [each.member for each in world.shop.desk.gateways.members()] == [link.member]
    finally:
        link.close()


def test_a_local_copy_that_was_edited_is_made_anew_from_the_ledger(
    world: GatewayWorld, room: MakeRoom
) -> None:
    folder = world.folder / "gateway"
    copy = ChainCopy(folder / "chain")
    copy.save("router", world.shop.desk.ledger.read("router"))
    path = folder / "chain" / "router.jsonl"
    path.write_text(path.read_text().replace("a scratch world", "another reason"))
    worker = room(url_of(world), world.home, folder=folder, releases=Fakes())
    worker.serves("router-1", 1)
    until(lambda: worker.link.trouble is None, "following")
    assert copy.load("router") == world.shop.desk.ledger.read("router")


def cut_tail(world: GatewayWorld) -> None:
    events = world.shop.desk.ledger.read("router")
    last = events[-2]
    url = url_of(world)
    changed(url, f"DELETE FROM events WHERE stream = 'router' AND revision > {last.revision}")
    changed(url, f"UPDATE heads SET revision = {last.revision}, hash = '{last.hash}' WHERE stream = 'router'")


def emptied(world: GatewayWorld) -> None:
    changed(url_of(world), "DELETE FROM events WHERE stream = 'router'")
    changed(url_of(world), "DELETE FROM heads WHERE stream = 'router'")


@pytest.mark.parametrize("damage", [cut_tail, emptied])
@pytest.mark.parametrize("restarted", [False, True])
def test_a_ledger_that_was_cut_is_not_followed(
    world: GatewayWorld, room: MakeRoom, damage: Callable[[GatewayWorld], None], restarted: bool
) -> None:
    world.promote_next()
    worker = room(url_of(world), world.home, releases=Fakes())
    worker.serves("router-2", 2)
    if restarted:
        worker.follower.close()
    damage(world)
    if restarted:
        worker = room(url_of(world), world.home, releases=Fakes())
    until(lambda: worker.link.trouble is not None, "the refusal")
    assert "it does not go on from what was verified here" in str(worker.link.trouble)
    worker.serves("router-2", 2)


def test_a_ledger_that_was_rewritten_and_is_longer_is_not_followed(
    world: GatewayWorld, artifact: Path, tmp_path: Path, room: MakeRoom
) -> None:
    from mangaops.wiring import make_world

    worker = room(url_of(world), world.home, releases=Fakes())
    worker.serves("router-1", 1)
    worker.follower.close()
    other = make_world(tmp_path / "other", artifact)
    other.promote_next()
    again = room(url_of(other), other.home, releases=Fakes())
    until(lambda: again.link.trouble is not None, "the refusal")
    again.serves("router-1", 1)
    with pytest.raises(LedgerTampered):
        Chain.of_copy("router", again.link.copy).follow(
            other.shop.desk.ledger, other.shop.desk.ledger.heads(), again.link.copy
        )


def test_a_copy_that_found_no_room_is_saved_later_and_the_ledger_is_followed_meanwhile(
    world: GatewayWorld, tmp_path: Path
) -> None:
    ledger = world.shop.desk.ledger
    (tmp_path / "file").write_text("")
    chain, no_room = (
        Chain.of_copy("router", ChainCopy(tmp_path / "chain")),
        ChainCopy(tmp_path / "file" / "x"),
    )
    assert chain.follow(ledger, ledger.heads(), no_room)
    assert chain.uncopied is not None
    assert chain.champion == "router-1"
    assert not chain.follow(ledger, ledger.heads(), no_room)
    assert chain.uncopied is not None
    chain.follow(ledger, ledger.heads(), ChainCopy(tmp_path / "chain"))
    assert chain.uncopied is None
    assert ChainCopy(tmp_path / "chain").load("router") == ledger.read("router")


def test_a_chain_tells_what_a_gateway_asks_of_it(world: GatewayWorld, tmp_path: Path) -> None:
    ledger, copy = world.shop.desk.ledger, ChainCopy(tmp_path / "chain")
    chain = Chain.of_copy("router", copy)
    assert (chain.champion, chain.way_back, chain.shadowed, chain.moved_at) == (None, None, None, 0)
    assert chain.follow(ledger, ledger.heads(), copy)
    assert not chain.follow(ledger, ledger.heads(), copy)
    assert (chain.champion, chain.way_back, chain.rolled_back_at) == ("router-1", None, 0)
    challenger = world.shadow_next()
    chain.follow(ledger, ledger.heads(), copy)
    assert chain.shadowed == chain.shadow_of("router-1") == challenger == "router-2"
    assert chain.shadow_of("router-2") is None
    world.promote(challenger)
    world.roll_back()
    chain.follow(ledger, ledger.heads(), copy)
    assert (chain.champion, chain.shadowed, chain.rolled_back_at) == ("router-1", None, 3)
    assert {n: chain.release_of(n) for n in range(5)} == {
        0: "",
        1: "router-1",
        2: "router-2",
        3: "router-1",
        4: "",
    }
    assert chain.events[chain.moved_at - 1].kind == EventKind.ROLLED_BACK
    assert Chain.of_copy("router", copy).state == chain.state


def releases_of(world: GatewayWorld, folder: Path) -> Any:
    return Releases(folder, lambda: Artifacts(world.home / "artifacts"), FAMILIES)


def local_file(world: GatewayWorld, folder: Path) -> Path:
    digest = permit(world.state(), "router-1", Purpose.SERVE)[MODEL].artifact
    return Artifacts(folder / "artifacts").open(digest) / "labels.json"


def test_a_local_copy_serves_while_the_store_is_down(world: GatewayWorld, tmp_path: Path) -> None:
    releases = releases_of(world, tmp_path / "g")
    first = releases.load(world.state(), "router-1", Purpose.SERVE).answer("where is my order")
    (world.home / "artifacts").rename(world.home / "away")
    assert releases.load(world.state(), "router-1", Purpose.SERVE).answer("where is my order") == first


def test_a_local_copy_that_broke_is_fetched_anew(world: GatewayWorld, tmp_path: Path) -> None:
    releases = releases_of(world, tmp_path / "g")
    releases.load(world.state(), "router-1", Purpose.SERVE)
    broken = local_file(world, tmp_path / "g")
    broken.write_text("{}")
    releases.load(world.state(), "router-1", Purpose.SERVE)
    assert broken.read_text() != "{}"


def test_without_a_good_copy_anywhere_nothing_is_loaded(world: GatewayWorld, tmp_path: Path) -> None:
    releases = releases_of(world, tmp_path / "g")
    releases.load(world.state(), "router-1", Purpose.SERVE)
    local_file(world, tmp_path / "g").write_text("{}")
    state = world.state()
    (world.home / "artifacts").rename(world.home / "away")
    with pytest.raises(MangaopsError):
        releases.load(state, "router-1", Purpose.SERVE)


def test_a_shared_artifact_that_broke_is_never_copied(world: GatewayWorld, tmp_path: Path) -> None:
    (
        world.shop.desk.artifacts.open(permit(world.state(), "router-1", Purpose.SERVE)[MODEL].artifact)
        / "labels.json"
    ).write_text("{}")
    with pytest.raises(IntegrityError):
        releases_of(world, tmp_path / "g").load(world.state(), "router-1", Purpose.SERVE)
    assert Artifacts(tmp_path / "g" / "artifacts").digests() == []


@pytest.mark.parametrize("release", ["router-99", "router-2"])
def test_what_the_ledger_does_not_list_to_serve_is_untracked(
    world: GatewayWorld, tmp_path: Path, release: str
) -> None:
    from mangaops.errors import Untracked

    assert world.ready() == "router-2"
    with pytest.raises(Untracked):
        releases_of(world, tmp_path / "g").load(world.state(), release, Purpose.SERVE)
    assert releases_of(world, tmp_path / "g").load(world.state(), "router-2", Purpose.SHADOW)


def test_a_store_that_hangs_holds_up_no_worker_and_its_release_is_loaded_once_it_answers(
    world: GatewayWorld, tmp_path: Path, room: MakeRoom
) -> None:
    with hanging() as away:
        url, cache = f"hanging://mei:hunter2@bucket/{tmp_path.name}", tmp_path / "cache"
        wanted = permit(world.state(), "router-1", Purpose.SERVE)[MODEL].artifact
        Artifacts(url, cache=cache).put(world.shop.desk.artifacts.open(wanted))
        away.closed = "model.onnx"
        fetch = lambda: Artifacts(url, cache=cache, silence=0.3)  # noqa: E731
        worker = room(url_of(world), world.home, releases=Releases(tmp_path / "g", fetch, FAMILIES))
        until(lambda: worker.refusals, "a refusal")
        _, release, error = worker.refusals[0]
        assert (release, type(error)) == ("router-1", SetupError)
        assert f"from hanging://bucket/{tmp_path.name} was refused" in error.refused
        until(lambda: "no byte for 0.3 s" in worker.follower.unready()["router"], "what health says")
        assert worker.follower.settled.wait(30)
        away.closed = ""
        worker.serves("router-1", 1)
    assert "hunter2" not in error.message
