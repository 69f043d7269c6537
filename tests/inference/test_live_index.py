"""A live index is what a dictionary of the catalogue would be, whoever searches while a delta is applied."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vector_world import ADAPTER, OTHER, clustered, near, unit, vectors

from mangaops.errors import InputError, RefusedError, UsageError, VectorsMismatch
from mangaops.inference.index import Allowed, IndexParameters, build
from mangaops.inference.live_index import Delta, LiveIndex
from mangaops.inference.nearest import NONE
from mangaops.inference.recall import recall_of
from mangaops.inference.vectors import Matrix

BASE = clustered(40, 8)
POOL = clustered(500, 8, seed=9)
IDS = [f"item-{number}" for number in range(45)]


def live(rows: Matrix = BASE, generation: int = 0) -> LiveIndex:
    return LiveIndex(build(vectors(rows)), generation)


def delta(number: int, came=(), gone=(), embedder: str = ADAPTER) -> Delta:
    """`came` are ids and numbers of vectors in the pool."""
    rows = POOL[[at for _, at in came]] if came else None
    return Delta(number, embedder, [each for each, _ in came], rows, gone)


def found_ids(index: LiveIndex, query: Matrix, k: int, allowed=None) -> list[str]:
    standing = index.now
    positions = standing.search(query, k, allowed).positions[0]
    return [standing.id_at(int(at)) for at in positions if at != NONE]


CHANGE = st.tuples(
    st.lists(
        st.tuples(st.sampled_from(IDS), st.integers(0, 499)), max_size=6, unique_by=lambda pair: pair[0]
    ),
    st.sets(st.sampled_from(IDS), max_size=6),
)


def _model(changes) -> dict[str, Matrix]:
    catalogue = dict(zip(IDS, BASE, strict=False))
    for came, gone in changes:
        for each in gone:
            catalogue.pop(each, None)
        catalogue.update({each: POOL[at] for each, at in came})
    return catalogue


@given(changes=st.lists(CHANGE, max_size=8), at_once=st.booleans(), seed=st.integers(0, 99))
@settings(max_examples=80, deadline=None)
def test_it_answers_as_a_dictionary_of_the_newest_vectors_would(changes, at_once: bool, seed: int) -> None:
    changes = [(came, gone - {each for each, _ in came}) for came, gone in changes]
    index = live()
    deltas = [delta(number, *change) for number, change in enumerate(changes, 1)]
    for part in [deltas] if at_once else [[each] for each in deltas]:
        index.apply(*part)
    catalogue, query = _model(changes), near(POOL, 1, seed)
    standing = index.now
    assert (standing.generation, standing.items) == (len(changes), len(catalogue))
    found = standing.search(query, len(IDS))
    scores = {
        standing.id_at(int(at)): score
        for at, score in zip(found.positions[0], found.scores[0], strict=True)
        if at != NONE
    }
    assert scores.keys() == catalogue.keys()
    for each, score in scores.items():
        assert score == pytest.approx(float(catalogue[each] @ query[0]), abs=1e-6)
    assert sorted(scores.values(), reverse=True) == list(scores.values())


def test_a_changed_item_has_its_newest_vector_once() -> None:
    index = live()
    for number in (1, 2, 3):
        index.apply(delta(number, came=[("item-7", number)]))
    assert found_ids(index, POOL[[3]], 1) == ["item-7"]
    assert found_ids(index, POOL[[1]], 100).count("item-7") == 1
    assert (index.now.later, index.now.items) == (1, 40)


def test_removed_items_never_appear_and_may_come_back() -> None:
    index = live()
    index.apply(delta(1, gone=["item-3", "never-there"]), delta(2, came=[("new", 5)]), delta(3, gone=["new"]))
    assert set(found_ids(index, BASE[[3]], 100)) == {each for each in IDS[:40] if each != "item-3"}
    index.apply(delta(4, came=[("item-3", 8)]))
    assert found_ids(index, POOL[[8]], 1) == ["item-3"]
    assert index.generation == 4


@pytest.mark.parametrize(
    ("number", "found"),
    [
        (8, "delta 7 missing"),
        (10, "deltas 7 to 9 missing"),
        (6, "generation 6 has it already"),
        (1, "generation 6 has it already"),
    ],
)
def test_a_delta_out_of_turn_is_refused_with_what_is_missing(number: int, found: str) -> None:
    index = live(generation=6)
    before = index.now
    with pytest.raises(RefusedError, match="not the next one") as caught:
        index.apply(delta(number))
    assert (caught.value.found, caught.value.accepted) == (found, "delta 7")
    assert index.now is before
    index.apply(delta(7))
    assert index.generation == 7


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (delta(2, came=[("new", 1)], embedder=OTHER), VectorsMismatch),
        (delta(2, gone=["item-1"], embedder=OTHER), VectorsMismatch),
        (Delta(2, ADAPTER, ["new"], clustered(1, 16)), VectorsMismatch),
        (Delta(2, ADAPTER, ["new"], 2 * POOL[:1]), VectorsMismatch),
        (Delta(2, ADAPTER, ["new", "new"], POOL[:2]), VectorsMismatch),
        (Delta(2, ADAPTER, ["new"]), VectorsMismatch),
        (delta(2, came=[("item-1", 1)], gone=["item-1"]), InputError),
    ],
)
def test_a_delta_that_is_refused_takes_those_beside_it_along(wrong: Delta, error: type[Exception]) -> None:
    index = live()
    before = index.now
    with pytest.raises(error):
        index.apply(delta(1, came=[("new", 1)]), wrong)
    assert index.now is before
    index.apply(delta(1, came=[("new", 1)]), delta(2))
    assert found_ids(index, POOL[[1]], 1) == ["new"]


def test_a_filter_reaches_later_items_and_never_those_that_are_gone() -> None:
    index = live()
    index.apply(delta(1, came=[("new", 1), ("newer", 2)], gone=["item-0"]))
    standing = index.now
    for wanted in ({"new", "item-5"}, {"newer"}, {"item-0"}, set()):
        allowed = Allowed(np.array([each in wanted for each in standing.ids]))
        assert set(found_ids(index, POOL[[1]], 10, allowed)) == wanted - {"item-0"}
    with pytest.raises(UsageError, match="a filter was refused"):
        standing.search(POOL[:1], 5, Allowed(np.ones(40, bool)))
    with pytest.raises(UsageError, match="a search was refused"):
        standing.search(POOL[:1, :4], 5)


@pytest.mark.parametrize("share", [1.0, 0.5, 0.05, 0.0])
def test_the_nearest_that_a_predicate_keeps_are_those_of_the_sorted_list(share: float) -> None:
    asked = near(POOL, 1)[0]
    index = LiveIndex(build(vectors(np.concatenate([BASE, POOL]))))
    index.apply(Delta(1, ADAPTER, ["new"], asked[None], [f"item-{at}" for at in range(0, 500, 3)]))
    standing, chosen = index.now, np.random.default_rng(6).random(540)
    left = {f"item-{at}" for at in range(540) if at % 3 or at >= 500} | {"new"}

    def keep(each: str) -> bool:
        assert each in left
        return each != "new" and chosen[int(each.removeprefix("item-"))] < share

    everything = standing.nearest(asked, 1000)
    assert {each for each, _ in everything} == left
    assert everything[0][0] == "new"
    for k in (1, 10, 30):
        assert standing.nearest(asked, k, keep) == [each for each in everything if keep(each[0])][:k]


def test_a_base_with_lists_keeps_its_recall_after_many_removals() -> None:
    rows = clustered(6000, 32)
    index = live_listed(rows)
    queries, rng = near(rows, 60), np.random.default_rng(4)
    gone = {int(at) for at in rng.choice(6000, 2500, replace=False)}
    index.apply(Delta(1, ADAPTER, removed=[f"item-{at}" for at in gone]))
    left = np.array([at not in gone for at in range(6000)])
    truth = index.now.base.exact().search(queries, 50, Allowed(left))
    assert recall_of(index.search(queries, 50), truth).mean() > 0.98


def live_listed(rows: Matrix) -> LiveIndex:
    index = LiveIndex(build(vectors(rows), IndexParameters(exact_up_to=1000)))
    assert index.now.base.lists is not None
    return index


def test_a_search_sees_a_delta_whole_or_not_at_all() -> None:
    """Each delta takes the marked item away and puts the next one there: one stands at every moment."""
    rows, mark = clustered(3000, 32), unit(np.ones((1, 32)))
    index = live_listed(rows)
    index.apply(Delta(1, ADAPTER, ["mark-1"], mark))

    def watch(_number: int) -> set[int]:
        seen = set()
        for _ in range(150):
            standing = index.now
            found = standing.search(mark, 2)
            names = [standing.id_at(int(at)) for at in found.positions[0]]
            assert names[0] == f"mark-{standing.generation}"
            assert not names[1].startswith("mark")
            seen.add(standing.generation)
        return seen

    with ThreadPoolExecutor(3) as pool:
        watching = [pool.submit(watch, number) for number in range(3)]
        while not all(each.done() for each in watching):
            last = index.generation
            index.apply(Delta(last + 1, ADAPTER, [f"mark-{last + 1}"], mark, [f"mark-{last}"]))
    assert len(set.union(*(each.result() for each in watching))) > 1
    assert index.now.later == 1


def test_of_writers_that_race_for_a_number_one_wins() -> None:
    index = live()

    def attempt(number: int) -> bool:
        try:
            index.apply(delta(1, came=[(f"by-{number}", number)]))
        except RefusedError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(8))) == 1
    assert (index.generation, index.now.later) == (1, 1)
