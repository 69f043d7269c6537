"""Metrics of ranked lists: against ir-measures, against published numbers, and by hand."""

from __future__ import annotations

import math
import re
from typing import Any

import ir_measures
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_measures import RR, Judged, R, Success, nDCG

from mangaops.errors import IntegrityError
from mangaops.evidence import Evidence, require
from mangaops.metrics import METRICS, Ranked, judged_share, parts
from mangaops.vocabulary import Cell, Side, Stage, Unjudged
from ranking_rows import BOTH_NEW, Grades, Run, frame, models, ranking, searched

IRRELEVANT, LEFT_OUT = Unjudged.IRRELEVANT, Unjudged.LEFT_OUT


def view(run: Run, grades: Grades, unjudged: Unjudged = IRRELEVANT, **more: Any) -> Ranked:
    """The lists of the release, beside a baseline that shows nothing."""
    return Ranked.of(searched({}, run, grades, **more)).at(Stage.SEARCH, unjudged)


def by_query(name: str, ranked: Ranked) -> dict[str, float]:
    """The release's value of each query that says something."""
    sides = METRICS[name].rows(ranked, None)
    top, bottom = sides.release_numerator, sides.release_denominator
    queries = ranked.queries.get_column("query_id").to_list()
    return {query: top[at] / bottom[at] for at, query in enumerate(queries) if bottom[at] > 0}


# ---- ir-measures on random runs

ITEMS = [f"item-{number:02}" for number in range(12)]
SCORES = st.dictionaries(st.sampled_from(ITEMS), st.sampled_from((0.0, 0.25, 0.5, 0.75)), max_size=12)
GRADES = st.dictionaries(st.sampled_from(ITEMS), st.integers(0, 3), max_size=9)
WORLDS = st.lists(st.tuples(SCORES, GRADES), min_size=1, max_size=8)
CUTS = (1, 3, 10)
ORACLES = {
    **{f"recall@{k}": R @ k for k in CUTS},
    **{f"ndcg@{k}": nDCG @ k for k in CUTS},
    **{f"mrr@{k}": RR @ k for k in CUTS},
    "mrr@k": RR,
    "ndcg@k": nDCG,
    "bad_top1": Success @ 1,
}


def trec_order(scores: dict[str, float]) -> list[str]:
    """Best score first; equal scores by item, last first: the order of trec_eval."""
    return sorted(scores, key=lambda item: (scores[item], item), reverse=True)


def of_ir_measures(name: str, runs: Run, grades: Grades, unjudged: Unjudged) -> dict[str, float]:
    """Values of ir-measures; lists are condensed here for measures that it has no `judged_only` for."""
    measure = ORACLES[name]
    if unjudged is LEFT_OUT:
        runs = {query: [item for item in run if item in grades[query]] for query, run in runs.items()}
    scored = {query: {item: -float(at) for at, item in enumerate(run)} for query, run in runs.items()}
    given_ = {query: {item: int(grade) for item, grade in of.items()} for query, of in grades.items()}
    return {found.query_id: found.value for found in ir_measures.iter_calc([measure], given_, scored)}


@pytest.mark.parametrize("unjudged", Unjudged)
@pytest.mark.parametrize("name", ORACLES)
@settings(max_examples=30, deadline=None)
@given(WORLDS)
def test_values_are_those_of_ir_measures(name: str, unjudged: Unjudged, worlds: list) -> None:
    runs = {f"q{at}": trec_order(scores) for at, (scores, _) in enumerate(worlds)}
    grades = {f"q{at}": of for at, (_, of) in enumerate(worlds)}
    oracle = of_ir_measures(name, runs, grades, unjudged)
    found = by_query(name, view(runs, grades, unjudged))
    assert set(found) == {query for query, of in grades.items() if max(of.values(), default=0) > 0}
    for query, value in found.items():
        expected = oracle.get(query, 0.0)
        assert value == pytest.approx(1.0 - expected if name == "bad_top1" else expected), query


@pytest.mark.parametrize("measure", ["recall@3", "recall@10", "ndcg@3", "ndcg@10"])
@settings(max_examples=30, deadline=None)
@given(WORLDS)
def test_ties_in_score_and_judged_only_are_those_of_trec_eval(measure: str, worlds: list) -> None:
    """Raw scores with ties go to trec_eval, which orders and condenses by itself."""
    stem, _, k = measure.partition("@")
    known = (R if stem == "recall" else nDCG)(judged_only=True) @ int(k)
    runs = {f"q{at}": scores for at, (scores, _) in enumerate(worlds)}
    grades = {f"q{at}": of for at, (_, of) in enumerate(worlds)}
    oracle = {each.query_id: each.value for each in ir_measures.iter_calc([known], grades, runs)}
    ordered = {query: trec_order(scores) for query, scores in runs.items()}
    for query, value in by_query(measure, view(ordered, grades, LEFT_OUT)).items():
        assert value == pytest.approx(oracle.get(query, 0.0)), query


@pytest.mark.parametrize("k", CUTS)
@settings(max_examples=30, deadline=None)
@given(WORLDS)
def test_judged_is_that_of_ir_measures(k: int, worlds: list) -> None:
    runs = {f"q{at}": trec_order(scores) for at, (scores, _) in enumerate(worlds)}
    grades = {f"q{at}": of for at, (_, of) in enumerate(worlds)}
    scored = {query: {item: -float(at) for at, item in enumerate(run)} for query, run in runs.items() if run}
    oracle = {each.query_id: each.value for each in ir_measures.iter_calc([Judged @ k], grades, scored)}
    found = by_query(f"judged@{k}", view(runs, grades))
    assert set(found) == {query for query, run in runs.items() if run}
    for query, value in found.items():
        assert value == pytest.approx(oracle.get(query, 0.0)), query


@settings(max_examples=30, deadline=None)
@given(WORLDS)
def test_the_mean_is_that_of_ir_measures(worlds: list) -> None:
    """Over queries with something relevant, of equal weight."""
    asked = [(scores, of) for scores, of in worlds if scores and max(of.values(), default=0) > 0]
    runs = {f"q{at}": trec_order(scores) for at, (scores, _) in enumerate(asked)}
    grades = {f"q{at}": of for at, (_, of) in enumerate(asked)}
    if not asked:
        return
    scored = {query: {item: -float(at) for at, item in enumerate(run)} for query, run in runs.items()}
    oracle = ir_measures.calc_aggregate([nDCG @ 10, R @ 3], grades, scored)
    for name, measure in (("ndcg@10", nDCG @ 10), ("recall@3", R @ 3)):
        value = METRICS[name].rows(view(runs, grades), None).value(Side.RELEASE)
        assert value == pytest.approx(oracle[measure])


# ---- published numbers


def test_ndcg_of_a_published_list() -> None:
    """Grades 3, 2, 3, 0, 1, 2 in this order have a DCG of 6.861. Of these six items the best list has 7.141,
    and with two more of grades 3 and 2, which were not shown, 8.740: nDCG 0.961 and 0.785.

    Source: the example of Wikipedia's page "Discounted cumulative gain", in two of its versions.
    """
    items = [f"D{number}" for number in range(1, 7)]
    grades = dict(zip(items, (3, 2, 3, 0, 1, 2), strict=True))
    for more, expected in (({}, 6.861 / 7.141), ({"D7": 3, "D8": 2}, 0.785)):
        found = by_query("ndcg@6", view({"q": items}, {"q": {**grades, **more}}))
        assert found == {"q": pytest.approx(expected, abs=5e-4)}


def test_mrr_of_three_published_queries() -> None:
    """Relevant at place 3, 2 and 1: (1/3 + 1/2 + 1) / 3 = 11/18 (Wikipedia, "Mean reciprocal rank")."""
    runs = {"cat": ["catten", "cati", "cats"], "torus": ["torii", "tori"], "virus": ["viruses", "virii"]}
    grades = {"cat": {"cats": 1}, "torus": {"tori": 1}, "virus": {"viruses": 1}}
    assert METRICS["mrr@10"].rows(view(runs, grades), None).value(Side.RELEASE) == pytest.approx(11 / 18)


# ---- by hand

LISTS = {"q1": ["a", "b", "c", "d"], "q2": ["e"], "q3": []}
JUDGED = {"q1": {"b": 0, "c": 2, "d": 1, "z": 1}, "q2": {"a": 1}, "q3": {"a": 3}}


def test_an_unjudged_item_is_irrelevant_or_is_not_there() -> None:
    as_shown, condensed = view(LISTS, JUDGED), view(LISTS, JUDGED, LEFT_OUT)
    assert by_query("mrr@10", as_shown)["q1"] == pytest.approx(1 / 3)
    assert by_query("mrr@10", condensed)["q1"] == pytest.approx(1 / 2)
    assert by_query("recall@2", as_shown)["q1"] == 0.0
    assert by_query("recall@2", condensed)["q1"] == pytest.approx(1 / 3)


def test_the_top_item_is_bad_where_it_is_irrelevant_unjudged_or_missing() -> None:
    runs = {
        "good": ["a"],
        "graded 0": ["b", "a"],
        "unjudged": ["x", "a"],
        "unjudged, then 0": ["x", "b"],
        "none": [],
    }
    grades = {query: {"a": 1.0, "b": 0.0} for query in runs}
    assert by_query("bad_top1", view(runs, grades)) == {
        "good": 0.0,
        "graded 0": 1.0,
        "unjudged": 1.0,
        "unjudged, then 0": 1.0,
        "none": 1.0,
    }
    left_out = by_query("bad_top1", view(runs, grades, LEFT_OUT))
    assert (left_out["unjudged"], left_out["unjudged, then 0"], left_out["none"]) == (0.0, 1.0, 1.0)


@pytest.mark.parametrize("name", ["recall@3", "ndcg@10", "mrr@10"])
def test_an_empty_list_finds_nothing(name: str) -> None:
    assert by_query(name, view(LISTS, JUDGED))["q3"] == 0.0


@pytest.mark.parametrize("name", ["recall@3", "ndcg@10", "mrr@10", "bad_top1"])
def test_a_query_without_a_relevant_item_says_nothing(name: str) -> None:
    ranked = view({"q1": ["a"], "q2": ["a"], "q3": ["a"]}, {"q1": {"a": 1}, "q2": {"a": 0}})
    assert set(by_query(name, ranked)) == {"q1"}
    assert METRICS[name].rows(ranked, None).rows() == 1


def test_a_list_that_is_shorter_than_k_is_taken_as_it_is() -> None:
    ranked = view({"q": ["a", "b"]}, {"q": {"a": 1, "b": 1}})
    for name in ("recall@10", "ndcg@10", "judged@10"):
        assert by_query(name, ranked)["q"] == 1.0


def test_equal_scores_stand_in_the_order_that_was_shown() -> None:
    """Not in that of the item's name, as trec_eval breaks ties."""
    evidence = searched({}, {"q": ["a", "z"]}, {"q": {"a": 1.0}})
    tied = evidence.tables["ranked"].with_columns(score=pl.lit(0.5))
    found = Ranked.of(
        Evidence(evidence.kind, evidence.binding, evidence.facts, {**evidence.tables, "ranked": tied})
    )
    assert by_query("mrr@10", found) == {"q": 1.0}


def test_values_are_weighted_to_the_traffic() -> None:
    queries = {"q1": {"weight": 3.0}, "q2": {"weight": 1.0}}
    ranked = view({"q1": ["a"], "q2": []}, {"q1": {"a": 1}, "q2": {"a": 1}}, queries=queries)
    assert METRICS["recall@3"].rows(ranked, None).value(Side.RELEASE) == pytest.approx(3 / 4)


def test_coverage_is_the_share_of_the_catalogue_that_any_list_shows() -> None:
    ranked = view({"q1": ["a", "b"], "q2": ["a", "c"], "q3": []}, {}, catalogue_items=10)
    for k, items in ((1, 1), (2, 3), (10, 3)):
        assert METRICS[f"coverage@{k}"].rows(ranked, None).value(Side.RELEASE) == pytest.approx(items / 10)
    assert METRICS["coverage@3"].rows(ranked, None).value(Side.BASELINE) == 0.0


def test_stages_and_crosses_have_lists_of_their_own() -> None:
    runs = {
        (Stage.ADAPTER, Cell.BASELINE): {"q": ["a"]},
        (Stage.ADAPTER, Cell.RELEASE): {"q": ["b"]},
        (Stage.SEARCH, Cell.BASELINE): {"q": ["x", "a"]},
        (Stage.SEARCH, Cell.RELEASE): {"q": ["x", "x2", "a"]},
        (Stage.SEARCH, Cell.NEW_ADAPTER): {"q": ["a"]},
        (Stage.SEARCH, Cell.NEW_RERANKER): {"q": []},
    }
    ranked = Ranked.of(ranking(runs, {"q": {"a": 1}}))
    assert ranked.measured == frozenset(Cell)
    adapter = METRICS["mrr@10"].rows(ranked.at(Stage.ADAPTER, IRRELEVANT), None)
    assert (adapter.value(Side.BASELINE), adapter.value(Side.RELEASE)) == (1.0, 0.0)
    crosses = METRICS["mrr@10"].rows(ranked.between(Cell.NEW_RERANKER, Cell.NEW_ADAPTER), None)
    assert (crosses.value(Side.BASELINE), crosses.value(Side.RELEASE)) == (0.0, 1.0)
    assert ranked.at(Stage.RERANKER, IRRELEVANT).depth == 0


@pytest.mark.parametrize(
    ("new", "same"),
    [
        ({"adapter": "adapter@v2"}, {Cell.NEW_ADAPTER: Cell.RELEASE, Cell.NEW_RERANKER: Cell.BASELINE}),
        ({"reranker": "reranker@v2"}, {Cell.NEW_ADAPTER: Cell.BASELINE, Cell.NEW_RERANKER: Cell.RELEASE}),
        ({}, {Cell.NEW_ADAPTER: Cell.RELEASE, Cell.NEW_RERANKER: Cell.BASELINE}),
    ],
)
def test_a_cross_of_a_lone_change_is_one_of_the_sides(new: dict, same: dict) -> None:
    evidence = searched({"q": ["a"]}, {"q": ["x", "a"]}, {"q": {"a": 1}}, models=models(**new))
    ranked = Ranked.of(evidence)
    assert ranked.changed == tuple(new)
    assert ranked.measured == frozenset(Cell)
    for cross, side in same.items():
        found = METRICS["mrr@10"].rows(ranked.between(cross, side), None)
        assert found.value(Side.BASELINE) == found.value(Side.RELEASE)


def test_slices_of_queries() -> None:
    queries = {
        "q1": {"language": "ja", "words": 1, "traffic": "head"},
        "q2": {"language": "en", "words": 4, "traffic": "tail"},
        "q3": {"language": None, "words": 20, "traffic": None},
    }
    grades = {"q1": {"a": 1, "n": 0}, "q2": {"n": 2}, "q3": {"n": 0}}
    ranked = view({"q1": ["a"]}, grades, queries=queries, new=["n"])
    found = {
        (name, value): part.queries.get_column("query_id").to_list() for name, value, part in parts(ranked)
    }
    assert found == {
        ("language", "en"): ["q2"],
        ("language", "ja"): ["q1"],
        ("traffic", "head"): ["q1"],
        ("traffic", "tail"): ["q2"],
        ("titles", "new titles"): ["q2"],
        ("titles", "known titles"): ["q1"],
        ("length", "1-2 words"): ["q1"],
        ("length", "3-5 words"): ["q2"],
        ("length", "13 words and more"): ["q3"],
    }
    assert METRICS["recall@3"].rows(ranked.where(pl.col("words") == 1), None).rows() == 1


# ---- how much is judged


def test_the_judged_share_is_that_of_the_side_with_less() -> None:
    queries = {"q1": {"weight": 3.0}, "q2": {"weight": 1.0}}
    evidence = searched(
        {"q1": ["a", "b"], "q2": ["a", "x"]},
        {"q1": ["a", "y"], "q2": ["x", "w"]},
        {query: {"a": 1, "b": 0} for query in queries},
        queries=queries,
    )
    found = judged_share(Ranked.of(evidence), 2, 0.9)
    assert found.share == pytest.approx(3 * 0.5 / 4)
    assert not found.enough
    assert found.to_judge == (("q2", "x"), ("q1", "y"), ("q2", "w"))
    assert judged_share(Ranked.of(evidence), 2, 0.7).to_judge == (("q1", "y"),)
    assert judged_share(Ranked.of(evidence), 2, 0.375).enough
    assert judged_share(Ranked.of(evidence), 2, 0.9, (Side.BASELINE,)).to_judge == (("q2", "x"),)


@settings(max_examples=40, deadline=None)
@given(WORLDS, WORLDS, st.floats(0, 1))
def test_what_is_to_be_judged_reaches_the_share_and_nothing_less_does(
    first: list, second: list, least: float
) -> None:
    names = [f"q{at}" for at in range(max(len(first), len(second)))]
    runs = [
        {name: trec_order(world[at][0]) if at < len(world) else [] for at, name in enumerate(names)}
        for world in (first, second)
    ]
    grades = {name: dict(first[at][1]) if at < len(first) else {} for at, name in enumerate(names)}
    queries = {name: {"weight": 1.0 + at % 3} for at, name in enumerate(names)}
    found = judged_share(Ranked.of(searched(*runs, grades, queries=queries)), 5, least)
    assert found.enough == (found.share >= least - 1e-9)
    for query, item in found.to_judge:
        grades[query][item] = 0.0
    after = judged_share(Ranked.of(searched(*runs, grades, queries=queries)), 5, least)
    assert after.enough
    if found.to_judge:
        for side in Side:
            needed = judged_share(
                Ranked.of(searched(*runs, grades, queries=queries)), 5, 1.0, (side,)
            ).to_judge
            assert not set(needed) & set(found.to_judge)


# ---- evidence that contradicts itself


def broken(**tables: pl.DataFrame) -> Evidence:
    sound = searched({"q": ["a", "b"]}, {"q": ["b"]}, {"q": {"a": 1.0}})
    facts = {name: value for name, value in tables.items() if not isinstance(value, pl.DataFrame)}
    frames = {name: value for name, value in tables.items() if isinstance(value, pl.DataFrame)}
    return Evidence(sound.kind, sound.binding, {**sound.facts, **facts}, {**sound.tables, **frames})


def ranks(*rows: tuple[str, str, int, str], stage: str = "search") -> pl.DataFrame:
    return frame("ranked", [(query, stage, side, rank, item, 0.5, False) for query, side, rank, item in rows])


QUERY = ("q", "g", "text", 1.0, "en", 2, "head")
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "an item twice": (
        {"ranked": ranks(("q", "release", 1, "a"), ("q", "release", 2, "a"))},
        "ranked with search, release, q, a more than once",
    ),
    "a place left out": (
        {"ranked": ranks(("q", "release", 1, "a"), ("q", "release", 3, "b"))},
        "ranks that do not count from 1 in the search list of release for q",
    ),
    "ranks from 0": ({"ranked": ranks(("q", "release", 0, "a"))}, "do not count from 1"),
    "a place twice": (
        {"ranked": ranks(("q", "release", 1, "a"), ("q", "release", 1, "b"))},
        "do not count from 1",
    ),
    "a list of an unknown query": (
        {"ranked": ranks(("p", "release", 1, "a"))},
        "ranked of p, which is no query",
    ),
    "a list of an unknown side": (
        {"ranked": ranks(("q", "champion", 1, "a"))},
        "a list of champion at search, which the facts do not name",
    ),
    "a list of a stage that was not measured": (
        {"ranked": ranks(("q", "release", 1, "a"), stage="adapter")},
        "a list of release at adapter, which the facts do not name",
    ),
    "a list that is too deep": (
        {"depth": {"search": 1}},
        "a list of baseline at search with 2 places, deeper than 1",
    ),
    "a depth of nothing": ({"depth": {}}, "and a depth for"),
    "a depth of 0": ({"depth": {"search": 0}}, "a depth of 0 places for search"),
    "an unknown stage": ({"depth": {"find": 5}, "cells": {"find": ["baseline", "release"]}}, "stages"),
    "one side alone": ({"cells": {"search": ["release"]}}, "not by baseline, release and crosses"),
    "a query twice": ({"queries": frame("queries", [QUERY, QUERY])}, "queries with q more than once"),
    "a negative weight": ({"queries": frame("queries", [("q", "g", "t", -1.0, "en", 2, None)])}, "a weight"),
    "a weight that is no number": (
        {"queries": frame("queries", [("q", "g", "t", math.nan, "en", 2, None)])},
        "a weight",
    ),
    "traffic of another kind": (
        {"queries": frame("queries", [("q", "g", "t", 1.0, "en", 2, "middle")])},
        "traffic other than head and tail",
    ),
    "a query without a group": (
        {"queries": frame("queries", [("q", None, "t", 1.0, "en", 2, None)])},
        "1 rows of queries without group",
    ),
    "a judgment twice": (
        {"judgments": frame("judgments", [("q", "a", 1.0, False), ("q", "a", 2.0, False)])},
        "judgments with q, a more than once",
    ),
    "a negative grade": ({"judgments": frame("judgments", [("q", "a", -1.0, False)])}, "grades that are"),
    "a judgment of an unknown query": (
        {"judgments": frame("judgments", [("p", "a", 1.0, False)])},
        "judgments of p, which is no query",
    ),
    "an empty catalogue": ({"catalogue_items": 0}, "a catalogue of 0 items"),
    "models of one side": ({"models": {"release": BOTH_NEW["release"]}}, "models other than"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_evidence_that_contradicts_itself_is_refused(wrong: str) -> None:
    changed, says = WRONG[wrong]
    with pytest.raises(IntegrityError, match="it contradicts itself") as refused:
        Ranked.of(broken(**changed))
    assert re.search(says, refused.value.found)
    assert refused.value.next_step.endswith("--again ranking")


def test_sound_evidence_is_let_through_and_has_a_digest() -> None:
    assert require(broken()).digest == broken().digest
    assert require(broken(ranked=ranks())).tables["ranked"].is_empty()
    assert broken(catalogue_items=7).digest != broken().digest


def test_evidence_without_a_column_is_refused() -> None:
    lacking = broken().tables["ranked"].drop("new_title")
    with pytest.raises(IntegrityError, match="it is not complete"):
        require(broken(ranked=lacking))


def test_no_queries_give_no_values() -> None:
    nothing = broken(queries=frame("queries", []), ranked=ranks(), judgments=frame("judgments", []))
    for name in METRICS:
        if METRICS[name].view is Ranked:
            assert METRICS[name].rows(Ranked.of(nothing), None).rows() == 0
    assert np.isnan(METRICS["ndcg@10"].rows(Ranked.of(nothing), None).value(Side.RELEASE))
