"""The reranker: how well each text answers a query, read together with it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mangaops.inference.fingerprint import PAIR_PROBES
from mangaops.inference.foreign import translated
from mangaops.inference.preprocessing import PairEncoder, pair_encoder
from mangaops.inference.session import MODEL, Session, session


class Reranker:
    """Scores every pair alone, so that a score hangs on query and text only; may be shared between threads.

    An int8 graph scales its activations over the whole batch: together, a text's score would change with
    its company, and on a CPU a batch is no faster (ADR 0085). Who has many queries asks them side by side.
    """

    def __init__(self, name: str, reads: PairEncoder, runs: Session) -> None:
        self.name = name
        self._reads, self._runs = reads, runs

    def scores(self, query: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """A logit a text, in order, of shape (texts,): greater is better; NaN where the model is broken."""
        read = self._reads.query(query)
        found = [self._runs.alone(*self._reads.ids(read, text)) for text in texts]
        return np.asarray(found, dtype=np.float32).reshape(len(texts))

    def probed(self) -> dict[str, NDArray[np.float64]]:
        """The score of each fixed pair."""
        return {
            f"{query} | {text}": self.scores(query, [text]).astype(np.float64) for query, text in PAIR_PROBES
        }


def assemble_reranker(folder: Path, name: str, *, threads: int = 1, file: str = MODEL) -> Reranker:
    """A reranker from the files of a folder, unverified: for training and for the loader, never for serving.

    Raises:
        ArtifactTampered: a file is missing or unreadable, or the graph gives anything but one number a pair.
    """
    reads = pair_encoder(folder)
    reranker = Reranker(name, reads, session(folder, threads, file, reads.inputs))
    with translated(folder, "scoring a first pair"):
        reranker.scores("", [""])
    return reranker
