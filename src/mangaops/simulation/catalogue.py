"""A catalogue of invented manga: titles, authors, genres and prices that exist nowhere else."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
import polars as pl

from mangaops.simulation.grammar import articled
from mangaops.simulation.lexicon import words

TITLES: Final = 420
FIRST_RELEASE: Final = -40
LAST_RELEASE: Final = 60


@dataclass(frozen=True)
class Title:
    """One invented series. `released` is a week of the world; negative: before it begins."""

    item_id: str
    title: str
    author: str
    genre: str
    volumes: int
    price_yen: int
    released: int
    appeal: float


@lru_cache(maxsize=8)
def catalogue(seed: int) -> tuple[Title, ...]:
    """The invented titles of a world, distinct, in the order of their ids."""
    rng = np.random.default_rng([seed, 1])
    bank = words("catalogue")
    titles: dict[str, Title] = {}
    while len(titles) < TITLES:
        name = invented_name(bank, rng)
        if name not in titles:
            titles[name] = Title(
                item_id=f"sim-item-{len(titles):04d}",
                title=name,
                author=invented_author(bank, rng),
                genre=_one(bank["genres"], rng),
                volumes=1 + int(rng.gamma(2.0, 5.0)),
                price_yen=price(rng),
                released=int(rng.integers(FIRST_RELEASE, LAST_RELEASE)),
                appeal=float(min(rng.pareto(1.3) + 0.2, 5.0)),
            )
    return tuple(titles.values())


def catalogue_frame(seed: int) -> pl.DataFrame:
    """The catalogue as rows: item_id, title, author, genre, volumes, price_yen, released, simulated."""
    rows: list[dict[str, Any]] = [vars(each) for each in catalogue(seed)]
    return pl.DataFrame(rows).drop("appeal").with_columns(pl.lit(True).alias("simulated"))


class Shelf:
    """The titles that people talk about in one week: the announced and the new most, the old ever less."""

    def __init__(self, seed: int, week: int) -> None:
        self._titles = catalogue(seed)
        self._weights: list[float] = []
        total = 0.0
        for each in self._titles:
            total += each.appeal * _talk(week - each.released)
            self._weights.append(total)

    def draw(self, rng: np.random.Generator) -> Title:
        """One title, by how much it is talked about."""
        at = bisect_right(self._weights, rng.random() * self._weights[-1])
        return self._titles[min(at, len(self._titles) - 1)]


def _talk(age: int) -> float:
    return 0.0 if age < -3 else 0.15 + math.exp(-max(age, 0) / 8.0)


def price(rng: np.random.Generator) -> int:
    """The price of a volume in yen: 480 to 1,260 in steps of 20."""
    return 480 + 20 * int(rng.random() * 40)


def invented_author(bank: dict[str, list[str]], rng: np.random.Generator) -> str:
    """A name of two words that nobody has."""
    return f"{_syllables(bank['given'], rng)} {_syllables(bank['family'], rng)}"


def invented_name(bank: dict[str, list[str]], rng: np.random.Generator) -> str:
    """A title of the bank's patterns; not yet a distinct one."""
    pattern = _one(bank["patterns"], rng)
    for key in ("adjective", "noun", "role", "place", "thing", "number"):
        while "{" + key + "}" in pattern:
            pattern = pattern.replace("{" + key + "}", _one(bank[key], rng), 1)
    return articled(pattern)


def _one(entries: list[str], rng: np.random.Generator) -> str:
    return entries[int(rng.random() * len(entries))]


def _syllables(entries: list[str], rng: np.random.Generator) -> str:
    first, last = entries[: len(entries) // 2], entries[len(entries) // 2 :]
    return (_one(first, rng) + _one(last, rng)).capitalize()
