"""Gates of a search: what the index misses, what a step adds, and what a first release is compared with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from gates_world import case, finding, index, judged, latency, leakage, record, rule, searches, verdict
from pydantic import ValidationError

from mangaops.evidence import Evidence
from mangaops.gates import Case, Finding, judge
from mangaops.stack import SearchDataSpec
from mangaops.vocabulary import NO_MODEL, Cell, EvidenceKind, Side, Stage, Verdict
from ranking_rows import BINDING, models, ranking, searched

# ---- index_recall

RECALL = rule("index_recall", at_least=0.98)


def test_the_mean_recall_is_weighted_back_to_the_traffic() -> None:
    plain = finding(RECALL, index([1.0, 0.9] * 50))
    assert (plain.observed, plain.n, plain.threshold) == (pytest.approx(0.95), 100, 0.98)
    head = finding(RECALL, index([1.0, 0.9] * 50, weight=[1.9, 0.1] * 50))
    assert (head.verdict, head.observed) == (Verdict.PASS, pytest.approx(0.995))
    assert head.says.startswith("recall@50 of the index against exact search: release 99.50% (")


def test_between_proven_and_disproven_the_recall_is_open() -> None:
    """Few queries: the point estimate passes, proof does not; nor is it disproven."""
    few = index([1.0, 0.97] * 5)
    assert verdict(RECALL, few) is Verdict.PASS
    assert verdict(rule("index_recall", at_least=0.98, confidence=0.95), few) is Verdict.INCONCLUSIVE
    many = rule("index_recall", at_least=0.98, min_examples=100)
    undecided = finding(many, few)
    assert (undecided.verdict, undecided.labels_to_settle) == (Verdict.INCONCLUSIVE, 90)
    beyond = finding(rule("index_recall", at_least=0.98, min_examples=1001), few)
    assert (beyond.verdict, beyond.labels_to_settle) == (Verdict.INCONCLUSIVE, None)
    assert "an evaluation asks at most 1,000" in beyond.next_step


def test_queries_of_one_group_count_as_one_for_the_index_too() -> None:
    apart, together = index([1.0, 0.9, 0.9, 1.0] * 25), index([1.0, 0.9] * 50, group=["a", "b"] * 50)
    narrow, wide = finding(RECALL, apart), finding(RECALL, together)
    assert (wide.high or 0) - (wide.low or 0) > 2 * ((narrow.high or 0) - (narrow.low or 0))


def test_an_exact_index_passes_and_says_so() -> None:
    one = finding(RECALL, index([1.0] * 200, kind="exact"))
    assert (one.verdict, one.observed) == (Verdict.PASS, 1.0)
    assert "on 200 queries, which the index answers exactly" in one.says


def test_another_k_than_was_measured_is_an_error() -> None:
    one = finding(rule("index_recall", at_least=0.9, k=10), index([1.0] * 5))
    assert one.verdict is Verdict.ERROR
    assert one.says == "the index evidence holds recall@50, and the rule asks for recall@10"
    assert one.next_step == "write k: 50, or measure at another k"


@pytest.mark.parametrize(
    ("evidence", "says"),
    [
        (index([1.2]), "a recall that is no share"),
        (index([float("nan")]), "a recall that is no share"),
        (index([1.0], weight=[-1.0]), "a weight that is negative"),
        (index([1.0], kind="tree"), "an index of kind 'tree', not exact or lists"),
        (index([1.0, 1.0], query_id=["q", "q"]), "recalls with q more than once"),
        (index([1.0], group=[None]), "1 rows of recalls without group"),
        (index([]), "the index evidence holds no queries"),
    ],
)
def test_index_evidence_that_cannot_be_is_an_error(evidence: Evidence, says: str) -> None:
    one = finding(RECALL, evidence)
    assert one.verdict is Verdict.ERROR
    assert says in one.says


# ---- added_latency


def added(**params: Any) -> Any:
    return rule("added_latency", **{"step": "encode", "at_most_ms": 3, **params})


def test_what_a_step_adds_is_the_difference_in_the_same_run() -> None:
    beside = {"encode": 4.0, "rerank": 30.0}
    one = finding(added(), searches(beside, {"encode": 6.0, "rerank": 90.0}))
    assert one.verdict is Verdict.PASS
    assert one.observed == pytest.approx(2.0 * np.exp(0.05 * 1.645), rel=0.1)
    assert (one.low or 0) < (one.observed or 0) < (one.high or 0) < 3
    assert one.subject == "what P95 of encode adds"
    assert "it may add 3 ms" in one.says
    other = finding(added(step="rerank"), searches(beside, {"encode": 6.0, "rerank": 90.0}))
    assert other.verdict is Verdict.FAIL
    assert other.next_step == "train the reranker with fewer layers, fewer tokens or a smaller depth"


def test_against_a_baseline_without_the_step_all_of_it_is_added() -> None:
    evidence = searches({"encode": None, "retrieve": 1.0}, {"encode": 2.0, "retrieve": 1.0})
    one = finding(added(), evidence)
    assert (one.verdict, one.observed) == (Verdict.PASS, pytest.approx(2.0 * np.exp(0.05 * 1.645), rel=0.05))
    assert "the baseline has no such step, so all of it is added" in one.says
    assert verdict(added(at_most_ms=1), evidence) is Verdict.FAIL


def test_a_step_that_is_faster_passes_at_nothing_added() -> None:
    assert verdict(added(at_most_ms=0), searches({"encode": 4.0}, {"encode": 2.0})) is Verdict.PASS


def test_between_proven_and_disproven_the_addition_is_open() -> None:
    close = searches({"encode": 4.0}, {"encode": 6.7}, rows=100)
    assert verdict(added(confidence=0.99), close) is Verdict.INCONCLUSIVE
    assert finding(added(confidence=0.99), close).next_step.endswith(
        "--again latency on an idle machine, or with more requests"
    )


def test_a_timing_after_the_last_look_proves_nothing() -> None:
    evidence = searches({"encode": 4.0}, {"encode": 4.5})
    sure = added(confidence=0.95)
    assert verdict(sure, evidence) is Verdict.PASS
    assert verdict(sure, evidence, timing=4) is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    "evidence", [latency(8, 9), searches({"encode": 1.0, "retrieve": 1.0}, {"encode": None, "retrieve": 1.0})]
)
def test_a_release_without_the_step_is_an_error(evidence: Evidence) -> None:
    one = finding(added(), evidence)
    assert one.verdict is Verdict.ERROR
    assert one.says == "the latency evidence says of no search of the release how long encode took"


def test_one_block_is_an_error_and_no_crash() -> None:
    evidence = searches({"encode": 4.0}, {"encode": 5.0})
    frame = evidence.tables["samples"].filter(block=0)
    one = finding(added(), Evidence(evidence.kind, evidence.binding, evidence.facts, {"samples": frame}))
    assert one.verdict is Verdict.ERROR
    assert "what encode adds cannot be measured: one block" in one.says


def test_an_unknown_step_is_refused() -> None:
    with pytest.raises(ValidationError, match="'encode', 'retrieve' or 'rerank'"):
        added(step="search")


def test_the_whole_search_is_judged_by_latency_as_ever() -> None:
    evidence = searches({"encode": 4.0, "rerank": 10.0}, {"encode": 4.0, "rerank": 40.0})
    assert verdict(rule("latency", below_ms=50), evidence) is Verdict.PASS
    assert verdict(rule("latency", below_ms=30), evidence) is Verdict.FAIL


# ---- a baseline that is no pair

BM25 = {**models(), "baseline": {"adapter": NO_MODEL, "reranker": NO_MODEL}}
GRADES = {f"q{at}": {"right": 1.0, "x": 0.0} for at in range(60)}
BEST, SECOND = ({f"q{at}": items for at in range(60)} for items in (["right", "x"], ["x", "right"]))
POLICY = {"unjudged": "irrelevant", "min_judged": 0.9}


def before(evidence: Evidence, **changed: Any) -> Case:
    return replace(case(**changed), binding=BINDING, evidence={evidence.kind: evidence})


def first(one: Any, evidence: Evidence, **changed: Any) -> Finding:
    return judge([one], before(evidence, **changed)).findings[0]


def test_against_no_pair_the_joint_gain_is_judged_without_a_table() -> None:
    one = rule("pair", metric="mrr@10", margin=0.0, **POLICY)
    better = first(one, searched(SECOND, BEST, GRADES, models=BM25))
    assert (better.verdict, better.observed) == (Verdict.PASS, pytest.approx(0.5))
    says = "the baseline is no pair of models, so there is no table: only the joint gain is judged"
    assert better.says.count(says) == 1
    assert "table" not in (better.facts or {})
    worse = first(one, searched(BEST, SECOND, GRADES, models=BM25))
    assert worse.verdict is Verdict.FAIL
    assert "alone" not in worse.next_step


def test_against_no_pair_what_both_show_must_be_judged() -> None:
    one = rule("pair", metric="mrr@10", margin=0.0, **POLICY)
    grades = {query: {"right": 1.0} for query in GRADES}
    assert first(one, searched(SECOND, BEST, grades, models=BM25)).verdict is Verdict.INCONCLUSIVE


def test_against_a_pair_the_crosses_are_still_needed() -> None:
    one = rule("pair", metric="mrr@10", margin=0.0, **POLICY)
    lacking = first(one, searched(SECOND, BEST, GRADES))
    assert lacking.verdict is Verdict.ERROR
    assert "holds no search of new_adapter and new_reranker" in lacking.says


@pytest.mark.parametrize(("gate", "asked"), [("non_inferior", {"margin": 0.0}), ("at_least", {"value": 0.1})])
def test_a_rule_on_the_reranker_has_nothing_to_read_against_no_pair(
    gate: str, asked: dict[str, float]
) -> None:
    one = first(
        rule(gate, metric="mrr@10", on="reranker", **asked, **POLICY),
        searched(SECOND, BEST, GRADES, models=BM25),
    )
    assert one.verdict is Verdict.ERROR
    assert one.says == (
        "the baseline is no pair of models: it has no adapter whose candidates both rerankers order"
    )
    assert one.next_step == ("write on: search; the release's lists there are those that its reranker orders")


@pytest.mark.parametrize("stage", [Stage.SEARCH, Stage.ADAPTER])
def test_the_release_s_own_lists_are_judged_in_a_first_release(stage: Stage) -> None:
    runs = {(stage, Cell.BASELINE): SECOND, (stage, Cell.RELEASE): BEST}
    one = rule("at_least", metric="mrr@10", on=str(stage), value=0.9, **POLICY)
    assert first(one, ranking(runs, GRADES, models=BM25)).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("stage", "cell", "says"),
    [
        (
            Stage.RERANKER,
            Cell.RELEASE,
            "lists of reranker on the candidates of a baseline that has no adapter",
        ),
        (Stage.SEARCH, Cell.NEW_ADAPTER, "lists of search by new_adapter, with a baseline that is no pair"),
    ],
)
def test_lists_that_need_a_model_of_no_pair_are_a_contradiction(stage: Stage, cell: Cell, says: str) -> None:
    runs = {(stage, Cell.BASELINE): SECOND, (stage, Cell.RELEASE): BEST, (stage, cell): BEST}
    one = rule("at_least", metric="mrr@10", on=str(stage), value=0.9, **POLICY)
    found = first(one, ranking(runs, GRADES, models=BM25))
    assert found.verdict is Verdict.ERROR
    assert says in found.says


# ---- leakage and the record


def test_golden_queries_have_no_labels_to_be_too_good_at() -> None:
    decision = judged(rule("leakage"), leakage(), data=SearchDataSpec())
    (only,) = decision.findings
    assert only.verdict is Verdict.PASS
    assert only.says.endswith(
        "; accuracy on rows near a training text is left out, for queries have no labels"
    )
    bad = judged(rule("leakage"), leakage([("query", "release", "q1", "q7")]), data=SearchDataSpec())
    assert [each.verdict for each in bad.findings] == [Verdict.FAIL]
    unchecked = judged(rule("leakage"), leakage(sides=(Side.RELEASE,)), data=SearchDataSpec())
    assert unchecked.findings[0].verdict is Verdict.ERROR


def test_a_missing_artifact_of_one_of_several_models_is_named_with_it() -> None:
    whole = record(tokenizer_hash=None)
    of = {
        "adapter": {"tokenizer_hash": "sha256:a", "model_artifact": "sha256:b"},
        "reranker": {"tokenizer_hash": None, "model_artifact": "sha256:c"},
        "index": {"model_artifact": "sha256:d"},
    }
    facts = {**whole.facts, "of": of}
    one = finding(rule("release_record"), Evidence(EvidenceKind.RECORD, whole.binding, facts))
    assert one.verdict is Verdict.ERROR
    assert "7 of 8 required artifacts are on record; missing: tokenizer_hash of reranker" in one.says
