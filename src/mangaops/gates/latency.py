"""latency: a quantile of the release's answer time stays under a limit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import polars as pl
from pydantic import Field

from mangaops.gates.case import Case
from mangaops.gates.finding import Finding
from mangaops.gates.gate import Confidence, Gate, Params
from mangaops.gates.proof import Unusable, again, proof
from mangaops.gates.verdicts import levels
from mangaops.stack import Rule
from mangaops.stats import Undefined, quantile_interval
from mangaops.vocabulary import EvidenceKind, Side, Verdict


class Latency(Params):
    """The `quantile` of single-request time is below `below_ms`, at one-sided `confidence`."""

    quantile: Annotated[float, Field(gt=0, lt=1)] = 0.95
    below_ms: Annotated[float, Field(gt=0)]
    confidence: Confidence = 0.5


@dataclass(frozen=True)
class _Timed:
    """One side's samples; bounds are one-sided."""

    side: Side
    samples: pl.DataFrame
    quantile: float

    def at(self, confidence: float) -> tuple[float, float, float]:
        """Estimate, lower and upper bound."""
        blocks = self.samples.get_column("block").to_numpy()
        level = 2.0 * confidence - 1.0
        ms = self.samples.get_column("ms").to_numpy()
        estimate, interval = quantile_interval(ms, self.quantile, level, blocks)
        return estimate, interval.low, interval.high


def _judge(rule: Rule, case: Case) -> tuple[Finding, ...]:
    params = rule.params
    assert isinstance(params, Latency)
    samples = proof(case, EvidenceKind.LATENCY).tables["samples"]
    release, baseline = (
        _Timed(side, samples.filter(pl.col("side") == str(side)), params.quantile)
        for side in (Side.RELEASE, Side.BASELINE)
    )
    try:
        return (_finding(rule, case, params, release, baseline),)
    except Undefined as problem:
        raise Unusable(
            f"latency cannot be measured: {problem}", again(case, EvidenceKind.LATENCY)
        ) from problem


def _finding(rule: Rule, case: Case, params: Latency, release: _Timed, baseline: _Timed) -> Finding:
    at, limit = levels(replace(case, look=case.timing), params.confidence), params.below_ms
    champion, _, _ = baseline.at(0.5)
    estimate, low, high = release.at(at.shown)
    slow_machine = champion >= limit
    found = Verdict.INCONCLUSIVE
    if release.at(at.passing)[2] < limit:
        found = Verdict.INCONCLUSIVE if at.spent else Verdict.PASS
    elif release.at(at.failing)[1] >= limit and not slow_machine:
        found = Verdict.FAIL
    name = f"P{100 * params.quantile:g}"
    says = (
        f"{name}: release {estimate:.2f} ms ({low:.2f} to {high:.2f}), "
        f"baseline {champion:.2f} ms in the same run, on {release.samples.height:,} requests; "
        f"the limit is {limit:g} ms"
    )
    slow = "; the baseline breaks it here as well, so this machine cannot tell" if slow_machine else ""
    return Finding(
        gate=rule.gate,
        subject=f"{name} of single requests",
        verdict=found,
        says=says + (slow if found is not Verdict.PASS else ""),
        observed=estimate,
        low=low,
        high=high,
        threshold=limit,
        unit="ms",
        n=release.samples.height,
        passes_at=None if case.verdicts_only else _passes_at(release, limit),
        next_step=_next(case, found),
        dry_run=rule.dry_run,
        facts={"baseline": champion, "release": estimate, "fail_confidence": at.failing},
    )


def _passes_at(release: _Timed, limit: float) -> float:
    """The highest confidence at which the upper bound is under the limit, by bisection to 0.001."""
    low, high = 0.5, 0.999
    if not release.at(low)[2] < limit:
        return 0.0
    if release.at(high)[2] < limit:
        return high
    while high - low > 1e-3:
        middle = (low + high) / 2.0
        low, high = (middle, high) if release.at(middle)[2] < limit else (low, middle)
    return low


def _next(case: Case, found: Verdict) -> str:
    if found is Verdict.PASS:
        return ""
    if found is Verdict.FAIL:
        return "seal a smaller or more quantised model"
    return f"{again(case, EvidenceKind.LATENCY)} on an idle machine, or with more requests"


GATE = Gate(Latency, _judge, lambda _params: 1)
