"""The table of the pair: values, gains, interaction, the two wins that lose together, and lone changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from gates_world import case, rule
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mangaops.evidence import Evidence
from mangaops.gates import Case, Finding, judge
from mangaops.gates.pair import Table, table
from mangaops.stack import Rule
from mangaops.vocabulary import Cell, EvidenceKind, Verdict
from ranking_rows import BINDING, four_searches, models, searched

MRR = {"metric": "mrr@10", "unjudged": "irrelevant", "min_judged": 0.9}
NEEDED = {"margin": 0.01, "unjudged": "irrelevant", "min_judged": 0.9}
LONE_ADAPTER = models(adapter="adapter@v2")


def before(evidence: Evidence | None, **changed: Any) -> Case:
    held = {EvidenceKind.RANKING: evidence} if evidence else {}
    return replace(case(**changed), binding=BINDING, evidence=held)


def found(one: Rule, evidence: Evidence | None, **changed: Any) -> Finding:
    return judge([one], before(evidence, **changed)).findings[0]


def mrr_rule(margin: float = 0.01, **params: Any) -> Rule:
    return rule("pair", margin=margin, **{**MRR, **params})


# ---- the table


def test_the_table_is_that_of_the_four_searches() -> None:
    evidence = four_searches([2, 4], [1, 2], [2, 2], [1, 1], queries=100)
    one = found(mrr_rule(), evidence)
    facts = one.facts or {}
    assert facts["table"] == {
        "baseline": pytest.approx(3 / 8),
        "new_adapter": pytest.approx(3 / 4),
        "new_reranker": pytest.approx(1 / 2),
        "release": pytest.approx(1.0),
    }
    assert {cell: each["gain"] for cell, each in facts["gains"].items()} == {
        "new_adapter": pytest.approx(3 / 8),
        "new_reranker": pytest.approx(1 / 8),
        "release": pytest.approx(5 / 8),
    }
    assert facts["interaction"]["estimate"] == pytest.approx(1.0 - 3 / 4 - 1 / 2 + 3 / 8)
    assert facts["interaction"]["low"] < facts["interaction"]["estimate"] < facts["interaction"]["high"]
    assert facts["changed"] == ["adapter", "reranker"]
    assert (one.verdict, one.observed, one.n) == (Verdict.PASS, pytest.approx(5 / 8), 100)
    assert one.subject == "mrr@10 of the pair on search"
    assert (
        "baseline 37.50%, new adapter alone 75.00%, new reranker alone 50.00%, both new 100.00%" in one.says
    )
    assert "interaction +12.50 points (" in one.says


PLACES = st.lists(st.sampled_from((1, 2, 3, 5, None)), min_size=8, max_size=8)


@settings(max_examples=25, deadline=None)
@given(st.tuples(PLACES, PLACES, PLACES, PLACES))
def test_the_interaction_is_what_the_values_say(places: tuple[list[int | None], ...]) -> None:
    asked = before(four_searches(*places), resamples=100)
    told = table(asked, asked.ranked, "ndcg@10")
    values = told.values
    expected = (
        values[Cell.RELEASE] - values[Cell.NEW_ADAPTER] - values[Cell.NEW_RERANKER] + values[Cell.BASELINE]
    )
    assert told.interaction.point == pytest.approx(expected, abs=1e-12)
    assert told.interaction.lower(0.95) <= expected + 1e-12
    assert told.interaction.upper(0.95) >= expected - 1e-12


# ---- two separate wins


def test_two_separate_wins_make_a_joint_loss_in_one_sentence() -> None:
    one = found(mrr_rule(), four_searches([2], [1], [1], [4], queries=100))
    assert one.verdict is Verdict.FAIL
    says = (
        "two separate wins make a joint loss: the new adapter alone is 50.00 points better, "
        "the new reranker alone 50.00 points better, and both together are 25.00 points worse"
    )
    assert one.says.count(says) == 1
    assert one.says.count("two separate wins") == 1
    assert (one.facts or {})["joint_loss"] is True
    assert one.next_step.endswith(
        "; or release the new adapter alone or the new reranker alone: the table excludes harm by it"
    )


def test_where_lower_is_better_a_rise_is_the_loss() -> None:
    one = found(mrr_rule(metric="bad_top1"), four_searches([1, 2], [1], [1], [2], queries=100))
    assert one.verdict is Verdict.FAIL
    assert "both together are 50.00 points worse" in one.says
    assert (one.facts or {})["interaction"]["estimate"] == pytest.approx(1.0 - 0.0 - 0.0 + 0.5)


@pytest.mark.parametrize(
    "places",
    [
        ([2], [1], [1], [1]),
        ([2], [1], [1], [2]),
        ([2], [1], [2], [4]),
        ([2], [4], [1], [4]),
        ([2], [4], [4], [8]),
        ([2], [2], [2], [2]),
    ],
)
def test_nothing_else_is_called_a_joint_loss_of_two_wins(places: tuple[list[int], ...]) -> None:
    one = found(mrr_rule(), four_searches(*places, queries=50))
    assert "two separate wins" not in one.says
    assert (one.facts or {})["joint_loss"] is False


def test_a_joint_loss_within_the_margin_passes_and_is_told() -> None:
    one = found(mrr_rule(margin=0.3), four_searches([2], [1], [1], [4], queries=100))
    assert one.verdict is Verdict.PASS
    assert "two separate wins make a joint loss" in one.says
    assert one.next_step == ""


def test_a_loss_names_the_model_that_may_go_alone() -> None:
    adapter = found(mrr_rule(), four_searches([2], [1], [4], [4], queries=100))
    assert adapter.next_step.endswith("; or release the new adapter alone: the table excludes harm by it")
    neither = found(mrr_rule(), four_searches([2], [4], [4], [4], queries=100))
    assert "alone" not in neither.next_step


# ---- a lone change


def test_a_lone_change_needs_proof_and_no_crosses() -> None:
    """A point estimate on the right side passes a pair; of a lone adapter it excludes no harm."""
    places = ([1, 2, 3], [2, 1, 3])
    unsure = four_searches(places[0], places[1], places[0], places[1], queries=30)
    lone = Evidence(unsure.kind, unsure.binding, {**unsure.facts, "models": LONE_ADAPTER}, unsure.tables)
    one = mrr_rule(margin=0.05)
    assert found(one, unsure).verdict is Verdict.PASS
    undecided = found(one, lone)
    assert undecided.verdict is Verdict.INCONCLUSIVE
    assert (
        "only the adapter is new, so the table has one column that changed: harm must be excluded"
        in undecided.says
    )
    assert "interaction" not in undecided.says
    assert (undecided.facts or {})["changed"] == ["adapter"]
    assert found(mrr_rule(margin=0.05, lone_confidence=0.5), lone).verdict is Verdict.PASS


@pytest.mark.parametrize("changed", ["adapter", "reranker"])
def test_a_lone_change_passes_where_the_table_excludes_harm(changed: str) -> None:
    new = {changed: f"{changed}@v2"}
    grades = {f"q{at}": {"right": 1.0} for at in range(100)}
    first, better = ({f"q{at}": items for at in range(100)} for items in (["x", "right"], ["right"]))
    policy = {"margin": 0.01, "metric": "mrr@10", "unjudged": "irrelevant", "min_judged": 0.5}
    one = rule("pair", **policy)
    assert found(one, searched(first, better, grades, models=models(**new))).verdict is Verdict.PASS
    assert found(one, searched(better, first, grades, models=models(**new))).verdict is Verdict.FAIL
    pair = found(one, searched(first, better, grades))
    assert pair.verdict is Verdict.ERROR
    assert "holds no search of new_adapter and new_reranker, which the table needs" in pair.says
    assert pair.next_step.endswith("--again ranking")


def test_a_lone_change_is_no_surer_than_the_rule_asks() -> None:
    evidence = four_searches([1, 2, 3], [2, 1, 3], [1, 2, 3], [2, 1, 3], queries=30, models=LONE_ADAPTER)
    sure = found(mrr_rule(margin=0.05, confidence=0.99, lone_confidence=0.5), evidence)
    assert sure.verdict is Verdict.INCONCLUSIVE


def test_where_no_model_differs_the_two_sides_are_compared() -> None:
    """A new index or catalogue alone: no column of models changed."""
    evidence = four_searches([1], [2], [3], [2], queries=40, models=models())
    one = found(mrr_rule(), evidence)
    assert (one.facts or {})["changed"] == []
    assert (one.facts or {})["table"]["new_adapter"] == (one.facts or {})["table"]["release"]
    assert (one.facts or {})["interaction"]["estimate"] == 0.0


# ---- judged share, and what is refused


def test_the_crosses_must_be_judged_as_well() -> None:
    evidence = four_searches([2], [2], [2], [1], queries=20)
    judgments = evidence.tables["judgments"]
    told = (evidence.tables["ranked"]["side"] == "new_adapter") & (evidence.tables["ranked"]["rank"] > 5)
    moved = evidence.tables["ranked"].with_columns(
        item_id=evidence.tables["ranked"]["item_id"].zip_with(
            ~told, "new " + evidence.tables["ranked"]["item_id"]
        )
    )
    changed = {**evidence.tables, "ranked": moved, "judgments": judgments}
    one = found(mrr_rule(), Evidence(evidence.kind, evidence.binding, evidence.facts, changed))
    assert one.verdict is Verdict.INCONCLUSIVE
    assert "50.00% of the first 10 places are judged, under the 90% that the rule asks for" in one.says
    assert one.labels_to_settle == 80
    assert one.next_step.startswith("judge 80 items that were shown")
    assert "alone" not in one.next_step


def test_defaults_of_the_rule() -> None:
    one = rule("pair", **NEEDED)
    assert (one.params.model_dump()["metric"], one.params.model_dump()["on"]) == ("ndcg@10", "search")


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"metric": "accuracy"}, r"pair compares a metric of grades \(recall@k, ndcg@k, mrr@k, bad_top1\)"),
        ({"metric": "coverage@10"}, "and coverage@10 is none"),
        ({"metric": "ndcg@k"}, "as in ndcg@10"),
        ({"on": "adapter"}, "should be 'search'"),
        ({"unjudged": None}, "unjudged"),
        ({"min_judged": None}, "min_judged"),
        ({"margin": -0.1}, "greater than or equal to 0"),
        ({"lone_confidence": 0.4}, "greater than or equal to 0.5"),
        ({"label": "faq"}, "label"),
    ],
)
def test_what_the_pair_cannot_be_judged_by_is_refused(params: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        rule("pair", **{**NEEDED, **params})


@pytest.mark.parametrize("missing", ["unjudged", "min_judged", "margin"])
def test_policy_share_and_margin_have_no_default(missing: str) -> None:
    with pytest.raises(ValidationError, match=missing):
        rule("pair", **{name: value for name, value in NEEDED.items() if name != missing})


def test_quick_verdicts_are_those_of_the_full_judge() -> None:
    for places in (([2], [1], [1], [4]), ([2], [1], [1], [1])):
        evidence = four_searches(*places, queries=60)
        full, quick = found(mrr_rule(), evidence), found(mrr_rule(), evidence, verdicts_only=True)
        assert (quick.verdict, quick.observed) == (full.verdict, full.observed)


# ---- coverage of the interaction's interval


CELLS = {
    Cell.BASELINE: (0.4, 0.2, 0.1),
    Cell.NEW_ADAPTER: (0.5, 0.2, 0.1),
    Cell.NEW_RERANKER: (0.45, 0.25, 0.1),
    Cell.RELEASE: (0.38, 0.2, 0.2),
}
"""The chance of the relevant item at place 1, 2 and 3 by cell; else it is not found."""

VALUE = {cell: sum(p / place for place, p in enumerate(chances, start=1)) for cell, chances in CELLS.items()}
TRUE = VALUE[Cell.RELEASE] - VALUE[Cell.NEW_ADAPTER] - VALUE[Cell.NEW_RERANKER] + VALUE[Cell.BASELINE]


def one_sample(rng: np.random.Generator, queries: int, per_group: int) -> Table:
    """Queries whose difficulty is shared within a group and over cells, but for a part of each cell's own."""
    groups = np.arange(queries) // per_group
    shared = rng.random(groups.max() + 1)[groups] if per_group > 1 else rng.random(queries)
    places: list[Sequence[int | None]] = []
    for chances in CELLS.values():
        luck = np.where(rng.random(queries) < 0.7, shared, rng.random(queries))
        at = np.searchsorted(np.cumsum(chances), luck, side="right") + 1
        places.append([int(place) if place <= 3 else None for place in at])
    asked = before(
        four_searches(*places, groups=groups.tolist()), resamples=300, seed=int(rng.integers(2**31))
    )
    return table(asked, asked.ranked, "mrr@10")


def covered(runs: int, queries: int, per_group: int, seed: int) -> tuple[float, float]:
    """How often each one-sided bound at 0.95 holds the true interaction."""
    rng = np.random.default_rng(seed)
    drawn = [one_sample(rng, queries, per_group).interaction for _ in range(runs)]
    low = np.mean([each.lower(0.95) <= TRUE for each in drawn])
    high = np.mean([each.upper(0.95) >= TRUE for each in drawn])
    return float(low), float(high)


def test_the_interval_holds_the_true_interaction() -> None:
    """A few runs: the slow test says how often."""
    assert min(covered(40, 100, 2, seed=3)) >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 40)


@pytest.mark.slow
@pytest.mark.parametrize(("queries", "per_group"), [(300, 1), (300, 3), (1000, 4)])
def test_coverage_of_the_interaction(queries: int, per_group: int) -> None:
    runs = 300
    low, high = covered(runs, queries, per_group, seed=11)
    print(f"interaction {queries} queries, {per_group} a group: lower {low:.3f}, upper {high:.3f} at 0.95")
    assert min(low, high) >= 0.95 - 0.02 - 3.0 * np.sqrt(0.95 * 0.05 / runs)
    assert max(low, high) < 1.0, "a bound that never misses is wider than it says"
