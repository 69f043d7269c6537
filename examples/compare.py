"""What each part of a pair is worth, on the same golden queries, with paired intervals.

Trains the adapter and the reranker that the stack declares for its first data of kind search, and prints
with 95 % intervals: the adapter over the frozen base, the reranker over none,
the pair over each alone, and BM25 beside; then what fewer candidates give up, and how long a search takes.
`--layers 2 4 6` adds rerankers with networks of so many layers, at the recipe's defaults, whatever they gain.
Models and vectors are kept in `--keep`; the next run finds them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np

from mangaops.datasets.search_data import SearchData, collect_items, collect_judgments
from mangaops.datasets.search_snapshot import SearchSnapshot, search_snapshot
from mangaops.datasets.source import Source
from mangaops.errors import MangaopsError
from mangaops.inference import Embedder
from mangaops.inference.embedder import assemble_embedder
from mangaops.inference.index import build
from mangaops.inference.manifest import MANIFEST, verify
from mangaops.inference.reranker import assemble_reranker
from mangaops.inference.search import STEPS, Search
from mangaops.inference.shelf import IndexShelf
from mangaops.metrics import METRICS, Ranked
from mangaops.pipeline.pair_run import embed_items, pair_request, read_items, with_candidates
from mangaops.release.list_figures import difference
from mangaops.release.pairs import Finds, PairModels, compare_pairs
from mangaops.stack import Stack
from mangaops.store import EmbeddedChunks
from mangaops.training import RECIPES, Drawn, PairRequest, RerankerTraining, Trained, frozen_base
from mangaops.training.steps.lexical import lexical
from mangaops.vocabulary import Family
from mangaops.wiring import parse_stack

SHOWN = ("ndcg@10", "recall@3", "mrr@10", "bad_top1")
DEPTHS = (10, 20, 50)
TIMED = 300
RESAMPLES = 2000


@dataclass(frozen=True)
class Shop:
    """One dataset version, its stack, and where things are kept."""

    stack: Stack
    snapshot: SearchSnapshot
    keep: Path

    def request(self, model: str) -> PairRequest:
        """What a recipe is asked to train; candidates come later."""
        return pair_request(model, self.stack.models[model], self.snapshot, self.keep / "base vectors")


def opened(stack: Path, catalogue: Path, judged: Path, keep: Path) -> Shop:
    """The two files as a dataset version."""
    declared = parse_stack(stack.read_bytes(), str(stack))
    (name, spec), *_ = declared.search_data.items()
    items = collect_items(Source((str(catalogue),)), spec)
    judgments = collect_judgments(Source((str(judged),)), spec)
    snapshot = search_snapshot(SearchData(items, judgments), spec, name=name, at=date(2026, 11, 27))
    return Shop(declared, snapshot, keep)


def progress(what: str, done: int, total: int) -> None:
    """One line that is written over."""
    sys.stderr.write(f"\r\033[K{what} {done}/{total}")


def made(folder: Path, train: Callable[[Path], Trained]) -> Path:
    """The artifact in `folder`, trained where there is none; what training says of it is told."""
    if not (folder / MANIFEST).is_file():
        trained = train(folder)
        took = sum(trained.seconds.values())
        figures = ", ".join(f"{name} {value:.3f}" for name, value in trained.metrics.items())
        sys.stderr.write("\r\033[K")
        sys.stdout.write(f"trained {folder.name} in {took:.0f} s: {figures}\n")
    return folder


def adapter_of(shop: Shop, folder: Path) -> tuple[Embedder, PairModels]:
    """The adapter in `folder` with its vectors of the catalogue, without a reranker."""
    embedder, digest = assemble_embedder(folder, folder.name), verify(folder)
    vectors = embed_items(shop.snapshot, embedder, digest, EmbeddedChunks(shop.keep / "vectors"), progress)
    items = {each: {"title": text} for each, text in read_items(shop.snapshot).iter_rows()}
    shelf = IndexShelf.of(build(vectors), items)
    return embedder, PairModels(digest, embedder, shelf)


def pair_of(
    shop: Shop, name: str, training: RerankerTraining, embedder: Embedder, adapter: PairModels
) -> PairModels:
    """The adapter with the reranker `name`, which is trained on what this adapter draws."""

    def train(folder: Path) -> Trained:
        items = adapter.shelf.standing.base.vectors  # type: ignore[attr-defined]
        by = Drawn("adapter@example", adapter.adapter)
        declared = shop.request("reranker")
        asked = replace(declared, model=name, spec=declared.spec.model_copy(update={"training": training}))
        request = with_candidates(asked, items, embedder, by, progress)
        return RECIPES[Family.CROSS_ENCODER_RERANKER](request, folder, progress)

    folder = made(shop.keep / name, train)
    reranks = assemble_reranker(folder, name)
    return replace(adapter, reranker=verify(folder), reranks=reranks, depth=training.depth)


def shown(shop: Shop, name: str, baseline: PairModels | Finds, release: PairModels) -> None:
    """A line a metric: the baseline's, the release's, and the difference with its interval."""
    lists = compare_pairs(baseline, release, shop.snapshot, progress=progress)
    ranked = Ranked(*(lists.tables[each] for each in ("queries", "ranked", "judgments")), lists.facts)
    sys.stderr.write("\r\033[K")
    sys.stdout.write(f"\n{name}, {shop.snapshot.golden.height:,} golden queries\n")
    for metric in SHOWN:
        sides = METRICS[metric].rows(ranked, None)
        found = difference(sides, ranked, np.random.default_rng(20260420), RESAMPLES)
        if found is None:
            sys.stdout.write(f"  {metric:9} no query bears it\n")
            continue
        within = found.interval(0.95)
        sys.stdout.write(
            f"  {metric:9} {found.estimate_a:.3f} -> {found.estimate_b:.3f}   "
            f"{found.difference:+.3f} ({within.low:+.3f} to {within.high:+.3f})\n"
        )


def timed(shop: Shop, pair: PairModels) -> None:
    """What a search takes, one at a time on one thread."""
    search = Search("pair", pair.encodes, lambda: pair.shelf, pair.reranks, depth=pair.depth)
    queries = shop.snapshot.golden.sort("query_id").head(TIMED)["query"].to_list()
    took = [search.search(query).milliseconds for query in queries]
    rows = {step: np.asarray([each[step] for each in took]) for step in STEPS}
    whole = sum(rows.values())
    parts = ", ".join(f"{step} {np.quantile(each, 0.95):.1f}" for step, each in rows.items())
    sys.stdout.write(f"  P95 of a search {np.quantile(whole, 0.95):.1f} ms ({parts}), one thread\n")


def by_depth(shop: Shop, name: str, adapter: PairModels, pair: PairModels) -> None:
    """What fewer candidates give up, and what they save."""
    for depth in sorted({*DEPTHS, pair.depth}):
        fewer = replace(pair, depth=depth)
        shown(shop, f"{name} with {depth} candidates over the adapter", adapter, fewer)
        timed(shop, fewer)


def compare(shop: Shop, layers: Sequence[int]) -> None:
    """Train what is not kept, and print every comparison."""
    request = shop.request("adapter")
    frozen = made(shop.keep / "base", lambda folder: frozen_base(request, folder, progress))
    recipe = RECIPES[Family.EMBEDDING_ADAPTER]
    trained = made(shop.keep / "adapter", lambda folder: recipe(request, folder, progress))
    _, base = adapter_of(shop, frozen)
    embedder, adapter = adapter_of(shop, trained)
    told = shop.stack.models["reranker"].training
    assert isinstance(told, RerankerTraining)
    pair = pair_of(shop, "reranker", told, embedder, adapter)
    alone = replace(base, reranker=pair.reranker, reranks=pair.reranks, depth=pair.depth)
    words = lexical(read_items(shop.snapshot))
    shown(shop, "adapter over the frozen base", base, adapter)
    shown(shop, "adapter over BM25", words, adapter)
    shown(shop, "reranker over none, both on the adapter: the pair over the adapter alone", adapter, pair)
    shown(shop, "the pair over the reranker alone, on the frozen base", alone, pair)
    shown(shop, "the pair over BM25", words, pair)
    by_depth(shop, "the pair", adapter, pair)
    for number in layers:
        kept = RerankerTraining(layers=number, network="always", threads=told.threads)
        networked = pair_of(shop, f"reranker-{number}", kept, embedder, adapter)
        by_depth(shop, f"a network of {number} layers", adapter, networked)


def main() -> None:
    """Parse the flags and print; exit code 4 where the data is refused."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stack", type=Path, required=True, help="a stack.yaml with data of kind search")
    parser.add_argument("--catalogue", type=Path, required=True, help="a file of items")
    parser.add_argument("--judgments", type=Path, required=True, help="a file of graded items by query")
    parser.add_argument("--keep", type=Path, required=True, help="a folder for models and vectors")
    parser.add_argument("--layers", type=int, nargs="*", default=(), help="networks that are kept anyhow")
    flags = parser.parse_args()
    try:
        flags.keep.mkdir(parents=True, exist_ok=True)
        compare(opened(flags.stack, flags.catalogue, flags.judgments, flags.keep), flags.layers)
    except MangaopsError as error:
        sys.stderr.write(f"\r\033[Kcompare.py: {error}\n")
        sys.exit(4)


if __name__ == "__main__":
    main()
