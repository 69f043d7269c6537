"""What a gate is not shown, or is shown of something else, it does not pass."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest
from gates_world import (
    BINDING,
    TRAFFIC,
    counted,
    evaluation,
    fingerprint,
    judged,
    latency,
    leakage,
    record,
    review,
    rule,
    shadow,
    verdict,
)

from golden_rows import outcomes
from mangaops.evidence import Evidence
from mangaops.release.figures import row
from mangaops.stack import UnitSpec
from mangaops.vocabulary import Outcome, Verdict

ACCURACY = rule("non_inferior", metric="accuracy", margin=0.01)
ON_TRAFFIC = rule("non_inferior", metric="accuracy", on="shadow_review", margin=0.01, confidence=0.95)
SOUND = outcomes(counted("faq", both=480, gained=20))


@pytest.mark.parametrize("changed", ["unit", "release", "baseline", "dataset"])
def test_evidence_of_another_binding_is_stale(changed: str) -> None:
    other = replace(BINDING, **{changed: "sha256:" + "9" * 64})
    found = judged(ACCURACY, evaluation(SOUND, other)).findings[0]
    assert found.verdict is Verdict.ERROR
    assert "stale" in found.says
    assert changed in found.says
    assert found.next_step == "mangaops release run router --logs FILE --traffic FILE --again evaluation"


def test_shadow_evidence_is_bound_to_the_traffic() -> None:
    one = rule("disagreement", review_over=0.05)
    assert verdict(one, shadow(990, 10)) is Verdict.PASS
    assert verdict(one, shadow(990, 10), traffic="sha256:" + "9" * 64) is Verdict.ERROR
    assert verdict(one, shadow(990, 10), traffic=None) is Verdict.ERROR


def test_incomplete_evidence_is_an_error() -> None:
    lame = evaluation(SOUND.drop("near"))
    found = judged(ACCURACY, lame).findings[0]
    assert found.verdict is Verdict.ERROR
    assert "near" in found.says


def test_evaluation_without_rows_is_an_error() -> None:
    assert verdict(ACCURACY, evaluation(SOUND.clear())) is Verdict.ERROR


def test_rows_without_an_answer_are_an_error() -> None:
    lame = SOUND.with_columns(release_label=pl.lit(None, dtype=pl.String))
    assert verdict(ACCURACY, evaluation(lame)) is Verdict.ERROR


@pytest.mark.parametrize("part", ["rollback_pointer", "confusion_matrix", "tokenizer_hash"])
def test_a_missing_part_of_the_record_is_named(part: str) -> None:
    found = judged(rule("release_record"), record(**{part: None})).findings[0]
    assert found.verdict is Verdict.ERROR
    assert part in found.says


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"found": "0" * 64}, "fingerprint"),
        ({"loads": False, "why": "no such file"}, "no such file"),
        ({"probe_gap": 0.2}, "differ"),
        ({"probe_gap": None}, "not answered"),
        ({"expected": None}, "fingerprint"),
    ],
)
def test_a_release_that_does_not_serve_as_it_trained_fails(changed: dict[str, object], word: str) -> None:
    decision = judged(rule("fingerprint"), fingerprint(**changed))
    assert decision.outcome is Outcome.REJECT
    assert word in decision.findings[1].says


def test_a_champion_that_does_not_load_is_nobodys_rejection() -> None:
    evidence = fingerprint()
    sides = {**evidence.facts["sides"], "baseline": {**evidence.facts["sides"]["baseline"], "loads": False}}
    decision = judged(rule("fingerprint"), Evidence(evidence.kind, evidence.binding, {"sides": sides}))
    assert decision.outcome is Outcome.HOLD


def test_a_plain_baseline_has_no_fingerprint() -> None:
    evidence = fingerprint()
    alone = {"release": evidence.facts["sides"]["release"]}
    assert judged(
        rule("fingerprint"), Evidence(evidence.kind, evidence.binding, {"sides": alone})
    ).outcome is (Outcome.PROMOTE)


def test_leakage_must_be_checked_on_both_sides() -> None:
    assert verdict(rule("leakage"), leakage(), evaluation(SOUND)) is Verdict.PASS
    assert verdict(rule("leakage"), leakage(sides=["release"]), evaluation(SOUND)) is Verdict.ERROR


def test_one_conflict_is_too_many() -> None:
    found = judged(
        rule("leakage"), leakage([("conversation", "release", "r", "t")]), evaluation(SOUND)
    ).findings[0]
    assert found.verdict is Verdict.FAIL
    assert "1 by conversation with release" in found.says


def test_what_the_baseline_alone_learnt_from_is_not_held_against_the_release() -> None:
    alone = judged(rule("leakage"), leakage([("text", "baseline", "r", "t")]), evaluation(SOUND))
    assert (alone.outcome, alone.findings[0].verdict) == (Outcome.HOLD, Verdict.ERROR)
    assert "--grow-golden" in alone.findings[0].next_step
    shared = [("text", "baseline", "r", "t"), ("text", "release", "r", "t")]
    assert verdict(rule("leakage"), leakage(shared), evaluation(SOUND)) is Verdict.FAIL


def _near(frame: pl.DataFrame, rows: int) -> pl.DataFrame:
    return frame.with_columns(near=pl.int_range(pl.len()) < rows)


LEAK = [rule("leakage"), rule("non_inferior", metric="accuracy", margin=0.0)]


def test_a_verdict_that_hangs_on_rows_near_training_fails() -> None:
    """The release knows 100 rows by heart and is worse on the rest: without them it would not pass."""
    known = counted("faq", both=50, gained=50)
    rest = counted("promotion", both=300, lost=40, neither=60)
    decision = judged(LEAK, leakage(), evaluation(_near(outcomes(known + rest), 100)))
    assert decision.findings[1].verdict is Verdict.FAIL
    assert "non_inferior" in decision.findings[1].says


def test_easy_rows_near_training_are_fine_while_no_verdict_hangs_on_them() -> None:
    easy = counted("faq", both=100)
    rest = counted("promotion", both=300, gained=40, neither=60)
    decision = judged(LEAK, leakage(), evaluation(_near(outcomes(easy + rest), 100)))
    assert decision.outcome is Outcome.PROMOTE


def test_the_difference_of_rows_near_training_is_told_in_points_of_which_rows() -> None:
    hard = counted("faq", both=50, neither=50)
    rest = counted("promotion", both=300, gained=60, neither=40)
    rules = [rule("leakage"), rule("at_least", metric="accuracy", value=0.5)]
    _, near, value = judged(rules, leakage(), evaluation(_near(outcomes(hard + rest), 100))).findings
    shown = row(near)
    assert shown.subject == "accuracy on rows near a training text minus that on the rest"
    assert (shown.observed, shown.threshold) == ("-40.00 points", "+5.00 points")
    assert near.says == (
        "accuracy on 100 rows near a training text differs by -40.00 points from that on the other 400; "
        "up to +5.00 points is fine"
    )
    assert row(value).observed.endswith(" %")  # which is a value, and no difference


def test_too_few_rows_near_training_have_no_difference_to_tell() -> None:
    frame = _near(outcomes(counted("faq", both=100)), 5)
    shown = row(judged([rule("leakage")], leakage(), evaluation(frame)).findings[1])
    assert (shown.verdict, shown.observed) == ("PASS", "–")
    assert "too few to score apart" in shown.says


def test_a_rule_that_only_has_too_few_rows_without_those_near_training_does_not_hang_on_them() -> None:
    """Without 100 rows known by heart the label keeps its value, on 90 rows where 150 are asked for."""
    known = counted("faq", both=50, gained=50)
    rest = counted("faq", both=80, gained=5, neither=5) + counted(
        "promotion", both=200, gained=20, neither=80
    )
    rows = evaluation(_near(outcomes(known + rest), 100))
    recall = {"metric": "recall", "labels": ("faq",), "min_examples": 150}
    for asked in (
        rule("no_critical_regression", labels=("faq",), margin=0.02, min_examples=150),
        rule("at_least", value=0.5, **recall),
    ):
        assert judged([rule("leakage"), asked], leakage(), rows).outcome is Outcome.PROMOTE
    worse = evaluation(_near(outcomes(known + counted("faq", both=50, lost=40)), 100))
    critical = rule("no_critical_regression", labels=("faq",), margin=0.02, min_examples=150)
    assert judged([rule("leakage"), critical], leakage(), worse).outcome is Outcome.REJECT


def test_rows_that_are_easy_for_both_sides_hold_a_verdict_that_hangs_on_them() -> None:
    easy = counted("faq", both=98, gained=2)
    rest = counted("promotion", both=300, lost=1, neither=99)
    frame = evaluation(_near(outcomes(easy + rest), 100))
    hanging = judged([rule("leakage"), rule("at_least", metric="accuracy", value=0.8)], leakage(), frame)
    lower = judged([rule("leakage"), rule("at_least", metric="accuracy", value=0.7)], leakage(), frame)
    assert (hanging.outcome, hanging.findings[1].verdict) == (Outcome.HOLD, Verdict.INCONCLUSIVE)
    assert lower.outcome is Outcome.PROMOTE


@pytest.mark.parametrize(
    ("baseline", "release", "expected"),
    [
        (8.0, 9.0, Verdict.PASS),
        (8.0, 30.0, Verdict.FAIL),
        (30.0, 30.0, Verdict.INCONCLUSIVE),
        (30.0, 9.0, Verdict.PASS),
    ],
    ids=["both quick", "slow release", "slow machine", "release quicker than the baseline"],
)
def test_latency_blames_the_machine_where_the_baseline_is_slow_too(
    baseline: float, release: float, expected: Verdict
) -> None:
    assert verdict(rule("latency", below_ms=15), latency(baseline, release)) is expected


def test_latency_without_one_side_is_an_error() -> None:
    both = latency(8, 9)
    alone = Evidence(
        both.kind,
        both.binding,
        both.facts,
        {"samples": both.tables["samples"].filter(pl.col("side") == "release")},
    )
    assert verdict(rule("latency", below_ms=15), alone) is Verdict.ERROR


def test_disagreement_asks_for_requests_hours_and_coverage() -> None:
    one = rule("disagreement", review_over=0.05)
    assert verdict(one, shadow(495, 5)) is Verdict.PASS
    short = judged(one, shadow(100, 1))
    assert short.findings[0].verdict is Verdict.INCONCLUSIVE
    assert short.price["requests"] == 399
    assert judged(one, shadow(495, 5, hours=10)).price["hours"] == pytest.approx(14)
    assert verdict(one, shadow(495, 5, coverage=0.5)) is Verdict.INCONCLUSIVE


def test_a_hard_limit_fails_only_when_proven() -> None:
    one = rule("disagreement", review_over=0.05, hard_limit=0.2)
    assert verdict(one, shadow(795, 205)) is Verdict.INCONCLUSIVE
    assert verdict(one, shadow(600, 400)) is Verdict.FAIL


def test_a_review_settles_the_difference_on_traffic() -> None:
    even = review(["faq"] * 10 + ["promotion"] * 10, requests=4000)
    worse = review(["faq"] * 200, requests=1000)
    better = review(["promotion"] * 30, requests=1000)
    assert verdict(ON_TRAFFIC, shadow(3980, 20), even) is Verdict.PASS
    assert verdict(ON_TRAFFIC, shadow(800, 200), worse) is Verdict.FAIL
    assert verdict(ON_TRAFFIC, shadow(970, 30), better) is Verdict.PASS


def test_disagreements_that_nobody_judged_hold_with_a_price() -> None:
    decision = judged(ON_TRAFFIC, shadow(950, 50))
    assert decision.outcome is Outcome.HOLD
    assert decision.price["review"] is True
    assert 0 < decision.price["labels"] <= 50
    assert "mangaops review" in decision.findings[0].next_step


def test_no_disagreement_needs_no_review() -> None:
    assert verdict(ON_TRAFFIC, shadow(1000, 0)) is Verdict.PASS
    assert verdict(ON_TRAFFIC, shadow(100, 0)) is Verdict.INCONCLUSIVE


def test_unclear_answers_count_for_neither_and_widen() -> None:
    told = judged(ON_TRAFFIC, shadow(980, 20), review(["neither"] * 20)).findings[0]
    unclear = judged(ON_TRAFFIC, shadow(980, 20), review(["unclear"] * 20)).findings[0]
    assert told.observed == unclear.observed == 0.0
    assert unclear.low < told.low  # type: ignore[operator]
    assert unclear.high > told.high  # type: ignore[operator]


def test_careless_reviewers_make_the_review_an_error() -> None:
    right, wrong = [("faq", "faq")], [("faq", "promotion")]
    careful = review(["faq"] * 3, planted=right * 16 + wrong * 4, requests=4000)
    careless = review(["faq"] * 3, planted=right * 15 + wrong * 5, requests=4000)
    unplanted = review(["faq"] * 3, planted=[], requests=4000)
    assert verdict(ON_TRAFFIC, shadow(3997, 3), careful) is Verdict.PASS
    assert verdict(ON_TRAFFIC, shadow(3997, 3), careless) is Verdict.ERROR
    assert verdict(ON_TRAFFIC, shadow(3997, 3), unplanted) is Verdict.ERROR
    plain = UnitSpec(models=("m",), review={"planted": 0})
    assert verdict(ON_TRAFFIC, shadow(3997, 3), unplanted, unit=plain) is Verdict.PASS


def test_hidden_labels_answer_only_in_a_simulated_stack() -> None:
    hidden = review(["promotion"] * 5, simulated=True)
    assert verdict(ON_TRAFFIC, shadow(995, 5), hidden) is Verdict.ERROR
    assert verdict(ON_TRAFFIC, shadow(995, 5), hidden, simulated=True) is Verdict.PASS
    assert hidden.binding.dataset == TRAFFIC
