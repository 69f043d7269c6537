"""Both sides timed in one run, as they will serve: one request at a time, tokenisation included."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from mangaops.errors import InputError
from mangaops.evidence import Evidence
from mangaops.inference import Predictor
from mangaops.release.desk import Desk, Progress, binding, of_first_model, record_evidence
from mangaops.release.evaluate import Pair
from mangaops.release.host import host_facts, runtime_facts
from mangaops.stats import quantile_interval
from mangaops.vocabulary import Digest, EvidenceKind, Side

QUANTILES: Final = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
LEVEL: Final = 0.95


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
    chosen = plan or Plan()
    bound = binding(desk, unit, release, dataset, against=pair.against)
    before = host_facts()
    samples = interleave(pair, texts, chosen, progress=progress)
    shown = quantiles(samples)
    facts = {
        "host": before | {"load_average_after": host_facts()["load_average"]},
        "runtime": runtime_facts(threads),
        "warm_up": chosen.warm_up,
        "blocks": chosen.blocks,
        "requests_a_block": chosen.requests,
        "quantiles": shown,
    }
    evidence = Evidence(EvidenceKind.LATENCY, bound, facts, {"samples": samples})
    p95 = shown[str(Side.RELEASE)]["p95"]["ms"]
    return record_evidence(
        desk,
        unit,
        release,
        evidence,
        reason=reason,
        metrics=of_first_model(desk, unit, {"p95_latency_ms": p95}),
    )


def interleave(
    pair: Pair,
    texts: Sequence[str],
    plan: Plan,
    *,
    clock_ns: Callable[[], int] = time.perf_counter_ns,
    progress: Progress = None,
) -> pl.DataFrame:
    """Samples (side, block, ms): blocks of both sides alternate, and who goes first alternates too.

    So a machine that grows slower during the run slows both sides alike.
    """
    if not texts or plan.blocks < 2 or plan.requests < 1:
        raise InputError(
            "the latency test was refused",
            found=f"{len(texts)} texts, {plan.blocks} blocks of {plan.requests} requests",
            accepted="one text or more, two blocks or more, one request a block or more",
        )
    sides: list[tuple[Side, Predictor]] = [(Side.BASELINE, pair.baseline), (Side.RELEASE, pair.release)]
    for _, predictor in sides:
        _timed(predictor, texts, 0, plan.warm_up, clock_ns)
    rows: list[tuple[str, int, float]] = []
    for block in range(plan.blocks):
        for side, predictor in sides if block % 2 == 0 else reversed(sides):
            taken = _timed(predictor, texts, block * plan.requests, plan.requests, clock_ns)
            rows += [(str(side), block, ms) for ms in taken]
        if progress:
            progress("timing single requests", block + 1, plan.blocks)
    schema = {"side": pl.String, "block": pl.Int64, "ms": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _timed(
    predictor: Predictor, texts: Sequence[str], start: int, count: int, clock_ns: Callable[[], int]
) -> list[float]:
    taken = []
    for position in range(start, start + count):
        text = texts[position % len(texts)]
        begun = clock_ns()
        predictor.answer(text)
        taken.append((clock_ns() - begun) / 1e6)
    return taken


def quantiles(samples: pl.DataFrame) -> dict[str, Any]:
    """For each side P50, P95, P99 in ms with intervals at 0.95; a bound is null where samples are too few."""
    shown: dict[str, Any] = {}
    for side in Side:
        own = samples.filter(pl.col("side") == str(side))
        values, blocks = own.get_column("ms").to_numpy(), own.get_column("block").to_numpy()
        shown[str(side)] = {}
        for name, q in QUANTILES.items():
            estimate, interval = quantile_interval(values, q, LEVEL, blocks)
            low, high = (bound if math.isfinite(bound) else None for bound in (interval.low, interval.high))
            shown[str(side)][name] = {"ms": estimate, "low": low, "high": high}
    return shown
