"""Hard negatives: items that look near to a query and are not judged relevant to it."""

from __future__ import annotations

from collections.abc import Container, Sequence

import numpy as np
from numpy.typing import NDArray

from mangaops.inference.nearest import NONE


def pools(
    ranked: Sequence[Sequence[int]], relevant: Sequence[Container[int]], first: int, last: int
) -> NDArray[np.int64]:
    """The items of rank `first` to `last` of each query that are not relevant to it, filled up with NONE.

    `relevant[q]` is anything that says of an item whether it is in it. Of shape (queries, widest pool), at
    least one wide.
    """
    found = [
        [item for item in row[first - 1 : last] if item != NONE and item not in known]
        for row, known in zip(ranked, relevant, strict=True)
    ]
    width = max([1, *map(len, found)])
    return np.asarray([[*row, *[NONE] * (width - len(row))] for row in found], dtype=np.int64)


def draw(
    pool: NDArray[np.int64], rows: NDArray[np.int64], each: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """`each` items from the pool of each of `rows`, of shape (rows, each); NONE where a pool is empty.

    Items are drawn without putting back while a pool lasts, then again.
    """
    drawn = np.full((len(rows), each), NONE, dtype=np.int64)
    for place, row in enumerate(rows):
        there = pool[row][pool[row] != NONE]
        if there.size:
            turns = -(-each // there.size)
            drawn[place] = np.concatenate([rng.permutation(there) for _ in range(turns)])[:each]
    return drawn
