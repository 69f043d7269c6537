"""What a search retrieves from: an index as it stands at one moment, with the texts of its items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mangaops.errors import UsageError
from mangaops.inference.index import Index
from mangaops.inference.live_index import Standing
from mangaops.inference.search import Filter, Floats


@dataclass(frozen=True, eq=False)
class IndexShelf:
    """A standing with the text of each item that can be found in it; made once for each standing.

    Raises:
        UsageError: an item of the index has no text.
    """

    standing: Standing
    texts: Mapping[str, str]

    @classmethod
    def of(cls, index: Index, texts: Mapping[str, str], generation: int = 0) -> IndexShelf:
        """An index that no delta has changed since catalogue `generation`."""
        empty = np.empty((0, index.vectors.dimension), np.float32)
        return cls(Standing(index, generation, None, (), empty), texts)

    def __post_init__(self) -> None:
        gone = None if self.standing.left is None else ~self.standing.left.mask
        lacking = [
            each
            for at, each in enumerate(self.standing.ids)
            if each not in self.texts and not (gone is not None and at < gone.size and gone[at])
        ]
        if lacking:
            raise UsageError(
                "a shelf was refused: items of its index have no text",
                found=f"{len(lacking):,} without, the first is {lacking[0]!r}",
                accepted="the texts of the catalogue that was embedded",
                next_step="embed the catalogue of this release, or give the one that was embedded",
            )

    @property
    def generation(self) -> int:
        """The number of the last delta that is in it."""
        return self.standing.generation

    def nearest(self, vector: Floats, k: int, keep: Filter | None) -> list[tuple[str, float]]:
        """At most k ids that `keep` lets through with their similarities, the nearest first."""
        return self.standing.nearest(vector, k, keep)

    def text(self, item_id: str) -> str:
        """What models read of the item."""
        return self.texts[item_id]
