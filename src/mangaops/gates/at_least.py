"""at_least: the release itself reaches a value, whoever stands beside it. For first champions."""

from __future__ import annotations

from pydantic import model_validator

from mangaops.gates.case import Case
from mangaops.gates.finding import Finding
from mangaops.gates.gate import Amount, Confidence, Count, Gate, Label
from mangaops.gates.measure import Measure, On
from mangaops.gates.paired import level_in
from mangaops.gates.proof import measured
from mangaops.gates.verdicts import (
    Compared,
    judged_facts,
    levels,
    missing,
    of_judged,
    passes_at,
    to_judge,
    value,
    verdict,
)
from mangaops.metrics import METRICS
from mangaops.stack import Rule
from mangaops.vocabulary import Direction, Verdict


class AtLeast(Measure):
    """`metric` is at least `value` (at most, where lower is better), at one-sided `confidence`.

    `labels` asks it of each label, for per-label metrics.
    """

    on: On = "golden"
    value: Amount
    labels: tuple[Label, ...] = ()
    confidence: Confidence = 0.5
    min_examples: Count = 1

    @model_validator(mode="after")
    def _possible(self) -> AtLeast:
        metric = METRICS.get(self.metric)
        if metric is not None and metric.per_label != bool(self.labels):
            need = "needs labels" if metric.per_label else "takes no labels"
            raise ValueError(f"metric {self.metric} {need}")
        return self


def _judge(rule: Rule, case: Case) -> tuple[Finding, ...]:
    params = rule.params
    assert isinstance(params, AtLeast)
    rows = measured(case, params)
    labels: tuple[str | None, ...] = params.labels or (None,)
    found = [level_in(case, rows, params.metric, label, params.min_judged) for label in labels]
    return tuple(_finding(rule, case, own, params) for own in found)


def _finding(rule: Rule, case: Case, own: Compared, params: AtLeast) -> Finding:
    at = levels(case, params.confidence)
    sign = 1.0 if own.direction is Direction.HIGHER else -1.0
    threshold = sign * params.value
    decides = own.decides(case, params.min_examples)
    found = verdict(own.gain, threshold, at) if decides else Verdict.INCONCLUSIVE
    if case.verdicts_only:
        return Finding(rule.gate, own.subject, found, "", observed=sign * own.point, dry_run=rule.dry_run)
    low, high = sorted((sign * own.gain.lower(at.shown), sign * own.gain.upper(at.shown)))
    wanted = f"{'at least' if sign > 0 else 'at most'} {value(params.value, own.unit)}"
    says = (
        f"{own.subject}: release {value(sign * own.point, own.unit)} "
        f"({value(low, own.unit)} to {value(high, own.unit)}) on {own.n:,} {own.counted}; "
        f"the rule asks for {wanted}{of_judged(own)}"
    )
    return Finding(
        gate=rule.gate,
        subject=own.subject,
        verdict=found,
        says=says,
        observed=sign * own.point,
        low=low,
        high=high,
        threshold=params.value,
        unit=own.unit,
        n=own.n,
        passes_at=passes_at(own.gain, threshold),
        labels_to_settle=None if decides else missing(own, params.min_examples),
        next_step=_next(own, found),
        dry_run=rule.dry_run,
        facts=judged_facts(own.judged) or None,
    )


def _next(own: Compared, found: Verdict) -> str:
    if found is Verdict.PASS:
        return ""
    if own.judged is not None and not own.judged.enough:
        return to_judge(own.judged)
    return "train on more or cleaner rows, or state a lower value"


GATE = Gate(AtLeast, _judge, lambda params: max(1, len(params.labels)))
