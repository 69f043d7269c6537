"""`stack check` simulates what a gate list does, through the judge of real releases."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from desk_world import WHY, Rigged, World

from mangaops.evidence import require
from mangaops.gates import GATES, judge, weigh
from mangaops.metrics import METRICS, Scored
from mangaops.release import evaluate
from mangaops.release.judge import judge_offline
from mangaops.release.stack_check import a_week, simulate, stack_check
from mangaops.release.stack_evidence import Challenger, evidence_of
from mangaops.release.stack_known import assumed, from_ledger, observed, traffic_of
from mangaops.release.stack_report import ChallengerRow, StackReport
from mangaops.stack import Rule, Stack, parse
from mangaops.training.parameters import PARAMETERS
from mangaops.vocabulary import EvidenceKind, Outcome, Side

ROOT = Path(__file__).parents[2]
EQUAL = Challenger("equal", 0.0)
BROKEN = Challenger("broken", -0.2)


@pytest.fixture(scope="module")
def stack() -> Stack:
    text = (ROOT / "examples" / "quickstart" / "stack.yaml").read_text()
    gates = {name: gate.params for name, gate in GATES.items()}
    return parse(text, gates=gates, metrics=METRICS, families=PARAMETERS)


def report(stack: Stack, simulations: int = 6, **told: object) -> StackReport:
    rng = np.random.default_rng(4)
    return stack_check(stack, "router", assumed(stack, "router"), rng=rng, simulations=simulations, **told)


def test_assumptions_come_from_the_stack(stack: Stack) -> None:
    found = assumed(stack, "router")
    assert sum(found.golden.values()) == pytest.approx(stack.data["intent-data"].golden.rows, abs=10)
    assert found.golden["escalation"] == stack.data["intent-data"].golden.per_critical_label
    assert sum(found.shares.values()) == pytest.approx(1.0)
    assert found.requests == stack.units["router"].shadow.min_requests


def test_three_challengers_with_shares_that_sum_to_one(stack: Stack) -> None:
    found = report(stack)
    assert [row.gain for row in found.challengers] == [0.0, -0.005, 0.01]
    for row in found.challengers:
        assert row.promoted.share + row.held.share + row.rejected.share == pytest.approx(1.0)
        assert row.promoted.low <= row.promoted.share <= row.promoted.high
        assert {gate.gate for gate in row.gates} == {rule.gate for rule in stack.units["router"].gates}
    assert "promoted" in found.text()
    assert found.as_dict()["challengers"][0]["challenger"] == "equal"


def test_the_table_names_every_gate_whole_however_long(stack: Stack) -> None:
    found = report(stack, 1)
    _, table = found.text().split("passes, by gate")
    lines = table.splitlines()[1:]
    names = " ".join(" ".join(line[:52].split()) for line in lines)
    gates = [f"{gate.gate}: {gate.subject}" for gate in found.challengers[0].gates]
    assert names == " ".join(gates)
    assert {len(gate) > 51 for gate in gates} == {True, False}
    assert sum("%" in line for line in lines) == len(gates)
    assert len(lines) == len(gates) + sum(len(gate) > 51 for gate in gates)


def test_a_router_is_checked_as_it_was_before_units_that_rank_were(stack: Stack) -> None:
    """These numbers were printed by the version before, with the same seed."""
    known, rng = assumed(stack, "router"), np.random.default_rng(7)
    found = stack_check(stack, "router", known, rng=rng, simulations=20)
    shares = [(row.promoted.share, row.held.share, row.rejected.share) for row in found.challengers]
    assert shares == [(0.45, 0.55, 0.0), (0.25, 0.75, 0.0), (0.95, 0.05, 0.0)]
    review = [row.gates[-1].passed.share for row in found.challengers]
    assert review == [0.7, 0.55, 1.0]
    assert "NOT SIMULATED" not in found.text()
    assert "NOTE" not in found.text()


def test_two_rules_on_the_same_are_counted_apart(stack: Stack) -> None:
    unit, model = stack.units["router"], stack.models["intent-classifier"]
    known, rng = assumed(stack, "router"), np.random.default_rng(2)
    rules = [
        Rule("non_inferior", GATES["non_inferior"].params(metric="accuracy", margin=margin))
        for margin in (0.0, 0.5)
    ]
    week = partial(a_week, unit, model, stack.data["intent-data"], known, rng=rng)
    strict, wide = simulate(rules, Challenger("worse", -0.01), week, simulations=8).gates
    assert strict.subject == wide.subject
    assert strict.passed.share < wide.passed.share == 1.0


def test_equal_seeds_give_equal_reports(stack: Stack) -> None:
    assert report(stack, 3) == report(stack, 3)


def test_progress_reaches_every_challenger(stack: Stack) -> None:
    said: list[tuple[str, int, int]] = []
    report(stack, 2, progress=lambda what, done, total: said.append((what, done, total)))
    assert [done for _, done, _ in said] == [0, 2, 4]
    assert {total for _, _, total in said} == {6}


def test_a_broken_challenger_is_rejected_and_an_equal_one_is_not(stack: Stack) -> None:
    unit = stack.units["router"]
    model = stack.models["intent-classifier"]
    data, known = stack.data["intent-data"], assumed(stack, "router")
    rng = np.random.default_rng(2)
    week = partial(a_week, unit, model, data, known, rng=rng)
    broken, equal = (simulate(unit.gates, kind, week, simulations=8) for kind in (BROKEN, EQUAL))
    assert broken.rejected.share == 1.0
    assert equal.rejected.share == 0.0


@pytest.mark.parametrize("gain", [-0.03, 0.0, 0.02])
@pytest.mark.parametrize("per_group", [1.0, 3.0])
def test_simulated_evidence_is_whole_and_as_good_as_it_says(
    stack: Stack, gain: float, per_group: float
) -> None:
    """Averaged over weeks the weighted difference is the gain, on golden rows and on traffic."""
    known = replace(assumed(stack, "router"), per_group=per_group, per_conversation=per_group)
    rng, differences, reviewed = np.random.default_rng(1), [], []
    for _ in range(25):
        evidence = evidence_of(known, Challenger("x", gain), budget=10_000, limits=(0.95, 15), rng=rng)
        for one in evidence.values():
            require(one)
        scored = Scored.of(evidence[EvidenceKind.EVALUATION], stack.models["intent-classifier"])
        sides = METRICS["accuracy"].rows(scored, None)
        differences.append(sides.value(Side.RELEASE) - sides.value(Side.BASELINE))
        items = evidence[EvidenceKind.REVIEW].tables["items"].filter(~pl.col("planted"))
        gained = (items["answer"] == items["release_label"]).sum()
        lost = (items["answer"] == items["baseline_label"]).sum()
        reviewed.append((gained - lost) / known.requests)
    for found in (differences, reviewed):
        error = np.std(found) / np.sqrt(len(found))
        assert np.mean(found) == pytest.approx(gain, abs=4 * error)


def test_quick_verdicts_are_the_verdicts_of_the_full_judge(stack: Stack) -> None:
    unit = stack.units["router"]
    rng = np.random.default_rng(9)
    for gain in (0.0, -0.02, -0.1):
        case = a_week(
            unit,
            stack.models["intent-classifier"],
            stack.data["intent-data"],
            assumed(stack, "router"),
            Challenger("x", gain),
            rng=rng,
        )
        quick = weigh(unit.gates, case)
        full = judge(unit.gates, replace(case, verdicts_only=False))
        assert quick[0] == full.outcome
        assert [f.verdict for f in quick[1]] == [f.verdict for f in full.findings]


def test_what_was_measured_replaces_what_was_assumed(stack: Stack) -> None:
    known = replace(assumed(stack, "router"), accuracy=0.8, differs=0.1)
    rng = np.random.default_rng(3)
    evidence = evidence_of(known, EQUAL, budget=800, limits=(0.95, 15), rng=rng)
    found = observed(stack, "router", evidence)
    assert found.accuracy == pytest.approx(0.8, abs=0.04)
    assert found.differs == pytest.approx(0.1, abs=0.03)
    assert {"golden", "accuracy", "differs", "requests"} <= set(found.measured)
    assert observed(stack, "router", {}) == assumed(stack, "router")


def test_traffic_is_what_was_mirrored_and_an_empty_window_tells_nothing(stack: Stack) -> None:
    known = replace(assumed(stack, "router"), requests=300)
    rng = np.random.default_rng(3)
    evidence = evidence_of(known, EQUAL, budget=800, limits=(0.95, 15), rng=rng)
    shadow = evidence[EvidenceKind.SHADOW]
    answers = shadow.tables["answers"]
    found = traffic_of(shadow)
    assert list(found) == ["differs", "requests", "hours", "per_conversation"]
    assert (found["requests"], found["differs"]) == (300, answers["disagrees"].mean())
    assert traffic_of(replace(shadow, tables={**shadow.tables, "answers": answers.head(0)})) == {}
    assert traffic_of(None) == {}


def test_a_unit_without_a_champion_is_simulated_as_assumed_and_says_so(world: World) -> None:
    known = from_ledger(world.desk, "router")
    assert known == assumed(world.desk.stack, "router")
    said = StackReport("router", 1, known, report_rows(world)).text()
    assert "OBSERVED: nothing" in said
    assert "ASSUMED, not measured: " in said


def test_the_champions_own_golden_set_and_traffic_are_simulated_and_told_apart(served: World) -> None:
    first = from_ledger(served.desk, "router")
    assert sum(first.golden.values()) == served.snapshot.golden.height
    assert "differs" not in first.measured  # a plain baseline is no challenger
    release, acted = served.run(Rigged("better", 0.02))
    assert acted.outcome is Outcome.PROMOTE
    then = from_ledger(served.desk, "router")
    assert {"golden", "accuracy", "differs", "requests", "per_conversation"} <= set(then.measured)
    assert then.requests == 400
    said = StackReport("router", 1, then, report_rows(served)).text()
    observed_line, assumed_line = said.splitlines()[1:3]
    assert observed_line.startswith(f"OBSERVED (evidence of {release}, traffic of {release}): ")
    assert "400 mirrored requests" in observed_line
    assert "latency at" in assumed_line
    assert "mirrored" not in assumed_line


def test_traffic_of_a_refused_challenger_is_not_lent_to_a_first_champion(served: World) -> None:
    """How often it answered otherwise tells of its mistakes; while it was open, it lent its window."""
    fine, worse = (evaluate.Pair(Rigged("champion", 0.1), Rigged(*each)) for each in (("v", 0.1), ("v", 0.5)))
    release = served.candidate()
    served.measure_offline(release, fine)
    assert judge_offline(served.desk, "router", release, dataset=served.dataset, reason=WHY) is None
    served.shadowed(release, worse)
    lent = from_ledger(served.desk, "router")
    assert lent.source == f"evidence of router-1, traffic of {release}"
    assert "differs" in lent.measured
    assert served.act(release, served.judged(release)).outcome is Outcome.REJECT
    after = from_ledger(served.desk, "router")
    assert after.source == "evidence of router-1"
    assert "differs" not in after.measured


def report_rows(world: World) -> tuple[ChallengerRow, ...]:
    stack = world.desk.stack
    unit, model = stack.units["router"], stack.models["intent-classifier"]
    known = assumed(stack, "router")
    rng = np.random.default_rng(1)
    week = partial(a_week, unit, model, stack.data["intent-data"], known, rng=rng)
    return (simulate(unit.gates, EQUAL, week, simulations=1),)
