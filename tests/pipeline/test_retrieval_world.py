"""The scratch world that searches: releases of real pairs, whose lists say which of them gave it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import polars as pl
import pytest

from mangaops.datasets.source import Source
from mangaops.errors import InputError, UsageError
from mangaops.inference.catalogue import Catalogue
from mangaops.inference.families import SERVING
from mangaops.inference.manifest import seal
from mangaops.inference.retrieval import Retrieval
from mangaops.pipeline import verbs
from mangaops.pipeline.catalogue_run import Appended, append_delta
from mangaops.pipeline.gateway_bench import BenchPlan
from mangaops.pipeline.gateway_world import FIRST
from mangaops.pipeline.retrieval_world import RetrievalWorld
from mangaops.pipeline.scratch_pair import DATA, FAMILIES, titles
from mangaops.registry import permit
from mangaops.release import review
from mangaops.release.listed import items_of
from mangaops.release.register import register_release
from mangaops.release.shadow import Searches, Traffic, replay
from mangaops.simulation.outcome import marked
from mangaops.store import CatalogueLog
from mangaops.vocabulary import Because, Family, Part, Purpose
from mangaops.wiring import bench_gateway, make_search_world
from tiny_pairs import place, shared

pytestmark = pytest.mark.xdist_group("pairs")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pair")
    for name, family in FAMILIES.items():
        os.symlink(shared(place(tmp_path_factory), family).folder, folder / name)
    return folder


def window(world: RetrievalWorld) -> Traffic:
    """Each question, searched for once."""
    rows = [
        {"row_id": f"s{place}", "group": f"u{place}", "text": each.text, "at": FIRST}
        for place, each in enumerate(world.questions())
    ]
    return Traffic(pl.DataFrame(rows))


def marks(world: RetrievalWorld, release: str) -> tuple[str, ...]:
    """What the release answers to each question, loaded as it serves."""
    served = cast(Retrieval, world.shop.load(permit(world.state(), release, Purpose.MEASURE)))
    says = SERVING[Family.EMBEDDING_ADAPTER].says
    return tuple(marked(says(served.answer(each.text))["items"]) for each in world.questions())


def test_each_release_has_models_an_index_and_lists_of_its_own(pair: Path, tmp_path: Path) -> None:
    world = make_search_world(tmp_path / "world", pair)
    assert world.champion == "retrieval-1"
    assert world.promote_next().champion == "retrieval-2"
    first, second = (world.state().releases[name] for name in ("retrieval-1", "retrieval-2"))
    assert all(first.models[name] != second.models[name] for name in FAMILIES)
    assert first.parts[Part.INDEX] != second.parts[Part.INDEX]
    expected = world.expected()
    assert {name: marks(world, name) for name in expected} == expected
    assert set(expected["retrieval-1"]).isdisjoint(expected["retrieval-2"])
    assert world.roll_back().to == "retrieval-1"
    assert world.ready() == "retrieval-2"
    assert world.history() == {0: "fallback", 1: "retrieval-1", 2: "retrieval-2", 3: "retrieval-1"}


def test_what_a_delta_removes_is_of_a_catalogue_that_serves_or_of_the_log(pair: Path, tmp_path: Path) -> None:
    world = make_search_world(tmp_path / "world", pair)
    mine, log = [f"{each}.1" for each in titles()], CatalogueLog(world.shop.desk.ledger, DATA)

    def removed(*ids: str) -> int:
        made = append_delta(world.shop, DATA, None, ids, reason="gone", progress=lambda *_told: None)
        assert made.change.unchecked is None
        return made.delta.number if made.delta else 0

    with pytest.raises(InputError, match="never an item") as refused:
        removed(mine[0], f"{next(iter(titles()))}.2", "nobody")
    assert refused.value.found.endswith("2 of 3 ids")
    assert "nobody" in refused.value.found
    assert refused.value.next_step
    with pytest.raises(InputError, match="find nothing") as refused:
        removed(*mine)
    assert refused.value.next_step
    assert log.last() == 0
    assert removed(*mine[1:]) == 1
    with pytest.raises(InputError, match="find nothing"):
        removed(mine[0])
    log.append({"fresh": {"title": "a title"}})
    assert removed(mine[0]) == 3
    assert removed(mine[0]) == 0, "it was an item once, and is gone already"
    with pytest.raises(InputError, match="find nothing"):
        removed("fresh")
    world.promote_next()
    assert removed(f"{next(iter(titles()))}.2") == 4, "an item of the champion, and not of the way back"


def test_a_removal_goes_through_where_the_store_is_gone_and_says_what_was_not_checked(
    pair: Path, tmp_path: Path
) -> None:
    world = make_search_world(tmp_path / "world", pair)
    index = world.state().releases["retrieval-1"].parts[Part.INDEX]
    folder = world.shop.desk.artifacts.open(index)
    mine = [f"{each}.1" for each in titles()]

    def removed(*ids: str) -> Appended:
        return append_delta(world.shop, DATA, None, ids, reason="gone", progress=lambda *_told: None)

    assert removed(mine[0]).change.unchecked is None, "the store is there"
    folder.rename(tmp_path / "away")
    made = removed(mine[1])
    assert made.delta is not None
    assert (made.delta.number, made.delta.removed) == (2, (mine[1],))
    assert "was not checked" in str(made.change.unchecked)
    assert index in str(made.change.unchecked)
    CatalogueLog(world.shop.desk.ledger, DATA).append({"fresh": {"title": "a title"}, mine[2]: {}})
    assert removed(mine[2]).change.unchecked is None, "the log knows it, and an item that is left"
    assert "was not checked" in str(removed("nobody").change.unchecked)
    (tmp_path / "away").rename(folder)
    with pytest.raises(InputError, match="never an item"):
        removed("nobody else")


OLD, NEW, BACK = {"title": "a", "price": 1}, {"title": "a", "price": 2}, {"title": "b"}


def ahead_of_its_log(world: RetrievalWorld, folder: Path, generation: int, held: str | None = None) -> None:
    """The log says a is old and b gone; a catalogue is sealed at this generation, with a new and b back."""
    log = CatalogueLog(world.shop.desk.ledger, DATA)
    log.append({"a": OLD, "b": BACK})
    log.append({"c": {"title": "c"}}, ["b"])
    folder.mkdir()
    Catalogue(DATA, "sha256:" + "1" * 64, generation, {"a": NEW, "b": BACK}, held).write(folder)
    seal(folder)
    desk, models = world.shop.desk, world.state().releases[world.champion].models
    parts = {str(Part.INDEX): desk.artifacts.put(folder)}
    register_release(desk, "retrieval", models, parts=parts, because=Because.MANUAL, reason="next")


@pytest.fixture
def append(pair: Path, tmp_path: Path) -> Callable[..., Appended]:
    """Appends to the log of a world whose catalogue was sealed so; `away`: with a store that is gone."""
    world = make_search_world(tmp_path / "world", pair)

    def appended(
        added: dict[str, object],
        *removed: str,
        sealed: tuple[int, str | None] | None = None,
        away: bool = False,
    ) -> Appended:
        if sealed:
            ahead_of_its_log(world, tmp_path / "sealed", *sealed)
        if away:
            index = world.state().releases[world.champion].parts[Part.INDEX]
            world.shop.desk.artifacts.open(index).rename(tmp_path / "away")
        pl.DataFrame({"item_id": list(added), **_columns(added)}).write_parquet(tmp_path / "items.parquet")
        source = Source((str(tmp_path / "items.parquet"),)) if added else None
        return append_delta(world.shop, DATA, source, removed, reason="anew", progress=lambda *_told: None)

    return appended


def _columns(added: dict[str, Any]) -> dict[str, list[object]]:
    return {name: [item.get(name) for item in added.values()] for name in ("title", "price")}


LOST = pytest.mark.parametrize("sealed", [(3, None), (3, "sha256:3"), (2, "another")])


@LOST
def test_an_item_that_serves_otherwise_than_a_restored_log_says_is_a_change(append, sealed) -> None:
    made = append({"a": OLD}, sealed=sealed)
    assert made.delta is not None
    assert (made.delta.number, made.delta.added, made.change.same) == (3, {"a": OLD}, ())


@LOST
def test_an_item_that_is_back_since_a_restored_log_can_be_removed(append, sealed) -> None:
    made = append({}, "b", sealed=sealed)
    assert made.delta is not None
    assert (made.delta.number, made.delta.removed, made.change.gone) == (3, ("b",), ())


def test_what_was_lost_is_appended_anew_though_it_changes_nothing_until_the_log_has_it(append) -> None:
    made = append({"a": OLD}, "b", sealed=(4, None))
    assert made.delta is not None
    assert made.delta.number == 3
    again = append({"a": OLD}, "b")
    assert again.delta is not None
    assert again.delta.number == 4
    over = append({"a": OLD}, "b")
    assert (over.delta, over.change.same, over.change.gone) == (None, ("a",), ("b",))


def test_where_the_log_goes_on_from_what_serves_its_words_hold(append) -> None:
    made = append({"a": OLD}, "b", sealed=(2, None))
    assert (made.delta, made.change.unchecked) == (None, None)
    assert (made.change.same, made.change.gone) == (("a",), ("b",))


def test_what_a_store_cannot_tell_counts_as_a_change_and_says_so(append) -> None:
    made = append({"a": OLD}, "b", sealed=(2, None), away=True)
    assert made.delta is not None
    assert (made.delta.added, made.delta.removed) == ({"a": OLD}, ("b",))
    assert "was not checked" in str(made.change.unchecked)


def test_a_review_that_a_person_opens_has_the_titles_that_one_release_alone_was_sealed_with(
    pair: Path, tmp_path: Path
) -> None:
    world = make_search_world(tmp_path / "world", pair)
    release, desk = world.ready(), world.shop.desk
    sides = [permit(world.state(), each, Purpose.MEASURE) for each in (world.champion, release)]
    theirs, ours = (cast(Retrieval, world.shop.load(each)) for each in sides)
    replay(desk, "retrieval", release, Searches(theirs, ours), window(world), reason="why")
    verbs.open_review(world.shop, release, seed=1, reason="a person looks")
    (ref,) = world.state().releases[release].reviews
    queue = desk.evidence.get(ref.evidence)
    asked, told = queue.tables["items"].filter(~pl.col("planted")), review.titles_of(queue)
    assert told is not None
    for side, end in (("baseline_label", ".1"), ("release_label", ".2")):
        shown = {item for each in asked[side] for item in items_of(each)}
        assert shown
        assert all(item.endswith(end) for item in shown)
        assert all(told.get(item) == titles()[item.removesuffix(end)]["title"] for item in shown)


@pytest.mark.parametrize(
    ("plan", "coming"),
    [
        (BenchPlan(), 0),
        (BenchPlan(shadow=True), 1),
        (BenchPlan(cutovers=3), 3),
        (BenchPlan(cutovers=9, rollbacks=9), 1),
        (BenchPlan(cutovers=9, rollbacks=4), 6),
    ],
)
def test_as_many_releases_are_expected_as_a_bench_may_register(plan: BenchPlan, coming: int) -> None:
    assert plan.coming == coming


def test_a_unit_without_a_scratch_world_is_not_benched() -> None:
    with pytest.raises(UsageError, match="no scratch world") as refused:
        bench_gateway(
            BenchPlan(),
            unit="response",
            url=None,
            workers=1,
            threads=None,
            artifact=None,
            plot=None,
            progress=lambda *_told: None,
        )
    assert "router, retrieval" in refused.value.accepted
