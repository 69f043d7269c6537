"""at_least: the release itself reaches a value, whoever stands beside it. For first champions."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from mangaops.gates.case import Case
from mangaops.gates.finding import Finding
from mangaops.gates.gate import Amount, Confidence, Count, Gate, Label, Params
from mangaops.gates.paired import level_of_release
from mangaops.gates.proof import scored
from mangaops.gates.verdicts import Compared, levels, passes_at, value, verdict
from mangaops.metrics import METRICS
from mangaops.stack import Rule
from mangaops.vocabulary import Direction, Verdict


class AtLeast(Params):
    """`metric` is at least `value` (at most, where lower is better), at one-sided `confidence`.

    `labels` asks it of each label, for per-label metrics.
    """

    metric: str
    on: Literal["golden"] = "golden"
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
    rows = scored(case)
    labels: tuple[str | None, ...] = params.labels or (None,)
    found = [level_of_release(case, rows, params.metric, label) for label in labels]
    return tuple(_finding(rule, case, own, params) for own in found)


def _finding(rule: Rule, case: Case, own: Compared, params: AtLeast) -> Finding:
    at = levels(case, params.confidence)
    sign = 1.0 if own.direction is Direction.HIGHER else -1.0
    threshold = sign * params.value
    enough = own.n >= params.min_examples or case.any_number
    found = verdict(own.gain, threshold, at) if enough else Verdict.INCONCLUSIVE
    if case.verdicts_only:
        return Finding(rule.gate, own.subject, found, "", observed=sign * own.point, dry_run=rule.dry_run)
    low, high = sorted((sign * own.gain.lower(at.shown), sign * own.gain.upper(at.shown)))
    wanted = f"{'at least' if sign > 0 else 'at most'} {value(params.value, own.unit)}"
    says = (
        f"{own.subject}: release {value(sign * own.point, own.unit)} "
        f"({value(low, own.unit)} to {value(high, own.unit)}) on {own.n:,} {own.counted}; "
        f"the rule asks for {wanted}"
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
        next_step="" if found is Verdict.PASS else "train on more or cleaner rows, or state a lower value",
        dry_run=rule.dry_run,
    )


GATE = Gate(AtLeast, _judge, lambda params: max(1, len(params.labels)))
