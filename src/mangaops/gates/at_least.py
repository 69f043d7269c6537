"""at_least: the release itself reaches a value, whoever stands beside it. For units without a champion."""

from __future__ import annotations

from pydantic import model_validator

from mangaops.gates.case import Case
from mangaops.gates.finding import Finding
from mangaops.gates.gate import Amount, Confidence, Count, Gate, Label
from mangaops.gates.measure import Measure, On
from mangaops.gates.paired import level_in
from mangaops.gates.proof import measured
from mangaops.gates.reach import Wanted, reach
from mangaops.metrics import METRICS
from mangaops.stack import Rule

_STEP = "train on more or cleaner rows, or state a lower value"


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
    asked = Wanted(params.value, params.confidence, params.min_examples, _STEP)
    return tuple(reach(rule, case, own, asked) for own in found)


GATE = Gate(AtLeast, _judge, lambda params: max(1, len(params.labels)))
