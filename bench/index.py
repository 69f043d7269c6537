"""The vector index over clustered vectors: memory, build, recall and latency, beside exact search.

    python -m bench.index [--vectors 1000000] [--queries 1000] [--lists 4000] [--probe 128] ...

The vectors are no plain Gaussian, in which every item is as far from every other. Centres lie on the sphere,
most of their variance in few directions; cluster sizes follow a power law; each cluster spreads along axes of
its own, some wide and most narrow. A query lies near an item, nearer or farther. Memory and latency are those
of a process that opens the sealed index and does nothing else, on one thread, one query at a time. Recall is
against exact search with the same scores. A million takes minutes, so `python -m bench` leaves it out.
"""

from __future__ import annotations

import os

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mangaops.inference.index import Allowed, Index, IndexParameters, build, open_index
from mangaops.inference.nearest import Found
from mangaops.inference.recall import recall_of
from mangaops.inference.vectors import Matrix, Vectors
from mangaops.stats import quantile_interval

K, DIMENSION, SEED, BLOCK = 50, 384, 20260420, 20_000
DIGEST = "sha256:" + "0" * 64
SHARES = (1.0, 0.3, 0.01)


@dataclass(frozen=True)
class World:
    """Unit vectors, queries, and the items of the largest and of the median cluster."""

    rows: Matrix
    queries: Matrix
    largest: int
    median: int


def tell(what: str, done: int, total: int) -> None:
    """A line on the terminal that the next one takes the place of; nothing in a pipe."""
    if sys.stderr.isatty():
        print(f"\r{what}: {done:,} of {total:,}   ", end="\n" if done == total else "", file=sys.stderr)


def unit(rows: np.ndarray) -> Matrix:
    """Each row over its length."""
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def world(vectors: int, queries: int, dimension: int = DIMENSION, seed: int = SEED) -> World:
    """A mixture on the sphere: one cluster for 400 items, sizes by a power law, uneven spread."""
    rng = np.random.default_rng(seed)
    clusters = max(20, vectors // 400)
    spectrum = np.arange(1.0, dimension + 1) ** -0.6
    spectrum = (spectrum / np.linalg.norm(spectrum)).astype(np.float32)
    turn = np.linalg.qr(rng.standard_normal((dimension, dimension)))[0].astype(np.float32)
    centres = unit(rng.standard_normal((clusters, dimension)) * spectrum)
    sizes = np.arange(1.0, clusters + 1) ** -0.8
    of = rng.choice(clusters, vectors, p=sizes / sizes.sum())
    wide = rng.uniform(0.3, 0.9, clusters).astype(np.float32)
    axes = np.stack([spectrum[rng.permutation(dimension)] for _ in range(64)])
    rows = np.empty((vectors, dimension), np.float32)
    for start in range(0, vectors, BLOCK):
        mine = of[start : start + BLOCK]
        noise = rng.standard_normal((len(mine), dimension), dtype=np.float32) * axes[mine % len(axes)]
        rows[start : start + BLOCK] = unit((centres[mine] + wide[mine, None] * noise) @ turn)
        tell("drawing vectors", min(start + BLOCK, vectors), vectors)
    near = rows[rng.choice(vectors, queries, replace=queries > vectors)]
    away = rng.uniform(0.2, 0.8, (queries, 1)) * rng.standard_normal((queries, dimension)) * spectrum
    counts = np.bincount(of, minlength=clusters)
    return World(rows, unit(near + away @ turn), int(counts.max()), int(np.median(counts)))


def allowed_of(share: float, items: int) -> Allowed | None:
    """A filter that lets about that share of all items through, whatever they are."""
    return None if share == 1 else Allowed(np.random.default_rng(SEED).random(items) < share)


def timed(index: Index, queries: Matrix, allowed: Allowed | None) -> tuple[Found, list[float]]:
    """The answers, and the milliseconds of each query asked alone, after 20 that are not counted."""
    for query in queries[:20]:
        index.search(query[None], K, allowed)
    answers, times = [], []
    for query in queries:
        begun = time.perf_counter()
        answers.append(index.search(query[None], K, allowed))
        times.append((time.perf_counter() - begun) * 1000)
    return Found(*(np.concatenate(part) for part in zip(*answers, strict=True))), times


def memory() -> dict[str, float]:
    """Megabytes of this process: its own, and mapped files that it shares with others."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {name: int(status[name].split()[0]) / 1024 for name in ("RssAnon", "RssFile")}


def serve(folder: Path, queries: Matrix) -> dict[str, Any]:
    """What a process measures that opens the index and answers the queries."""
    before, begun = memory(), time.perf_counter()
    index = open_index(folder, embedder=DIGEST)
    opened = time.perf_counter() - begun
    found = {share: timed(index, queries, allowed_of(share, len(index))) for share in SHARES}
    return {"before": before, "after": memory(), "opened": opened, "found": found}


def line(name: str, shares: np.ndarray | None, times: list[float]) -> None:
    """A row of the table: recall with the 95 % interval of its mean, and quantiles of latency with theirs."""
    text = ""
    if shares is not None:
        drawn = np.random.default_rng(SEED).integers(0, len(shares), (2000, len(shares)))
        low, high = np.quantile(shares[drawn].mean(axis=1), [0.025, 0.975])
        text = f"{shares.mean():.4f} [{low:.4f}, {high:.4f}] {(shares < 0.9).mean():6.1%}"
    quantiles = [quantile_interval(times, q, 0.95) for q in (0.5, 0.95)]
    shown = [f"{at:8.2f} [{each.low:.2f}, {each.high:.2f}]" for at, each in quantiles]
    print(f"{name:<22} {text:<32} {shown[0]:<24} {shown[1]}", flush=True)


def table(made: World, index: Index, served: dict[str, Any], asked_exactly: int) -> None:
    """Recall and latency of the index, whole and filtered, each beside exact search."""
    print(f"\n{'':<22} {f'recall@{K} [95 %]  under 0.9':<32} {'P50 ms [95 %]':<24} P95 ms [95 %]")
    exact = index.exact()
    for share, (found, times) in served["found"].items():
        allowed, name = allowed_of(share, len(index)), "all" if share == 1 else f"{share:.0%} allowed"
        truth = exact.search(made.queries, K, allowed)
        line(f"index, {name}", recall_of(found, truth), times)
        line(f"exact, {name}", None, timed(exact, made.queries[:asked_exactly], allowed)[1])


def main() -> None:
    """Print what an index of so many vectors costs and finds."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--vectors", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--exactly", type=int, default=100, help="queries that time exact search")
    for name, field in IndexParameters.model_fields.items():
        kind = float if field.annotation is float else int
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=field.default)
    options = parser.parse_args()
    parameters = IndexParameters(**{name: getattr(options, name) for name in IndexParameters.model_fields})
    begun = time.perf_counter()
    made = world(options.vectors, options.queries)
    print(
        f"{options.vectors:,} vectors of {DIMENSION}, drawn in {time.perf_counter() - begun:.0f} s;", end=" "
    )
    print(f"the largest cluster has {made.largest:,}, the median one {made.median:,}")
    print(f"{parameters!r}, lists: {parameters.lists_of(options.vectors):,}", flush=True)
    vectors = Vectors(tuple(f"item-{at}" for at in range(options.vectors)), made.rows, DIGEST, DIGEST)
    begun = time.perf_counter()
    index = build(vectors, parameters, tell)
    print(f"built in {time.perf_counter() - begun:.0f} s on one thread", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        index.save(Path(scratch))
        sizes = {path.name: path.stat().st_size / 2**20 for path in sorted(Path(scratch).iterdir())}
        print("MB on disk: " + ", ".join(f"{name} {size:,.0f}" for name, size in sizes.items() if size > 1))
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            served = pool.submit(serve, Path(scratch), made.queries).result()
    own, mapped = (served["after"][name] - served["before"][name] for name in ("RssAnon", "RssFile"))
    print(f"opened and verified in {served['opened']:.1f} s")
    print(f"MB of a process that serves it: {own:,.0f} its own, {mapped:,.0f} mapped and shared with others")
    print(f"MB at most while building: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f}")
    table(made, index, served, options.exactly)


if __name__ == "__main__":
    main()
