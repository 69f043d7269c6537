"""Golden queries that training knows are found, whoever asked them; so are users on both sides of a split."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from mangaops.datasets.search_leakage import CHECKS, compare_search
from mangaops.datasets.search_snapshot import SearchSnapshot
from mangaops.evidence import FACTS, TABLES
from mangaops.stack import SearchDataSpec
from mangaops.vocabulary import EvidenceKind, Side
from shop_rows import data_of, frozen, judgments, searches

SPEC = SearchDataSpec()
LONG = "a quiet story of a chef who cooks warm soup for cats in winter"


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> SearchSnapshot:
    folder = tmp_path_factory.mktemp("shop")
    return frozen(data_of(folder, judged=judgments(), logs=searches()))


def compared(golden: SearchSnapshot, release: SearchSnapshot, baseline: SearchSnapshot | None = None):
    training = {Side.BASELINE: baseline or golden, Side.RELEASE: release}
    return compare_search(golden, training, SPEC)


def asked(snapshot: SearchSnapshot, query_id: str, query: str) -> SearchSnapshot:
    """The version with one query in other words."""
    told = pl.when(pl.col("query_id") == query_id).then(pl.lit(query)).otherwise("query")
    return replace(
        snapshot, digest=f"{snapshot.digest} {query}", queries=snapshot.queries.with_columns(query=told)
    )


def trained_on(snapshot: SearchSnapshot) -> str:
    return str(snapshot.queries.filter(split="train")["query_id"].sort()[0])


def test_a_clean_version_has_no_conflict_and_the_facts_of_its_kind(clean: SearchSnapshot) -> None:
    facts, conflicts = compared(clean, clean)
    assert conflicts.is_empty()
    assert dict(conflicts.schema) == TABLES[EvidenceKind.LEAKAGE]["conflicts"]
    assert FACTS[EvidenceKind.LEAKAGE] <= set(facts)
    assert facts["checks"] == {str(side): dict.fromkeys(CHECKS, 0) for side in Side}
    assert facts["rows"] == clean.golden.height
    learnt = clean.queries.filter(pl.col("split") != "golden").height
    sought = clean.searches.filter(pl.col("split") != "golden")["search_id"].n_unique()
    assert facts["training_rows"]["release"] == learnt + sought
    assert facts["distinctive_under"] is None, "no query is a stock phrase: every one counts"


@pytest.mark.parametrize(
    ("golden", "training", "check"),
    [
        ("warm soup", "Warm soup!", "query"),
        ("warm soup", "soup warm", "same_words"),
        (LONG, f"{LONG} nights", "near_query"),
    ],
)
def test_a_golden_query_that_training_asks_is_found_once(
    golden: str, training: str, check: str, clean: SearchSnapshot
) -> None:
    query, learnt = str(clean.golden["query_id"][0]), trained_on(clean)
    asking = asked(clean, query, golden)
    facts, conflicts = compared(asking, asked(asking, learnt, training))
    assert conflicts.rows() == [(check, "release", query, learnt)]
    assert facts["checks"]["release"] == {**dict.fromkeys(CHECKS, 0), check: 1}
    assert sum(facts["checks"]["baseline"].values()) == 0


def test_queries_that_share_some_words_are_no_conflict(clean: SearchSnapshot) -> None:
    query = str(clean.golden["query_id"][0])
    asking = asked(clean, query, LONG)
    other = asked(asking, trained_on(clean), "a loud story of a chef who burns cold soup for dogs in summer")
    assert compared(asking, other)[1].is_empty()


def test_validation_is_training_too_and_golden_is_not(clean: SearchSnapshot) -> None:
    query = str(clean.golden["query_id"][0])
    for split, found in (("validation", 1), ("golden", 0)):
        learnt = str(
            clean.queries.filter(pl.col("split") == split, pl.col("query_id") != query)["query_id"][0]
        )
        asking = asked(clean, query, "warm soup")
        assert compared(asking, asked(asking, learnt, "warm soup"))[1].height == found


def test_a_search_for_a_golden_query_is_found(clean: SearchSnapshot) -> None:
    golden = clean.golden.row(0, named=True)
    first = clean.searches.filter(split="train")["search_id"].sort()[0]
    told = pl.when(pl.col("search_id") == first).then(pl.lit(golden["query"])).otherwise("query")
    leaky = replace(clean, digest="sha256:leaky", searches=clean.searches.with_columns(query=told))
    _, conflicts = compared(clean, leaky)
    assert conflicts.rows() == [("query", "release", golden["query_id"], first)]
    held = replace(leaky, digest="sha256:held", searches=leaky.searches.with_columns(split=pl.lit("golden")))
    assert compared(clean, held)[1].is_empty(), "a search that is held out teaches nothing"


@pytest.mark.parametrize("check", ["user", "session"])
def test_a_user_or_session_on_both_sides_of_a_split_is_found(check: str, clean: SearchSnapshot) -> None:
    held = clean.searches.filter(split="golden")["search_id"].sort()[0]
    learnt = clean.searches.filter(split="train").sort("search_id").row(0, named=True)
    moved = pl.when(pl.col("search_id") == held).then(pl.lit(learnt[f"{check}_id"])).otherwise(f"{check}_id")
    leaky = replace(
        clean, digest="sha256:leaky", searches=clean.searches.with_columns(moved.alias(f"{check}_id"))
    )
    facts, conflicts = compared(clean, leaky)
    assert facts["checks"]["release"] == {**dict.fromkeys(CHECKS, 0), check: 1}
    ((kind, side, row, by),) = conflicts.rows()
    same = clean.searches.filter(pl.col(f"{check}_id") == learnt[f"{check}_id"], pl.col("split") != "golden")
    assert (kind, side, row) == (check, "release", held)
    assert by in same["search_id"]


def test_users_that_nobody_knows_are_not_the_same(clean: SearchSnapshot) -> None:
    nobody = pl.lit(None, dtype=pl.String)
    unknown = clean.searches.with_columns(user_id=nobody, session_id=nobody)
    assert compared(clean, replace(clean, digest="sha256:x", searches=unknown))[1].is_empty()


def test_a_user_that_another_version_placed_elsewhere_is_no_conflict(clean: SearchSnapshot) -> None:
    swapped = pl.col("split").replace_strict({"golden": "train", "train": "golden", "validation": "golden"})
    users = clean.searches.with_columns(split=swapped)
    other = replace(clean, digest="sha256:other", searches=users)
    assert compared(clean, other)[1].is_empty()


def test_data_without_logs_of_searches_is_compared_by_its_queries(tmp_path: Path) -> None:
    plain = frozen(data_of(tmp_path / "shop", judged=judgments()))
    assert compared(plain, plain)[1].is_empty()
    query = str(plain.golden["query_id"][0])
    same = str(plain.golden.filter(query_id=query)["query"][0])
    facts, conflicts = compared(plain, plain, asked(plain, trained_on(plain), same))
    assert conflicts["side"].to_list() == ["baseline"]
    assert facts["checks"]["baseline"]["query"] == 1
