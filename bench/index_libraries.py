"""Libraries for the vector index, each as it would propose candidates to it: same vectors, same rescoring.

    pip install usearch hnswlib
    python -m bench.index_libraries [--vectors 100000] [--queries 500]

faiss with lists is what mangaops uses; what is not installed is left out, and said. Each side is built on one
thread and proposes 100 candidates a query, scored again from the float32 vectors. `lost` is the share
of queries of which not one true neighbour was found. Queries a second are those of one thread and of one a
core that share the index. `alike`: two builds of 10,000 vectors gave equal bytes.
"""

from __future__ import annotations

import os

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}

import argparse
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from bench.index import K, world
from mangaops.inference.index import IndexParameters
from mangaops.inference.lists import build_lists, open_lists
from mangaops.inference.nearest import Positions, nearest, rescored
from mangaops.inference.recall import recall_of
from mangaops.inference.vectors import Matrix

CANDIDATES, CONNECTIVITY, BUILD, WALK = 2 * K, 32, 200, 300
Propose = Callable[[Matrix], Positions]
Side = Callable[[Matrix, Path], Propose]


def faiss_lists(rows: Matrix, folder: Path) -> Propose:
    """Lists by nearness, 8 bits a number: what `inference.lists` builds."""
    parameters = IndexParameters()
    build_lists(rows, parameters.lists_of(len(rows))).write(folder)
    lists = open_lists(folder)
    return lambda queries: lists.candidates(queries, CANDIDATES, parameters.probe)


def faiss_graph(rows: Matrix, folder: Path) -> Propose:
    """HNSW, 8 bits a number."""
    import faiss

    faiss.omp_set_num_threads(1)
    index: Any = faiss.IndexHNSWSQ(
        rows.shape[1], faiss.ScalarQuantizer.QT_8bit, CONNECTIVITY, faiss.METRIC_INNER_PRODUCT
    )
    index.hnsw.efConstruction = BUILD
    index.train(rows)
    index.add(rows)
    index.hnsw.efSearch = WALK
    faiss.write_index(index, str(folder / "index"))
    return lambda queries: index.search(queries, CANDIDATES)[1]


def usearch_graph(rows: Matrix, folder: Path) -> Propose:
    """HNSW, bfloat16, mapped."""
    from usearch.index import Index

    made: Any = Index(
        ndim=rows.shape[1], metric="ip", dtype="bf16", connectivity=CONNECTIVITY, expansion_add=BUILD
    )
    made.add(np.arange(len(rows)), rows, threads=1)
    made.save(str(folder / "index"))
    index: Any = Index.restore(str(folder / "index"), view=True)
    index.expansion_search = WALK

    def propose(queries: Matrix) -> Positions:
        keys = index.search(queries, CANDIDATES, threads=1).keys
        return np.atleast_2d(keys).astype(np.int64)

    return propose


def hnswlib_graph(rows: Matrix, folder: Path) -> Propose:
    """HNSW, float32: it knows no other."""
    import hnswlib

    index: Any = hnswlib.Index(space="ip", dim=rows.shape[1])
    index.init_index(len(rows), M=CONNECTIVITY, ef_construction=BUILD, random_seed=1)
    index.add_items(rows, num_threads=1)
    index.set_ef(WALK)
    index.save_index(str(folder / "index"))
    return lambda queries: index.knn_query(queries, CANDIDATES, num_threads=1)[0].astype(np.int64)


SIDES: dict[str, Side] = {
    "faiss, lists": faiss_lists,
    "faiss, graph": faiss_graph,
    "usearch, graph": usearch_graph,
    "hnswlib, graph": hnswlib_graph,
}


def bytes_of(side: Side, rows: Matrix) -> bytes:
    """All that a build leaves on disk."""
    with tempfile.TemporaryDirectory() as folder:
        side(rows, Path(folder))
        return b"".join(path.read_bytes() for path in sorted(Path(folder).iterdir()))


def rate(propose: Propose, queries: Matrix, threads: int) -> float:
    """Queries a second, asked alone, by so many threads."""
    with ThreadPoolExecutor(threads) as pool:
        begun = time.perf_counter()
        list(pool.map(lambda at: propose(queries[at : at + 1]), list(range(len(queries))) * 2))
        return 2 * len(queries) / (time.perf_counter() - begun)


def measure(name: str, side: Side, rows: Matrix, queries: Matrix) -> None:
    """Print the row of one side."""
    truth = nearest(rows, queries, K)
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        propose = side(rows, Path(folder))
        built = time.perf_counter() - begun
        size = sum(path.stat().st_size for path in Path(folder).iterdir()) / 2**20
        proposed, times = [], []
        for query in np.concatenate([queries[:20], queries]):
            begun = time.perf_counter()
            proposed.append(propose(query[None]))
            times.append((time.perf_counter() - begun) * 1000)
        shares = recall_of(rescored(rows, queries, np.concatenate(proposed[20:]), K), truth)
        p50, p95 = np.quantile(times[20:], [0.5, 0.95])
        cores = len(os.sched_getaffinity(0))
        rates = [rate(propose, queries, threads) for threads in (1, cores)]
    alike = bytes_of(side, rows[:10_000]) == bytes_of(side, rows[:10_000])
    numbers = f"{built:>8.0f} {size:>8.0f} {shares.mean():>10.4f} {(shares == 0).mean():>7.1%}"
    speed = f"{p50:>8.2f} {p95:>8.2f} {rates[0]:>8.0f} {rates[1]:>8.0f}"
    print(f"{name:<16} {numbers} {speed} {'yes' if alike else 'no':>6}", flush=True)


def main() -> None:
    """Print a row for each library that is installed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--vectors", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=500)
    options = parser.parse_args()
    made = world(options.vectors, options.queries)
    print(f"{options.vectors:,} clustered vectors, {options.queries} queries;", end=" ")
    print(f"graphs of connectivity {CONNECTIVITY}, expansion {BUILD} when built and {WALK} when searched")
    titles = ("build s", "MB", f"recall@{K}", "lost", "P50 ms", "P95 ms", "1 thread", "a core", "alike")
    print(
        f"{'':<16} "
        + " ".join(f"{t:>{w}}" for t, w in zip(titles, (8, 8, 10, 7, 8, 8, 8, 8, 6), strict=True))
    )
    for name, side in SIDES.items():
        try:
            measure(name, side, made.rows, made.queries)
        except ModuleNotFoundError as missing:
            print(f"{name:<16} left out: {missing.name} is not installed")


if __name__ == "__main__":
    main()
