"""BM25 as the plain baseline: the published formula, ties, filters, queries that nothing answers."""

from __future__ import annotations

import math
from collections import Counter

import polars as pl
import pytest

from mangaops.datasets.text import tokens
from mangaops.errors import TrainingError
from mangaops.training.steps.lexical import K1, B, lexical

ITEMS = pl.DataFrame(
    {
        "item_id": ["a", "b", "c", "d", "e"],
        "text": [
            "Red dragon. A dragon guards the red gate",
            "Silent library. A quiet story of books and rain",
            "Dragon kitchen. A cook feeds a dragon",
            "ワンピース. 海賊の物語",
            "Dragon kitchen. A cook feeds a dragon",
        ],
    }
)


def formula(query: str, text: str) -> float:
    """Robertson and Zaragoza (2009), equation 3.15, with Lucene's idf and without the factor k1 + 1."""
    words = [tokens(each) for each in ITEMS["text"]]
    mean = sum(map(len, words)) / len(words)
    mine, total = Counter(tokens(text)), 0.0
    for word in tokens(query):
        having = sum(word in each for each in words)
        idf = math.log(1 + (len(words) - having + 0.5) / (having + 0.5))
        norm = K1 * (1 - B + B * sum(mine.values()) / mean)
        total += idf * mine[word] / (mine[word] + norm)
    return total


@pytest.mark.parametrize("query", ["dragon", "red dragon", "a quiet STORY", "海賊", "dragon dragon gate"])
def test_scores_are_those_of_the_formula_in_the_order_of_the_scores(query: str) -> None:
    hits = lexical(ITEMS).retrieve(query, 10)
    expected = {row["item_id"]: formula(query, row["text"]) for row in ITEMS.to_dicts()}
    assert {hit.item_id: hit.score for hit in hits} == pytest.approx(
        {item: score for item, score in expected.items() if score > 0}, rel=1e-5
    )
    assert [hit.retrieved for hit in hits] == list(range(1, len(hits) + 1))
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_equal_items_stand_in_the_order_of_the_catalogue_and_k_cuts() -> None:
    found = lexical(ITEMS)
    assert [hit.item_id for hit in found.search("kitchen").hits] == ["c", "e"]
    assert [hit.item_id for hit in found.search("kitchen", 1).hits] == ["c"]
    assert [hit.item_id for hit in found.search("kitchen", 1, lambda item: item != "c").hits] == ["e"]


def test_a_lexical_search_has_no_step_but_retrieval() -> None:
    assert list(lexical(ITEMS).search("kitchen").milliseconds) == ["retrieve"]


@pytest.mark.parametrize("query", ["", "!!", "zeppelin"])
def test_a_query_that_nothing_answers_finds_nothing(query: str) -> None:
    assert lexical(ITEMS).search(query).hits == ()


def test_items_without_a_word_are_refused() -> None:
    with pytest.raises(TrainingError, match="refused before it began"):
        lexical(pl.DataFrame({"item_id": ["a"], "text": ["!"]}))
    with pytest.raises(TrainingError):
        lexical(ITEMS.clear())
