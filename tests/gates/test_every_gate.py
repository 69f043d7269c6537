"""Every gate is documented, has its file, fires, and stays quiet."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import pytest
from gates_world import (
    BINDING,
    case,
    counted,
    evaluation,
    fingerprint,
    index,
    judged,
    latency,
    leakage,
    record,
    review,
    rule,
    searches,
    shadow,
    verdict,
)

from golden_rows import outcomes
from mangaops.gates import GATES, Case, judge
from mangaops.stack import Rule
from mangaops.vocabulary import Outcome, ShadowMode, Verdict
from ranking_rows import four_searches

GOOD = outcomes(counted("faq", both=380, gained=20) + counted("escalation", both=90, gained=10))
BAD = outcomes(counted("faq", both=340, lost=60) + counted("escalation", both=60, lost=40))
CRITICAL = rule("no_critical_regression", labels=("escalation",), margin=0.02, min_examples=50)

ADDED = rule("added_latency", step="encode", at_most_ms=3)
PAIR = rule("pair", margin=0.01, unjudged="irrelevant", min_judged=0.9)

FIRES: dict[str, Callable[[], tuple[Rule, tuple]]] = {
    "release_record": lambda: (rule("release_record"), (record(latency_report=None),)),
    "leakage": lambda: (
        rule("leakage"),
        (leakage([("text", "release", "row-1", "row-9")]), evaluation(GOOD)),
    ),
    "fingerprint": lambda: (rule("fingerprint"), (fingerprint(found="e" * 64),)),
    "non_inferior": lambda: (rule("non_inferior", metric="accuracy", margin=0.01), (evaluation(BAD),)),
    "no_critical_regression": lambda: (CRITICAL, (evaluation(BAD),)),
    "no_increase": lambda: (rule("no_increase", metric="escalation_miss_rate"), (evaluation(BAD),)),
    "latency": lambda: (rule("latency", below_ms=15), (latency(8, 30),)),
    "disagreement": lambda: (rule("disagreement", review_over=0.05, hard_limit=0.2), (shadow(600, 400),)),
    "at_least": lambda: (rule("at_least", metric="accuracy", value=0.99), (evaluation(BAD),)),
    "pair": lambda: (PAIR, (four_searches([2], [1], [1], [3, 4], queries=100, binding=BINDING),)),
    "index_recall": lambda: (rule("index_recall", at_least=0.98), (index([1.0, 0.8] * 100),)),
    "added_latency": lambda: (ADDED, (searches({"encode": 4.0}, {"encode": 12.0}),)),
}
QUIET: dict[str, Callable[[], tuple[Rule, tuple]]] = {
    "release_record": lambda: (rule("release_record"), (record(),)),
    "leakage": lambda: (rule("leakage"), (leakage(), evaluation(GOOD))),
    "fingerprint": lambda: (rule("fingerprint"), (fingerprint(),)),
    "non_inferior": lambda: (rule("non_inferior", metric="accuracy", margin=0.01), (evaluation(GOOD),)),
    "no_critical_regression": lambda: (CRITICAL, (evaluation(GOOD),)),
    "no_increase": lambda: (rule("no_increase", metric="escalation_miss_rate"), (evaluation(GOOD),)),
    "latency": lambda: (rule("latency", below_ms=15), (latency(8, 9),)),
    "disagreement": lambda: (rule("disagreement", review_over=0.05, hard_limit=0.2), (shadow(980, 20),)),
    "at_least": lambda: (rule("at_least", metric="accuracy", value=0.9), (evaluation(GOOD),)),
    "pair": lambda: (PAIR, (four_searches([2], [2], [2], [1], queries=100, binding=BINDING),)),
    "index_recall": lambda: (rule("index_recall", at_least=0.98), (index([1.0, 0.98] * 100),)),
    "added_latency": lambda: (ADDED, (searches({"encode": 4.0}, {"encode": 5.0}),)),
}


def test_every_gate_has_a_firing_and_a_quiet_case() -> None:
    assert set(FIRES) == set(QUIET) == set(GATES)


@pytest.mark.parametrize("name", sorted(GATES))
def test_a_gate_fires(name: str) -> None:
    one, evidence = FIRES[name]()
    worst = judge([one], case(*evidence)).verdicts[name]
    assert worst is (Verdict.ERROR if name == "release_record" else Verdict.FAIL)


@pytest.mark.parametrize("name", sorted(GATES))
def test_a_gate_stays_quiet(name: str) -> None:
    one, evidence = QUIET[name]()
    decision = judge([one], case(*evidence))
    assert decision.verdicts[name] is Verdict.PASS
    assert decision.outcome is Outcome.PROMOTE


@pytest.mark.parametrize("name", sorted(GATES))
def test_a_gate_without_its_evidence_is_an_error_that_names_the_command(name: str) -> None:
    one, _ = QUIET[name]()
    found = judge([one], case()).findings[0]
    assert found.verdict is Verdict.ERROR
    assert found.next_step == "mangaops release run router --logs FILE --traffic FILE"


def test_a_shadow_is_taken_anew_from_where_its_requests_came() -> None:
    one = rule("disagreement", review_over=0.05, min_requests=10_000)
    told = {mode: judge([one], case(shadow(990, 10, mode=mode))).findings[0].next_step for mode in ShadowMode}
    begins = "mangaops release run router --logs FILE"
    assert told[ShadowMode.REPLAY].startswith(f"{begins} --traffic FILE --again shadow, ")
    assert told[ShadowMode.LIVE].startswith(f"{begins} --shadow live --again shadow, ")


@pytest.mark.parametrize("name", sorted(GATES))
def test_a_gate_says_what_it_does(name: str) -> None:
    module = importlib.import_module(f"mangaops.gates.{name}")
    assert (module.__doc__ or "").startswith(f"{name}: ")
    assert GATES[name].params.__doc__


@pytest.mark.parametrize("name", sorted(GATES))
def test_a_finding_tells_its_numbers_in_a_sentence(name: str) -> None:
    one, evidence = FIRES[name]()
    found = max(judge([one], case(*evidence)).findings, key=lambda each: each.verdict)
    assert any(letter.isdigit() for letter in found.says) or "fingerprint" in found.says
    assert found.next_step


def test_a_review_is_judged_when_it_is_complete() -> None:
    one = rule("disagreement", review_over=0.05)
    assert verdict(one, shadow(900, 100)) is Verdict.INCONCLUSIVE
    assert verdict(one, shadow(900, 100), review([None] * 100)) is Verdict.INCONCLUSIVE
    assert verdict(one, shadow(900, 100), review(["faq"] * 100)) is Verdict.PASS


@pytest.mark.parametrize("simulated", [False, True])
def test_a_pass_over_the_threshold_says_what_the_review_found(simulated: bool) -> None:
    """Known items that were planted are no disagreements."""
    one = rule("disagreement", review_over=0.05)
    answers: list[str | None] = ["faq"] * 30 + ["promotion"] * 15 + ["escalation", "neither", "unclear"]
    told = judged(one, shadow(900, 100), review(answers, simulated=simulated), simulated=simulated)
    by = " by a simulated reviewer" if simulated else ""
    assert told.findings[0].says.endswith(
        f"over 5.00%, and 48 of 100 disagreements were reviewed{by}: the release's answer was chosen "
        "15 times, the baseline's 30 times, and neither of both 3 times"
    )


def test_a_pass_under_the_threshold_speaks_of_no_review() -> None:
    found = judged(rule("disagreement", review_over=0.05), shadow(980, 20), review(["faq"] * 20)).findings[0]
    assert found.verdict is Verdict.PASS
    assert found.says.endswith("up to 5.00% needs no review")


def test_only_counted_rules_share_the_fail_confidence() -> None:
    frame = outcomes(counted("faq", both=480, lost=12, gained=8))
    several = [rule("non_inferior", metric="accuracy", margin=0.0), *[CRITICAL] * 3]
    shown = [several[0], *[Rule(one.gate, one.params, True) for one in several[1:]]]

    def level(rules: list[Rule]) -> float:
        found: Case = case(evaluation(frame))
        facts = judge(rules, found).findings[0].facts or {}
        return float(facts["fail_confidence"])

    assert level(several) == pytest.approx(1 - 0.05 / 4)
    assert level(shown) == pytest.approx(0.95)
