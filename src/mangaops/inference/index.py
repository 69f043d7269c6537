"""The vector index of a release: exact up to so many items, above that lists whose candidates are rescored.

Both answer with the same scores: inner products of the float32 vectors, summed in float64. What the lists
may do is miss an item that lies in one that was not looked into; how often is `recall`.

A filter makes no search compare more vectors than it would without. Where `probe` of the lists are looked
into, about `items * probe / lists` vectors are compared. If no more than that are allowed, each of them is
compared, which is exact. Else the search looks into `items / allowed` times as many lists, and skips in them
what is not allowed. A query that gets fewer items so than it asked for is answered exactly.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydantic import BaseModel, ConfigDict

from mangaops.errors import UsageError, VectorsMismatch
from mangaops.inference.answer import Progress
from mangaops.inference.foreign import translated
from mangaops.inference.lists import LISTS, Bits, Lists, build_lists, open_lists
from mangaops.inference.manifest import seal, verify
from mangaops.inference.nearest import NONE, Found, Mask, check_queries, nearest, rescored
from mangaops.inference.vectors import Matrix, Vectors, known_format, read_vectors
from mangaops.stack import IndexParameters
from mangaops.vocabulary import Digest

INDEX: Final = "index.json"
FORMAT: Final = 1


class _Sealed(BaseModel):
    """What index.json says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int
    parameters: IndexParameters


class Allowed:
    """Which positions an answer may hold. Make it once for a filter, and ask with it many times."""

    def __init__(self, mask: Mask) -> None:
        """`mask` is of bool, one a position; it is not to be changed afterwards."""
        self.mask = mask
        self.count = int(np.count_nonzero(mask))

    @cached_property
    def bits(self) -> Bits:
        """One bit a position, the lowest first."""
        return np.packbits(self.mask, bitorder="little")


@dataclass(frozen=True, eq=False)
class Index:
    """Vectors that can be searched. Safe to share between threads."""

    vectors: Vectors
    parameters: IndexParameters
    lists: Lists | None = None

    def __len__(self) -> int:
        return len(self.vectors.ids)

    @property
    def ids(self) -> tuple[str, ...]:
        """The id of each position."""
        return self.vectors.ids

    def search(self, queries: Matrix, k: int, allowed: Allowed | None = None) -> Found:
        """The k nearest of each query: positions and scores, ordered by score and then by position.

        `queries` is float32 of shape (n, dimension). A query gets the same answer alone and among others.

        Raises:
            UsageError: the queries are of another shape or not finite, k is under 1, or the filter is one
                of another number of items.
        """
        check_queries(queries, k, self.vectors.dimension)
        if allowed is not None and (allowed.mask.dtype != np.bool_ or allowed.mask.shape != (len(self),)):
            raise UsageError(
                "a filter was refused",
                found=f"{allowed.mask.dtype} of shape {allowed.mask.shape}",
                accepted=f"bool of shape ({len(self)},)",
            )
        if self.lists is None or self._few(self.lists, allowed):
            return nearest(self.vectors.rows, queries, k, None if allowed is None else allowed.mask)
        return self._by_lists(self.lists, queries, k, allowed)

    def exact(self) -> Index:
        """The same vectors without lists: what recall is measured against."""
        return Index(self.vectors, self.parameters)

    def save(self, folder: Path) -> Digest:
        """The index stands in `folder`, which is there and empty, sealed; returns the digest of the seal."""
        self.vectors.write(folder)
        said = _Sealed(format=FORMAT, parameters=self.parameters).model_dump_json(indent=1)
        (folder / INDEX).write_text(said + "\n", encoding="utf-8")
        if self.lists is not None:
            self.lists.write(folder)
        return seal(folder)

    def _few(self, lists: Lists, allowed: Allowed | None) -> bool:
        """Whether no more vectors are allowed than a search without a filter compares."""
        return allowed is not None and allowed.count * len(lists) <= len(self) * self.parameters.probe

    def _by_lists(self, lists: Lists, queries: Matrix, k: int, allowed: Allowed | None) -> Found:
        rows, there = self.vectors.rows, len(self) if allowed is None else allowed.count
        count = min(math.ceil(k * self.parameters.oversample), there)
        probe = math.ceil(self.parameters.probe * len(self) / there)
        bits = None if allowed is None else allowed.bits
        found = rescored(rows, queries, lists.candidates(queries, count, probe, bits), k)
        short = np.flatnonzero(found.positions[:, min(k, there) - 1] == NONE)
        if short.size:
            exact = nearest(rows, queries[short], k, None if allowed is None else allowed.mask)
            found.positions[short], found.scores[short] = exact
        return found


def build(
    vectors: Vectors, parameters: IndexParameters | None = None, progress: Progress | None = None
) -> Index:
    """An index over the vectors: exact where there are at most `exact_up_to`, else with lists.

    Equal vectors and parameters give equal files, with one version of faiss on one kind of processor.

    Raises:
        SetupError: lists are due, and faiss is not installed.
    """
    chosen = parameters or IndexParameters()
    if len(vectors.ids) <= chosen.exact_up_to:
        return Index(vectors, chosen)
    lists = build_lists(vectors.rows, chosen.lists_of(len(vectors.ids)), progress)
    return Index(vectors, chosen, lists)


def open_index(
    folder: Path, *, embedder: Digest, dimension: int | None = None, catalogue: Digest | None = None
) -> Index:
    """The index that is sealed in `folder`, of vectors that this adapter made of this catalogue.

    `dimension` and `catalogue` are left unchecked where they are not given; the adapter never is.

    Raises:
        ArtifactTampered: a file is missing, extra, changed or unreadable.
        VectorsMismatch: the vectors are of another adapter, catalogue or dimension.
        SetupError: a newer mangaops wrote it, or faiss is not installed.
    """
    verify(folder)
    with translated(folder, f"reading {INDEX}"):
        said: Any = json.loads((folder / INDEX).read_bytes())
        known_format(folder, INDEX, said, FORMAT)
        parameters = _Sealed.model_validate(said).parameters
    vectors = read_vectors(folder)
    _same(folder, "another adapter made them", vectors.embedder, embedder)
    _same(folder, "they have another dimension", vectors.dimension, dimension)
    _same(folder, "they are of another catalogue", vectors.catalogue, catalogue)
    if len(vectors.ids) <= parameters.exact_up_to:
        return Index(vectors, parameters)
    lists = open_lists(folder)
    _same(folder, f"{LISTS} is of other vectors", lists.shape, vectors.rows.shape)
    return Index(vectors, parameters, lists)


def _same(folder: Path, why: str, found: object, accepted: object) -> None:
    if accepted is not None and found != accepted:
        raise VectorsMismatch(
            f"the vectors of {folder.name} were refused: {why}",
            found=str(found),
            accepted=str(accepted),
            next_step="embed the catalogue with this adapter and build its index again",
        )
