"""`stack check` of a unit that ranks: simulated pairs, through the judge of real releases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib import resources
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from desk_world import WHY, prove_by_seal
from pair_world import NEW_ADAPTER, OLD_ADAPTER, OLD_RERANKER, RETRAINED, Offsets, make_pair_world, pair_stack

from mangaops.datasets.search_snapshot import SearchSnapshot
from mangaops.evidence import Evidence, require
from mangaops.gates import GATES, Case, judge, weigh
from mangaops.metrics import METRICS, Ranked
from mangaops.release.desk import state
from mangaops.release.rollback import roll_back
from mangaops.release.stack_check import a_week_of_lists, known_of, simulate, stack_check
from mangaops.release.stack_evidence import Challenger
from mangaops.release.stack_lists import Lists, evidence_of_lists, gains
from mangaops.release.stack_report import ChallengerRow, StackReport
from mangaops.release.stack_searches import Searches, assumed_searches, lists_of, searches_from_ledger
from mangaops.stack import SearchDataSpec, Stack, parse
from mangaops.training.parameters import PARAMETERS
from mangaops.vocabulary import Cell, EvidenceKind, Outcome, Side, Stage, State, Unjudged
from ranking_rows import BOTH_NEW, four_searches, models
from shop_rows import data_of, frozen, judgments, searches

EQUAL = Challenger("equal", 0.0)
POLICY = "unjudged: irrelevant, min_judged: 0.1"
SANE = f"""
      - {{gate: release_record}}
      - {{gate: leakage}}
      - {{gate: fingerprint}}
      - {{gate: pair, margin: 0.02, {POLICY}}}
      - {{gate: non_inferior, metric: recall@3, on: adapter, margin: 0.04, {POLICY}}}
      - {{gate: non_inferior, metric: mrr@10, on: reranker, margin: 0.04, {POLICY}}}
      - {{gate: no_increase, metric: bad_top1, on: search, margin: 0.05, {POLICY}}}
      - {{gate: at_least, metric: ndcg@10, on: search, value: 0.7, {POLICY}}}
      - {{gate: index_recall, at_least: 0.98}}
      - {{gate: added_latency, step: encode, at_most_ms: 5}}
      - {{gate: latency, below_ms: 50}}
      - {{gate: disagreement, review_over: 0.3}}
      - {{gate: non_inferior, metric: preference, on: shadow_review, margin: 0.15, confidence: 0.9}}
"""
TEXT = """
stack: shop
data:
  shop: {{kind: search, golden: {{queries: {queries}}}}}
models:
  adapter: {{family: embedding-adapter, base: minilm-l6, data: shop, training: {{}}}}
  reranker: {{family: cross-encoder-reranker, base: minilm-l6, data: shop, training: {{}}}}
units:
  retrieval:
    models: [adapter, reranker]
    shadow: {{min_requests: 600, min_hours: 24}}
    review: {{budget: 300}}
    gates:{gates}
"""


def stack_of(gates: str = SANE, queries: int = 500) -> Stack:
    return parsed(TEXT.format(gates=gates, queries=queries))


def parsed(text: str) -> Stack:
    known = {name: gate.params for name, gate in GATES.items()}
    return parse(text, gates=known, metrics=METRICS, families=PARAMETERS)


def with_pair(more: str, pair: str = f"{{gate: pair, margin: 0.02, {POLICY}}}") -> str:
    return f"\n      - {pair}\n      - {more}\n"


def week_of(stack: Stack, known: Searches | None = None, seed: int = 5) -> tuple[Lists, Callable[..., Case]]:
    """The lists of a unit, and what makes a week of a challenger."""
    spec, rng = stack.units["retrieval"], np.random.default_rng(seed)
    lists, told = lists_of(known or assumed_searches(stack, "retrieval"), spec, rng)
    model, data = stack.models["adapter"], stack.search_data["shop"]
    return lists, partial(a_week_of_lists, spec, model, data, lists, told, rng=rng)


def report(stack: Stack, known: Searches | None = None, simulations: int = 3, seed: int = 4) -> StackReport:
    found = known or assumed_searches(stack, "retrieval")
    rng = np.random.default_rng(seed)
    return stack_check(stack, "retrieval", found, rng=rng, simulations=simulations)


def weeks(stack: Stack, gain: float, simulations: int) -> ChallengerRow:
    lists, week = week_of(stack)
    kind = Challenger("some", max(-lists.most, min(gain, lists.most)))
    return simulate(stack.units["retrieval"].gates, kind, week, simulations=simulations)


# ---- what the list does


def test_an_equal_pair_is_promoted_often_and_one_far_below_the_margin_is_rejected() -> None:
    stack = stack_of()
    equal, broken = weeks(stack, 0.0, 25), weeks(stack, -1.0, 15)
    assert equal.promoted.share > 0.7
    assert equal.rejected.share == 0.0
    assert broken.rejected.share > 0.9
    assert broken.promoted.share == 0.0


def test_three_pairs_through_every_gate_of_the_list() -> None:
    stack = stack_of()
    found = report(stack)
    assert [row.gain for row in found.challengers] == [0.0, -0.02, 0.01]
    assert [row.challenger for row in found.challengers] == [
        "equal",
        "worse by 2 points",
        "better by 1 point",
    ]
    for row in found.challengers:
        assert row.promoted.share + row.held.share + row.rejected.share == pytest.approx(1.0)
        assert {gate.gate for gate in row.gates} == {rule.gate for rule in stack.units["retrieval"].gates}
    assert found.not_simulated == ()
    said = found.text()
    assert "OBSERVED: nothing, all is from stack.yaml" in said
    assert "500 golden queries" in said
    assert "600 mirrored requests" in said
    assert found.as_dict()["assumptions"]["queries"] == 500


def test_equal_seeds_give_equal_reports() -> None:
    stack = stack_of(queries=120)
    assert report(stack) == report(stack)
    assert report(stack) != report(stack, seed=5)


def test_the_pair_that_init_writes_is_simulated_whole() -> None:
    text = (resources.files("mangaops.pipeline") / "templates" / "stack.yaml").read_text("utf-8")
    stack = parsed("\n".join(line[2:] if line.startswith("#   ") else line for line in text.splitlines()))
    found = report(stack, simulations=1)
    assert found.not_simulated == ()
    assert {gate.gate for gate in found.challengers[0].gates} == {
        rule.gate for rule in stack.units["retrieval"].gates
    }


def test_a_rule_that_cannot_be_answered_is_named_with_the_reason_and_left_out() -> None:
    deep = f"{{gate: non_inferior, metric: ndcg@20, on: search, margin: 0.02, {POLICY}}}"
    wide = "{gate: non_inferior, metric: coverage@10, on: search, margin: 0.02}"
    found = report(stack_of(f"{with_pair(deep)}      - {wide}\n", 60))
    assert [each.partition(" (")[0] for each in found.not_simulated] == [
        "non_inferior of ndcg@20",
        "non_inferior of coverage@10 on search",
    ]
    assert "hold 10 places, and the rule looks at 20" in found.not_simulated[0]
    assert [gate.subject for gate in found.challengers[0].gates] == ["ndcg@10 of the pair on search"]
    said = found.text()
    assert "NOT SIMULATED: non_inferior of ndcg@20" in said
    assert "the shares are of the other rules: a real release is promoted at most as often as here" in said


# ---- the evidence that is simulated


@pytest.mark.parametrize("gain", [-0.02, 0.0, 0.01])
def test_simulated_evidence_is_whole_and_as_good_as_it_says(gain: float) -> None:
    """Averaged over weeks the gain of the search is the one that was asked for; people prefer alike."""
    stack = stack_of(queries=200)
    lists, week = week_of(stack)
    searched, preferred, adapter = [], [], []
    for _ in range(40):
        evidence = week(Challenger("x", gain)).evidence
        for one in evidence.values():
            require(one)
        ranked = Ranked.of(evidence[EvidenceKind.RANKING])
        searched.append(gains(ranked.at(Stage.SEARCH, Unjudged.IRRELEVANT), "ndcg@10").sum())
        adapter.append(gains(ranked.at(Stage.ADAPTER, Unjudged.IRRELEVANT), "recall@3").sum())
        items = evidence[EvidenceKind.REVIEW].tables["items"].filter(~pl.col("planted"))
        won = (items["answer"] == items["release_label"]).sum()
        preferred.append((won - (items["answer"] == items["baseline_label"]).sum()) / items.height)
    assert np.mean(searched) == pytest.approx(gain, abs=4 * np.std(searched) / np.sqrt(40))
    for found in (preferred, adapter):
        error = 4 * np.std(found) / np.sqrt(40)
        assert np.sign(gain) * np.mean(found) > -error
        assert gain or abs(np.mean(found)) < error
    assert lists.most > 0.02


def test_sides_change_places_at_every_stage_and_nothing_else_moves() -> None:
    lists, _ = week_of(stack_of(queries=50))
    none, every = (lists.exchanged(np.full(lists.by_group.size, swapped)) for swapped in (False, True))
    before, after = lists.ranking.tables["ranked"], every.tables["ranked"]
    assert none.tables["ranked"].equals(before)
    assert after.drop("side").equals(before.drop("side"))
    pairs = set(zip(before["side"], after["side"], strict=True))
    assert pairs == {
        (Cell.BASELINE, Cell.RELEASE),
        (Cell.RELEASE, Cell.BASELINE),
        (Cell.NEW_ADAPTER, Cell.NEW_RERANKER),
        (Cell.NEW_RERANKER, Cell.NEW_ADAPTER),
    }
    first, second = (gains(Ranked.of(each), "ndcg@10") for each in (none, every))
    assert np.allclose(first, -second)


def test_queries_of_one_group_change_places_together() -> None:
    stack = stack_of(queries=60)
    known = assumed_searches(stack, "retrieval")
    grouped = replace(known, assumptions=replace(known.assumptions, per_group=4.0))
    lists, week = week_of(stack, grouped)
    assert lists.by_group.size < 40
    ranked = week(EQUAL).evidence[EvidenceKind.RANKING].tables["ranked"]
    moved = lists.ranking.tables["queries"].join(
        ranked.with_columns(moved=ranked["side"] != lists.ranking.tables["ranked"]["side"]), on="query_id"
    )
    by_group = moved.group_by("group").agg(pl.col("moved").n_unique())["moved"]
    assert by_group.max() == 1
    assert 0.1 < moved["moved"].mean() < 0.9


def test_quick_verdicts_are_the_verdicts_of_the_full_judge() -> None:
    stack = stack_of(queries=150)
    rules = stack.units["retrieval"].gates
    lists, week = week_of(stack)
    outcomes = set()
    for gain in (0.0, -0.02, -lists.most):
        case = week(Challenger("x", gain))
        quick, full = weigh(rules, case), judge(rules, replace(case, verdicts_only=False))
        assert quick[0] == full.outcome
        assert [each.verdict for each in quick[1]] == [each.verdict for each in full.findings]
        outcomes.add(full.outcome)
    assert Outcome.REJECT in outcomes


def test_as_many_requests_differ_as_was_measured() -> None:
    stack = stack_of(queries=100)
    spec, known = stack.units["retrieval"], assumed_searches(stack, "retrieval")
    rare = replace(known.assumptions, requests=4000, differs=0.07, measured=("differs", "requests"))
    rng = np.random.default_rng(3)
    lists, told = lists_of(replace(known, assumptions=rare), spec, rng)
    evidence = evidence_of_lists(lists, told, EQUAL, budget=50, limits=(0.95, 50.0), rng=rng)
    answers = evidence[EvidenceKind.SHADOW].tables["answers"]
    assert answers["disagrees"].mean() == pytest.approx(0.07, abs=0.02)
    assert (answers["disagrees"] == (answers["baseline_label"] != answers["release_label"])).all()
    assert evidence[EvidenceKind.REVIEW].tables["items"].height == 51  # and the planted one


# ---- measured lists


def measured(evidence: Evidence, stack: Stack) -> Searches:
    """What would be known of a ledger with this evidence."""
    known = assumed_searches(stack, "retrieval")
    told = replace(known.assumptions, source="evidence", measured=("value", "apart", "judged"))
    return Searches(told, evidence)


def two_pairs(**more: object) -> Evidence:
    """Each training ranks the right item first where the other ranks it third."""
    both = {"queries": 60, "depth": {"search": 10}, **more}
    return four_searches([1, 3], [1, 3], [3, 1], [3, 1], **both)


def test_a_challenger_gains_no_more_than_two_trainings_lie_apart() -> None:
    pair = f"{{gate: pair, margin: 0.9, {POLICY}}}"
    stack = stack_of(f"\n      - {pair}\n")
    found = report(stack, measured(two_pairs(), stack))
    most = 0.5  # log2(2) / log2(4), for all of the queries
    assert [row.gain for row in found.challengers] == pytest.approx([0.0, -most, 0.01])
    assert found.challengers[1].challenger == "worse by 50 points at most"


@pytest.mark.parametrize(
    ("margins", "metric", "worse"),
    [
        ((0.02, 0.05), "ndcg@10", "worse by 2 points"),
        ((0.0, 0.05), "mrr@10", "worse by 5 points"),
        ((0.0, 0.0), "ndcg@10", "worse by 1 point"),
    ],
)
def test_of_two_rules_on_the_pair_one_gives_margin_and_metric(
    margins: tuple[float, float], metric: str, worse: str
) -> None:
    first, second = (
        f"{{gate: pair, metric: {name}, margin: {margin}, {POLICY}}}"
        for name, margin in zip(("ndcg@10", "mrr@10"), margins, strict=True)
    )
    stack = stack_of(with_pair(second, first), 60)
    found = report(stack, measured(two_pairs(), stack), simulations=1)
    assert found.assumptions.said()["value"].startswith(metric)
    assert found.challengers[1].challenger == worse


def test_trainings_that_show_the_same_are_simulated_too() -> None:
    stack = stack_of(with_pair("{gate: disagreement, review_over: 0.3}"))
    same = four_searches([1, 3], [1, 3], [1, 3], [1, 3], queries=60, depth={"search": 10})
    found = report(stack, measured(same, stack))
    assert [row.gain for row in found.challengers] == [0.0, 0.0, 0.0]
    assert all(row.promoted.share == 1.0 for row in found.challengers)


def test_a_lone_new_model_is_simulated_as_one() -> None:
    stack = stack_of(with_pair("{gate: release_record}"))
    lone = two_pairs(models=models(reranker="reranker@v2"))
    said = report(stack, measured(lone, stack)).assumptions.said()
    assert said["changed"] == "a challenger brings a new reranker, and nothing else"
    both = report(stack, measured(two_pairs(models=BOTH_NEW), stack)).assumptions.said()
    assert "a new adapter and a new reranker" in both["changed"]


def half_judged() -> Evidence:
    """Of each list every second place is judged."""
    found = two_pairs()
    kept = found.tables["judgments"].filter(pl.col("item_id").is_in(["right", "x0", "x1", "x2", "x3"]))
    return Evidence(found.kind, found.binding, found.facts, {**found.tables, "judgments": kept})


@pytest.mark.parametrize(
    ("least", "says"),
    [
        (0.9, "never decides: min_judged is 0.9, and 50.0% of the places are judged"),
        (0.1, "would decide with half of the judgments: min_judged is 0.1, and 50.0% are judged"),
        (0.4, ""),
    ],
)
def test_a_judged_share_that_the_lists_do_not_have_is_noted(least: float, says: str) -> None:
    pair = f"{{gate: pair, margin: 0.5, unjudged: irrelevant, min_judged: {least}}}"
    stack = stack_of(f"\n      - {pair}\n")
    found = report(stack, measured(half_judged(), stack))
    wanted = (f"pair: ndcg@10 of the pair on search: {says}",) if says else ()
    assert found.assumptions.notes == wanted
    assert (found.challengers[0].promoted.share == 0.0) == (least > 0.5)
    assert (f"NOTE {wanted[0]}" in found.text()) if wanted else ("NOTE" not in found.text())


def test_a_margin_that_so_few_queries_cannot_tell_is_noted_and_a_wide_one_is_not() -> None:
    asked = ("margin: 0.001, confidence: 0.95", "margin: 0.2, confidence: 0.95")
    narrow, wide = (
        report(stack_of(f"\n      - {{gate: pair, {each}, {POLICY}}}\n", 100), simulations=5)
        for each in asked
    )
    (note,) = narrow.assumptions.notes
    assert note.startswith("pair: ndcg@10 of the pair on search: passes an equal pair in ")
    assert "on 100 queries luck alone moves it by up to " in note
    assert note.endswith("points, and its margin is 0.1; widen it, or judge more queries")
    assert wide.assumptions.notes == ()


@pytest.mark.parametrize(("least", "notes"), [(0.1, ["luck", "half"]), (0.6, ["luck"])])
def test_a_low_judged_share_hides_no_margin_that_so_few_queries_cannot_tell(
    least: float, notes: list[str]
) -> None:
    """Lists that are judged whole, as a new shop's are, with the `min_judged` that `mangaops init` writes."""
    rule = f"margin: 0.001, confidence: 0.95, unjudged: irrelevant, min_judged: {least}"
    stack = stack_of(f"\n      - {{gate: pair, {rule}}}\n")
    found = report(stack, measured(two_pairs(), stack), simulations=5).assumptions.notes
    said = {"luck": "passes an equal pair in ", "half": "would decide with half of the judgments: "}
    about = "pair: ndcg@10 of the pair on search: "
    assert all(note.startswith(about + said[each]) for note, each in zip(found, notes, strict=True))


def test_of_a_rule_that_never_decides_nothing_else_is_noted() -> None:
    rule = "margin: 0.001, confidence: 0.95, unjudged: irrelevant, min_judged: 0.9"
    stack = stack_of(f"\n      - {{gate: pair, {rule}}}\n")
    (note,) = report(stack, measured(half_judged(), stack), simulations=5).assumptions.notes
    assert "never decides" in note


def test_a_margin_that_so_few_reviews_cannot_tell_is_noted() -> None:
    rule = "{gate: non_inferior, metric: preference, on: shadow_review, margin: 0.001, confidence: 0.95}"
    pair = f"{{gate: pair, margin: 0.3, {POLICY}}}"
    (note,) = report(stack_of(with_pair(rule, pair), 100), simulations=5).assumptions.notes
    assert note.startswith("non_inferior: preference on shadow_review: passes an equal pair in 0% of weeks: ")
    assert "disagreements on 600 requests are reviewed, and its margin is 0.1 points" in note


# ---- what the ledger knows


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> SearchSnapshot:
    spec = SearchDataSpec(splits={"train": 0.2, "validation": 0.1, "golden": 0.7})
    folder = tmp_path_factory.mktemp("shop")
    return frozen(data_of(folder, judged=judgments(), logs=searches(), spec=spec), spec)


def test_lists_are_measured_ones_as_soon_as_two_pairs_were_compared(
    tmp_path: Path, snapshot: SearchSnapshot
) -> None:
    world = make_pair_world(tmp_path, snapshot)
    assert known_of(world.desk.stack, "retrieval", world.desk) == assumed_searches(pair_stack(), "retrieval")

    first = world.bootstrapped()
    beside_bm25 = searches_from_ledger(world.desk, "retrieval")
    golden = snapshot.golden.height
    assert beside_bm25.ranking is None  # a plain baseline is no retrained pair
    assert beside_bm25.assumptions.measured == ("queries", "per_group")
    assert beside_bm25.assumptions.queries == golden
    assert beside_bm25.assumptions.source == f"golden queries of {first}"

    challenger = world.candidate(("a2", NEW_ADAPTER), ("r3", RETRAINED))
    evidence = world.ranked(challenger)
    beside = searches_from_ledger(world.desk, "retrieval")
    assert beside.ranking is not None
    assert beside.ranking.digest == evidence.digest
    assert beside.assumptions.source == f"golden queries of {first}, lists of {challenger}"
    assert {"value", "apart", "judged", "changed"} <= set(beside.assumptions.measured)

    third, _, acted = world.run(("a2", NEW_ADAPTER), ("r3", RETRAINED))
    assert acted.outcome is Outcome.PROMOTE
    world.ranked(world.candidate(("a1", OLD_ADAPTER), ("r3", RETRAINED)))
    then = searches_from_ledger(world.desk, "retrieval")
    assert then.assumptions.source == f"golden queries of {third}, lists of {third}"
    found = report(world.desk.stack, then)
    assert (
        found.text().splitlines()[1].startswith(f"OBSERVED (golden queries of {third}, lists of {third}): ")
    )
    assert found.assumptions.said()["value"].startswith("mrr@10")


NOWHERE = Offsets(21, 22, 23, 24, 25)
"""An adapter that finds nothing that is asked for, as one of a wrong join."""


def test_lists_of_a_refused_pair_are_no_retraining(tmp_path: Path, snapshot: SearchSnapshot) -> None:
    """Neither beside a first champion alone, nor as the newest beside a pair that was compared and waits."""
    world = make_pair_world(tmp_path, snapshot)
    first = world.bootstrapped()
    assert world.run(("a8", NOWHERE), ("r1", OLD_RERANKER))[2].outcome is Outcome.REJECT
    alone = searches_from_ledger(world.desk, "retrieval")
    assert alone.ranking is None
    assert alone.assumptions.source == f"golden queries of {first}"
    assert "apart" not in alone.assumptions.measured

    waits = world.candidate(("a2", NEW_ADAPTER), ("r3", RETRAINED))
    evidence = world.ranked(waits)
    assert world.run(("a9", NOWHERE), ("r1", OLD_RERANKER))[2].outcome is Outcome.REJECT
    beside = searches_from_ledger(world.desk, "retrieval")
    assert beside.ranking is not None
    assert beside.ranking.digest == evidence.digest


def test_lists_of_a_pair_that_was_rolled_back_are_no_retraining(
    tmp_path: Path, snapshot: SearchSnapshot
) -> None:
    world = make_pair_world(tmp_path, snapshot)
    first = world.bootstrapped()
    second, _, acted = world.run(("a2", NEW_ADAPTER), ("r3", RETRAINED))
    assert acted.outcome is Outcome.PROMOTE
    assert searches_from_ledger(world.desk, "retrieval").ranking is not None
    roll_back(world.desk, "retrieval", prove=prove_by_seal(world.desk), reason=WHY)
    assert state(world.desk, "retrieval").releases[second].state is State.ROLLED_BACK
    known = searches_from_ledger(world.desk, "retrieval")
    assert known.ranking is None
    assert known.assumptions.source == f"golden queries of {first}"


def test_sides_of_measured_lists_are_told_by_their_own_groups(
    tmp_path: Path, snapshot: SearchSnapshot
) -> None:
    world = make_pair_world(tmp_path, snapshot)
    world.bootstrapped()
    evidence = world.ranked(world.candidate(("a2", NEW_ADAPTER), ("r3", RETRAINED)))
    lists, _ = lists_of(
        searches_from_ledger(world.desk, "retrieval"),
        world.desk.stack.units["retrieval"],
        np.random.default_rng(1),
    )
    sides = METRICS["mrr@10"].rows(Ranked.of(evidence), None)
    gained = sides.value(Side.RELEASE) - sides.value(Side.BASELINE)
    assert lists.by_group.sum() == pytest.approx(gained)
    assert lists.by_group.size == snapshot.golden["group"].n_unique()
