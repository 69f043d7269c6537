"""Embedding a catalogue once, in chunks that are kept under what went into them: a kill costs one chunk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np

from mangaops.errors import VectorsMismatch
from mangaops.inference import Progress
from mangaops.inference.vectors import Matrix, Vectors, check_rows
from mangaops.store import EmbeddedChunks
from mangaops.vocabulary import Digest

TOGETHER: Final = 256
"""Items a chunk: seconds of work on two cores, and a few hundred files for 50,000 items."""

_SCHEMA: Final = "embedded-1"

Embed = Callable[[list[str]], Matrix]
"""Texts to unit vectors, float32 of shape (texts, dimension), in order."""


def embed_catalogue(
    items: Sequence[tuple[str, str]],
    embed: Embed,
    *,
    embedder: Digest,
    catalogue: Digest,
    chunks: EmbeddedChunks,
    together: int = TOGETHER,
    progress: Progress | None = None,
) -> Vectors:
    """The vectors of all items, given as id and text, in order.

    A chunk is found again by the adapter and the texts of its items, whatever their ids. Chunks are cut by
    position: a changed text costs its own, and an item that comes or goes costs all that follow it. `embed`
    is to answer equal lists alike.

    Raises:
        VectorsMismatch: `embed` gave something else than unit vectors, or of another dimension than before.
        IntegrityError: a kept chunk was edited.
        SetupError: the disk is full or read-only.
    """
    ids = [item for item, _ in items]
    rows: Matrix | None = None
    for start, texts in _chunks(items, together):
        ends = start + len(texts)
        part = _embedded(ids[start:ends], texts, embed, embedder, chunks)
        if rows is None:
            rows = np.empty((len(items), part.shape[1]), np.float32)
        check_rows(ids[start:ends], part, rows.shape[1])
        rows[start:ends] = part
        if progress is not None:
            progress("embedding the catalogue", ends, len(items))
    if rows is None:
        raise VectorsMismatch(
            "the catalogue was not embedded: it has no items",
            accepted="at least one item",
            next_step="look at the catalogue's source",
        )
    return Vectors(tuple(ids), rows, embedder, catalogue)


def chunk_key(embedder: Digest, texts: Sequence[str]) -> Digest:
    """Under which the vectors that this adapter makes of these texts are kept."""
    body = json.dumps([_SCHEMA, embedder, list(texts)], ensure_ascii=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(body.encode()).hexdigest()


def _embedded(
    ids: Sequence[str], texts: list[str], embed: Embed, embedder: Digest, chunks: EmbeddedChunks
) -> Matrix:
    key = chunk_key(embedder, texts)
    kept = chunks.get(key)
    if kept is not None:
        return kept
    made = embed(texts)
    check_rows(ids, made)
    chunks.put(key, made)
    return made


def _chunks(items: Sequence[tuple[str, str]], together: int) -> Iterator[tuple[int, list[str]]]:
    for start in range(0, len(items), together):
        yield start, [text for _, text in items[start : start + together]]
