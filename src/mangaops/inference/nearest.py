"""Exact search: the rows of largest inner product with a query, whatever the matrix library rounds.

Inner products of many rows are computed in float32, in whatever order BLAS likes: equal rows may differ in
the last digit, and a query may score otherwise alone than among others. So these only choose: every row
that may belong to the first k within the error of float32 is scored again in float64, row by row, and those
scores order the answer. Equal scores are ordered by position.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mangaops.errors import UsageError
from mangaops.inference.vectors import Matrix

NONE: Final = -1
"""The position that fills a row of an answer where there are fewer than k items."""

Positions = NDArray[np.int64]
Mask = NDArray[np.bool_]

_ROWS: Final = 32_768
_COPIED: Final = 4096
_QUERIES: Final = 128
_ROUNDING: Final = 2.0**-23


class Found(NamedTuple):
    """Both of shape (queries, k), best first; `NONE` and minus infinity where there are fewer items."""

    positions: Positions
    scores: Matrix


def nearest(rows: Matrix, queries: Matrix, k: int, mask: Mask | None = None) -> Found:
    """The k rows of largest inner product with each query, among those that the mask allows."""
    found = nothing(len(queries), k)
    for start in range(0, len(queries), _QUERIES):
        part = slice(start, start + _QUERIES)
        for at, candidates in enumerate(_candidates(rows, queries[part], k, mask)):
            _score(rows, queries[start + at], candidates, k, found, start + at)
    return found


def rescored(rows: Matrix, queries: Matrix, candidates: Positions, k: int) -> Found:
    """The k best of each query's candidates, a row of positions; `NONE` is no candidate."""
    found = nothing(len(queries), k)
    for at, row in enumerate(candidates):
        _score(rows, queries[at], row[row != NONE], k, found, at)
    return found


def merged(first: Found, second: Found, k: int) -> Found:
    """The k best of two answers to the same queries."""
    positions = np.concatenate([first.positions, second.positions], axis=1)
    scores = np.concatenate([first.scores, second.scores], axis=1)
    order = np.lexsort((positions, -scores), axis=1)[:, :k]
    return Found(np.take_along_axis(positions, order, axis=1), np.take_along_axis(scores, order, axis=1))


def nothing(queries: int, k: int) -> Found:
    """An answer without any item."""
    return Found(np.full((queries, k), NONE, np.int64), np.full((queries, k), -np.inf, np.float32))


def check_queries(queries: Matrix, k: int, dimension: int) -> None:
    """Nothing, where the queries are finite float32 of shape (n, dimension) and k is at least 1.

    Raises:
        UsageError: they are not.
    """
    shape = queries.shape
    if queries.dtype != np.float32 or len(shape) != 2 or shape[1] != dimension or k < 1:
        raise UsageError(
            "a search was refused",
            found=f"queries of {queries.dtype} and shape {shape}, k {k}",
            accepted=f"float32 of shape (n, {dimension}), k of at least 1",
            next_step="ask with what the index's own adapter made of the texts",
        )
    if not np.isfinite(queries).all():
        raise UsageError("a search was refused", found="a query that is not finite", accepted="numbers")


def _score(rows: Matrix, query: Matrix, candidates: Positions, k: int, into: Found, at: int) -> None:
    """Row `at` of the answer holds the k best candidates by their score in float64, rounded to float32."""
    exact = (rows[candidates].astype(np.float64) * query.astype(np.float64)).sum(axis=1)
    scores = exact.astype(np.float32)
    order = np.lexsort((candidates, -scores))[:k]
    into.positions[at, : order.size] = candidates[order]
    into.scores[at, : order.size] = scores[order]


def _candidates(rows: Matrix, queries: Matrix, k: int, mask: Mask | None) -> Iterator[Positions]:
    """For each query every position that may be among the k best, and few others."""
    slack = _ROUNDING * rows.shape[1] * np.linalg.norm(queries, axis=1) * 2
    kept: list[list[tuple[Positions, Matrix]]] = [[] for _ in queries]
    for positions, block, hidden in _blocks(rows, mask):
        products = queries @ block.T
        if hidden is not None:
            products[:, hidden] = -np.inf
        for at, row in enumerate(products):
            chosen = np.flatnonzero((row >= _kth(row, k) - slack[at]) & (row > -np.inf))
            kept[at].append((positions[chosen], row[chosen]))
    for at, parts in enumerate(kept):
        if not parts:
            yield np.empty(0, np.int64)
            continue
        positions = np.concatenate([part for part, _ in parts])
        scores = np.concatenate([part for _, part in parts])
        yield positions[scores >= _kth(scores, k) - slack[at]] if scores.size else positions


def _kth(scores: Matrix, k: int) -> float:
    """The k-th largest, or the least where there are fewer."""
    if k >= scores.size:
        return float(scores.min())
    return float(np.partition(scores, scores.size - k)[scores.size - k])


def _blocks(rows: Matrix, mask: Mask | None) -> Iterator[tuple[Positions, Matrix, Mask | None]]:
    """Positions and rows, some thousands at a time, and which of these are not allowed; no block is empty.

    Where more than a fifth of the rows is allowed, all are compared: to copy those that are costs more.
    """
    if mask is None or 5 * np.count_nonzero(mask) > len(rows):
        for start in range(0, len(rows), _ROWS):
            part = slice(start, min(start + _ROWS, len(rows)))
            yield np.arange(part.start, part.stop), rows[part], None if mask is None else ~mask[part]
        return
    allowed = np.flatnonzero(mask)
    for start in range(0, len(allowed), _COPIED):
        positions = allowed[start : start + _COPIED]
        yield positions, rows[positions], None
