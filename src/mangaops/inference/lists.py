"""The one place that knows faiss: vectors of 8 bits a number in lists by nearness, which propose candidates.

A search looks only into the lists whose centres are nearest to the query. Lists are made on one thread and
from a fixed seed, so that equal vectors give equal bytes: a sealed index has a digest that another machine of
the same kind can make again. They are mapped and not read, like the vectors. Any number of threads may search
at a time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mangaops.inference.answer import Progress
from mangaops.inference.foreign import imported, translated
from mangaops.inference.nearest import Positions
from mangaops.inference.vectors import Matrix

LISTS: Final = "lists.faiss"

_SAMPLE, _ROUNDS, _SEED = 64, 10, 1
"""Of k-means: at most so many vectors a centre, so many rounds, from this seed."""
_PART: Final = 50_000

Bits = NDArray[np.uint8]


class Lists:
    """Candidates for the neighbours of a query."""

    def __init__(self, index: Any) -> None:
        self._index = index

    @property
    def shape(self) -> tuple[int, int]:
        """Vectors, and numbers a vector."""
        return int(self._index.ntotal), int(self._index.d)

    def __len__(self) -> int:
        return int(self._index.nlist)

    def candidates(self, queries: Matrix, count: int, probe: int, bits: Bits | None = None) -> Positions:
        """Up to `count` positions a query from its `probe` nearest lists, shape (queries, count).

        -1 fills up. With `bits`, one a position and the lowest first, only those of set bits are proposed.
        """
        faiss = _faiss()
        asked = faiss.SearchParametersIVF(nprobe=min(probe, len(self)))
        if bits is not None:
            asked.sel = faiss.IDSelectorBitmap(self._index.ntotal, faiss.swig_ptr(bits))
        found: Positions = self._index.search(np.ascontiguousarray(queries), count, params=asked)[1]
        return found

    def write(self, folder: Path) -> None:
        """lists.faiss stands in `folder`."""
        _faiss().write_index(self._index, str(folder / LISTS))


def build_lists(rows: Matrix, lists: int, progress: Progress | None = None) -> Lists:
    """All rows, each in the list of the nearest of so many centres.

    Raises:
        SetupError: faiss is not installed.
    """
    faiss, dimension = _faiss(), int(rows.shape[1])
    kind, measure = faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
    centres = faiss.IndexFlatIP(dimension)
    index = faiss.IndexIVFScalarQuantizer(centres, dimension, lists, kind, measure, False)
    index.cp.niter, index.cp.seed, index.cp.spherical = _ROUNDS, _SEED, True
    index.cp.min_points_per_centroid, index.cp.max_points_per_centroid = 1, _SAMPLE
    _tell(progress, 0, len(rows))
    index.train(np.ascontiguousarray(rows))
    for start in range(0, len(rows), _PART):
        index.add(np.ascontiguousarray(rows[start : start + _PART]))
        _tell(progress, min(start + _PART, len(rows)), len(rows))
    return Lists(index)


def open_lists(folder: Path) -> Lists:
    """The lists that are sealed in `folder`.

    Raises:
        ArtifactTampered: lists.faiss is missing or is none.
        SetupError: faiss is not installed.
    """
    with translated(folder, f"opening {LISTS}"):
        faiss = _faiss()
        index = faiss.read_index(str(folder / LISTS), faiss.IO_FLAG_MMAP_IFC)
        if not isinstance(index, faiss.IndexIVFScalarQuantizer):
            raise TypeError(f"an index of kind {type(index).__name__}")
        return Lists(index)


def _tell(progress: Progress | None, done: int, total: int) -> None:
    if progress is not None:
        progress("building the index", done, total)


def _faiss() -> Any:
    """The library, which computes on one thread whatever the calling thread asks of it from now on.

    Imported by name: its type stubs do not know the kinds of a quantiser.
    """
    library = imported("faiss", "an index of so many items")
    library.omp_set_num_threads(1)
    return library
