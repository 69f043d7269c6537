"""End-to-end search: encode the query, retrieve the nearest items, rerank them; offline as online."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from mangaops.errors import IntegrityError, UsageError
from mangaops.vocabulary import Step

STEPS: Final = tuple(Step)
"""What a search does, in this order; `Searched.milliseconds` has each that it has."""

Floats = NDArray[np.float32]
Filter = Callable[[str], bool]


class Encodes(Protocol):
    """Texts to unit vectors."""

    def vectors(self, texts: Sequence[str]) -> Floats:
        """float32 of shape (texts, dimension)."""


class Reranks(Protocol):
    """How well items fit a query."""

    def scores(self, query: str, texts: Sequence[str], similarities: Sequence[float]) -> Floats:
        """One number an item, higher where it fits better; of no scale that two queries share.

        `similarities` are those of retrieval, an item each: a reranker may start from them.
        """


class Shelf(Protocol):
    """A catalogue as it is at one moment, which no change of it alters."""

    @property
    def generation(self) -> int:
        """The number of the last change that is in it; 0 where there was none."""

    def nearest(self, vector: Floats, k: int, keep: Filter | None) -> list[tuple[str, float]]:
        """At most k ids that `keep` lets through with their similarities, the nearest first."""

    def text(self, item_id: str) -> str:
        """What models read of the item."""


@dataclass(frozen=True)
class Hit:
    """One found item: the score of the reranker, or the similarity without one; and its rank in retrieval."""

    item_id: str
    score: float
    retrieved: int


@dataclass(frozen=True)
class Searched:
    """The answer to one query: at most k hits, best first, and what each step took."""

    hits: tuple[Hit, ...]
    generation: int
    milliseconds: Mapping[str, float]


class Search:
    """One pair with its index. Holds no state between queries and may be shared between threads."""

    def __init__(
        self,
        name: str,
        encodes: Encodes,
        shelf: Callable[[], Shelf],
        reranks: Reranks | None,
        *,
        depth: int,
    ) -> None:
        """`shelf` gives the catalogue as it is now; `depth` retrieved items are reranked.

        Raises:
            UsageError: a depth under 1.
        """
        if depth < 1:
            raise UsageError(
                f"a depth of {depth} was refused", accepted="1 or more", next_step="mend stack.yaml"
            )
        self.name, self.depth = name, depth
        self._encodes, self._shelf, self._reranks = encodes, shelf, reranks

    def retrieve(self, query: str, k: int, keep: Filter | None = None) -> tuple[Hit, ...]:
        """What the adapter and the index find, without the reranker."""
        near = self._shelf().nearest(self._encodes.vectors([query])[0], _asked(k), keep)
        return tuple(Hit(item_id, score, rank) for rank, (item_id, score) in enumerate(near, 1))

    def search(self, query: str, k: int = 10, keep: Filter | None = None) -> Searched:
        """The k best of the `depth` nearest items. Where k is larger than `depth`, so many are reranked.

        Equal scores keep the order of retrieval. An empty catalogue, or a filter that lets nothing through,
        gives no hit.

        Raises:
            UsageError: k is under 1.
            IntegrityError: the reranker gave no number for an item.
        """
        begun = time.perf_counter()
        vector = self._encodes.vectors([query])[0]
        encoded = time.perf_counter()
        shelf = self._shelf()
        near = shelf.nearest(vector, max(self.depth, _asked(k)), keep)
        retrieved = time.perf_counter()
        hits = self._reranked(query, shelf, near)[:k]
        ended = time.perf_counter()
        moments = (begun, encoded, retrieved, ended)
        spent = {str(name): (b - a) * 1000 for name, (a, b) in zip(STEPS, pairwise(moments), strict=True)}
        return Searched(hits, shelf.generation, spent)

    def _reranked(self, query: str, shelf: Shelf, near: Sequence[tuple[str, float]]) -> tuple[Hit, ...]:
        if self._reranks is None or not near:
            return tuple(Hit(item_id, score, rank) for rank, (item_id, score) in enumerate(near, 1))
        texts = [shelf.text(item_id) for item_id, _ in near]
        scores = self._reranks.scores(query, texts, [similarity for _, similarity in near])
        if scores.shape != (len(near),) or not np.isfinite(scores).all():
            raise IntegrityError(
                f"{self.name} was refused: its reranker gave no score for an item",
                found=f"{scores.shape} scores, {int((~np.isfinite(scores)).sum())} of them no number",
                accepted=f"{len(near)} finite numbers",
                next_step="roll back to a release that answers, or train again",
            )
        order = np.argsort(-scores, kind="stable")
        return tuple(Hit(near[at][0], float(scores[at]), int(at) + 1) for at in order)


def _asked(k: int) -> int:
    if k < 1:
        raise UsageError(
            "a search was refused", found=f"k = {k}", accepted="1 or more", next_step="ask for more items"
        )
    return k
