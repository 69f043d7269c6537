"""The lexical engine of the simulated shop, which decided what its search logs show. All of it simulated."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

K1: Final = 1.2
B: Final = 0.75

_TOKEN: Final = re.compile(r"\w+")


def tokens(text: str) -> list[str]:
    """The words of a text in lower case; a run of Japanese script is one word."""
    return _TOKEN.findall(text.lower())


class Lexical:
    """BM25 over the texts of a shop, without stemming, synonyms or a list of stop words.

    Source: Robertson and Zaragoza (2009), "The Probabilistic Relevance Framework: BM25 and Beyond", with
    log(1 + (N - n + 0.5) / (n + 0.5)) for the weight of a word that n of N texts have.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._size = len(texts)
        counts = [Counter(tokens(text)) for text in texts]
        lengths = np.array([count.total() for count in counts], float)
        norms = K1 * (1.0 - B + B * lengths / lengths.mean())
        places: dict[str, list[tuple[int, int]]] = {}
        for at, count in enumerate(counts):
            for word, often in count.items():
                places.setdefault(word, []).append((at, often))
        self._postings = {word: _posting(found, norms) for word, found in places.items()}

    def scores(self, query: str) -> NDArray[np.float64]:
        """The score of each text, 0 where no word is shared; rounded, so that machines agree on ties."""
        scores = np.zeros(self._size)
        for word in tokens(query):
            if word in self._postings:
                where, weights = self._postings[word]
                scores[where] += weights
        return np.round(scores, 6)

    def best(self, query: str, count: int) -> NDArray[np.int64]:
        """The places of the best `count` texts, best first; ties in the order of the texts."""
        return np.argsort(-self.scores(query), kind="stable")[:count]


def _posting(
    found: list[tuple[int, int]], norms: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    where = np.array([at for at, _ in found])
    often = np.array([count for _, count in found], float)
    rarity = np.log1p((len(norms) - len(found) + 0.5) / (len(found) + 0.5))
    return where, rarity * often * (K1 + 1.0) / (often + norms[where])
