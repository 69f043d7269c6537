"""Both pairs and both crosses on the same golden queries: the lists that every gate on a search reads.

    baseline's adapter ─▶ its candidates ─▶ baseline's reranker: baseline      ─▶ release's: new_reranker
    release's adapter  ─▶ its candidates ─▶ baseline's reranker: new_adapter   ─▶ release's: release

Rerankers alone are compared on the candidates of the baseline's adapter, which is what a new one would meet
if it were released without the new adapter. A baseline that is no pair (BM25) has none, and no lists of that
stage. Each reranker orders as many candidates as it was made for, whoever found them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Protocol

import numpy as np
import polars as pl

from mangaops.datasets.search_snapshot import SearchSnapshot
from mangaops.errors import InputError
from mangaops.evidence.schemas import TABLES
from mangaops.inference.answer import side_by_side
from mangaops.inference.search import Encodes, Filter, Hit, Reranks, Search, Searched, Shelf
from mangaops.release.desk import Progress
from mangaops.release.listed import PLACES
from mangaops.stack import MOST_QUERIES
from mangaops.vocabulary import NO_MODEL, Cell, Digest, EvidenceKind, Side, Split, Stage

NO_RERANKER: Final[Digest] = NO_MODEL
"""What stands in a reranker's place where a pair has none: the order of retrieval."""

MODELS: Final = ("adapter", "reranker")
"""The models of a pair, as the facts of ranking evidence name them."""

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
    """An adapter with the shelf of its own vectors, and a reranker where there is one; each by its digest.

    `depth`: how many retrieved items its reranker orders, as its training config says.
    """

    adapter: Digest
    encodes: Encodes
    shelf: Shelf
    reranker: Digest = NO_RERANKER
    reranks: Reranks | None = None
    depth: int = PLACES


@dataclass
class Remembered:
    """A reranker that scores a query and item once, however many searches ask with the same similarity.

    Threads may share it: two that ask the same at one time both score it, and alike.
    """

    reranks: Reranks
    known: dict[tuple[str, str, float], float] = field(default_factory=dict)

    def scores(
        self, query: str, texts: Sequence[str], similarities: Sequence[float]
    ) -> np.ndarray[Any, np.dtype[np.float32]]:
        """The scores, those that were asked before as they were then."""
        asked = [(query, text, near) for text, near in zip(texts, similarities, strict=True)]
        new = [each for each in dict.fromkeys(asked) if each not in self.known]
        if new:
            found = self.reranks.scores(query, [text for _, text, _ in new], [near for *_, near in new])
            if found.shape != (len(new),):
                return found  # the search that asked refuses it
            self.known |= dict(zip(new, found.tolist(), strict=True))
        return np.array([self.known[each] for each in asked], dtype=np.float32)


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
    new: Iterable[str] = (),
    progress: Progress = None,
) -> Lists:
    """Every list of the golden queries, by stage and cell.

    The cores of the machine take different queries, so that both sides are such as threads may share; lists
    are the same as one query after the other gives.
    Crosses are measured where both models differ: else they are a side's own. A baseline that is no pair
    (BM25) has none, and no lists of the reranker. `new`: items that are new in the catalogue.

    Raises:
        InputError: there is no golden query.
        UsageError: a pair with a depth under 1.
        IntegrityError: a reranker gave no number.
    """
    queries = golden.golden.head(MOST_QUERIES).sort("query_id")
    if queries.is_empty():
        raise InputError(
            f"comparing pairs on {golden.name} was refused: it has no golden query",
            next_step="mangaops data snapshot with judged queries",
        )
    searches = _searches(baseline, release)
    asked = list(queries.select("query_id", "query").iter_rows())
    lists_of = partial(_rows, searches, _alone(baseline, release, searches))
    told = partial(progress, "searching with both pairs") if progress else None
    rows = [row for found in side_by_side(lists_of, asked, told) for row in found]
    tables = _tables(queries, rows, golden, frozenset(new))
    return Lists(_facts(baseline, release, golden, searches), tables)


def _searches(baseline: PairModels | Finds, release: PairModels) -> dict[Cell, Finds]:
    """A search for each cell that has lists of its own."""
    remembered: dict[Digest, Reranks] = {}

    def reranker(pair: PairModels) -> Reranks | None:
        if pair.reranks is None:
            return None
        return remembered.setdefault(pair.reranker, Remembered(pair.reranks))

    def search(first: PairModels, second: PairModels, cell: Cell) -> Finds:
        return Search(str(cell), first.encodes, lambda: first.shelf, reranker(second), depth=second.depth)

    if not isinstance(baseline, PairModels):
        return {Cell.BASELINE: baseline, Cell.RELEASE: search(release, release, Cell.RELEASE)}
    sides = {Side.BASELINE: baseline, Side.RELEASE: release}
    crossed = baseline.adapter != release.adapter and baseline.reranker != release.reranker
    wanted = _CELLS if crossed else (Cell.BASELINE, Cell.RELEASE)
    return {cell: search(sides[_CELLS[cell][0]], sides[_CELLS[cell][1]], cell) for cell in wanted}


def _alone(baseline: PairModels | Finds, release: PairModels, searches: Mapping[Cell, Finds]) -> Cell | None:
    """The search that is the release's reranker on the baseline's candidates; None where there are none."""
    if not isinstance(baseline, PairModels):
        return None
    if Cell.NEW_RERANKER in searches:
        return Cell.NEW_RERANKER
    return Cell.BASELINE if baseline.reranker == release.reranker else Cell.RELEASE


def _rows(searches: Mapping[Cell, Finds], alone: Cell | None, asked: tuple[str, str]) -> _Rows:
    """The lists of one query, by stage and cell."""
    query_id, query = asked
    lists = {cell: search.search(query, PLACES).hits for cell, search in searches.items()}
    rows = [row for cell, hits in lists.items() for row in _list(query_id, Stage.SEARCH, cell, hits)]
    for side in (Cell.BASELINE, Cell.RELEASE):
        rows += _list(query_id, Stage.ADAPTER, side, searches[side].retrieve(query, PLACES))
    if alone is not None:
        rows += _list(query_id, Stage.RERANKER, Cell.BASELINE, lists[Cell.BASELINE])
        rows += _list(query_id, Stage.RERANKER, Cell.RELEASE, lists[alone])
    return rows


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
    paired, sides = isinstance(baseline, PairModels), [str(Cell.BASELINE), str(Cell.RELEASE)]
    first = _models(baseline) if isinstance(baseline, PairModels) else dict.fromkeys(MODELS, NO_MODEL)
    cells = {
        str(Stage.ADAPTER): sides,
        **({str(Stage.RERANKER): sides} if paired else {}),
        str(Stage.SEARCH): sorted(str(cell) for cell in searches),
    }
    return {
        "dataset_version": golden.name,
        "catalogue": golden.manifest["tables"]["items"],
        "catalogue_items": golden.items.height,
        "depth": dict.fromkeys(cells, PLACES),
        "cells": cells,
        "models": {str(Side.BASELINE): first, str(Side.RELEASE): _models(release)},
    }


def _models(pair: PairModels) -> dict[str, str]:
    return dict(zip(MODELS, (pair.adapter, pair.reranker), strict=True))
