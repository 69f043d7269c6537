"""Pairs measured by plain functions in the places of models, and judged by the gate as they will be."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from pair_world import (
    NEW_ADAPTER,
    NEW_RERANKER,
    OLD_ADAPTER,
    OLD_RERANKER,
    RETRAINED,
    Names,
    Offsets,
    Worth,
    pair,
)

from mangaops.datasets.search_snapshot import SearchSnapshot
from mangaops.errors import InputError, IntegrityError, UsageError
from mangaops.evidence import Evidence
from mangaops.gates import GATES, Case, Decision, Finding, judge
from mangaops.inference.search import Floats
from mangaops.release.pairs import Lists, PairModels, compare_pairs
from mangaops.stack import DataSpec, ModelSpec, Rule, UnitSpec
from mangaops.stack.specs import Strict
from mangaops.training.steps.lexical import lexical
from mangaops.vocabulary import EvidenceKind, Outcome, Verdict
from ranking_rows import BINDING
from shop_rows import data_of, frozen, judgments

APART: tuple[dict[str, Any], ...] = (
    {"gate": "non_inferior", "metric": "mrr@10", "on": "adapter", "margin": 0.0},
    {"gate": "non_inferior", "metric": "mrr@10", "on": "reranker", "margin": 0.0},
)
"""Rules that look at each part by itself."""

CHAMPION = pair(OLD_ADAPTER, OLD_RERANKER, "adapter@v1", "reranker@v1")


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> SearchSnapshot:
    judged_all = judgments()
    return frozen(data_of(tmp_path_factory.mktemp("shop"), judged=judged_all))


def lists(golden: SearchSnapshot, release: PairModels, baseline: PairModels = CHAMPION) -> Lists:
    return compare_pairs(baseline, release, golden)


def decided(measured: Lists, *rules: dict[str, Any]) -> Decision:
    """What the judge says of these lists by these rules."""
    evidence = Evidence(
        EvidenceKind.RANKING, BINDING, {**measured.facts, "golden_judgements": 1}, measured.tables
    )
    lines = []
    for told in rules:
        params = {"unjudged": "irrelevant", "min_judged": 0.0, **told}
        gate, dry_run = params.pop("gate"), params.pop("dry_run", False)
        lines.append(Rule(gate, GATES[gate].params(**params), dry_run))
    model = ModelSpec(family="embedding-adapter", base="minilm-l6", data="shop", training=Strict())
    unit = UnitSpec(models=("adapter", "reranker"))
    held = {EvidenceKind.RANKING: evidence}
    return judge(lines, Case(BINDING, held, unit, model, DataSpec()))


def judged(measured: Lists, *rules: dict[str, Any]) -> tuple[Finding, ...]:
    return decided(measured, *rules).findings


def test_an_incompatible_pair_is_refused_with_the_sentence_though_both_parts_gain(
    golden: SearchSnapshot,
) -> None:
    measured = lists(golden, pair(NEW_ADAPTER, NEW_RERANKER, "adapter@v2", "reranker@v2"))
    apart = judged(measured, *APART)
    assert [finding.verdict for finding in apart] == [Verdict.PASS, Verdict.PASS]
    assert all((finding.observed or 0) > 0 for finding in apart), "each part is better by itself"
    (together,) = judged(measured, {"gate": "pair", "metric": "mrr@10", "margin": 0.01})
    assert together.verdict is Verdict.FAIL
    assert together.says.count("two separate wins make a joint loss") == 1


def test_the_reranker_retrained_on_the_new_candidates_passes(golden: SearchSnapshot) -> None:
    measured = lists(golden, pair(NEW_ADAPTER, RETRAINED, "adapter@v2", "reranker@v3"))
    (together,) = judged(measured, {"gate": "pair", "metric": "mrr@10", "margin": 0.01})
    assert together.verdict is Verdict.PASS
    assert "two separate wins" not in together.says


def test_with_the_pair_gate_off_the_bad_pair_goes_through(golden: SearchSnapshot) -> None:
    measured = lists(golden, pair(NEW_ADAPTER, NEW_RERANKER, "adapter@v2", "reranker@v2"))
    off = decided(measured, {"gate": "pair", "metric": "mrr@10", "margin": 0.01, "dry_run": True}, *APART)
    assert [finding.verdict for finding in off.findings] == [Verdict.FAIL, Verdict.PASS, Verdict.PASS]
    assert off.outcome is Outcome.PROMOTE
    on = decided(measured, {"gate": "pair", "metric": "mrr@10", "margin": 0.01}, *APART)
    assert on.outcome is Outcome.REJECT


@pytest.mark.parametrize(
    ("release", "changed"),
    [
        (pair(NEW_ADAPTER, OLD_RERANKER, "adapter@v2", "reranker@v1"), ["adapter"]),
        (pair(OLD_ADAPTER, NEW_RERANKER, "adapter@v1", "reranker@v2"), ["reranker"]),
    ],
)
def test_a_lone_change_has_no_crosses_and_is_judged_as_one(
    golden: SearchSnapshot, release: PairModels, changed: list[str]
) -> None:
    measured = lists(golden, release)
    assert measured.facts["cells"]["search"] == ["baseline", "release"]
    (one,) = judged(measured, {"gate": "pair", "metric": "mrr@10", "margin": 0.01})
    assert (one.verdict, (one.facts or {})["changed"]) == (Verdict.PASS, changed)
    reranker = {"gate": "non_inferior", "metric": "mrr@10", "on": "reranker", "margin": 0.0}
    (alone,) = judged(measured, reranker)
    assert ((alone.observed or 0) > 0) == (changed == ["reranker"]), "on the champion's candidates"


def test_bm25_stands_in_a_first_champions_place(golden: SearchSnapshot) -> None:
    told = golden.items.select("item_id", text="title")
    measured = compare_pairs(lexical(told), pair(NEW_ADAPTER, RETRAINED, "a@v1", "r@v1"), golden)
    assert measured.facts["cells"] == {
        "adapter": ["baseline", "release"],
        "search": ["baseline", "release"],
    }, "no adapter of the baseline, no candidates on which rerankers compare"
    assert "reranker" not in measured.tables["ranked"]["stage"]
    (level,) = judged(measured, {"gate": "at_least", "metric": "recall@3", "on": "search", "value": 0.9})
    assert (level.verdict, level.observed) == (Verdict.PASS, 1.0)


def test_each_reranker_orders_as_many_candidates_as_it_was_made_for(golden: SearchSnapshot) -> None:
    """Both adapters find the right item at the 15th place: a reranker of depth 12 never sees it."""
    found = Offsets(*range(1, 15), 0, *range(15, 20))
    shallow = pair(found, Worth({0: 1.0}, 0.0), "adapter@v1", "reranker@v1", depth=12)
    deep = pair(found, Worth({0: 1.0}, 0.0), "adapter@v2", "reranker@v2", depth=15)
    measured = compare_pairs(shallow, deep, golden)
    firsts = (
        measured.tables["ranked"]
        .filter(stage="search", rank=1)
        .join(measured.tables["judgments"].filter(grade=2.0), on=["query_id", "item_id"], how="semi")
    )
    right = dict(firsts.group_by("side").len().iter_rows())
    assert right == dict.fromkeys(("new_reranker", "release"), golden.golden.height)


def test_a_pair_is_scored_once_by_each_reranker_at_one_similarity(golden: SearchSnapshot) -> None:
    old, new = Worth({0: 1.0}, 0.0), Worth({0: 2.0}, 0.0)
    champion = pair(OLD_ADAPTER, old, "adapter@v1", "reranker@v1")
    compare_pairs(champion, pair(NEW_ADAPTER, new, "adapter@v2", "reranker@v2"), golden)
    assert set(old.asked.values()) == set(new.asked.values()) == {1}


def test_a_pair_without_a_reranker_is_in_the_order_of_retrieval(golden: SearchSnapshot) -> None:
    measured = lists(golden, pair(NEW_ADAPTER, None, "adapter@v2"))
    told = measured.tables["ranked"].filter(stage="search", side="release").select("item_id", "rank")
    near = measured.tables["ranked"].filter(stage="adapter", side="release").select("item_id", "rank")
    assert told.equals(near)


def test_a_reranker_that_gives_too_few_scores_is_refused(golden: SearchSnapshot) -> None:
    class Short(Worth):
        def scores(self, query: str, texts: Sequence[str], similarities: Sequence[float]) -> Floats:
            return super().scores(query, texts, similarities)[:-1]

    bad = pair(NEW_ADAPTER, Short({}, 0.0), "adapter@v2", "reranker@v2")
    with pytest.raises(IntegrityError, match="gave no score for an item"):
        lists(golden, bad)


def test_new_titles_are_marked_and_progress_is_told(golden: SearchSnapshot) -> None:
    told: list[tuple[int, int]] = []
    measured = compare_pairs(
        CHAMPION,
        pair(NEW_ADAPTER, RETRAINED, "adapter@v2", "reranker@v2"),
        golden,
        new=["i1"],
        progress=lambda _what, done, total: told.append((done, total)),
    )
    marked = measured.tables["ranked"].filter("new_title")["item_id"].unique().to_list()
    assert marked == ["i1"]
    queries = golden.golden.height
    assert told == [(number, queries) for number in range(queries + 1)]


def test_the_cores_of_the_machine_take_different_queries(golden: SearchSnapshot) -> None:
    cores = len(os.sched_getaffinity(0))
    meeting, calls = threading.Barrier(min(2, cores), timeout=60), itertools.count()

    class Meets(Names):
        """The first call ends when another thread makes the second."""

        def vectors(self, texts: Sequence[str]) -> Floats:
            if next(calls) < meeting.parties:
                meeting.wait()
            return super().vectors(texts)

    release = pair(NEW_ADAPTER, RETRAINED, "adapter@v2", "reranker@v3")
    measured, plain = lists(golden, replace(release, encodes=Meets())), lists(golden, release)
    assert next(calls) > meeting.parties
    assert measured.facts == plain.facts
    assert all(measured.tables[name].equals(plain.tables[name]) for name in plain.tables)


def test_nothing_is_measured_without_a_golden_query_or_a_depth(golden: SearchSnapshot) -> None:
    empty = replace(golden, queries=golden.queries.clear())
    with pytest.raises(InputError, match="no golden query"):
        lists(empty, CHAMPION)
    with pytest.raises(UsageError, match="depth of 0"):
        compare_pairs(replace(CHAMPION, depth=0), CHAMPION, golden)
