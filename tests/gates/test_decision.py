"""All findings to one decision."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from gates_world import counted, evaluation, fingerprint, judged, latency, rule
from hypothesis import given
from hypothesis import strategies as st

from golden_rows import outcomes
from mangaops.gates import Decision, Finding, combine
from mangaops.vocabulary import Outcome, Verdict

GOOD = evaluation(outcomes(counted("faq", both=480, gained=20)))
BAD = evaluation(outcomes(counted("faq", both=400, lost=100)))
ON_TRAFFIC = rule("non_inferior", metric="accuracy", on="shadow_review", margin=0.01)
ACCURACY = rule("non_inferior", metric="accuracy", margin=0.01)


@given(st.lists(st.sampled_from(list(Verdict)), min_size=1), st.lists(st.sampled_from(list(Verdict))))
def test_fail_rejects_all_pass_promotes_the_rest_holds(counted_: list[Verdict], dry: list[Verdict]) -> None:
    findings = [Finding("g", "s", verdict, "") for verdict in counted_]
    shown = [Finding("g", "s", verdict, "", dry_run=True) for verdict in dry]
    expected = Outcome.HOLD
    if Verdict.FAIL in counted_:
        expected = Outcome.REJECT
    elif set(counted_) == {Verdict.PASS}:
        expected = Outcome.PROMOTE
    assert combine([*findings, *shown]) is expected


def test_an_empty_list_of_gates_promotes_nothing() -> None:
    decision = judged([], GOOD)
    assert decision.outcome is Outcome.HOLD
    assert decision.findings[0].verdict is Verdict.ERROR


def test_a_list_of_dry_runs_promotes_nothing() -> None:
    dry = rule("non_inferior", metric="accuracy", margin=0.01, dry_run=True)
    assert judged([dry], GOOD).outcome is Outcome.HOLD


def test_a_dry_run_is_shown_and_not_counted() -> None:
    dry = rule("non_inferior", metric="accuracy", margin=0.01, dry_run=True)
    decision = judged([rule("fingerprint"), dry], BAD, fingerprint())
    assert decision.outcome is Outcome.PROMOTE
    shown = decision.findings[-1]
    assert (shown.verdict, shown.dry_run) == (Verdict.FAIL, True)
    assert "non_inferior" not in decision.verdicts


def test_proven_harm_outweighs_a_missing_measurement() -> None:
    decision = judged([ACCURACY, rule("latency", below_ms=15)], BAD)
    assert decision.outcome is Outcome.REJECT


def test_what_is_open_beside_proven_harm_has_no_next_step() -> None:
    lacking, failing = rule("disagreement", review_over=0.05), rule("release_record")
    rejected = judged([ACCURACY, lacking], BAD)
    assert rejected.outcome is Outcome.REJECT
    assert [bool(each.next_step) for each in rejected.findings if each.verdict is Verdict.ERROR] == [False]
    held = judged([failing, lacking], GOOD)
    assert held.outcome is Outcome.HOLD
    assert all(each.next_step for each in held.findings)


def test_a_shadow_that_a_failed_gate_left_out_is_told_as_not_run() -> None:
    """Its verdict is ERROR all the same, and nothing but what failed stands against the release."""
    on_traffic = [ON_TRAFFIC, rule("disagreement", review_over=0.05)]
    rejected = judged([ACCURACY, rule("latency", below_ms=15), *on_traffic], BAD, traffic=None)
    assert rejected.outcome is Outcome.REJECT
    accuracy, latency, *left_out = rejected.findings
    for each in left_out:
        assert (each.verdict, each.not_run) == (Verdict.ERROR, True)
        assert each.says == "not run: non_inferior failed, and the run ended before a shadow"
    assert (latency.verdict, latency.not_run) == (Verdict.ERROR, False)
    assert latency.says == "there is no latency evidence"
    assert rejected.against == f"{accuracy.says}; {latency.says}"


def test_a_shadow_that_lacks_for_another_reason_is_an_error_as_before() -> None:
    lacking = rule("disagreement", review_over=0.05)
    held, rejected = judged([ACCURACY, lacking], GOOD, traffic=None), judged([ACCURACY, lacking], BAD)
    assert (held.outcome, rejected.outcome) == (Outcome.HOLD, Outcome.REJECT)
    for decision in (held, rejected):
        assert decision.findings[1].says == "there is no shadow evidence"
        assert not decision.findings[1].not_run


def test_what_two_gates_say_alike_is_said_once() -> None:
    dry = rule("fingerprint", dry_run=True)
    on_traffic = [ON_TRAFFIC, rule("disagreement", review_over=0.05)]
    decision = judged([ACCURACY, rule("latency", below_ms=15), *on_traffic, dry], GOOD)
    assert decision.against == "there is no latency evidence; there is no shadow evidence"
    assert judged([ACCURACY, dry], GOOD).against == ""


def test_a_missing_measurement_holds_and_says_what_to_measure() -> None:
    decision = judged([ACCURACY, rule("latency", below_ms=15)], GOOD)
    assert decision.outcome is Outcome.HOLD
    assert decision.price["measure"] == ["mangaops release run router --logs FILE --traffic FILE"]


def test_a_decision_survives_being_written_and_read() -> None:
    rules = [ACCURACY, rule("latency", below_ms=15), rule("release_record")]
    decision = judged(rules, BAD, latency(8, 9))
    again = Decision.from_dict(json.loads(json.dumps(decision.as_dict(), allow_nan=False)))
    assert again == decision
    assert again.digest == decision.digest


def test_an_edited_decision_is_refused() -> None:
    body = judged(ACCURACY, BAD).as_dict()
    with pytest.raises(ValueError, match="does not match"):
        Decision.from_dict({**body, "outcome": "PROMOTE"})


def test_the_digest_covers_evidence_look_and_findings() -> None:
    decision = judged(ACCURACY, GOOD)
    others = [
        replace(decision, look=2),
        replace(decision, evidence={}),
        replace(decision, findings=()),
        replace(decision, outcome=Outcome.HOLD),
    ]
    assert len({decision.digest, *(other.digest for other in others)}) == 5


def test_the_decision_names_the_evidence_it_rests_on() -> None:
    decision = judged(ACCURACY, GOOD)
    assert decision.evidence == {"evaluation": GOOD.digest}
