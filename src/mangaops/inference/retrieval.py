"""A retrieval release, loaded: adapter, reranker and index of one release, and the catalogue as it is now."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import yaml

from mangaops.errors import ArtifactTampered, FingerprintMismatch, InputError, Untracked
from mangaops.inference.assembling import CONFIG
from mangaops.inference.bodies import SHOWN
from mangaops.inference.catalogue import Catalogue, ItemDelta, read_catalogue, reading
from mangaops.inference.embedder import Embedder
from mangaops.inference.filters import Filters
from mangaops.inference.foreign import translated
from mangaops.inference.index import Index, open_index
from mangaops.inference.live_index import Delta, LiveIndex
from mangaops.inference.load import load_embedder, load_reranker
from mangaops.inference.manifest import verify
from mangaops.inference.reranker import Reranker
from mangaops.inference.search import Search
from mangaops.inference.shelf import IndexShelf
from mangaops.vocabulary import Digest, Family, Part

if TYPE_CHECKING:
    from mangaops.registry.permit import Permit

NO_FILTERS: Final = Filters()
"""Every item passes."""


@dataclass(frozen=True)
class Query:
    """What is asked of a search: at most `k` items for a text, of those that the filters let through."""

    text: str
    k: int = SHOWN
    filters: Filters = NO_FILTERS

    @classmethod
    def of(cls, text: str, options: Mapping[str, Any]) -> Query:
        """The query for a text, with the options of a request's body as JSON values."""
        return cls(text, options.get("k", SHOWN), Filters.model_validate(options.get("filters", {})))

    def __len__(self) -> int:
        """Of the text, in characters."""
        return len(self.text)


@dataclass(frozen=True)
class Listed:
    """The answer to one query: ids with their scores, best first, and the catalogue that they are from.

    `hash` is that of the catalogue's log up to `generation`, None where nobody knows it.
    `milliseconds` has what each step took: encode, retrieve, rerank; `titles` those of the items.
    """

    items: tuple[str, ...]
    scores: tuple[float, ...]
    generation: int
    milliseconds: Mapping[str, float]
    titles: tuple[str, ...] = ()
    hash: Digest | None = None

    def as_dict(self) -> dict[str, Any]:
        """The answer as JSON values, as logs keep it."""
        return {
            "items": list(self.items),
            "scores": [round(score, 6) for score in self.scores],
            "catalogue_generation": self.generation,
            **({"catalogue_hash": self.hash} if self.hash else {}),
        }


class Retrieval:
    """Adapter, reranker and index of one release with its catalogue; may be shared between threads.

    A query sees the catalogue of one generation from its start to its end.
    """

    def __init__(
        self, embedder: Embedder, reranker: Reranker | None, index: Index, catalogue: Catalogue, depth: int
    ) -> None:
        """`index` holds the vectors that `embedder` made of `catalogue`; `depth` items are reranked."""
        self.embedder, self.reranker, self.catalogue, self.depth = embedder, reranker, catalogue, depth
        self.name = " + ".join(each.name for each in (embedder, reranker) if each is not None)
        self._live = LiveIndex(index, catalogue.generation)
        self._shown = self._embedded = IndexShelf.of(
            index, catalogue.items, catalogue.generation, catalogue.hash
        )
        self._following = threading.Lock()
        self.search = self._search(lambda: self.shelf)

    @property
    def shelf(self) -> IndexShelf:
        """What queries that begin now retrieve from."""
        return self._shown

    @property
    def generation(self) -> int:
        """The number of the last delta of the catalogue that answers come from."""
        return self.shelf.generation

    @property
    def embedded(self) -> int:
        """The number of the last delta that was embedded; answers come from it once it is shown."""
        return self._embedded.generation

    @property
    def later(self) -> int:
        """How many items came or changed since the sealed catalogue; each search looks at all of them."""
        return self.shelf.standing.later

    @property
    def index(self) -> Index:
        """The sealed index, without what was applied to it since."""
        return self._live.now.base

    @property
    def labels(self) -> tuple[str, ...]:
        """None: an answer is a list."""
        return ()

    def read(self, asked: str | Query) -> Query:
        """The query as it is answered."""
        return asked if isinstance(asked, Query) else Query(asked)

    def answer(self, asked: str | Query) -> Listed:
        """The list for one query."""
        query, shelf = self.read(asked), self._shown
        lets = query.filters.lets if query.filters.asked() else None
        keep = None if lets is None else lambda item_id: lets(shelf.item(item_id))
        found = self._search(lambda: shelf).search(query.text, query.k, keep)
        return Listed(
            tuple(hit.item_id for hit in found.hits),
            tuple(hit.score for hit in found.hits),
            found.generation,
            found.milliseconds,
            tuple(str(shelf.item(hit.item_id).get("title") or "") for hit in found.hits),
            shelf.hash,
        )

    def answer_together(self, read: Sequence[Query]) -> list[Listed]:
        """The list for each query, one after the other: no list hangs on its company."""
        return [self.answer(query) for query in read]

    def embed(self, deltas: Sequence[ItemDelta]) -> None:
        """The deltas are embedded by this release's adapter, a text at a time; `show` lets queries see them.

        Where one is refused, nothing is changed.

        Raises:
            RefusedError: a number does not follow the one before.
            InputError: an item is added and removed, or is none.
            VectorsMismatch: the adapter makes no unit vectors of an item.
        """
        with self._following:
            texts = _texts(deltas)
            rows = {text: self.embedder.vector(text) for text in sorted(set(texts.values()))}
            self._live.apply(*(self._delta(delta, texts, rows) for delta in deltas))
            self._embedded = self._embedded.after(self._live.now, deltas)

    def show(self) -> None:
        """Queries that begin now see all that is embedded."""
        self._shown = self._embedded

    def _search(self, shelf: Callable[[], IndexShelf]) -> Search:
        return Search(self.name, self.embedder, shelf, self.reranker, depth=self.depth)

    def _delta(self, delta: ItemDelta, texts: _Texts, rows: Mapping[str, Any]) -> Delta:
        made = [rows[texts[delta.number, item_id]] for item_id in delta.added]
        embedder = self._live.now.base.vectors.embedder
        stacked = np.stack(made) if made else None
        return Delta(delta.number, embedder, tuple(delta.added), stacked, tuple(delta.removed))


_Texts = Mapping[tuple[int, str], str]


def _texts(deltas: Sequence[ItemDelta]) -> _Texts:
    """What models read of each item that a delta adds, by the delta's number and its id."""
    texts: dict[tuple[int, str], str] = {}
    for delta in deltas:
        for item_id, item in delta.added.items():
            if not isinstance(item, Mapping):
                raise InputError(
                    f"delta {delta.number} of the catalogue was refused: {item_id} is no item",
                    found=type(item).__name__,
                    accepted="an item's columns as JSON values",
                    next_step="append what mends it: mangaops catalogue append",
                )
            texts[delta.number, item_id] = reading(item)
    return texts


def load_retrieval(folders: Mapping[str, Path], permits: Mapping[str, Permit], threads: int = 1) -> Retrieval:
    """The models and the index of one release, each verified, and made for each other.

    Raises:
        ArtifactTampered: a file is missing, extra, changed or unreadable; or the release lacks a part.
        Untracked, FingerprintMismatch: as the loaders of models raise them.
        VectorsMismatch: the index holds vectors of another adapter or catalogue.
        SetupError: a package is missing.
    """
    adapter = _of(permits, Family.EMBEDDING_ADAPTER)
    second = _of(permits, Family.CROSS_ENCODER_RERANKER)
    if Part.INDEX not in permits:
        raise _lacks("the vector index")
    embedder = load_embedder(folders[adapter.model], adapter, threads=threads)
    reranker = load_reranker(folders[second.model], second, threads=threads)
    index, catalogue = open_sealed_index(folders[Part.INDEX], permits[Part.INDEX], adapter, embedder.width)
    return Retrieval(embedder, reranker, index, catalogue, _depth(folders[second.model], second))


def open_sealed_index(
    folder: Path, permit: Permit, adapter: Permit, dimension: int | None = None
) -> tuple[Index, Catalogue]:
    """The index that the permit names, of vectors of that adapter, with the catalogue that it is of.

    Raises:
        ArtifactTampered, Untracked: what lies there is not what the ledger lists.
        VectorsMismatch: it holds vectors of another adapter, dimension or catalogue.
    """
    if (digest := verify(folder)) != permit.artifact:
        raise Untracked(
            f"the index of {permit.version} was not loaded from {folder.name}: the ledger lists no such one",
            found=digest,
            accepted=permit.artifact,
            next_step="put the listed artifact back, or run the release again",
        )
    catalogue = read_catalogue(folder)
    index = open_index(folder, embedder=adapter.artifact, dimension=dimension, catalogue=catalogue.digest)
    if index.ids != tuple(catalogue.items):
        raise ArtifactTampered(
            f"the index of {permit.version} was refused: it is not of the items that lie beside it",
            found=f"{len(index.ids)} vectors for {len(catalogue.items)} items, or in another order",
            accepted="a vector for each item, in the catalogue's order",
            next_step="run the release again: it builds the index anew",
        )
    return index, catalogue


def _of(permits: Mapping[str, Permit], family: Family) -> Permit:
    found = [each for each in permits.values() if each.family == family]
    if len(found) != 1:
        raise _lacks(f"one {family}")
    return found[0]


def _lacks(what: str) -> ArtifactTampered:
    return ArtifactTampered(
        f"the release was refused: it does not hold {what}",
        accepted="an embedding adapter, a cross-encoder reranker and the vector index, one of each",
        next_step="build one again: mangaops release run, release bootstrap where there is no champion",
    )


def _depth(folder: Path, reranker: Permit) -> int:
    """How many candidates the reranker was made for, as its sealed training config says."""
    with translated(folder, f"reading {CONFIG}"):
        said = yaml.safe_load((folder / CONFIG).read_bytes())
        depth = int(said["training"]["depth"])
    if depth < 1:
        raise FingerprintMismatch(
            f"{reranker.model}@{reranker.version} was refused: its depth is none",
            found=str(depth),
            accepted="1 or more",
        )
    return depth
