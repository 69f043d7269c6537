"""What a search retrieves from: an index as it stands at one moment, with its items."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mangaops.errors import UsageError
from mangaops.inference.catalogue import Item, ItemDelta, reading
from mangaops.inference.index import Index
from mangaops.inference.live_index import LiveIndex, Standing
from mangaops.inference.search import Filter, Floats
from mangaops.vocabulary import Digest


@dataclass(frozen=True, eq=False)
class IndexShelf:
    """A standing with each item that can be found in it; made once for each standing.

    `sealed` are the items that the base was made of, the same for each of its standings; an item in `later`
    has its place. So a delta costs what it names and what came later, and never the catalogue. `hash` is that
    of the log up to `generation`, None where nobody knows it.
    """

    standing: Standing
    sealed: Mapping[str, Item]
    later: Mapping[str, Item] = field(default_factory=dict)
    hash: Digest | None = None

    @classmethod
    def of(
        cls, index: Index, items: Mapping[str, Item], generation: int = 0, held: Digest | None = None
    ) -> IndexShelf:
        """An index that no delta has changed since catalogue `generation`, whose hash is `held`.

        Raises:
            UsageError: an item of the index is not among the items.
        """
        _complete(index.ids, items)
        return cls(LiveIndex(index, generation).now, items, hash=held)

    def after(self, standing: Standing, deltas: Iterable[ItemDelta]) -> IndexShelf:
        """The shelf of a later standing of the same base, which the deltas led to.

        Raises:
            UsageError: something came to the standing that is not in the deltas.
        """
        later, held = dict(self.later), self.hash
        for delta in deltas:
            held = delta.hash or None
            for gone in delta.removed:
                later.pop(gone, None)
            later |= delta.added
        _complete(standing.later_ids, later)
        return IndexShelf(standing, self.sealed, later, held)

    @property
    def generation(self) -> int:
        """The number of the last delta that is in it."""
        return self.standing.generation

    def nearest(self, vector: Floats, k: int, keep: Filter | None) -> list[tuple[str, float]]:
        """At most k ids that `keep` lets through with their similarities, the nearest first."""
        return self.standing.nearest(vector, k, keep)

    def item(self, item_id: str) -> Item:
        """The columns of an item that can be found."""
        return self.later[item_id] if item_id in self.later else self.sealed[item_id]

    def text(self, item_id: str) -> str:
        """What models read of the item."""
        return reading(self.item(item_id))


def _complete(ids: Iterable[str], items: Mapping[str, Item]) -> None:
    lacking = [each for each in ids if each not in items]
    if lacking:
        raise UsageError(
            "a shelf was refused: what its index holds is not in the catalogue",
            found=f"{len(lacking):,} of its ids, the first is {lacking[0]!r}",
            accepted="the items of the catalogue that was embedded",
            next_step="embed the catalogue of this release, or give the one that was embedded",
        )
