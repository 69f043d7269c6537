"""The one place that knows faiss: a graph over vectors of 8 bits a number, which proposes candidates.

A graph is built on one thread and in parts of a fixed size, so that equal vectors give equal bytes: a sealed
index has a digest that another machine of the same kind can make again. It is mapped and not read, like the
vectors. Any number of threads may search it at a time.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mangaops.inference.answer import Progress
from mangaops.inference.foreign import translated
from mangaops.inference.nearest import Positions
from mangaops.inference.vectors import Matrix

GRAPH: Final = "graph.faiss"
_PART: Final = 10_000
"""Never change it: the graph of the same vectors would be another one."""

Bits = NDArray[np.uint8]


class Graph:
    """Candidates for the neighbours of a query."""

    def __init__(self, index: Any) -> None:
        self._index = index

    @property
    def shape(self) -> tuple[int, int]:
        """Vectors, and numbers a vector."""
        return int(self._index.ntotal), int(self._index.d)

    def candidates(self, queries: Matrix, count: int, walk: int, bits: Bits | None = None) -> Positions:
        """Up to `count` positions a query, shape (queries, count), filled up with -1.

        `walk` is how many of the nearest that it has met the walk keeps. With `bits`, one a position and the
        lowest first, only positions whose bit is set are proposed; the others are walked over.
        """
        faiss = _faiss()
        asked = faiss.SearchParametersHNSW()
        asked.efSearch = max(walk, count)
        if bits is not None:
            asked.sel = faiss.IDSelectorBitmap(self._index.ntotal, faiss.swig_ptr(bits))
        found: Positions = self._index.search(np.ascontiguousarray(queries), count, params=asked)[1]
        return found

    def write(self, folder: Path) -> None:
        """graph.faiss stands in `folder`."""
        _faiss().write_index(self._index, str(folder / GRAPH))


def build_graph(rows: Matrix, connectivity: int, walk: int, progress: Progress | None = None) -> Graph:
    """A graph over all rows, each joined to `connectivity` others (twice as many in its lowest layer).

    Raises:
        SetupError: faiss is not installed.
    """
    with translated(Path("index"), "building the graph of an index"):
        faiss = _faiss()
        kind, measure = faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
        index = faiss.IndexHNSWSQ(int(rows.shape[1]), kind, connectivity, measure)
        index.hnsw.efConstruction = walk
        index.train(np.ascontiguousarray(rows))
        for start in range(0, len(rows), _PART):
            index.add(np.ascontiguousarray(rows[start : start + _PART]))
            if progress is not None:
                progress("building the index", min(start + _PART, len(rows)), len(rows))
        return Graph(index)


def open_graph(folder: Path) -> Graph:
    """The graph that is sealed in `folder`.

    Raises:
        ArtifactTampered: graph.faiss is missing or is no graph.
        SetupError: faiss is not installed.
    """
    with translated(folder, f"opening {GRAPH}"):
        faiss = _faiss()
        index = faiss.read_index(str(folder / GRAPH), faiss.IO_FLAG_MMAP_IFC)
        if not isinstance(index, faiss.IndexHNSWSQ):
            raise TypeError(f"an index of kind {type(index).__name__}")
        return Graph(index)


def _faiss() -> Any:
    """The library, which computes on one thread whatever the calling thread asks of it from now on.

    Imported by name: its type stubs know neither the parameters of a search nor the kinds of a quantiser.
    """
    library = importlib.import_module("faiss")
    library.omp_set_num_threads(1)
    return library
