"""How many of the true neighbours an index finds."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mangaops.inference.index import Index
from mangaops.inference.nearest import Found
from mangaops.inference.vectors import Matrix


class Searchable(Protocol):
    """Anything that answers queries with scored positions."""

    def search(self, queries: Matrix, k: int) -> Found:
        """The k nearest of each query."""


def recall(index: Searchable, exact: Searchable, queries: Matrix, k: int) -> NDArray[np.float64]:
    """For each query the share of the k nearest that the index finds, shape (queries,).

    An item counts where its score reaches that of the k-th nearest: of equal ones any will do. Where there
    are fewer than k items the share is one of these. Both have to score alike, as all that an `Index` gives.
    """
    return recall_of(index.search(queries, k), exact.search(queries, k))


def recall_of(found: Found, truth: Found) -> NDArray[np.float64]:
    """For each query the share of the true neighbours that was found; 1 where there are none."""
    there = np.isfinite(truth.scores).sum(axis=1)
    least = np.where(np.isfinite(truth.scores), truth.scores, np.inf).min(axis=1, initial=np.inf)
    reached = (found.scores >= least[:, None]).sum(axis=1)
    shares: NDArray[np.float64] = np.where(there == 0, 1.0, reached / np.maximum(there, 1))
    return shares


def sampled_recall(
    index: Index, queries: Matrix, k: int, *, rng: np.random.Generator, sample: int = 1000
) -> NDArray[np.float64]:
    """The recall of so many of the queries, drawn without replacement, against exact search of the index."""
    drawn = rng.choice(len(queries), min(sample, len(queries)), replace=False)
    return recall(index, index.exact(), queries[np.sort(drawn)], k)
