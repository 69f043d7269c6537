"""The embedder: a text becomes a unit vector; the dot product of two is their cosine."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mangaops.inference.answer import Progress, side_by_side
from mangaops.inference.fingerprint import PROBES
from mangaops.inference.foreign import translated
from mangaops.inference.preprocessing import Encoder, encoder
from mangaops.inference.session import MODEL, Session, session
from mangaops.inference.vectors import UNIT_WITHIN


class Embedder:
    """Embeds every text alone, queries and items alike; may be shared between threads.

    An int8 graph scales its activations over the whole batch, so a vector would depend on what shares it.
    Alone it depends on the text only: an item that is added later has the vector that a full build gives
    it. On a CPU a batch is no faster (ADR 0085).
    """

    def __init__(self, name: str, reads: Encoder, runs: Session) -> None:
        self.name = name
        self._reads, self._runs = reads, runs
        self.width = int(self.vector("").size)

    def vector(self, text: str) -> NDArray[np.float32]:
        """The unit vector of any text at all, of shape (width,); NaN where the model is broken."""
        return self._runs.alone(self._reads.ids(text))

    def vectors(self, texts: Sequence[str], progress: Progress | None = None) -> NDArray[np.float32]:
        """`vector` of each text, in order, of shape (texts, width); the cores take different texts."""
        rows = np.empty((len(texts), self.width), dtype=np.float32)
        if len(texts) == 1:
            rows[0] = self.vector(texts[0])
            return rows
        told = partial(progress, f"{self.name} embeds") if progress else None
        for place, row in enumerate(side_by_side(self.vector, texts, told)):
            rows[place] = row
        return rows

    def probed(self) -> dict[str, NDArray[np.float64]]:
        """The vector of each fixed probe."""
        return {text: self.vector(text).astype(np.float64) for text in PROBES}


def assemble_embedder(folder: Path, name: str, *, threads: int = 1, file: str = MODEL) -> Embedder:
    """An embedder from the files of a folder, unverified: for training and for the loader, never for serving.

    Raises:
        ArtifactTampered: a file is missing or unreadable, or the graph gives no unit vectors.
    """
    reads = encoder(folder)
    runs = session(folder, threads, file, reads.inputs)
    with translated(folder, "embedding a first text"):
        embedder = Embedder(name, reads, runs)
        row = embedder.vector(PROBES[0])
        if row.ndim != 1 or not abs(float(np.linalg.norm(row)) - 1.0) <= UNIT_WITHIN:
            raise ValueError(f"the graph gives rows of shape {row.shape} that are no unit vectors")
    return embedder
