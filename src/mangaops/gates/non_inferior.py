"""non_inferior: the release may be worse in a metric by no more than a margin."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import model_validator

from mangaops.gates.case import Case
from mangaops.gates.finding import Finding
from mangaops.gates.gate import Amount, Confidence, Count, Gate, Label
from mangaops.gates.measure import Measure
from mangaops.gates.paired import gain_in, level_in, subject_of
from mangaops.gates.proof import disagreements, measured, proof
from mangaops.gates.reviewed import OF_REVIEWS, gain_on_traffic, waiting
from mangaops.gates.verdicts import levels, passes_at, settle, value
from mangaops.gates.verdicts import verdict as compare
from mangaops.metrics import METRICS, SHADOW_REVIEW
from mangaops.registry import reviewing
from mangaops.stack import Rule
from mangaops.stats import labels_for_review
from mangaops.vocabulary import Direction, EvidenceKind, Verdict


class NonInferior(Measure):
    """`metric` may be worse by `margin`, at one-sided `confidence`: on golden rows, lists, reviewed traffic.

    `or_below` passes a release whose own value is at most that, whatever the difference (for metrics where
    lower is better). `label` is for per-label metrics.
    """

    on: Literal["search", "adapter", "reranker", "golden", "shadow_review"] = "golden"
    label: Label | None = None
    margin: Amount
    or_below: Amount | None = None
    confidence: Confidence = 0.5
    min_examples: Count = 1

    @model_validator(mode="after")
    def _possible(self) -> NonInferior:
        if self.on == SHADOW_REVIEW and self.metric not in OF_REVIEWS:
            raise ValueError(
                f"on: {SHADOW_REVIEW} takes {' or '.join(OF_REVIEWS)}: a review judges nothing else"
            )
        metric = METRICS.get(self.metric)
        if metric is not None and metric.per_label != (self.label is not None):
            need = "needs a label" if metric.per_label else "takes no label"
            raise ValueError(f"metric {self.metric} {need}")
        if metric is not None and self.or_below is not None and metric.direction is Direction.HIGHER:
            raise ValueError(f"or_below is for metrics where lower is better, and {self.metric} is not one")
        return self


def _judge(rule: Rule, case: Case) -> tuple[Finding, ...]:
    params = rule.params
    assert isinstance(params, NonInferior)
    if params.on == SHADOW_REVIEW:
        return (_on_traffic(rule, case, params),)
    compared = gain_in(case, measured(case, params), params.metric, params.label, params.min_judged)
    finding = settle(rule, case, compared, params.margin, params.confidence, params.min_examples)
    few = compared.n < params.min_examples or not compared.decides(case, 0)
    if params.or_below is None or few:
        return (finding,)
    return (_or_below(finding, case, params),)


def _or_below(finding: Finding, case: Case, params: NonInferior) -> Finding:
    """The finding, passed also by a value that is low enough, and failed only where both are broken."""
    assert params.or_below is not None
    own = level_in(case, measured(case, params), params.metric, params.label)
    alone = compare(own.gain, -params.or_below, levels(case, params.confidence))
    limit = value(params.or_below, own.unit)
    says = f"{finding.says}; or a value of at most {limit}, and it is {value(-own.point, own.unit)}"
    either = min(finding.verdict, alone)
    if case.verdicts_only:
        return replace(finding, verdict=either)
    reached = max(finding.passes_at or 0.0, passes_at(own.gain, -params.or_below))
    settled = either is Verdict.PASS
    return replace(
        finding,
        verdict=either,
        says=says,
        passes_at=reached,
        labels_to_settle=None if settled else finding.labels_to_settle,
        next_step="" if settled else finding.next_step,
        facts={**(finding.facts or {}), "or_below": params.or_below},
    )


def _on_traffic(rule: Rule, case: Case, params: NonInferior) -> Finding:
    compared = gain_on_traffic(case, params.metric)
    if compared is None:
        return _waits(rule, case, params)
    finding = settle(rule, case, compared, params.margin, params.confidence, params.min_examples)
    requests = finding.labels_to_settle
    if not requests:
        return finding
    shadow = proof(case, EvidenceKind.SHADOW)
    share = disagreements(shadow).height / max(1, shadow.tables["answers"].height)
    labels = max(1, round(requests * share))
    step = f"mirror about {requests:,} more requests and review their {labels:,} disagreements"
    return replace(
        finding,
        labels_to_settle=labels,
        next_step=step,
        facts={**(finding.facts or {}), "requests_to_settle": requests},
    )


def _waits(rule: Rule, case: Case, params: NonInferior) -> Finding:
    """INCONCLUSIVE: disagreements lie there, and nobody has judged them yet."""
    shadow = proof(case, EvidenceKind.SHADOW)
    subject = subject_of(params.metric, None, params.on)
    lying = waiting(shadow, case.evidence.get(EvidenceKind.REVIEW))
    requests = shadow.tables["answers"].height
    confidence = levels(case, params.confidence).passing
    share = lying / max(1, requests)
    labels = labels_for_review(share, params.margin, confidence)
    return Finding(
        gate=rule.gate,
        subject=subject,
        verdict=Verdict.INCONCLUSIVE,
        says=f"{subject}: {lying:,} disagreements of {requests:,} mirrored requests wait for a review",
        threshold=-params.margin,
        unit="share",
        n=0,
        labels_to_settle=None if labels is None else min(labels, lying),
        next_step=reviewing(case.called),
        dry_run=rule.dry_run,
        facts={"review": True},
    )


GATE = Gate(NonInferior, _judge, lambda _params: 1)
