"""no_increase: a metric where lower is better may not rise."""

from __future__ import annotations

from pydantic import model_validator

from mangaops.gates.case import Case
from mangaops.gates.finding import Finding
from mangaops.gates.gate import Amount, Confidence, Count, Gate
from mangaops.gates.measure import Measure, On
from mangaops.gates.paired import gain_in
from mangaops.gates.proof import measured
from mangaops.gates.verdicts import settle
from mangaops.metrics import METRICS
from mangaops.stack import Rule
from mangaops.vocabulary import Direction


class NoIncrease(Measure):
    """`metric` may rise by `margin` (0 where it is not said), at one-sided `confidence`."""

    on: On = "golden"
    margin: Amount = 0.0
    confidence: Confidence = 0.5
    min_examples: Count = 1

    @model_validator(mode="after")
    def _possible(self) -> NoIncrease:
        metric = METRICS.get(self.metric)
        if metric is not None and metric.direction is not Direction.LOWER:
            raise ValueError(
                f"no_increase is for metrics where lower is better, and {self.metric} is not one"
            )
        return self


def _judge(rule: Rule, case: Case) -> tuple[Finding, ...]:
    params = rule.params
    assert isinstance(params, NoIncrease)
    compared = gain_in(case, measured(case, params), params.metric, None, params.min_judged)
    return (settle(rule, case, compared, params.margin, params.confidence, params.min_examples),)


GATE = Gate(NoIncrease, _judge, lambda _params: 1)
