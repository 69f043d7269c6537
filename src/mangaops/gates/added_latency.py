"""added_latency: a step of the search takes at most so much longer than the baseline's in the same run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from mangaops.gates.case import Case
from mangaops.gates.finding import Finding
from mangaops.gates.gate import Amount, Confidence, Gate, Params
from mangaops.gates.proof import Unusable, again, proof
from mangaops.gates.verdicts import levels
from mangaops.stack import Rule
from mangaops.stats import Interval, Undefined, quantile_difference, quantile_interval
from mangaops.vocabulary import EvidenceKind, Side, Step, Verdict


class AddedLatency(Params):
    """The `quantile` of a step of the search is at most `at_most_ms` over the baseline's, at `confidence`.

    Against a baseline without that step all of it is added.
    """

    step: Step
    quantile: Annotated[float, Field(gt=0, lt=1)] = 0.95
    at_most_ms: Amount
    confidence: Confidence = 0.5


@dataclass(frozen=True)
class _Added:
    """What a step adds. `bounds` gives estimate and interval at a two-sided level."""

    bounds: Callable[[float], tuple[float, Interval]]
    baseline: float | None
    release: float
    n: int

    def lower(self, confidence: float) -> float:
        return self.bounds(2.0 * confidence - 1.0)[1].low

    def upper(self, confidence: float) -> float:
        return self.bounds(2.0 * confidence - 1.0)[1].high


def _judge(rule: Rule, case: Case) -> tuple[Finding, ...]:
    params = rule.params
    assert isinstance(params, AddedLatency)
    samples = proof(case, EvidenceKind.LATENCY).tables["samples"]
    try:
        added = _added(case, params, samples)
        return (_finding(rule, case, params, added),)
    except Undefined as problem:
        says = f"what {params.step} adds cannot be measured: {problem}"
        raise Unusable(says, again(case, EvidenceKind.LATENCY)) from problem


def _added(case: Case, params: AddedLatency, samples: pl.DataFrame) -> _Added:
    q = params.quantile
    there = samples.drop_nulls(params.step) if params.step in samples.columns else samples.clear()
    (ms, blocks), (theirs, their_blocks) = (
        _columns(there.filter(pl.col("side") == str(side)), params.step)
        for side in (Side.RELEASE, Side.BASELINE)
    )
    if not ms.size:
        says = f"the latency evidence says of no search of the release how long {params.step} took"
        raise Unusable(says, again(case, EvidenceKind.LATENCY))
    release = quantile_interval(ms, q, 0.0, blocks)[0]
    if not theirs.size:
        return _Added(lambda level: quantile_interval(ms, q, level, blocks), None, release, ms.size)
    baseline = quantile_interval(theirs, q, 0.0, their_blocks)[0]

    def bounds(level: float) -> tuple[float, Interval]:
        return quantile_difference(theirs, ms, q, level, their_blocks, blocks)

    return _Added(bounds, baseline, release, ms.size)


def _columns(samples: pl.DataFrame, step: Step) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    if step not in samples.columns:
        return np.zeros(0), np.zeros(0, np.int64)
    return samples.get_column(step).to_numpy(), samples.get_column("block").to_numpy()


def _finding(rule: Rule, case: Case, params: AddedLatency, added: _Added) -> Finding:
    at, limit = levels(replace(case, look=case.timing), params.confidence), params.at_most_ms
    estimate, shown = added.bounds(2.0 * at.shown - 1.0)
    found = Verdict.INCONCLUSIVE
    if added.upper(at.passing) <= limit:
        found = Verdict.INCONCLUSIVE if at.spent else Verdict.PASS
    elif added.lower(at.failing) > limit:
        found = Verdict.FAIL
    name = f"P{100 * params.quantile:g} of {params.step}"
    beside = (
        "the baseline has no such step, so all of it is added"
        if added.baseline is None
        else f"baseline {added.baseline:.2f} ms in the same run"
    )
    return Finding(
        gate=rule.gate,
        subject=f"what {name} adds",
        verdict=found,
        says=f"{name}: release {added.release:.2f} ms, {beside}; it adds {estimate:+z.2f} ms "
        f"({shown.low:+z.2f} to {shown.high:+z.2f}), on {added.n:,} searches; it may add {limit:g} ms",
        observed=estimate,
        low=shown.low,
        high=shown.high,
        threshold=limit,
        unit="ms",
        n=added.n,
        next_step=_next(case, params, found),
        dry_run=rule.dry_run,
        facts={
            "difference": True,
            "baseline": added.baseline,
            "release": added.release,
            "method": shown.method,
            "fail_confidence": at.failing,
        },
    )


def _next(case: Case, params: AddedLatency, found: Verdict) -> str:
    if found is Verdict.PASS:
        return ""
    if found is Verdict.FAIL:
        return _MEND[params.step]
    return f"{again(case, EvidenceKind.LATENCY)} on an idle machine, or with more requests"


_MEND = {
    Step.ENCODE: "train the adapter with a smaller hidden layer, fewer tokens or a smaller base",
    Step.RETRIEVE: "build the index with lists, or with a smaller probe or oversample",
    Step.RERANK: "train the reranker with fewer layers, fewer tokens or a smaller depth",
}


GATE = Gate(AddedLatency, _judge, lambda _params: 1)
