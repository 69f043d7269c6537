"""Slots and the shadow follow the log of a catalogue; what cannot be followed costs no answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from following import Room
from gateway_parts import Says, until
from sqlalchemy import create_engine, select, text
from test_gateway_following import Fakes, MakeRoom, url_of
from test_gateway_shadow import Loads
from test_gateway_shadow import following as shadow_following

from mangaops.errors import InputError, RefusedError, SetupError
from mangaops.gateway import gauges
from mangaops.gateway.catalogues import MANY, MOST, Standing
from mangaops.gateway.health import of_catalogue
from mangaops.inference.catalogue import Catalogue
from mangaops.inference.families import FollowsCatalogue
from mangaops.pipeline.gateway_world import GatewayWorld
from mangaops.store import CatalogueDelta, CatalogueLog, Ledger
from mangaops.store.tables import CATALOGUE_DELTAS

ITEM = {"title": "a title"}


@dataclass(eq=False)
class Follows(Says):
    """A predictor that follows the catalogue `shop`; deltas of `broken` it refuses, each embed it tells."""

    catalogue: Catalogue = field(default_factory=lambda: Catalogue("shop", "", 0, {}))
    generation: int = 0
    embedded: int = 0
    later: int = 0
    broken: frozenset[int] = frozenset()
    told: Callable[[Sequence[CatalogueDelta]], None] = lambda _deltas: None

    def embed(self, changes: Sequence[CatalogueDelta]) -> None:
        self.told(changes)
        numbers = [each.number for each in changes]
        assert numbers == list(range(self.embedded + 1, self.embedded + 1 + len(numbers)))
        for number in numbers:
            if number in self.broken:
                raise InputError(f"delta {number} was refused: it holds no vector")
        self.embedded = numbers[-1]

    def show(self) -> None:
        self.told([])
        self.generation = self.later = self.embedded


@dataclass
class Makes:
    """Follows by their release, made when they are loaded."""

    made: dict[str, Follows] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)

    def __call__(self, release: str) -> Follows:
        self.made[release] = Follows(**self.options)
        return self.made[release]


def log_of(world: GatewayWorld) -> CatalogueLog:
    return CatalogueLog(world.shop.desk.ledger, "shop")


def appended(world: GatewayWorld, count: int = 1) -> int:
    return [log_of(world).append({"item": ITEM}) for _ in range(count)][-1]


def behind(room: Room) -> tuple[int, int, str | None]:
    standing = room.follower.catalogues.standings["router"]
    return standing.newest, standing.behind, standing.trouble


def failures(error: str) -> float:
    return gauges.CATALOGUE_REFUSED.labels("router", error)._value.get()


def test_a_delta_reaches_the_slot_that_answers_and_the_warm_way_back(
    any_world: GatewayWorld, ledger_url: str, room: MakeRoom
) -> None:
    makes = Makes()
    worker = room(ledger_url, any_world.home, releases=Fakes(makes))
    worker.serves("router-1", 1)
    assert isinstance(makes.made["router-1"], FollowsCatalogue)
    any_world.promote_next()
    worker.serves("router-2", 2)
    for _ in range(3):
        number = appended(any_world)
        until(lambda: {each.generation for each in makes.made.values()} == {number}, "the delta in both")  # noqa: B023
    until(lambda: behind(worker) == (3, 0, None), "a standing that says so")


def test_a_new_slot_has_all_that_the_log_holds_before_a_cutover_to_it(
    world: GatewayWorld, room: MakeRoom
) -> None:
    last = appended(world, 2 * MOST + 3)
    makes = Makes()
    worker = room(url_of(world), world.home, releases=Fakes(makes))
    worker.serves("router-1", 1)
    assert makes.made["router-1"].generation == last
    appended(world)
    world.promote_next()
    assert makes.made["router-2"].generation == last + 1
    assert makes.made["router-1"].generation <= makes.made["router-2"].generation


def test_slots_of_a_unit_show_a_delta_together(world: GatewayWorld, room: MakeRoom) -> None:
    """Else a rollback that comes between them would go back a generation of the catalogue."""
    makes = Makes()
    worker = room(url_of(world), world.home, releases=Fakes(makes))
    worker.serves("router-1", 1)
    world.promote_next()
    worker.serves("router-2", 2)
    held, opened = threading.Event(), threading.Event()

    def waits(_deltas: Sequence[CatalogueDelta]) -> None:
        held.set()
        assert opened.wait(30)

    first, second = makes.made["router-1"], makes.made["router-2"]
    second.told = waits
    appended(world)
    assert held.wait(30)
    until(lambda: first.embedded == 1, "the delta in the first")
    assert (first.generation, second.generation) == (0, 0)
    world.roll_back()
    worker.serves("router-1", 3)
    opened.set()
    until(lambda: first.generation == 1, "the delta in answers")


def test_a_delta_that_is_refused_costs_no_answer_and_those_before_it_are_seen(
    world: GatewayWorld, room: MakeRoom
) -> None:
    makes = Makes(options={"broken": frozenset({3})})
    worker = room(url_of(world), world.home, releases=Fakes(makes))
    worker.serves("router-1", 1)
    before = failures("InputError")
    appended(world, 4)
    until(lambda: behind(worker) == (4, 2, "delta 3 was refused: it holds no vector"), "the lag")
    assert makes.made["router-1"].generation == 2
    assert failures("InputError") > before
    assert worker.follower.unready() == {}
    world.promote_next()
    worker.serves("router-2", 2)
    for each in makes.made.values():
        each.broken = frozenset()
    until(lambda: behind(worker) == (4, 0, None), "the rest, which is tried again")


def test_a_release_that_stays_behind_what_serves_is_not_cut_over_to(
    world: GatewayWorld, room: MakeRoom
) -> None:
    """What left the shop would come back to users."""
    makes = Makes()
    worker = room(url_of(world), world.home, releases=Fakes(makes))
    worker.serves("router-1", 1)
    appended(world, 2)
    until(lambda: makes.made["router-1"].generation == 2, "the deltas in answers")
    makes.options = {"broken": frozenset({2})}
    with pytest.raises(RefusedError, match="behind the catalogue that serves"):
        world.promote_next()
    worker.serves("router-1", 1)


def test_the_trouble_of_a_slot_that_is_brought_in_is_not_that_of_the_unit(
    world: GatewayWorld, room: MakeRoom
) -> None:
    makes, seen = Makes(), list[str | None]()
    worker = room(url_of(world), world.home, releases=Fakes(makes))
    worker.serves("router-1", 1)
    appended(world, 2)
    until(lambda: behind(worker) == (2, 0, None), "the deltas in answers")
    makes.options = {"broken": frozenset({2}), "told": lambda _deltas: seen.append(behind(worker)[2])}
    with pytest.raises(RefusedError, match="behind the catalogue that serves"):
        world.promote_next()
    assert len(seen) >= 3, "it was tried again after it had failed"
    assert set(seen) == {None}
    assert behind(worker) == (2, 0, None)


def test_the_trouble_of_what_serves_stays_told_while_a_slot_is_brought_in(
    world: GatewayWorld, room: MakeRoom
) -> None:
    makes, seen = Makes(options={"broken": frozenset({2})}), list[str | None]()
    worker = room(url_of(world), world.home, releases=Fakes(makes))
    worker.serves("router-1", 1)
    appended(world, 2)
    says = "delta 2 was refused: it holds no vector"
    until(lambda: behind(worker) == (2, 1, says), "the trouble")
    makes.options = {"told": lambda _deltas: seen.append(behind(worker)[2])}
    world.promote_next()
    worker.serves("router-2", 2)
    assert set(seen) == {says}, "told as it embedded, and as it was shown"


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("UPDATE catalogue_deltas SET body = '{\"added\": 3' WHERE number = 2", "delta 2"),
        ("UPDATE catalogue_deltas SET body = '[]' WHERE number = 2", "delta 2"),
        ("DELETE FROM catalogue_deltas WHERE number = 2", "a delta is missing"),
    ],
    ids=["cut", "no delta", "missing"],
)
def test_a_log_that_is_damaged_is_followed_up_to_the_damage(
    world: GatewayWorld, room: MakeRoom, damage: str, says: str
) -> None:
    appended(world, 3)
    engine = create_engine(url_of(world))
    with engine.begin() as connection:
        connection.execute(text(damage))
    engine.dispose()
    makes = Makes()
    worker = room(url_of(world), world.home, releases=Fakes(makes))
    worker.serves("router-1", 1)
    until(lambda: behind(worker)[:2] == (3, 2), "the lag")
    assert says in str(behind(worker)[2])
    assert makes.made["router-1"].generation == 1


class Backups:
    """The log as it was when this was made, to go back to."""

    def __init__(self, world: GatewayWorld) -> None:
        self._engine = create_engine(url_of(world))
        self._rows = self._all()

    def restore(self) -> None:
        with self._engine.begin() as connection:
            connection.execute(CATALOGUE_DELTAS.delete())
            connection.execute(CATALOGUE_DELTAS.insert(), self._rows)

    def _all(self) -> list[dict[str, Any]]:
        with self._engine.begin() as connection:
            return [dict(row) for row in connection.execute(select(CATALOGUE_DELTAS)).mappings()]


def test_a_log_that_was_restored_from_an_older_backup_is_told_and_not_followed(
    world: GatewayWorld, room: MakeRoom
) -> None:
    makes = Makes()
    worker = room(url_of(world), world.home, releases=Fakes(makes))
    worker.serves("router-1", 1)
    slot = makes.made["router-1"]
    appended(world, 3)
    old = Backups(world)
    appended(world, 2)
    until(lambda: behind(worker) == (5, 0, None), "the deltas in answers")
    new = Backups(world)

    old.restore()
    until(lambda: behind(worker)[2] is not None, "the trouble")
    assert behind(worker)[:2] == (3, 0)
    assert "delta 3 is its last, and 5 is embedded; next: restore the newer log; or" in str(behind(worker)[2])
    assert worker.follower.unready() == {}
    log_of(world).append({"another": ITEM})
    appended(world, 2)
    until(lambda: "deltas up to 5 are others than" in str(behind(worker)[2]), "the trouble")
    assert (slot.embedded, slot.generation) == (5, 5), "what serves stays as it was"

    new.restore()
    until(lambda: behind(worker) == (5, 0, None), "the log that was embedded")
    appended(world)
    until(lambda: slot.generation == 6, "what follows")


def test_a_release_of_the_restored_log_is_cut_over_to_where_it_is_not_behind(
    world: GatewayWorld, room: MakeRoom
) -> None:
    """It has embedded what the log holds now; the way back has not, and that is told."""
    makes = Makes()
    worker = room(url_of(world), world.home, releases=Fakes(makes))
    worker.serves("router-1", 1)
    appended(world)
    old = Backups(world)
    appended(world)
    until(lambda: behind(worker) == (2, 0, None), "the deltas in answers")
    old.restore()
    until(lambda: behind(worker)[2] is not None, "the trouble")
    with pytest.raises(RefusedError, match="behind the catalogue that serves") as refused:
        world.promote_next()
    assert "delta 1: its log ends at delta 1" in str(refused.value)
    (said,) = worker.follower.wanted["router"].refused.values()
    assert "append anew what was lost, up to delta 2 at least" in said[2]
    log_of(world).append({"another": ITEM})
    world.promote_next()
    assert makes.made[worker.slots.served.release].generation == 2
    until(lambda: "up to 2 are others" in str(behind(worker)[2]), "the trouble of the way back")


def sealed(generation: int, held: str | None) -> dict[str, Any]:
    """What a slot starts with whose release sealed that many deltas."""
    catalogue = Catalogue("shop", "", generation, {}, held)
    return {"catalogue": catalogue, "generation": generation, "embedded": generation}


@pytest.mark.parametrize("hashed", [True, False], ids=["with a hash", "before hashes"])
def test_a_release_that_sealed_more_than_its_log_holds_says_so(
    world: GatewayWorld, room: MakeRoom, hashed: bool
) -> None:
    """Also when others were appended up to there: a removal among these would never reach it."""
    appended(world, 2)
    old = Backups(world)
    appended(world, 5)
    new, held = Backups(world), log_of(world).hash_of(7)
    old.restore()
    makes = Makes(options=sealed(7, held if hashed else None))
    worker = room(url_of(world), world.home, releases=Fakes(makes))
    worker.serves("router-1", 1)
    until(lambda: "delta 2 is its last, and 7 is embedded" in str(behind(worker)[2]), "the trouble")
    assert "up to delta 7 at least, and release a newer snapshot" in str(behind(worker)[2])
    log_of(world).append({}, ["gone"])
    appended(world, 4)
    says = "up to 7 are others" if hashed else "ended before delta 7 for a while"
    until(lambda: behind(worker)[0] == 7 and says in str(behind(worker)[2]), "the trouble at that number")
    appended(world)
    until(lambda: behind(worker)[:2] == (8, 1) and says in str(behind(worker)[2]), "the trouble after it")
    assert makes.made["router-1"].embedded == 7
    new.restore()
    appended(world)
    if hashed:
        until(lambda: behind(worker) == (8, 0, None), "the log that was sealed")
    else:
        until(lambda: behind(worker)[0] == 8, "a look at the log that was sealed")
        assert says in str(behind(worker)[2])


@pytest.mark.parametrize("hashed", [True, False], ids=["with a hash", "before hashes"])
def test_a_release_goes_on_from_what_it_sealed(world: GatewayWorld, room: MakeRoom, hashed: bool) -> None:
    appended(world, 2)
    makes = Makes(options=sealed(2, log_of(world).hash_of(2) if hashed else None))
    worker = room(url_of(world), world.home, releases=Fakes(makes))
    worker.serves("router-1", 1)
    until(lambda: behind(worker) == (2, 0, None), "a standing without trouble")
    old = Backups(world)
    appended(world)
    until(lambda: behind(worker) == (3, 0, None), "what follows")
    old.restore()
    log_of(world).append({"another": ITEM})
    until(lambda: "up to 3 are others" in str(behind(worker)[2]), "the trouble")
    assert "and start the gateway again" in str(behind(worker)[2])


def test_a_log_that_was_rewritten_before_a_start_is_told_where_the_release_sealed_its_hash(
    world: GatewayWorld, room: MakeRoom
) -> None:
    """The first look has nothing but the seal to go by."""
    appended(world, 2)
    makes = Makes(options=sealed(2, "sha256:other"))
    worker = room(url_of(world), world.home, releases=Fakes(makes))
    worker.serves("router-1", 1)
    until(lambda: "up to 2 are others" in str(behind(worker)[2]), "the trouble")
    appended(world)
    until(lambda: behind(worker)[:2] == (3, 1), "the lag")


def test_without_a_hash_a_log_that_changes_between_looks_is_told(world: GatewayWorld, room: MakeRoom) -> None:
    """The hash that a release of before hashes goes by is that of the first look."""
    appended(world)
    old = Backups(world)
    appended(world)
    worker = room(url_of(world), world.home, releases=Fakes(Makes(options=sealed(2, None))))
    worker.serves("router-1", 1)
    until(lambda: behind(worker) == (2, 0, None), "a first look")
    old.restore()
    log_of(world).append({"another": ITEM})
    until(lambda: "up to 2 are others" in str(behind(worker)[2]), "the trouble")


def test_a_gap_at_what_was_sealed_is_told_as_a_gap_until_it_is_filled(
    world: GatewayWorld, room: MakeRoom
) -> None:
    appended(world, 3)
    whole, engine = Backups(world), create_engine(url_of(world))
    with engine.begin() as connection:
        connection.execute(CATALOGUE_DELTAS.delete().where(CATALOGUE_DELTAS.c.number == 2))
    engine.dispose()
    worker = room(url_of(world), world.home, releases=Fakes(Makes(options=sealed(2, None))))
    worker.serves("router-1", 1)
    until(lambda: "a delta is missing" in str(behind(worker)[2]), "the trouble")
    whole.restore()
    until(lambda: behind(worker) == (3, 0, None), "the rest")


def test_health_says_how_many_items_came_later_and_when_a_release_is_due(
    world: GatewayWorld, room: MakeRoom
) -> None:
    makes = Makes()
    worker = room(url_of(world), world.home, releases=Fakes(makes))
    worker.serves("router-1", 1)
    appended(world, 2)
    until(lambda: worker.follower.catalogues.standings["router"].later == 2, "the items of the slot")
    assert of_catalogue("shop", Standing(later=MANY - 1)) == []
    (said,) = of_catalogue("shop", Standing(later=MANY))
    assert said.startswith("20,000 items of shop came or changed since")
    assert said.endswith("is due: mangaops release run shop")


@pytest.mark.parametrize(
    ("standing", "says"),
    [
        (Standing(newest=3, shown=3), []),
        (Standing(3, 1), ["the catalogue of shop is behind its log, deltas: 2: they are being embedded"]),
        (Standing(3, 1, 0, "no"), ["the catalogue of shop is behind its log, deltas: 2: no"]),
        (Standing(3, 5, 0, "no"), ["the catalogue of shop is not followed: no"]),
    ],
)
def test_health_says_how_a_catalogue_stands(standing: Standing, says: list[str]) -> None:
    assert of_catalogue("shop", standing) == says


def test_while_the_log_is_out_of_reach_a_release_serves_what_it_holds(
    world: GatewayWorld, room: MakeRoom
) -> None:
    url, makes, away = url_of(world), Makes(), threading.Event()
    whole = Ledger(url, create=False)

    class Losing(Ledger):
        """It has events to the end, and from some moment on nothing else."""

        heads, read = whole.heads, whole.read

        def __getattribute__(self, name: str) -> Any:
            if name == "database" and away.is_set():
                raise SetupError("the log cannot be reached")
            return super().__getattribute__(name)

    opened = Losing(url, create=False)
    worker = room(url, world.home, releases=Fakes(makes), open_ledger=lambda: opened)
    worker.serves("router-1", 1)
    away.set()
    appended(world)
    until(lambda: behind(worker)[2] == "the log cannot be reached", "the trouble")
    world.promote_next()
    worker.serves("router-2", 2)
    assert {each.generation for each in makes.made.values()} == {0}
    assert worker.follower.unready() == {}
    away.clear()
    until(lambda: {each.generation for each in makes.made.values()} == {1}, "the delta in both")
    until(lambda: behind(worker) == (1, 0, None), "a standing that says so")


def test_what_follows_no_catalogue_asks_for_no_log(world: GatewayWorld, room: MakeRoom) -> None:
    appended(world)
    worker = room(url_of(world), world.home, releases=Fakes())
    worker.serves("router-1", 1)
    world.promote_next()
    worker.serves("router-2", 2)
    assert worker.follower.catalogues.standings == {}


def test_both_sides_of_the_shadow_follow(world: GatewayWorld, tmp_path: Path) -> None:
    makes = Makes()
    first = appended(world, 2)
    assert world.shadow_next() == "router-2"
    with shadow_following(world, tmp_path, Loads(makes)) as (shadow, _thread):
        until(lambda: len(shadow._sides["router"].predictors) == 2, "both sides")
        assert {each.generation for each in makes.made.values()} == {first}
        appended(world)
        until(lambda: {each.generation for each in makes.made.values()} == {first + 1}, "the new delta")
