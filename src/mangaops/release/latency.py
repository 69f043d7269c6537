"""Both sides timed in one run, as they will serve: one request at a time, tokenisation included."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from mangaops.errors import InputError
from mangaops.evidence import Evidence
from mangaops.inference import Predictor
from mangaops.inference.retrieval import Retrieval
from mangaops.release.desk import Desk, Progress, binding, of_first_model, record_evidence, unit_spec
from mangaops.release.evaluate import Pair
from mangaops.release.host import host_facts, runtime_facts
from mangaops.release.pairs import Finds
from mangaops.stats import quantile_interval
from mangaops.vocabulary import Digest, EvidenceKind, Family, Side, Step

QUANTILES: Final = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
LEVEL: Final = 0.95

Ask = Callable[[str], Mapping[str, float]]
"""Answers a text, and says what each step of it took in ms; nothing where there are no steps."""

_STEP_OF: Final = {Family.EMBEDDING_ADAPTER: Step.ENCODE, Family.CROSS_ENCODER_RERANKER: Step.RERANK}


@dataclass(frozen=True)
class Plan:
    """How much is asked: `blocks` rounds, in each `requests` of either side, after `warm_up` of either."""

    blocks: int = 20
    requests: int = 50
    warm_up: int = 50


def time_pair(
    desk: Desk,
    unit: str,
    release: str,
    pair: Pair,
    texts: Sequence[str],
    *,
    dataset: Digest,
    reason: str,
    plan: Plan | None = None,
    threads: int = 1,
    progress: Progress = None,
) -> Evidence:
    """Latency evidence is recorded: each request's milliseconds, quantiles with intervals, the host.

    `texts` are asked round and round, the same ones of both sides within a block.

    Raises:
        InputError: there is no text to ask, or fewer than two blocks.
        RevisionConflict: the champion changed meanwhile.
    """
    bound = binding(desk, unit, release, dataset, against=pair.against)
    timed = _timed(asks_of(pair), texts, plan or Plan(), threads, progress)
    evidence = Evidence(EvidenceKind.LATENCY, bound, timed.facts, {"samples": timed.samples.drop(Step)})
    p95 = timed.facts["quantiles"][str(Side.RELEASE)]["p95"]["ms"]
    metrics = of_first_model(desk, unit, {"p95_latency_ms": p95})
    return record_evidence(desk, unit, release, evidence, reason=reason, metrics=metrics)


def time_searches(
    desk: Desk,
    unit: str,
    release: str,
    baseline: Retrieval | Finds,
    ours: Retrieval | Finds,
    queries: Sequence[str],
    *,
    dataset: Digest,
    reason: str,
    against: Digest | None = None,
    plan: Plan | None = None,
    threads: int = 1,
    progress: Progress = None,
) -> Evidence:
    """Latency evidence is recorded of whole searches as they serve, with what each step of them took.

    Samples have a column for each step, null where a side has no such step; `facts["steps"]` has their
    quantiles by side and step. The registry record shows of each model what its own step takes.

    Raises:
        InputError, RevisionConflict: as `time_pair`.
    """
    bound = binding(desk, unit, release, dataset, against=against)
    asks = {Side.BASELINE: _searching(baseline), Side.RELEASE: _searching(ours)}
    timed = _timed(asks, queries, plan or Plan(), threads, progress)
    steps = _steps(timed.samples)
    facts = {**timed.facts, "steps": steps}
    evidence = Evidence(EvidenceKind.LATENCY, bound, facts, {"samples": timed.samples})
    metrics = {
        model: {"p95_latency_ms": steps[str(Side.RELEASE)][str(step)]["p95"]["ms"]}
        for model in unit_spec(desk, unit).models
        if (step := _STEP_OF.get(desk.stack.models[model].family)) in steps[str(Side.RELEASE)]
    }
    return record_evidence(desk, unit, release, evidence, reason=reason, metrics=metrics)


@dataclass(frozen=True)
class _Timed:
    samples: pl.DataFrame
    facts: dict[str, Any]


def _timed(
    asks: Mapping[Side, Ask], texts: Sequence[str], plan: Plan, threads: int, progress: Progress
) -> _Timed:
    before = host_facts()
    samples = interleave(asks, texts, plan, progress=progress)
    facts = {
        "host": before | {"load_average_after": host_facts()["load_average"]},
        "runtime": runtime_facts(threads),
        "warm_up": plan.warm_up,
        "blocks": plan.blocks,
        "requests_a_block": plan.requests,
        "quantiles": quantiles(samples),
    }
    return _Timed(samples, facts)


def asks_of(pair: Pair) -> dict[Side, Ask]:
    """How both sides of a unit that answers with labels are asked."""
    return {Side.BASELINE: _answering(pair.baseline), Side.RELEASE: _answering(pair.release)}


def _answering(predictor: Predictor) -> Ask:
    """Asks the predictor, which has no steps."""

    def ask(text: str) -> Mapping[str, float]:
        predictor.answer(text)
        return {}

    return ask


def _searching(search: Retrieval | Finds) -> Ask:
    """Asks as it serves: a loaded release by its answer, the plain baseline by its search."""
    if isinstance(search, Retrieval):
        return lambda text: search.answer(text).milliseconds
    return lambda text: search.search(text).milliseconds


def interleave(
    asks: Mapping[Side, Ask],
    texts: Sequence[str],
    plan: Plan,
    *,
    clock_ns: Callable[[], int] = time.perf_counter_ns,
    progress: Progress = None,
) -> pl.DataFrame:
    """Samples (side, block, ms, and each step): blocks of both sides alternate, and so does who goes first.

    So a machine that grows slower during the run slows both sides alike.
    """
    if not texts or plan.blocks < 2 or plan.requests < 1:
        raise InputError(
            "the latency test was refused",
            found=f"{len(texts)} texts, {plan.blocks} blocks of {plan.requests} requests",
            accepted="one text or more, two blocks or more, one request a block or more",
        )
    sides = list(asks.items())
    for _, ask in sides:
        _ask_all(ask, texts, 0, plan.warm_up, clock_ns)
    rows: list[tuple[str | int | float | None, ...]] = []
    for block in range(plan.blocks):
        for side, ask in sides if block % 2 == 0 else reversed(sides):
            taken = _ask_all(ask, texts, block * plan.requests, plan.requests, clock_ns)
            rows += [(str(side), block, ms, *(spent.get(step) for step in Step)) for ms, spent in taken]
        if progress:
            progress("timing single requests", block + 1, plan.blocks)
    plain = {"side": pl.String, "block": pl.Int64, "ms": pl.Float64}
    return pl.DataFrame(rows, schema={**plain, **dict.fromkeys(map(str, Step), pl.Float64)}, orient="row")


def _ask_all(
    ask: Ask, texts: Sequence[str], start: int, count: int, clock_ns: Callable[[], int]
) -> list[tuple[float, Mapping[str, float]]]:
    taken = []
    for position in range(start, start + count):
        text = texts[position % len(texts)]
        begun = clock_ns()
        spent = ask(text)
        taken.append(((clock_ns() - begun) / 1e6, spent))
    return taken


def quantiles(samples: pl.DataFrame) -> dict[str, Any]:
    """For each side P50, P95, P99 in ms with intervals at 0.95; a bound is null where samples are too few."""
    return {str(side): _shown(samples.filter(pl.col("side") == str(side)), "ms") for side in Side}


def _steps(samples: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """The same of each step that a side has."""
    found: dict[str, dict[str, Any]] = {}
    for side in Side:
        own = samples.filter(pl.col("side") == str(side))
        there = [step for step in Step if own.get_column(step).null_count() < own.height]
        found[str(side)] = {str(step): _shown(own.drop_nulls(step), step) for step in there}
    return found


def _shown(own: pl.DataFrame, column: str) -> dict[str, Any]:
    values, blocks = own.get_column(column).to_numpy(), own.get_column("block").to_numpy()
    shown: dict[str, Any] = {}
    for name, q in QUANTILES.items():
        estimate, interval = quantile_interval(values, q, LEVEL, blocks)
        low, high = (bound if math.isfinite(bound) else None for bound in (interval.low, interval.high))
        shown[name] = {"ms": estimate, "low": low, "high": high}
    return shown
