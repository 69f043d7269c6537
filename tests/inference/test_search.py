"""End-to-end search with plain functions for models: order, ties, filters, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mangaops.errors import IntegrityError, UsageError
from mangaops.inference.search import STEPS, Filter, Floats, Search

ITEMS = tuple(f"i{n}" for n in range(40))


class OnALine:
    """Items on a line: item n lies at n; a query is its number."""

    generation = 3

    def vectors(self, texts: Sequence[str]) -> Floats:
        return np.array([[float(text)] for text in texts], dtype=np.float32)

    def nearest(self, vector: Floats, k: int, keep: Filter | None) -> list[tuple[str, float]]:
        kept = [each for each in ITEMS if keep is None or keep(each)]
        near = sorted(kept, key=lambda each: abs(int(each[1:]) - float(vector[0])))
        return [(each, -abs(int(each[1:]) - float(vector[0]))) for each in near[:k]]

    def text(self, item_id: str) -> str:
        return f"text of {item_id}"


class Scores:
    """A reranker made of a function from an item's number to its score."""

    def __init__(self, say: Callable[[int], float]) -> None:
        self.say, self.seen, self.near = say, list[list[str]](), list[float]()

    def scores(self, _query: str, texts: Sequence[str], similarities: Sequence[float]) -> Floats:
        self.seen.append(list(texts))
        self.near = list(similarities)
        return np.array([self.say(int(text.rpartition("i")[2])) for text in texts], dtype=np.float32)


def search(reranks: Scores | None, depth: int = 5) -> Search:
    line = OnALine()
    return Search("pair", line, lambda: line, reranks, depth=depth)


def ids(found: Search, query: str, k: int, keep: Filter | None = None) -> list[str]:
    return [hit.item_id for hit in found.search(query, k, keep).hits]


def test_without_a_reranker_the_nearest_come_first() -> None:
    assert ids(search(None), "7", 3) == ["i7", "i6", "i8"]
    assert [hit.item_id for hit in search(None).retrieve("7", 2)] == ["i7", "i6"]


def test_the_reranker_orders_what_was_retrieved_and_nothing_else() -> None:
    reranks = Scores(lambda n: n)
    found = search(reranks).search("7", 2)
    assert [(hit.item_id, hit.retrieved) for hit in found.hits] == [("i9", 5), ("i8", 3)]
    assert sorted(reranks.seen[0]) == [f"text of i{n}" for n in (5, 6, 7, 8, 9)]
    assert reranks.near == [0, -1, -1, -2, -2], "it is told how near each is"
    assert found.generation == 3
    assert list(found.milliseconds) == list(STEPS)
    assert all(each >= 0 for each in found.milliseconds.values())


def test_equal_scores_keep_the_order_of_retrieval() -> None:
    assert ids(search(Scores(lambda _n: 1.0)), "7", 5) == ids(search(None), "7", 5)


def test_more_than_the_depth_is_reranked_where_more_is_asked_for() -> None:
    reranks = Scores(lambda n: -n)
    assert len(ids(search(reranks, depth=2), "7", 6)) == 6
    assert len(reranks.seen[0]) == 6


def test_a_filter_is_applied_before_the_reranker_and_may_leave_nothing() -> None:
    reranks = Scores(lambda n: n)
    assert ids(search(reranks), "7", 3, lambda each: int(each[1:]) % 2 == 0) == ["i10", "i8", "i6"]
    assert search(reranks).search("7", 3, lambda _each: False).hits == ()
    assert len(reranks.seen) == 1, "nobody is asked to rerank nothing"


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_score_that_is_no_number_is_refused_with_the_pair_named(bad: float) -> None:
    with pytest.raises(IntegrityError, match="pair was refused") as refused:
        search(Scores(lambda n: bad if n == 8 else n)).search("7")
    assert "1 of them no number" in refused.value.found


def test_less_than_one_item_is_refused() -> None:
    for refused in (
        lambda: search(None).search("7", 0),
        lambda: search(None).retrieve("7", 0),
        lambda: search(None, depth=0),
    ):
        with pytest.raises(UsageError):
            refused()


@given(st.integers(0, 39), st.integers(1, 12), st.integers(1, 12), st.permutations(range(40)))
def test_hits_are_the_best_scores_of_the_nearest(query: int, k: int, depth: int, worth: list[int]) -> None:
    found = search(Scores(lambda n: worth[n]), depth).search(str(query), k).hits
    near = OnALine().nearest(np.array([query], dtype=np.float32), max(depth, k), None)
    best = sorted((worth[int(each[1:])] for each, _ in near), reverse=True)[:k]
    assert [hit.score for hit in found] == best
    assert all(near[hit.retrieved - 1][0] == hit.item_id for hit in found)
