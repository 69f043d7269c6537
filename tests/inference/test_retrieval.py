"""A loaded retrieval release: lists with filters and titles, and a catalogue that changes under it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from mangaops.errors import InputError, RefusedError
from mangaops.inference.catalogue import Catalogue, reading
from mangaops.inference.embedder import assemble_embedder
from mangaops.inference.families import SERVING, FollowsCatalogue
from mangaops.inference.filters import Filters
from mangaops.inference.index import build
from mangaops.inference.reranker import assemble_reranker
from mangaops.inference.retrieval import Query, Retrieval
from mangaops.inference.vectors import Vectors
from mangaops.pipeline.scratch_pair import ADAPTER, RERANKER, PairVariant, pair_variant, questions, titles
from mangaops.simulation.outcome import marked
from mangaops.training import Trained
from mangaops.vocabulary import Family

pytestmark = pytest.mark.xdist_group("pairs")

DIGEST = "sha256:" + "a" * 64
SAYS = SERVING[Family.EMBEDDING_ADAPTER].says


@dataclass(frozen=True)
class Came:
    number: int
    added: dict[str, Any] = field(default_factory=dict)
    removed: tuple[str, ...] = ()
    hash: str = ""


@pytest.fixture(scope="module")
def pair(adapter: Trained, reranker: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny adapter and reranker."""
    folder = tmp_path_factory.mktemp("pair")
    os.symlink(adapter.folder, folder / ADAPTER)
    os.symlink(reranker.folder, folder / RERANKER)
    return folder


def made(adapter: Path, reranker: Path, embedded_by: Path | None = None, number: int = 0) -> Retrieval:
    """A release of these models; `embedded_by` made its index, which no loader would let through."""
    items = {f"{each}.{number}" if number else each: item for each, item in titles().items()}
    catalogue = Catalogue("shop", DIGEST, 0, items)
    embedder = assemble_embedder(adapter, "adapter")
    vectors = assemble_embedder(embedded_by, "other") if embedded_by else embedder
    rows = vectors.vectors([reading(item) for item in items.values()])
    index = build(Vectors(tuple(items), rows, DIGEST, DIGEST))
    return Retrieval(embedder, assemble_reranker(reranker, "reranker"), index, catalogue, 12)


@pytest.fixture(scope="module")
def shared_release(pair: Path) -> Retrieval:
    """A release that tests only ask."""
    return made(pair / ADAPTER, pair / RERANKER)


@pytest.fixture
def release(shared_release: Retrieval) -> Retrieval:
    """A release of its own: it may follow its catalogue."""
    kept = shared_release
    return Retrieval(kept.embedder, kept.reranker, kept.index, kept.catalogue, kept.depth)


# ---- what is asked


def test_a_list_has_the_titles_of_its_items_and_what_each_step_took(shared_release: Retrieval) -> None:
    found = shared_release.answer(questions()[0])
    assert len(found.items) == len(found.scores) == len(found.titles) == 10
    assert list(found.scores) == sorted(found.scores, reverse=True)
    assert [titles()[each]["title"] for each in found.items] == list(found.titles)
    assert set(found.milliseconds) == {"encode", "retrieve", "rerank"}
    assert found.as_dict().keys() == {"items", "scores", "catalogue_generation"}


def test_a_list_is_the_same_from_many_threads_and_beside_others(shared_release: Retrieval) -> None:
    asked = questions()[:8]
    alone = [shared_release.answer(each).as_dict() for each in asked]
    with ThreadPoolExecutor(4) as pool:
        beside = [each.as_dict() for each in pool.map(shared_release.answer, asked)]
    read = [shared_release.read(each) for each in asked]
    assert alone == beside == [each.as_dict() for each in shared_release.answer_together(read)]


def test_so_many_items_as_asked_for(shared_release: Retrieval) -> None:
    ten = shared_release.answer(questions()[0]).items
    assert shared_release.answer(Query(questions()[0], 3)).items == ten[:3]
    assert len(shared_release.answer(Query(questions()[0], 100)).items) == 100


@pytest.mark.parametrize(
    "filters",
    [
        {"in_stock": True},
        {"price_at_least": 700, "price_at_most": 900},
        {"genres": ["Slice of Life", "drama"]},
        {"languages": ["ja"], "age_ratings": ["teen"]},
        {"tags": ["one-shot"]},
        {"tags": ["no such tag"]},
    ],
)
def test_what_is_found_passes_the_filters_and_nothing_that_passes_is_missed(
    shared_release: Retrieval, filters: dict[str, Any]
) -> None:
    wanted = Filters.model_validate(filters)
    passing = {each for each, item in titles().items() if wanted.lets(item)}
    options = {"k": 100, "filters": wanted.asked()}
    found = shared_release.answer(Query.of(questions()[1], options)).items
    assert set(found) <= passing
    assert len(found) == min(100, len(passing))


@pytest.mark.parametrize(
    ("filters", "item", "passes"),
    [
        ({}, {}, True),
        ({"in_stock": True}, {"stock": 1}, True),
        ({"in_stock": True}, {"stock": 0}, False),
        ({"in_stock": True}, {}, False),
        ({"price_at_most": 500}, {"price": 500}, True),
        ({"price_at_most": 500}, {"price": 501.0}, False),
        ({"price_at_least": 500}, {"price": None}, False),
        ({"price_at_least": 500}, {"price": "dear"}, False),
        ({"genres": ["DRAMA"]}, {"genres": "comedy, drama"}, True),
        ({"genres": ["dram"]}, {"genres": "comedy, drama"}, False),
        ({"tags": ["a", "b"]}, {"tags": "b"}, True),
        ({"tags": ["a"], "languages": ["en"]}, {"tags": "a", "language": "ja"}, False),
        ({"age_ratings": ["teen"]}, {"age_rating": "Teen"}, True),
        ({"languages": ["en"]}, {}, False),
    ],
)
def test_a_filter_lets_through_what_it_says(
    filters: dict[str, Any], item: dict[str, Any], passes: bool
) -> None:
    assert Filters.model_validate(filters).lets(item) == passes


@pytest.mark.parametrize(
    "wrong",
    [
        {"color": "red"},
        {"in_stock": False},
        {"in_stock": 1},
        {"in_stock": "true"},
        {"price_at_most": "500"},
        {"price_at_most": -1},
        {"price_at_most": float("nan")},
        {"price_at_most": True},
        {"price_at_least": 2, "price_at_most": 1},
        {"genres": "drama"},
        {"genres": []},
        {"genres": [""]},
        {"genres": [3]},
        {"tags": ["x"] * 51},
        {"tags": ["x" * 101]},
    ],
)
def test_a_filter_that_is_none_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Filters.model_validate(wrong)


def test_filters_as_json_values_are_those_that_were_asked_for() -> None:
    assert Filters().asked() == {}
    said = {"in_stock": True, "genres": ["drama"], "price_at_most": 9.5}
    assert Filters.model_validate(said).asked() == said
    assert Query.of("x", {}) == Query("x")
    assert len(Query("four")) == 4


# ---- a catalogue that changes


def shown(release: Retrieval, number: int, added: dict[str, Any], removed: Sequence[str] = ()) -> None:
    """Queries that begin now see that delta."""
    release.embed([Came(number, added, tuple(removed))])
    release.show()


def found(release: Retrieval, title: str) -> tuple[str, ...]:
    return release.answer(Query(title, 100)).items


def test_changes_are_seen_when_they_are_shown_and_not_before(release: Retrieval) -> None:
    assert isinstance(release, FollowsCatalogue)
    gone, title = next(iter(titles())), "the quiet observatory"
    release.embed([Came(1, {"new": {"title": title}}), Came(2, {}, (gone,), "sha256:2")])
    assert (release.embedded, release.generation) == (2, 0)
    assert "new" not in found(release, title)
    assert release.answer(title).generation == 0
    assert "catalogue_hash" not in release.answer(title).as_dict(), "there is no log yet"
    release.show()
    assert release.answer(title).as_dict()["catalogue_hash"] == "sha256:2"
    assert release.generation == 2
    assert "new" in found(release, title)
    assert gone not in found(release, str(titles()[gone]["title"]))
    assert title in release.answer(Query(title, 100)).titles


def test_an_item_that_changed_is_found_by_what_it_says_now(release: Retrieval) -> None:
    item_id = next(iter(titles()))
    shown(release, 1, {item_id: {"title": "A Baker Of Storms", "price": 1, "stock": 1}})
    answer = release.answer(Query.of("A Baker Of Storms", {"filters": {"price_at_most": 1}}))
    assert (answer.items, answer.titles) == ((item_id,), ("A Baker Of Storms",))
    shown(release, 2, {}, [item_id, "never there"])
    assert item_id not in found(release, "A Baker Of Storms")
    shown(release, 3, {item_id: {"title": "Back"}})
    assert item_id in found(release, "Back")


@pytest.mark.parametrize(
    ("deltas", "error"),
    [
        ([Came(2)], RefusedError),
        ([Came(1, {"a": {"title": "x"}}), Came(3, {"b": {"title": "x"}})], RefusedError),
        ([Came(1, {"a": {"title": "x"}}, ("a",))], InputError),
        ([Came(1, {"a": "no item"})], InputError),
        ([Came(1, {"b": {"title": "x"}}), Came(2, {"a": None})], InputError),
    ],
)
def test_a_change_that_is_refused_changes_nothing(
    release: Retrieval, deltas: list[Came], error: type[Exception]
) -> None:
    with pytest.raises(error):
        release.embed(deltas)
    release.show()
    assert (release.embedded, release.generation) == (0, 0)
    assert "b" not in found(release, "x")
    shown(release, 1, {"a": {"title": "fine"}})
    assert release.generation == 1


def test_queries_beside_a_change_see_all_of_it_or_nothing(release: Retrieval) -> None:
    """Filters are asked of the items of the generation that is searched."""
    item_id, asked = next(iter(titles())), Query.of("the tin garden", {"filters": {"price_at_most": 2}})

    def ask(_number: int) -> tuple[int, tuple[str, ...]]:
        answer = release.answer(asked)
        return answer.generation, answer.items

    with ThreadPoolExecutor(2) as pool:
        answers = pool.map(ask, range(60))
        for number in range(1, 9):
            dear = {"title": "the tin garden", "price": 1 + number % 2 * 9}
            shown(release, number, {item_id: dear})
        seen = list(answers)
    assert all(
        (items == (item_id,)) == (generation % 2 == 0 and generation > 0) for generation, items in seen
    )


class Counted(Mapping[str, Any]):
    """A catalogue that counts how often it is read."""

    def __init__(self, items: Mapping[str, Any]) -> None:
        self.held, self.reads = items, 0

    def __getitem__(self, item_id: str) -> Any:
        self.reads += 1
        return self.held[item_id]

    def __iter__(self) -> Iterator[str]:
        for each in self.held:
            self.reads += 1
            yield each

    def __len__(self) -> int:
        return len(self.held)


class CountedIds(tuple[str, ...]):
    """Ids that count how often somebody goes through all of them."""

    __slots__ = ()
    rounds = 0

    def __iter__(self) -> Iterator[str]:
        type(self).rounds += 1
        return super().__iter__()


def test_a_delta_reads_what_it_names_and_not_the_catalogue(shared_release: Retrieval) -> None:
    kept = shared_release
    items = Counted(titles())
    catalogue = Catalogue("shop", DIGEST, 0, items)
    ids = CountedIds(kept.index.ids)
    index = build(Vectors(ids, kept.index.vectors.rows, DIGEST, DIGEST))
    release = Retrieval(kept.embedder, kept.reranker, index, catalogue, kept.depth)
    assert items.reads >= len(items), "each vector has its item, which is asked once"
    first, second = list(titles())[:2]
    shown(release, 1, {"first": {"title": "where each id stands is looked up once"}}, [second])
    items.reads, rounds = 0, ids.rounds
    for number in range(2, 6):
        shown(release, number, {"new": {"title": f"no {number}"}, first: {"title": "other"}}, [second])
    assert (items.reads, ids.rounds) == (0, rounds)
    assert first in found(release, "other")
    assert 0 < items.reads <= 2 * 100, "a search reads what it found, text and title"


def test_a_query_that_began_before_a_delta_sees_its_own_generation(release: Retrieval) -> None:
    item_id, title = next(iter(titles())), "the tin garden"
    release.embed([Came(1, {item_id: {"title": title, "price": 1}})])
    release.show()
    before = release.shelf
    shown(release, 2, {item_id: {"title": "another", "price": 9}, "new": {"title": title}})
    shown(release, 3, {}, [item_id])
    ids = {each for each, _ in before.nearest(release.embedder.vector(title), len(titles()), None)}
    assert (before.generation, ids) == (1, set(titles()))
    assert (before.item(item_id), before.text(item_id)) == ({"title": title, "price": 1}, title)
    assert release.generation == 3
    assert item_id not in found(release, title)


# ---- variants that say who answered


def test_a_list_tells_which_adapter_index_and_reranker_gave_it(pair: Path, tmp_path: Path) -> None:
    one, two = (pair_variant(pair, tmp_path / str(number), number) for number in (1, 2))
    assert pair_variant(pair, tmp_path / "1", 1).marks == one.marks

    asked = questions()[:6]

    def marks(adapter: PairVariant, index: PairVariant, reranker: PairVariant) -> list[str]:
        models = adapter.folder / ADAPTER, reranker.folder / RERANKER
        mixed = made(*models, index.folder / ADAPTER, index.number)
        return [marked(SAYS(mixed.answer(each))["items"]) for each in asked]

    assert marks(two, two, two) == list(two.marks[: len(asked)])
    own = set(one.marks) | set(two.marks)
    for each in [(a, i, r) for a in (one, two) for i in (one, two) for r in (one, two)]:
        if len({variant.number for variant in each}) > 1:
            assert own.isdisjoint(marks(*each))
