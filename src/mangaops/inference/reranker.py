"""The reranker: how well each text answers a query, read together with it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mangaops.inference.fingerprint import PAIR_PROBES
from mangaops.inference.foreign import translated
from mangaops.inference.preprocessing import PairEncoder, pair_encoder
from mangaops.inference.session import MODEL, Session, session

_PROBED_AT: Final = 0.5
"""The similarity that every probe is asked with."""


class Reranker:
    """Scores every pair alone, so that a score hangs on query, text and similarity; threads may share it.

    An int8 graph scales its activations over the whole batch: together, a text's score would change with
    its company, and on a CPU a batch is no faster (ADR 0085). `threads` of the machine's cores take different
    texts of one query at a time.
    """

    def __init__(self, name: str, reads: PairEncoder, runs: Session, threads: int = 1) -> None:
        self.name = name
        self._reads, self._runs = reads, runs
        self._pool = ThreadPoolExecutor(threads, "rerank") if threads > 1 else None

    def scores(self, query: str, texts: Sequence[str], similarities: Sequence[float]) -> NDArray[np.float32]:
        """A logit a text, in order, of shape (texts,): greater is better; NaN where the model is broken.

        `similarities`: how near each text is to the query by the adapter that drew it.
        """
        read = self._reads.query(query)

        def score(text: str, similarity: float) -> NDArray[np.float32]:
            return self._runs.pair(*self._reads.ids(read, text), similarity)

        found = list((self._pool.map if self._pool is not None else map)(score, texts, similarities))
        return np.asarray(found, dtype=np.float32).reshape(len(texts))

    def probed(self) -> dict[str, NDArray[np.float64]]:
        """The score of each fixed pair, all equally near."""
        return {
            f"{query} | {text}": self.scores(query, [text], [_PROBED_AT]).astype(np.float64)
            for query, text in PAIR_PROBES
        }


def assemble_reranker(folder: Path, name: str, *, threads: int = 1, file: str = MODEL) -> Reranker:
    """A reranker from the files of a folder, unverified: for training and for the loader, never for serving.

    Raises:
        ArtifactTampered: a file is missing or unreadable, or the graph gives anything but one number a pair.
    """
    reads = pair_encoder(folder)
    reranker = Reranker(name, reads, session(folder, 1, file, reads.inputs), threads)
    with translated(folder, "scoring a first pair"):
        reranker.scores("", [""], [_PROBED_AT])
    return reranker
