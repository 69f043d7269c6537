"""The simulated shop: titles that hang together, queries, and judgments that follow hidden traits alone."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from fractions import Fraction
from typing import Any

import bm25s
import numpy as np
import polars as pl
import pytest

from mangaops.errors import UsageError
from mangaops.simulation.asked import KINDS, NAMED, Asked, about, asked, born
from mangaops.simulation.catalogue import catalogue
from mangaops.simulation.engine import K1, B, Lexical, tokens
from mangaops.simulation.lexicon import words
from mangaops.simulation.queries import POOL, queries
from mangaops.simulation.relevance import OTHER_THAN, Traits, Wanted
from mangaops.simulation.searches import searches
from mangaops.simulation.shop import SCHEMA, readable, shop
from mangaops.simulation.world import BEGINS, WEEK

SEED = 7
COUNT = 800


@pytest.fixture(scope="module")
def titles() -> pl.DataFrame:
    return shop(SEED)


@pytest.fixture(scope="module")
def judged(titles: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    return queries(SEED, COUNT, titles)


@pytest.fixture(scope="module")
def minds(titles: pl.DataFrame) -> list[Asked]:
    return list(asked(SEED, range(COUNT), titles))


# ---- the shop


def test_titles_are_distinct_and_have_the_stated_columns(titles: pl.DataFrame) -> None:
    assert titles.height == 3000
    assert dict(titles.schema) == SCHEMA
    for column in ("item_id", "title", "synopsis"):
        assert titles[column].n_unique() == titles.height, column
    assert titles.null_count().sum_horizontal().item() == 0
    assert titles["simulated"].all()
    assert titles["item_id"].str.starts_with("sim-item-").all()


@pytest.mark.parametrize("seed", range(3))
def test_an_article_fits_the_word_after_it(seed: int) -> None:
    names = [each.title for each in catalogue(seed)]
    assert not [name for name in names if re.search(r"\ba [AEIOU]|\ban [^AEIOU]", name)]
    assert any(" an " in name for name in names)
    assert any(" a " in name for name in names)


def test_the_first_titles_are_those_of_the_traffic(titles: pl.DataFrame) -> None:
    known = catalogue(SEED)
    for item, title in zip(titles.head(len(known)).iter_rows(named=True), known, strict=True):
        assert (item["item_id"], item["title"]) == (title.item_id, title.title)
        assert (item["author"], item["price_yen"]) == (title.author, title.price_yen)
        assert item["genres"].split(", ")[0] == title.genre
        assert item["released"] == BEGINS + title.released * WEEK


def test_traits_are_known_words_and_each_is_met_often(titles: pl.DataFrame) -> None:
    bank = words("traits")
    for column in ("theme", "tone"):
        known = {each for pair in bank[f"{column}s"] for each in pair}
        assert set(titles[column]) == known
        assert titles[column].value_counts()["count"].min() > 40  # type: ignore[operator]
    tags = titles["tags"].str.split(", ")
    assert set(tags.list.get(0)) == set(bank["heroes"])
    assert set(tags.list.get(1)) == set(bank["settings"])
    assert set(titles["genres"].str.split(", ").explode()) == set(bank["leans"])
    assert set(titles["age_rating"]) == {"all", "teen", "mature"}
    assert set(titles["language"]) == {"en", "ja-en"}


def test_a_synopsis_has_two_to_four_sentences(titles: pl.DataFrame) -> None:
    sentences = titles["synopsis"].str.count_matches(r"[.!?。](?:\s|$)")
    assert sentences.is_between(2, 4).all()
    assert not titles["synopsis"].str.contains(r"[{}|\[\]]").any()
    japanese = titles["synopsis"].str.contains(r"\p{Han}|\p{Hiragana}|\p{Katakana}")
    assert (japanese == (titles["language"] == "ja-en")).all()


def test_a_smaller_shop_is_the_beginning_of_a_larger_one(titles: pl.DataFrame) -> None:
    assert shop(SEED, 500).equals(titles.head(500))
    assert not shop(8, 500)["synopsis"].equals(titles.head(500)["synopsis"])


@pytest.mark.parametrize(("seed", "count"), [(-1, 3000), (1, 99), (1, 10_001)])
def test_a_shop_that_cannot_be_is_refused(seed: int, count: int) -> None:
    with pytest.raises(UsageError, match="simulated shop was refused"):
        shop(seed, count)


def _digest(*frames: pl.DataFrame) -> str:
    rows = "".join(frame.write_csv() for frame in frames)
    return hashlib.sha256(rows.encode()).hexdigest()


DIGEST = """
import hashlib
from mangaops.simulation.queries import queries
from mangaops.simulation.searches import searches
from mangaops.simulation.shop import shop
items = shop(3, 600)
frames = (items, *queries(3, 60, items), searches(3, 1, 40, items))
print(hashlib.sha256("".join(frame.write_csv() for frame in frames).encode()).hexdigest())
"""


def test_the_same_seed_gives_the_same_rows_in_another_process() -> None:
    items = shop(3, 600)
    here = _digest(items, *queries(3, 60, items), searches(3, 1, 40, items))
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    there = subprocess.run(
        [sys.executable, "-c", DIGEST], env=environment, capture_output=True, text=True, check=True
    )
    assert there.stdout.strip() == here


# ---- queries


def test_queries_are_a_prefix_of_more_and_have_the_stated_shares(
    titles: pl.DataFrame, judged: tuple[pl.DataFrame, pl.DataFrame]
) -> None:
    some, judgments = queries(SEED, 50, titles)
    assert some.equals(judged[0].head(50))
    assert judgments.equals(judged[1].head(judgments.height))
    assert judged[0].columns == ["query_id", "query", "language", "kind"]
    assert sum(KINDS.values()) == pytest.approx(1.0)
    for kind, share in KINDS.items():
        spread = 4 * (share * (1 - share) / COUNT) ** 0.5
        assert (judged[0]["kind"] == kind).mean() == pytest.approx(share, abs=spread), kind
    assert (judged[0]["language"] == "ja-en").mean() == pytest.approx(0.14, abs=0.05)


def test_texts_are_whole_and_mostly_distinct(judged: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    texts = judged[0]["query"]
    assert not texts.str.contains(r"[{}|\[\]]").any()
    assert texts.str.strip_chars().str.len_chars().min() > 0  # type: ignore[operator]
    assert texts.n_unique() > 0.9 * COUNT
    lengths = texts.str.split(" ").list.len()
    assert (lengths <= 2).mean() > 0.04  # type: ignore[operator]
    assert (lengths >= 9).mean() > 0.1  # type: ignore[operator]


def test_queries_of_titles_hold_a_title_a_part_of_it_or_one_with_slips(
    titles: pl.DataFrame, minds: list[Asked]
) -> None:
    name_of = dict(titles.select("item_id", "title").iter_rows())
    for one in minds:
        title, said = name_of[one.source].lower(), one.query.lower()
        if one.kind == "title" and one.language == "en":
            assert title in said
        if one.kind in ("half_title", "misspelt_title"):
            assert title not in said


def test_a_query_asks_for_a_title_that_was_out_when_it_was_first_typed(titles: pl.DataFrame) -> None:
    released = dict(titles.select("item_id", "released").iter_rows())
    late = list(asked(SEED, about(20)[-300:], titles))
    assert all(released[one.source] <= BEGINS + 20 * WEEK for one in late)
    assert any(released[one.source] > BEGINS for one in late)
    assert born(about(20)[-1]) == 20
    assert about(1)[0] > about(0)[0]


# ---- relevance


def _degree(trait: str, value: Any, item: dict[str, Any], pairs: list[list[str]]) -> Fraction:
    """How far an item meets a trait, written anew from docs/simulated-world.md."""
    if trait in ("theme", "tone"):
        partner = next(other for pair in pairs for one, other in (pair, pair[::-1]) if one == value)
        return Fraction(1) if item[trait] == value else Fraction(1, 2) * (item[trait] == partner)
    if trait == "under_yen":
        over = item["price_yen"] / value
        return Fraction(1) if over <= 1 else Fraction(1, 2) * (over <= 1.2)
    if trait in ("hero", "setting", "format", "genre"):
        return Fraction(value in item["genres" if trait == "genre" else "tags"].split(", "))
    return Fraction(item[trait] == value)


def _grade(wanted: Wanted, item: dict[str, Any], pairs: list[list[str]]) -> int:
    counted = [each for each in wanted if each[0] != OTHER_THAN]
    if (OTHER_THAN, item["item_id"]) in wanted:
        return 0
    shares = [_degree(trait, value, item, pairs) for trait, value in counted]
    met = (2 * shares[0] + sum(shares[1:])) / (len(shares) + 1)
    return 3 if met == 1 else 2 if met >= Fraction(3, 4) else 1 if met >= Fraction(1, 2) else 0


def test_judgments_follow_the_traits(
    titles: pl.DataFrame, judged: tuple[pl.DataFrame, pl.DataFrame], minds: list[Asked]
) -> None:
    items = {item["item_id"]: item for item in titles.iter_rows(named=True)}
    pairs = words("traits")["themes"] + words("traits")["tones"]
    wanted = {one.query_id: one.wanted for one in minds}
    assert {one.query_id: one.query for one in minds} == dict(judged[0].select("query_id", "query").rows())
    for query_id, _, item_id, grade in judged[1].iter_rows():
        assert grade == _grade(wanted[query_id], items[item_id], pairs), (query_id, item_id)


def test_words_have_no_part_in_a_grade(titles: pl.DataFrame, minds: list[Asked]) -> None:
    moved = titles.with_columns(synopsis=titles["synopsis"].reverse(), title=titles["title"].reverse())
    here, there = Traits(titles), Traits(moved)
    for one in minds[:200]:
        assert np.array_equal(here.grades(one.wanted), there.grades(one.wanted))


def test_judgments_are_a_pool_of_known_titles_with_a_full_answer_in_it(
    titles: pl.DataFrame, judged: tuple[pl.DataFrame, pl.DataFrame]
) -> None:
    asked_for, judgments = judged
    assert judgments.columns == ["query_id", "query", "item_id", "grade"]
    assert set(judgments["item_id"]) <= set(titles["item_id"])
    assert not judgments.select("query_id", "item_id").is_duplicated().any()
    pools = judgments.group_by("query_id").agg(pl.len(), pl.col("grade").max()).join(asked_for, on="query_id")
    assert pools.height == COUNT
    assert (pools["len"] == POOL).all()
    assert (pools.filter(pl.col("kind") != "like")["grade"] == 3).all()
    assert (judgments["grade"] == 0).mean() > 0.4  # type: ignore[operator]


def test_relevant_titles_stay_unjudged_as_in_real_collections(
    titles: pl.DataFrame, judged: tuple[pl.DataFrame, pl.DataFrame], minds: list[Asked]
) -> None:
    traits = Traits(titles)
    relevant = sum(int((traits.grades(one.wanted) >= 2).sum()) for one in minds)
    known = judged[1].filter(pl.col("grade") >= 2).height
    assert 0.2 < known / relevant < 0.8


def test_the_title_that_was_named_as_an_example_is_no_answer(
    judged: tuple[pl.DataFrame, pl.DataFrame], minds: list[Asked]
) -> None:
    grades = {(query, item): grade for query, _, item, grade in judged[1].iter_rows()}
    liked = [one for one in minds if one.kind == "like"]
    assert len(liked) > 20
    assert {grades[one.query_id, one.source] for one in liked} == {0}


@pytest.mark.parametrize(("seed", "count"), [(-1, 5), (1, 0)])
def test_queries_that_cannot_be_are_refused(titles: pl.DataFrame, seed: int, count: int) -> None:
    with pytest.raises(UsageError, match="simulated queries were refused"):
        queries(seed, count, titles)


# ---- what words alone find


def _gain(order: np.ndarray, grades: np.ndarray) -> float:
    """nDCG at 10 over the whole shop, with gains 2**grade - 1."""
    discounts = 1 / np.log2(np.arange(2, 12))
    gains = 2.0**grades - 1
    return float((gains[order[:10]] * discounts).sum() / (np.sort(gains)[::-1][:10] * discounts).sum())


def test_words_find_what_is_named_and_miss_what_is_described(
    titles: pl.DataFrame, minds: list[Asked]
) -> None:
    traits, found = Traits(titles), {kind: [] for kind in KINDS}
    lexical = bm25s.BM25()
    lexical.index([tokens(text) for text in readable(titles)], show_progress=False)
    for one in minds:
        grades = traits.grades(one.wanted)
        if grades.max() > 0:
            scores = lexical.get_scores(tokens(one.query))
            found[one.kind].append(_gain(np.argsort(-scores, kind="stable"), grades))
    mean = {kind: float(np.mean(gains)) for kind, gains in found.items()}
    assert min(mean["title"], mean["author"]) > 0.8, mean
    assert mean["misspelt_title"] < mean["title"] - 0.3, mean
    for described in ("theme_tone", "plot", "genre_limit", "like"):
        assert 0.02 < mean[described] < mean["title"] - 0.5, mean
    assert set(mean) - NAMED == {"theme_tone", "broad", "plot", "genre_limit", "like"}


def test_the_shop_s_own_engine_is_bm25() -> None:
    texts = readable(shop(SEED, 300))
    mine, theirs = Lexical(texts), bm25s.BM25(method="lucene", k1=K1, b=B)
    theirs.index([tokens(text) for text in texts], show_progress=False)
    for query in ("the Ghost of the fourth moon", "something sad about war", "crooked"):
        scores = theirs.get_scores(tokens(query)) * (K1 + 1)  # Lucene leaves that factor out
        assert mine.scores(query) == pytest.approx(scores, rel=1e-4, abs=1e-4)
    assert not mine.scores("zzz").any()
    assert mine.best("zzz", 3).tolist() == [0, 1, 2]
