"""What drawn searches were limited to, and known lists within it: limits shall not tell them apart."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np
from pydantic import ValidationError

from mangaops.inference.catalogue import Item
from mangaops.inference.filters import Filters
from mangaops.metrics import TOP
from mangaops.release.listed import PLACES

WHOLE: Final = 0
SHORT: Final = 1
UNFILTERED: Final = 2
"""How two lists fit the limits of a drawn search, best first: as long and clear as without its filters,
less so, or within its number of items alone."""


class Offer(NamedTuple):
    """A good list, a bad one, and the options that both keep to."""

    fit: int
    options: str | None
    good: list[str]
    bad: list[str]


@dataclass(frozen=True, eq=False)
class Limit:
    """Options of a search, JSON as logs hold it or null, and the catalogue that they choose from."""

    options: str | None
    catalogue: Mapping[str, Item]

    @cached_property
    def _asked(self) -> dict[str, Any]:
        asked: dict[str, Any] = json.loads(self.options or "{}")
        return asked

    @property
    def places(self) -> int:
        """How long a list may be."""
        k: int = self._asked.get("k", PLACES)
        return min(PLACES, k)

    @cached_property
    def _passing(self) -> frozenset[str] | None:
        """The items that pass; None: all, those that the catalogue lacks too. None passes unknown filters."""
        try:
            filters = Filters.model_validate(self._asked.get("filters", {}))
        except ValidationError:
            return frozenset()
        if not filters.asked():
            return None
        return frozenset(item for item, held in self.catalogue.items() if filters.lets(held))

    def kept(self, items: Iterable[str]) -> list[str]:
        """Those that pass, in their order, whatever their number."""
        passing = self._passing
        return [item for item in items if passing is None or item in passing]

    def without_filters(self) -> Limit:
        """Its number of items alone."""
        k = self._asked.get("k")
        told = None if k is None else json.dumps({"k": k, "filters": {}}, separators=(",", ":"))
        return Limit(told, self.catalogue)


def offered(
    good: Sequence[str],
    strangers: Sequence[str],
    relevant: Collection[str],
    limits: Sequence[Limit],
    rng: np.random.Generator,
) -> Offer | None:
    """A list of `good` and one of as many strangers, within the limits that fit best, the first by lot.

    The relevant items come first in `good`, and one of them begins the list. None where strangers are too
    few. Where no limits of the drawn searches let a relevant item through, their number of items is kept.
    """
    lots = list(dict.fromkeys(limits[at] for at in rng.permutation(len(limits)).tolist()))
    best: Offer | None = None
    for limit in lots:
        kept, others = limit.kept(good)[: limit.places], limit.kept(strangers)
        if not kept or kept[0] not in relevant or len(others) < len(kept):
            continue
        if _worth(kept, relevant) == _worth(good[: limit.places], relevant):
            return Offer(WHOLE, limit.options, kept, _some(others, len(kept), rng))
        best = best or Offer(SHORT, limit.options, kept, _some(others, len(kept), rng))
    free = lots[0].without_filters()
    listed = list(good[: free.places])
    if best is not None or len(strangers) < len(listed):
        return best
    return Offer(UNFILTERED, free.options, listed, _some(strangers, len(listed), rng))


def _worth(items: Sequence[str], relevant: Collection[str]) -> tuple[int, int]:
    """How long a list is, and how many relevant items are in its first `TOP` places."""
    return len(items), sum(item in relevant for item in items[:TOP])


def _some(items: Sequence[str], count: int, rng: np.random.Generator) -> list[str]:
    return [items[at] for at in rng.choice(len(items), size=count, replace=False).tolist()]
