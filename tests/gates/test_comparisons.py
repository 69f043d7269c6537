"""Paired rules: PASS at the lower bound, FAIL at the upper, INCONCLUSIVE in between and on few rows."""

from __future__ import annotations

import polars as pl
import pytest
from gates_world import (
    BINDING,
    LABELS,
    MODEL,
    case,
    counted,
    evaluation,
    finding,
    judged,
    latency,
    rule,
    verdict,
)
from pydantic import ValidationError

from golden_rows import outcomes
from mangaops.gates import GATES
from mangaops.gates.verdicts import change, spread, value
from mangaops.stack import UnitSpec
from mangaops.vocabulary import Outcome, Verdict

ACCURACY = rule("non_inferior", metric="accuracy", margin=0.002)


def test_the_literal_rule_compares_point_estimates() -> None:
    """0.2 points under the champion passes to the row, one row more does not."""
    exactly = outcomes(counted("faq", both=990, lost=6, gained=4))
    one_more = outcomes(counted("faq", both=990, lost=7, gained=3))
    assert verdict(ACCURACY, evaluation(exactly)) is Verdict.PASS
    assert verdict(ACCURACY, evaluation(one_more)) is Verdict.INCONCLUSIVE


def test_an_interval_around_no_difference_at_all_says_where_its_width_comes_from() -> None:
    why = "; none differs: the interval is what their number leaves open"
    same, even = counted("faq", both=40), counted("faq", both=30, lost=5, gained=5)
    assert why in finding(ACCURACY, evaluation(outcomes(same))).says
    assert why not in finding(ACCURACY, evaluation(outcomes(even))).says


def test_a_rule_with_confidence_asks_for_proof() -> None:
    frame = evaluation(outcomes(counted("faq", both=4990, lost=5, gained=5)))
    unit = UnitSpec(models=("m",), looks=1)
    easy = rule("non_inferior", metric="accuracy", margin=0.01, confidence=0.95)
    hard = rule("non_inferior", metric="accuracy", margin=0.0005, confidence=0.95)
    assert verdict(easy, frame, unit=unit) is Verdict.PASS
    assert verdict(hard, frame, unit=unit) is Verdict.INCONCLUSIVE


def test_looks_share_the_confidence_of_a_rule_that_asks_for_proof() -> None:
    frame = evaluation(outcomes(counted("faq", both=990, lost=5, gained=5)))
    proof = rule("non_inferior", metric="accuracy", margin=0.01, confidence=0.95)
    for looks, level in ((1, 0.95), (5, 0.99)):
        found = finding(proof, frame, unit=UnitSpec(models=("m",), looks=looks))
        assert (found.facts or {})["pass_confidence"] == pytest.approx(level)
    literal = finding(ACCURACY, frame, unit=UnitSpec(models=("m",), looks=5))
    assert (literal.facts or {})["pass_confidence"] == 0.5


def test_after_the_last_look_nothing_can_be_proven() -> None:
    frame = evaluation(outcomes(counted("faq", both=4990, lost=5, gained=5)))
    proof = rule("non_inferior", metric="accuracy", margin=0.01, confidence=0.95)
    unit = UnitSpec(models=("m",), looks=2)
    assert verdict(proof, frame, unit=unit, look=2) is Verdict.PASS
    spent = finding(proof, frame, unit=unit, look=3)
    assert spent.verdict is Verdict.INCONCLUSIVE
    assert "new challenger" in spent.next_step
    assert verdict(ACCURACY, frame, unit=unit, look=9) is Verdict.PASS


def test_a_time_that_was_judged_as_often_as_looks_allow_proves_nothing_more() -> None:
    proof, unit = rule("latency", below_ms=15, confidence=0.95), UnitSpec(models=("m",), looks=2)
    assert verdict(proof, latency(8, 9), unit=unit, timing=2, look=9) is Verdict.PASS
    assert verdict(proof, latency(8, 9), unit=unit, timing=3) is Verdict.INCONCLUSIVE
    assert verdict(rule("latency", below_ms=15), latency(8, 9), unit=unit, timing=3) is Verdict.PASS


def test_passes_at_is_where_the_verdict_turns() -> None:
    frame = evaluation(outcomes(counted("faq", both=970, lost=10, gained=20)))
    reached = finding(ACCURACY, frame).passes_at or 0.0
    assert 0.9 < reached < 0.9999
    unit = UnitSpec(models=("m",), looks=1)
    for confidence, expected in ((reached - 0.01, Verdict.PASS), (reached + 0.003, Verdict.INCONCLUSIVE)):
        asked = rule("non_inferior", metric="accuracy", margin=0.002, confidence=confidence)
        assert verdict(asked, frame, unit=unit) is expected


def test_the_numbers_of_a_finding() -> None:
    found = finding(ACCURACY, evaluation(outcomes(counted("faq", both=900, lost=30, gained=50, neither=20))))
    assert found.observed == pytest.approx(0.02)
    assert found.threshold == pytest.approx(-0.002)
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0.02 < found.high
    assert (found.n, found.unit) == (1000, "share")
    assert "release 95.00%, baseline 93.00%" in found.says
    assert "+2.00 points" in found.says


def test_what_rounds_to_zero_has_no_minus_in_a_sentence() -> None:
    assert [value(-0.0, "ms"), value(-0.00001, "share")] == ["0 ms", "0.00%"]
    assert spread(-0.00004, 0.01, "share") == "+0.00 to +1.00 points"
    assert spread(-0.0, 0.5, "ms") == "+0 to +0.5 ms"
    assert change(-0.00004, "share") == "+0.00 points"


def test_what_does_not_round_to_zero_keeps_its_minus() -> None:
    assert value(-0.0001, "share") == "-0.01%"
    assert spread(-0.00006, -0.0, "share") == "-0.01 to +0.00 points"
    assert change(-0.25, "ms") == "-0.25 ms"


def test_a_cost_that_rises_is_shown_as_a_rise() -> None:
    worse = outcomes(counted("escalation", both=180, lost=20) + counted("faq", both=100))
    found = finding(rule("non_inferior", metric="harm_cost", margin=0.0), evaluation(worse))
    assert found.verdict is Verdict.FAIL
    assert found.observed is not None
    assert found.observed > 0
    better = outcomes(counted("escalation", both=180, gained=20) + counted("faq", both=100))
    assert verdict(rule("non_inferior", metric="harm_cost", margin=0.0), evaluation(better)) is Verdict.PASS


def test_or_below_passes_a_value_that_is_low_enough() -> None:
    frame = evaluation(outcomes(counted("faq", both=990, lost=6, gained=4)))
    strict = rule("non_inferior", metric="harm_cost", margin=0.0)
    generous = rule("non_inferior", metric="harm_cost", margin=0.0, or_below=0.1)
    out_of_reach = rule("non_inferior", metric="harm_cost", margin=0.0, or_below=0.001)
    assert verdict(strict, frame) is Verdict.INCONCLUSIVE
    assert verdict(generous, frame) is Verdict.PASS
    assert verdict(out_of_reach, frame) is Verdict.INCONCLUSIVE


def test_an_interval_beyond_the_threshold_that_proves_no_fail_says_why() -> None:
    """Eleven rows lost, two gained: sure at 0.95, not at the 0.995 of a list of ten."""
    frame = evaluation(outcomes(counted("faq", both=987, lost=11, gained=2)))
    asked = rule("non_inferior", metric="accuracy", margin=0.002)
    alone, shared = finding(asked, frame), finding([asked] * 10, frame)
    assert alone.verdict is Verdict.FAIL
    assert "fail_confidence" not in alone.says
    assert shared.high is not None
    assert shared.high < -0.002
    assert shared.verdict is Verdict.INCONCLUSIVE
    assert shared.says.endswith("a FAIL asks for confidence 0.995: fail_confidence is shared over the list")


def test_few_examples_are_inconclusive_however_bad() -> None:
    frame = evaluation(outcomes(counted("escalation", both=10, lost=20) + counted("faq", both=400)))
    asked = rule("no_critical_regression", labels=("escalation",), margin=0.02, min_examples=300)
    found = finding(asked, frame)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.n == 30
    assert found.labels_to_settle == 270
    enough = rule("no_critical_regression", labels=("escalation",), margin=0.02, min_examples=30)
    assert verdict(enough, frame) is Verdict.FAIL


def test_each_critical_label_is_judged_by_itself() -> None:
    frame = outcomes(counted("escalation", both=60, lost=40) + counted("promotion", both=100))
    asked = rule("no_critical_regression", labels=("promotion", "escalation"), margin=0.02, min_examples=50)
    decision = judged(asked, evaluation(frame))
    assert [each.verdict for each in decision.findings] == [Verdict.PASS, Verdict.FAIL]
    assert decision.outcome is Outcome.REJECT


def test_a_critical_label_without_a_row_is_an_error() -> None:
    frame = outcomes(counted("faq", both=100))
    asked = rule("no_critical_regression", labels=("escalation",), margin=0.02, min_examples=0)
    assert verdict(asked, evaluation(frame)) is Verdict.ERROR


CRITICAL = rule("no_critical_regression", labels=("escalation",), margin=0.5, min_examples=10)


def _named(released: str) -> pl.DataFrame:
    rows = [
        ("give me a person", "escalation", "escalation", released),
        ("hi", "faq", "promotion", "promotion"),
    ]
    return pl.DataFrame(rows, schema=["text", "truth", "baseline_label", "release_label"], orient="row")


def test_a_named_example_that_was_right_may_never_be_lost() -> None:
    frame = outcomes(counted("escalation", both=100))
    lost = judged(CRITICAL, evaluation(frame, critical_examples=_named("faq")))
    kept = judged(CRITICAL, evaluation(frame, critical_examples=_named("escalation")))
    assert (lost.outcome, kept.outcome) == (Outcome.REJECT, Outcome.PROMOTE)
    assert "example 1, escalation answered as faq" in lost.findings[-1].says
    assert "person" not in str(lost.as_dict())


def test_named_examples_that_were_not_measured_are_an_error() -> None:
    named = MODEL.model_copy(update={"critical_examples": "examples.jsonl"})
    frame = evaluation(outcomes(counted("escalation", both=100)))
    assert judged(CRITICAL, frame, model=named).outcome is Outcome.HOLD
    assert judged(CRITICAL, frame).outcome is Outcome.PROMOTE


def test_conversations_widen_the_interval() -> None:
    rows = counted("faq", both=900, lost=60, gained=40)
    apart = finding(ACCURACY, evaluation(outcomes(rows)))
    grouped = outcomes(rows, group=[f"group-{number // 20}" for number in range(len(rows))])
    together = finding(ACCURACY, evaluation(grouped))
    assert together.observed == apart.observed
    assert together.high - together.low > 1.5 * (apart.high - apart.low)  # type: ignore[operator]


def test_weights_take_the_difference_back_to_traffic() -> None:
    rows = counted("faq", both=100) + counted("escalation", both=50, lost=50)
    heavy_faq = outcomes(rows, weight=[1.9] * 100 + [0.1] * 100)
    found = finding(rule("non_inferior", metric="accuracy", margin=0.5), evaluation(heavy_faq))
    assert found.observed == pytest.approx(-0.025)


def test_the_labels_that_would_settle_it_do() -> None:
    """An even challenger with as many rows as it was told passes at the asked confidence."""
    unit = UnitSpec(models=("m",), looks=1)
    asked = rule("non_inferior", metric="accuracy", margin=0.01, confidence=0.95)
    few = finding(asked, evaluation(outcomes(counted("faq", both=380, lost=10, gained=10))), unit=unit)
    more = few.labels_to_settle or 0
    assert few.verdict is Verdict.INCONCLUSIVE
    factor = (400 + more) / 400
    scaled = counted("faq", both=round(380 * factor), lost=round(10 * factor), gained=round(10 * factor))
    assert verdict(asked, evaluation(outcomes(scaled)), unit=unit) is Verdict.PASS
    fewer = counted("faq", both=570, lost=15, gained=15)
    assert verdict(asked, evaluation(outcomes(fewer)), unit=unit) is Verdict.INCONCLUSIVE


def test_a_margin_of_zero_cannot_be_settled_by_labels() -> None:
    frame = evaluation(outcomes(counted("faq", both=980, lost=11, gained=9)))
    found = finding(rule("non_inferior", metric="accuracy", margin=0.0), frame)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.labels_to_settle is None
    assert "no number of labels" in found.next_step


def test_at_least_is_absolute_and_turns_round_where_lower_is_better() -> None:
    frame = evaluation(outcomes(counted("faq", both=900, neither=100)))
    assert verdict(rule("at_least", metric="accuracy", value=0.9), frame) is Verdict.PASS
    assert verdict(rule("at_least", metric="accuracy", value=0.905), frame) is Verdict.INCONCLUSIVE
    assert verdict(rule("at_least", metric="accuracy", value=0.95), frame) is Verdict.FAIL
    assert verdict(rule("at_least", metric="harm_cost", value=0.25), frame) is Verdict.PASS
    assert verdict(rule("at_least", metric="harm_cost", value=0.1), frame) is Verdict.FAIL


@pytest.mark.parametrize(
    ("gate", "params"),
    [
        ("non_inferior", {"metric": "harm_cost", "margin": 0.1, "on": "shadow_review"}),
        ("non_inferior", {"metric": "recall", "margin": 0.1}),
        ("non_inferior", {"metric": "accuracy", "margin": 0.1, "label": "faq"}),
        ("non_inferior", {"metric": "accuracy", "margin": 0.1, "or_below": 0.2}),
        ("non_inferior", {"metric": "accuracy", "margin": -0.1}),
        ("non_inferior", {"metric": "accuracy", "margin": 0.1, "confidence": 0.4}),
        ("non_inferior", {"metric": "accuracy", "margin": 0.1, "confidence": 1.0}),
        ("no_increase", {"metric": "accuracy"}),
        ("at_least", {"metric": "recall", "value": 0.5}),
        ("no_critical_regression", {"labels": [], "margin": 0.1}),
        ("latency", {"below_ms": 0}),
        ("leakage", {"margin": 1}),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(gate: str, params: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        GATES[gate].params(**params)


def test_equal_seeds_give_equal_findings() -> None:
    rows = counted("faq", both=900, lost=60, gained=40)
    grouped = evaluation(outcomes(rows, group=[f"group-{number // 3}" for number in range(len(rows))]))
    assert finding(ACCURACY, grouped) == finding(ACCURACY, grouped)
    assert case(grouped).binding == BINDING
    assert set(LABELS) == set(grouped.facts["labels"])
