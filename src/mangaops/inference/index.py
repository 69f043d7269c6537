"""The vector index of a release: exact up to so many items, above that a graph whose candidates are rescored.

Both answer with the same scores: inner products of the float32 vectors, summed in float64. What the graph
may do is miss an item; how often is `recall`.

With a filter the index takes the way that compares fewer vectors. The exact one compares each that is
allowed. The graph walks over what is not allowed, so to meet as many that are it has to walk longer by
`items / allowed`, and compares about `connectivity` vectors a step. So the exact way is taken where
`allowed <= connectivity * expansion_search * items / allowed`, and wherever at most `exact_up_to` items
are there at all. A query for which the graph proposes fewer items than are asked for is answered exactly.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from mangaops.errors import UsageError, VectorsMismatch
from mangaops.inference.answer import Progress
from mangaops.inference.foreign import translated
from mangaops.inference.graph import GRAPH, Bits, Graph, build_graph, open_graph
from mangaops.inference.manifest import seal, verify
from mangaops.inference.nearest import NONE, Found, Mask, check_queries, nearest, rescored
from mangaops.inference.vectors import Matrix, Vectors, known_format, read_vectors
from mangaops.vocabulary import Digest

INDEX: Final = "index.json"
FORMAT: Final = 1


class IndexParameters(BaseModel):
    """How an index is built and searched; sealed as index.json. The defaults are for a million items.

    `connectivity`: to how many others the graph joins an item. `expansion_build` and `expansion_search`: how
    many of the nearest a walk keeps. `oversample`: so many times k candidates are rescored.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    exact_up_to: int = Field(default=50_000, ge=1)
    connectivity: int = Field(default=24, ge=4, le=128)
    expansion_build: int = Field(default=200, ge=16, le=4096)
    expansion_search: int = Field(default=300, ge=16, le=65_536)
    oversample: float = Field(default=2.0, ge=1, le=16, allow_inf_nan=False)


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
    graph: Graph | None = None

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
        if self.graph is None or self._few(allowed):
            return nearest(self.vectors.rows, queries, k, None if allowed is None else allowed.mask)
        return self._by_graph(self.graph, queries, k, allowed)

    def exact(self) -> Index:
        """The same vectors without a graph: what recall is measured against."""
        return Index(self.vectors, self.parameters)

    def save(self, folder: Path) -> Digest:
        """The index stands in `folder`, which is there and empty, sealed; returns the digest of the seal."""
        self.vectors.write(folder)
        said = _Sealed(format=FORMAT, parameters=self.parameters).model_dump_json(indent=1)
        (folder / INDEX).write_text(said + "\n", encoding="utf-8")
        if self.graph is not None:
            self.graph.write(folder)
        return seal(folder)

    def _few(self, allowed: Allowed | None) -> bool:
        """Whether comparing every allowed vector is less than what a walk would compare."""
        if allowed is None:
            return False
        step = self.parameters.connectivity * self.parameters.expansion_search
        return allowed.count**2 <= step * len(self)

    def _by_graph(self, graph: Graph, queries: Matrix, k: int, allowed: Allowed | None) -> Found:
        rows, there = self.vectors.rows, len(self) if allowed is None else allowed.count
        count = min(int(np.ceil(k * self.parameters.oversample)), there)
        walk = int(self.parameters.expansion_search * len(self) / there)
        bits = None if allowed is None else allowed.bits
        found = rescored(rows, queries, graph.candidates(queries, count, walk, bits), k)
        short = np.flatnonzero(found.positions[:, min(k, there) - 1] == NONE)
        if short.size:
            exact = nearest(rows, queries[short], k, None if allowed is None else allowed.mask)
            found.positions[short], found.scores[short] = exact
        return found


def build(
    vectors: Vectors, parameters: IndexParameters | None = None, progress: Progress | None = None
) -> Index:
    """An index over the vectors: exact where there are at most `exact_up_to`, else with a graph.

    Equal vectors and parameters give equal files, with one version of faiss on one kind of processor.

    Raises:
        SetupError: a graph is due, and faiss is not installed.
    """
    chosen = parameters or IndexParameters()
    if len(vectors.ids) <= chosen.exact_up_to:
        return Index(vectors, chosen)
    graph = build_graph(vectors.rows, chosen.connectivity, chosen.expansion_build, progress)
    return Index(vectors, chosen, graph)


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
    graph = open_graph(folder)
    _same(folder, f"{GRAPH} is of other vectors", graph.shape, vectors.rows.shape)
    return Index(vectors, parameters, graph)


def _same(folder: Path, why: str, found: object, accepted: object) -> None:
    if accepted is not None and found != accepted:
        raise VectorsMismatch(
            f"the vectors of {folder.name} were refused: {why}",
            found=str(found),
            accepted=str(accepted),
            next_step="embed the catalogue with this adapter and build its index again",
        )
