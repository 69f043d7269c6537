"""What a shopper wants, and how far a title meets it: by hidden traits, never by shared words. All simulated.

What is wanted is a few traits, the main one first. Each is met exactly, nearly (a theme or tone that
words/traits.yaml pairs with the one asked for; a price up to a fifth over the limit) or not at all. The share
that is met counts the main trait twice and a near one half:

    grade 3   everything, exactly
    grade 2   three quarters of it or more
    grade 1   half of it or more
    grade 0   less, and the title itself that was named as an example ("like X")
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mangaops.simulation.lexicon import words

Wanted = tuple[tuple[str, str | int], ...]
"""(trait, value) pairs, the main one first; traits are the keys of MEETS, or OTHER_THAN."""

OTHER_THAN: Final = "other_than"
"""The title that is not wanted itself; it has no weight."""

EXACT: Final = 2
NEAR: Final = 1


@lru_cache(maxsize=1)
def near() -> dict[str, str]:
    """Each theme and tone with the one that is near it."""
    bank = words("traits")
    pairs = [pair for kind in ("themes", "tones") for pair in bank[kind]]
    return {here: there for one, other in pairs for here, there in ((one, other), (other, one))}


def _same(column: str) -> Callable[[pl.DataFrame, str | int], pl.Series]:
    return lambda shop, value: (shop[column] == value).cast(pl.Int64) * EXACT


def _same_or_near(column: str) -> Callable[[pl.DataFrame, str | int], pl.Series]:
    def met(shop: pl.DataFrame, value: str | int) -> pl.Series:
        nearly = (shop[column] == near()[str(value)]).cast(pl.Int64) * NEAR
        return (shop[column] == value).cast(pl.Int64) * EXACT + nearly

    return met


def _among(column: str) -> Callable[[pl.DataFrame, str | int], pl.Series]:
    return lambda shop, value: shop[column].str.split(", ").list.contains(value).cast(pl.Int64) * EXACT


def _within(shop: pl.DataFrame, value: str | int) -> pl.Series:
    price, limit = shop["price_yen"], int(value)
    return (price <= limit).cast(pl.Int64) * (EXACT - NEAR) + (price * 5 <= limit * 6).cast(pl.Int64) * NEAR


MEETS: Final[dict[str, Callable[[pl.DataFrame, str | int], pl.Series]]] = {
    "item_id": _same("item_id"),
    "author": _same("author"),
    "theme": _same_or_near("theme"),
    "tone": _same_or_near("tone"),
    "genre": _among("genres"),
    "hero": _among("tags"),
    "setting": _among("tags"),
    "format": _among("tags"),
    "under_yen": _within,
    "age_rating": _same("age_rating"),
    "language": _same("language"),
}
"""Each trait that can be wanted: how far the titles of a shop meet it, EXACT, NEAR or 0."""


class Traits:
    """The traits of a shop's titles, ready to be compared with what is wanted."""

    def __init__(self, shop: pl.DataFrame) -> None:
        self._shop = shop
        self._met: dict[tuple[str, str | int], NDArray[np.int64]] = {}

    def grades(self, wanted: Wanted) -> NDArray[np.int64]:
        """The grade of each title, 0 to 3, in the shop's order."""
        counted = [trait for trait in wanted if trait[0] != OTHER_THAN]
        met = np.zeros(self._shop.height, np.int64)
        for weight, trait in zip([2] + [1] * len(counted), counted, strict=False):
            met += weight * self._degrees(trait)
        for _, barred in (trait for trait in wanted if trait[0] == OTHER_THAN):
            met[(self._shop["item_id"] == barred).to_numpy()] = 0
        most = EXACT * (len(counted) + 1)
        return np.where(met == most, 3, np.where(4 * met >= 3 * most, 2, np.where(2 * met >= most, 1, 0)))

    def _degrees(self, trait: tuple[str, str | int]) -> NDArray[np.int64]:
        if trait not in self._met:
            name, value = trait
            self._met[trait] = MEETS[name](self._shop, value).to_numpy()
        return self._met[trait]
