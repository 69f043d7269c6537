"""An index that follows the catalogue: a base that never changes, and the numbered deltas since then.

What is searched is a `Standing`: the base, which of its items are left, and the items that came later. It is
frozen. A delta makes another one and swaps a single reference, so a search sees all of a delta or nothing of
it, takes no lock, and can be asked again of the generation that it took.

Later items are searched exactly. When they grow many (`Standing.later`), it is time for a new base: the
gateway says so.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from mangaops.errors import InputError, RefusedError, UsageError, VectorsMismatch
from mangaops.inference.index import Allowed, Index
from mangaops.inference.nearest import NONE, Found, check_queries, merged, nearest
from mangaops.inference.vectors import Matrix, check_rows
from mangaops.vocabulary import Digest

_WIDER: Final = 8
"""So many times k items are looked at before a filter is asked of all."""


@dataclass(frozen=True, eq=False)
class Delta:
    """Delta `number` of the catalogue, embedded: `rows[i]` is the unit vector of `ids[i]`.

    An id that is there already gets another vector; one in `removed` that is not there is no mistake.
    """

    number: int
    embedder: Digest
    ids: Sequence[str] = ()
    rows: Matrix | None = None
    removed: Sequence[str] = ()


@dataclass(frozen=True, eq=False)
class Standing:
    """The catalogue as a live index saw it at one generation. Positions of the base come first."""

    base: Index
    generation: int
    left: Allowed | None
    later_ids: tuple[str, ...]
    later_rows: Matrix

    @property
    def positions(self) -> int:
        """How many positions a filter has: those of items that are gone count too."""
        return len(self.base) + self.later

    @property
    def later(self) -> int:
        """How many items are not in the base, or are there with an older vector."""
        return len(self.later_ids)

    @property
    def items(self) -> int:
        """How many items can be found."""
        return (len(self.base) if self.left is None else self.left.count) + self.later

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """The id of each position, also of items that are gone: what a filter is made from."""
        return self.base.ids + self.later_ids

    def id_at(self, position: int) -> str:
        """The id of one position that an answer holds."""
        there = len(self.base)
        return self.base.ids[position] if position < there else self.later_ids[position - there]

    def search(self, queries: Matrix, k: int, allowed: Allowed | None = None) -> Found:
        """The k nearest of each query, as `Index.search` answers; removed items are never among them.

        Raises:
            UsageError: the queries are none, or the filter is one of another number of positions.
        """
        check_queries(queries, k, self.base.vectors.dimension)
        if allowed is not None and (
            allowed.mask.dtype != np.bool_ or allowed.mask.shape != (self.positions,)
        ):
            raise UsageError(
                "a filter was refused",
                found=f"{allowed.mask.dtype} of shape {allowed.mask.shape}",
                accepted=f"bool of shape ({self.positions},): of the standing that is searched",
            )
        found = self.base.search(queries, k, self._of_base(allowed))
        if not self.later:
            return found
        mask = None if allowed is None else allowed.mask[len(self.base) :]
        later = nearest(self.later_rows, queries, k, mask)
        moved = np.where(later.positions == NONE, NONE, later.positions + len(self.base))
        return merged(found, Found(moved, later.scores), k)

    def nearest(
        self, vector: Matrix, k: int, keep: Callable[[str], bool] | None = None
    ) -> list[tuple[str, float]]:
        """At most k ids that `keep` lets through with their similarities to one vector, the nearest first.

        `keep` is asked of the nearest, and where these do not suffice of every item: a filter that many
        searches share is better made once, as `Allowed`. It is never asked of an item that is gone.
        """
        wide = k if keep is None else _WIDER * k
        near = self._named(self.search(vector[None], wide))
        kept = [each for each in near if keep is None or keep(each[0])][:k]
        if keep is None or len(kept) == k or len(near) < wide:
            return kept
        return self._named(self.search(vector[None], k, self.allowing(keep)))

    def allowing(self, keep: Callable[[str], bool]) -> Allowed:
        """The filter that lets through what `keep` does; it fits this standing and no other."""
        mask = np.ones(self.positions, bool)
        if self.left is not None:
            mask[: len(self.base)] = self.left.mask
        for at in np.flatnonzero(mask):
            mask[at] = keep(self.id_at(int(at)))
        return Allowed(mask)

    def _named(self, found: Found) -> list[tuple[str, float]]:
        pairs = zip(found.positions[0].tolist(), found.scores[0].tolist(), strict=True)
        return [(self.id_at(at), score) for at, score in pairs if at != NONE]

    def _of_base(self, allowed: Allowed | None) -> Allowed | None:
        if allowed is None:
            return self.left
        mask = allowed.mask[: len(self.base)]
        return Allowed(mask if self.left is None else mask & self.left.mask)


class LiveIndex:
    """A base index plus the deltas that were applied. Any thread may search and apply at any time."""

    def __init__(self, base: Index, generation: int = 0) -> None:
        """`generation` is the number of the last delta that the catalogue snapshot of the base holds."""
        empty = np.empty((0, base.vectors.dimension), np.float32)
        self._standing = Standing(base, generation, None, (), empty)
        self._applying = threading.Lock()

    @property
    def now(self) -> Standing:
        """What a search sees; take it once where a filter, a search and its ids have to fit."""
        return self._standing

    @property
    def generation(self) -> int:
        """The number of the last delta that a search sees."""
        return self._standing.generation

    def search(self, queries: Matrix, k: int) -> Found:
        """The k nearest of each query, of whatever generation stands."""
        return self._standing.search(queries, k)

    def apply(self, *deltas: Delta) -> None:
        """Searches that begin now see all of these deltas. Where one is refused, none of them is seen.

        Raises:
            RefusedError: a number does not follow the one before; says which are missing.
            VectorsMismatch: another adapter made the vectors, or they are none.
            InputError: a delta adds and removes the same item.
        """
        with self._applying:
            before = self._standing
            for number, delta in enumerate(deltas, before.generation + 1):
                _check(delta, number, before.base)
            if deltas:
                self._standing = self._after(before, deltas)

    def _after(self, before: Standing, deltas: Sequence[Delta]) -> Standing:
        newest = _newest(deltas)
        came = {each: row for each, row in newest.items() if row is not None}
        stay = [at for at, each in enumerate(before.later_ids) if each not in newest]
        ids = (*(before.later_ids[at] for at in stay), *came)
        rows = np.concatenate([before.later_rows[stay], *(row[None] for row in came.values())])
        left = self._left(before, newest)
        return Standing(before.base, deltas[-1].number, left, ids, rows)

    def _left(self, before: Standing, newest: dict[str, Matrix | None]) -> Allowed | None:
        """What is left of the base: an item of it that any delta names is not."""
        gone = [self._places[each] for each in newest if each in self._places]
        if not gone:
            return before.left
        mask = np.ones(len(before.base), bool) if before.left is None else before.left.mask.copy()
        mask[gone] = False
        return Allowed(mask)

    @cached_property
    def _places(self) -> dict[str, int]:
        """The position of each item of the base; made when the first delta comes."""
        return {each: at for at, each in enumerate(self._standing.base.ids)}


def _newest(deltas: Sequence[Delta]) -> dict[str, Matrix | None]:
    """The last word on each item that the deltas name, in the order of these words; None is removed."""
    newest: dict[str, Matrix | None] = {}
    for delta in deltas:
        for each in delta.removed:
            newest[each] = None
        for each, row in zip(delta.ids, () if delta.rows is None else delta.rows, strict=True):
            newest.pop(each, None)
            newest[each] = row
    return newest


def _check(delta: Delta, due: int, base: Index) -> None:
    if delta.number != due:
        raise _out_of_turn(delta.number, due)
    if delta.embedder != base.vectors.embedder:
        raise VectorsMismatch(
            f"delta {delta.number} was refused: another adapter embedded it",
            found=delta.embedder,
            accepted=base.vectors.embedder,
            next_step="embed the delta with the adapter of the release that serves it",
        )
    rows = np.empty((0, base.vectors.dimension), np.float32) if delta.rows is None else delta.rows
    if len(delta.ids) or len(rows):
        check_rows(delta.ids, rows, base.vectors.dimension)
    if both := sorted(set(delta.ids) & set(delta.removed)):
        raise InputError(
            f"delta {delta.number} was refused: it adds and removes the same item",
            found=", ".join(both[:5]),
            accepted="each item on one side",
            next_step="append what holds today: mangaops catalogue append",
        )


def _out_of_turn(number: int, due: int) -> RefusedError:
    missing = f"delta {due}" if number == due + 1 else f"deltas {due} to {number - 1}"
    return RefusedError(
        f"delta {number} was refused: it is not the next one",
        found=f"{missing} missing" if number > due else f"generation {due - 1} has it already",
        accepted=f"delta {due}",
        next_step=f"read the catalogue's log after {due - 1}",
    )
