"""Candidates: what an adapter draws for each query, which a reranker learns on and is judged by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import polars as pl

from mangaops.inference.nearest import NONE, check_queries, nearest
from mangaops.inference.vectors import Matrix, Vectors

if TYPE_CHECKING:
    from mangaops.training.request import Progress


class Embeds(Protocol):
    """Texts to unit vectors, with progress."""

    def vectors(self, texts: Sequence[str], progress: Progress | None = None) -> Matrix:
        """float32 of shape (texts, dimension)."""


def draw_candidates(
    items: Vectors, embedder: Embeds, asked: pl.DataFrame, depth: int, progress: Progress | None = None
) -> pl.DataFrame:
    """The `depth` nearest items of each query: `query_id, item_id, rank, similarity`, rank 1 the nearest.

    `asked` has `query_id, query`, a row a query; `items` are vectors of the same embedder. Similarities are
    those that a search meets, and so are ranks but for what an index with lists misses: what is drawn hangs
    on the adapter alone.

    Raises:
        UsageError: the embedder gives vectors of another dimension, or such as are not finite.
    """
    queries = embedder.vectors(asked.get_column("query").to_list(), progress)
    check_queries(queries, depth, items.dimension)
    found = nearest(items.rows, queries, depth)
    rows = [
        (query, items.ids[at], rank, score)
        for query, places, scores in zip(
            asked.get_column("query_id"), found.positions.tolist(), found.scores.tolist(), strict=True
        )
        for rank, (at, score) in enumerate(zip(places, scores, strict=True), 1)
        if at != NONE
    ]
    schema = {"query_id": pl.String, "item_id": pl.String, "rank": pl.Int64, "similarity": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")
