"""The cluster bootstrap: groups are drawn with replacement, and every statistic is a function of sums."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mangaops.stats.grouping import Floats, collapse

_CELLS = 4_000_000
_DRAW_PER_DISTINCT = 8


def resampled_sums(sums: Floats, *, rng: np.random.Generator, resamples: int) -> Floats:
    """Column totals of `resamples` samples of as many groups, drawn with replacement.

    `sums` has one row a group. Groups with equal rows are interchangeable, so where distinct rows are few,
    their multinomial counts are drawn at once; else groups are drawn one by one. Both are the same exact
    distribution, and which is used depends on the data only. Shape (resamples, columns); memory stays
    under about 100 MB beside the input, whatever the sizes.

    Raises:
        Undefined: no groups.

    Source: Efron (1979), Annals of Statistics 7:1; Field and Welsh (2007), JRSS B 69:369 (clusters).
    """
    distinct, counts = collapse(sums)
    if distinct.shape[0] * _DRAW_PER_DISTINCT <= sums.shape[0]:
        return _by_distinct_row(distinct, counts, rng, resamples)
    return _by_group(np.repeat(distinct, counts, axis=0), rng, resamples)


def _by_distinct_row(
    distinct: Floats, counts: NDArray[np.int64], rng: np.random.Generator, resamples: int
) -> Floats:
    groups = int(counts.sum())
    totals = np.empty((resamples, distinct.shape[1]))
    chunk = max(1, _CELLS // distinct.shape[0])
    for start in range(0, resamples, chunk):
        size = min(chunk, resamples - start)
        drawn = rng.multinomial(groups, counts / groups, size=size)
        totals[start : start + size] = drawn.astype(np.float64) @ distinct
    return totals


def _by_group(rows: Floats, rng: np.random.Generator, resamples: int) -> Floats:
    groups = rows.shape[0]
    columns = np.ascontiguousarray(rows.T)  # a product with contiguous columns is six times faster
    totals = np.empty((resamples, rows.shape[1]))
    for index in range(resamples):
        drawn = rng.integers(0, groups, size=groups)  # int64: bincount would copy anything else
        totals[index] = columns @ np.bincount(drawn, minlength=groups).astype(np.float64)
    return totals
