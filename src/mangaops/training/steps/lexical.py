"""The plain baseline of a unit that retrieves, while it has no champion: BM25 over the texts of items."""

from __future__ import annotations

import time

import numpy as np
import polars as pl

from mangaops.datasets.text import tokens
from mangaops.errors import TrainingError
from mangaops.inference.retrieval import Listed
from mangaops.inference.search import Filter, Hit, Searched
from mangaops.training.foreign import translated
from mangaops.vocabulary import Step

K1, B = 1.5, 0.75


class Lexical:
    """A search in memory: measured beside a first release, never sealed and never served.

    Source: Robertson and Zaragoza (2009), "The Probabilistic Relevance Framework: BM25 and Beyond", equation
    3.15, with the inverse document frequency of Lucene; k1 = 1.5, b = 0.75.
    """

    name = "baseline (BM25)"

    def __init__(self, ids: tuple[str, ...], scores: object) -> None:
        self._ids, self._scores = ids, scores

    def retrieve(self, query: str, k: int, keep: Filter | None = None) -> tuple[Hit, ...]:
        """The k items with the highest scores over 0; equal scores in the order of the catalogue."""
        words = tokens(query)
        if not words:
            return ()
        found: np.ndarray[tuple[int], np.dtype[np.float32]] = self._scores.get_scores(words)  # type: ignore[attr-defined]
        order = np.argsort(-found, kind="stable")
        best = [
            at for at in order[: np.count_nonzero(found > 0)].tolist() if keep is None or keep(self._ids[at])
        ]
        return tuple(Hit(self._ids[at], float(found[at]), rank) for rank, at in enumerate(best[:k], 1))

    def search(self, query: str, k: int = 10, keep: Filter | None = None) -> Searched:
        """The same as a search, which has no other step: nothing is encoded, and nothing reranked."""
        begun = time.perf_counter()
        hits = self.retrieve(query, k, keep)
        spent = (time.perf_counter() - begun) * 1000
        return Searched(hits, 0, {str(Step.RETRIEVE): spent})

    def answer(self, text: str) -> Listed:
        """The list for one query, in the form of a release's."""
        found = self.search(text)
        items, scores = (tuple(getattr(hit, name) for hit in found.hits) for name in ("item_id", "score"))
        return Listed(items, scores, found.generation, found.milliseconds)


def lexical(items: pl.DataFrame) -> Lexical:
    """BM25 over the columns `item_id` and `text`; the same rows give the same answers.

    Raises:
        TrainingError: no item, or none with a word.
        SetupError: bm25s is not installed.
    """
    with translated("indexing the baseline"):
        import bm25s

        words = [tokens(text) for text in items.get_column("text")]
        if not any(words):
            raise TrainingError(
                "the baseline was refused before it began",
                found=f"{items.height} items without a word",
                accepted="items with a title or a synopsis",
                next_step="see `mangaops data show`",
            )
        scores = bm25s.BM25(method="lucene", k1=K1, b=B)
        scores.index(words, show_progress=False)
    return Lexical(tuple(items.get_column("item_id")), scores)
