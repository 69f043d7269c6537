"""Both pairs and both crosses on the same golden queries: the lists that every gate on a search reads.

    baseline's adapter ─▶ its candidates ─▶ baseline's reranker: baseline      ─▶ release's: new_reranker
    release's adapter  ─▶ its candidates ─▶ baseline's reranker: new_adapter   ─▶ release's: release

Rerankers alone are compared on the candidates of the baseline's adapter, which is what a new one would meet
if it were released without the new adapter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np
import polars as pl

from mangaops.datasets.search_snapshot import SearchSnapshot
from mangaops.errors import InputError, UsageError
from mangaops.evidence.schemas import TABLES
from mangaops.inference.search import Encodes, Filter, Hit, Reranks, Search, Searched, Shelf
from mangaops.release.desk import Progress
from mangaops.vocabulary import Cell, Digest, EvidenceKind, Side, Split, Stage

PLACES: Final = 10
"""Places of a list that evidence keeps."""

MOST: Final = 1000
"""Queries that are asked at most: four searches each."""

NO_RERANKER: Final[Digest] = "sha256:" + "0" * 64
"""What stands in a reranker's place where a pair has none: the order of retrieval."""

_CELLS: Final[Mapping[Cell, tuple[Side, Side]]] = {
    Cell.BASELINE: (Side.BASELINE, Side.BASELINE),
    Cell.NEW_RERANKER: (Side.BASELINE, Side.RELEASE),
    Cell.NEW_ADAPTER: (Side.RELEASE, Side.BASELINE),
    Cell.RELEASE: (Side.RELEASE, Side.RELEASE),
}
_Rows = list[tuple[str, str, str, int, str, float]]


class Finds(Protocol):
    """A search as it is asked here: a pair's, or that of the plain baseline."""

    def retrieve(self, query: str, k: int, keep: Filter | None = None) -> tuple[Hit, ...]:
        """What is retrieved, without a reranker."""

    def search(self, query: str, k: int = 10, keep: Filter | None = None) -> Searched:
        """What a user gets."""


@dataclass(frozen=True)
class PairModels:
    """An adapter with the shelf of its own vectors, and a reranker where there is one; each by its digest."""

    adapter: Digest
    encodes: Encodes
    shelf: Shelf
    reranker: Digest = NO_RERANKER
    reranks: Reranks | None = None


@dataclass
class Remembered:
    """A reranker that scores a query and item once, however many searches ask."""

    reranks: Reranks
    known: dict[tuple[str, str], float] = field(default_factory=dict)

    def scores(self, query: str, texts: Sequence[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """The scores, those that were asked before as they were then."""
        new = [text for text in dict.fromkeys(texts) if (query, text) not in self.known]
        if new:
            found = self.reranks.scores(query, new)
            if found.shape != (len(new),):
                return found  # the search that asked refuses it
            self.known |= {(query, text): score for text, score in zip(new, found.tolist(), strict=True)}
        return np.array([self.known[query, text] for text in texts], dtype=np.float32)


@dataclass(frozen=True)
class Lists:
    """Tables and facts of ranking evidence, bound to nothing; `golden_judgements` comes with the binding."""

    facts: Mapping[str, Any]
    tables: Mapping[str, pl.DataFrame]


def compare_pairs(
    baseline: PairModels | Finds,
    release: PairModels,
    golden: SearchSnapshot,
    *,
    depth: int,
    new: Iterable[str] = (),
    progress: Progress = None,
) -> Lists:
    """Every list of the golden queries, by stage and cell; `depth` retrieved items are reranked.

    Crosses are measured where both models differ: else they are a side's own. A baseline that is no pair
    (BM25) has none. `new`: items that are new in the catalogue.

    Raises:
        InputError: there is no golden query.
        UsageError: a depth under 1.
        IntegrityError: a reranker gave no number.
    """
    queries = golden.golden.head(MOST).sort("query_id")
    if queries.is_empty():
        raise InputError(
            f"comparing pairs on {golden.name} was refused: it has no golden query",
            next_step="mangaops data snapshot with judged queries",
        )
    searches = _searches(baseline, release, depth)
    asked = list(queries.select("query_id", "query").iter_rows())
    same = isinstance(baseline, PairModels) and baseline.reranker == release.reranker
    rows = list(_rows(searches, asked, same_reranker=same, progress=progress))
    tables = _tables(queries, rows, golden, frozenset(new))
    return Lists(_facts(baseline, release, golden, searches), tables)


def _searches(baseline: PairModels | Finds, release: PairModels, depth: int) -> dict[Cell, Finds]:
    """A search for each cell that has lists of its own."""
    remembered: dict[Digest, Reranks] = {}

    def reranker(pair: PairModels) -> Reranks | None:
        if pair.reranks is None:
            return None
        return remembered.setdefault(pair.reranker, Remembered(pair.reranks))

    def search(first: PairModels, second: PairModels, cell: Cell) -> Finds:
        return Search(str(cell), first.encodes, lambda: first.shelf, reranker(second), depth=depth)

    if depth < 1:
        raise UsageError(f"a depth of {depth} was refused", accepted="1 or more")
    if not isinstance(baseline, PairModels):
        return {Cell.BASELINE: baseline, Cell.RELEASE: search(release, release, Cell.RELEASE)}
    sides = {Side.BASELINE: baseline, Side.RELEASE: release}
    crossed = baseline.adapter != release.adapter and baseline.reranker != release.reranker
    wanted = _CELLS if crossed else (Cell.BASELINE, Cell.RELEASE)
    return {cell: search(sides[_CELLS[cell][0]], sides[_CELLS[cell][1]], cell) for cell in wanted}


def _rows(
    searches: Mapping[Cell, Finds],
    asked: Sequence[tuple[str, str]],
    *,
    same_reranker: bool,
    progress: Progress,
) -> Iterator[tuple[str, str, str, int, str, float]]:
    crossed = Cell.NEW_RERANKER in searches
    alone = Cell.NEW_RERANKER if crossed else Cell.BASELINE if same_reranker else Cell.RELEASE
    for number, (query_id, query) in enumerate(asked, 1):
        lists = {cell: search.search(query, PLACES).hits for cell, search in searches.items()}
        for cell, hits in lists.items():
            yield from _list(query_id, Stage.SEARCH, cell, hits)
        for side in (Cell.BASELINE, Cell.RELEASE):
            yield from _list(query_id, Stage.ADAPTER, side, searches[side].retrieve(query, PLACES))
        yield from _list(query_id, Stage.RERANKER, Cell.BASELINE, lists[Cell.BASELINE])
        yield from _list(query_id, Stage.RERANKER, Cell.RELEASE, lists[alone])
        if progress is not None:
            progress("searching with both pairs", number, len(asked))


def _list(
    query_id: str, stage: Stage, cell: Cell, hits: Sequence[Hit]
) -> Iterator[tuple[str, str, str, int, str, float]]:
    for rank, hit in enumerate(hits, 1):
        yield query_id, str(stage), str(cell), rank, hit.item_id, hit.score


def _tables(
    queries: pl.DataFrame, rows: _Rows, golden: SearchSnapshot, new: frozenset[str]
) -> dict[str, pl.DataFrame]:
    columns = TABLES[EvidenceKind.RANKING]
    is_new = pl.col("item_id").is_in(pl.Series(sorted(new), dtype=pl.String).implode())
    names = [name for name in columns["ranked"] if name != "new_title"]
    ranked = pl.DataFrame(rows, schema={name: columns["ranked"][name] for name in names}, orient="row")
    judged = golden.judged(Split.GOLDEN).join(queries.select("query_id"), on="query_id", how="semi")
    judged = judged.join(golden.items.select("item_id"), on="item_id", how="semi")
    frames = {
        "queries": queries.rename({"query": "text"}),
        "ranked": ranked.with_columns(new_title=is_new),
        "judgments": judged.sort("query_id", "item_id").with_columns(new_title=is_new),
    }
    cast = {
        name: frame.select(list(columns[name])).cast(pl.Schema(columns[name]))
        for name, frame in frames.items()
    }
    return {**cast, "titles": _titles(ranked, golden)}


def _titles(ranked: pl.DataFrame, golden: SearchSnapshot) -> pl.DataFrame:
    """The titles of what any list shows, which reports print: item_id, title."""
    shown = ranked.select("item_id").unique()
    return golden.items.select("item_id", "title").join(shown, on="item_id", how="semi").sort("item_id")


def _facts(
    baseline: PairModels | Finds,
    release: PairModels,
    golden: SearchSnapshot,
    searches: Mapping[Cell, Finds],
) -> dict[str, Any]:
    sides = [str(Cell.BASELINE), str(Cell.RELEASE)]
    plain = {"adapter": NO_RERANKER, "reranker": NO_RERANKER}
    first = _models(baseline) if isinstance(baseline, PairModels) else plain
    return {
        "dataset_version": golden.name,
        "catalogue": golden.manifest["tables"]["items"],
        "catalogue_items": golden.items.height,
        "depth": dict.fromkeys(map(str, Stage), PLACES),
        "cells": {
            str(Stage.ADAPTER): sides,
            str(Stage.RERANKER): sides,
            str(Stage.SEARCH): sorted(str(cell) for cell in searches),
        },
        "models": {str(Side.BASELINE): first, str(Side.RELEASE): _models(release)},
    }


def _models(pair: PairModels) -> dict[str, str]:
    return {"adapter": pair.adapter, "reranker": pair.reranker}
