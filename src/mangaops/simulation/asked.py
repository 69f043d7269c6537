"""What shoppers type, and which traits they have in mind: one numbered query after the other. All simulated.

Kinds: `title` (all of it), `half_title` (a part that no other title has), `misspelt_title`, `author`,
`theme_tone` ("something sad about war"), `broad` (a theme alone, or a genre and a tone), `genre_limit`
("horror under 600 yen"), `plot` (a book half remembered: theme, hero, setting), `like` (as another title).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from mangaops.simulation.grammar import Writer
from mangaops.simulation.lexicon import words
from mangaops.simulation.relevance import OTHER_THAN, Wanted
from mangaops.simulation.shop import one_of, shop_grammar
from mangaops.simulation.style import code_switch, typo
from mangaops.simulation.world import BEGINS, WEEK

ABOUT: Final = 1200
"""How many queries are about in one week."""

NEW_A_WEEK: Final = 144
"""How many of them are gone the week after, replaced by new ones: 12 in 100, as of users."""

MIXED: Final = 0.14
"""Share of the queries that mix Japanese in; their `language` is ja-en."""

LOWER: Final = 0.65
SLIPS: Final = 0.05
REASONS: Final = 0.16
"""Share of the queries about traits that come with a story around them."""

KINDS: Final[dict[str, float]] = {
    "title": 0.15,
    "half_title": 0.06,
    "misspelt_title": 0.09,
    "author": 0.05,
    "theme_tone": 0.27,
    "broad": 0.06,
    "genre_limit": 0.13,
    "plot": 0.12,
    "like": 0.07,
}
"""Share of each kind among queries; they add up to 1."""

NAMED: Final = frozenset({"title", "half_title", "misspelt_title", "author"})
"""Kinds that name what they want; all others describe it."""


@dataclass(frozen=True)
class Asked:
    """One query. `source` is the title that its traits were taken from, `appeal` how often it is typed."""

    query_id: str
    query: str
    language: str
    kind: str
    wanted: Wanted
    source: str
    appeal: float


def born(number: int) -> int:
    """The week from which on a query is typed."""
    return 0 if number < ABOUT else (number - ABOUT) // NEW_A_WEEK + 1


def about(week: int) -> range:
    """The numbers of the queries that are typed in that week."""
    return range(week * NEW_A_WEEK, week * NEW_A_WEEK + ABOUT)


def asked(seed: int, numbers: Iterable[int], shop: pl.DataFrame) -> Iterator[Asked]:
    """The queries of these numbers, each independent of which others are drawn.

    A query has the traits of a title that was out when it was first typed, so at least that one answers it.
    """
    items = sorted(shop.iter_rows(named=True), key=lambda item: (item["released"], item["item_id"]))
    dates = [item["released"] for item in items]
    for number in numbers:
        out = bisect_right(dates, BEGINS + born(number) * WEEK)
        yield _Shopper(seed, number, items[: max(out, 1)], items).ask()


class _Shopper:
    """Draws one query for one of `items`; among `everything` a half title must be the only one."""

    def __init__(
        self, seed: int, number: int, items: list[dict[str, Any]], everything: list[dict[str, Any]]
    ) -> None:
        self._number = number
        self._rng = np.random.default_rng([seed, 12, number])
        self._items = items
        self._everything = everything
        self._item = items[int(self._rng.random() * len(items))]
        self._mixed = bool(self._rng.random() < MIXED)
        self._said_japanese = False
        self._writer: Writer = shop_grammar().writer(born(number), self._slots(), self._rng)

    def ask(self) -> Asked:
        kind = list(KINDS)[min(bisect_right(_CUMULATED, self._rng.random()), len(KINDS) - 1)]
        wanted, bank, fill = _MAKERS[kind](self)
        text = self._writer.write(f"asked.{bank}", fill)
        if kind not in NAMED and self._rng.random() < REASONS:
            text = self._writer.write("asked.why", {"query": text})
        if self._mixed and not self._said_japanese:
            text = code_switch(text, self._rng)
        if kind not in NAMED and self._rng.random() < SLIPS:
            text = typo(text, self._rng)
        return Asked(
            query_id=f"sim-query-{self._number:06d}",
            query=text.lower() if self._rng.random() < LOWER else text,
            language="ja-en" if self._mixed else "en",
            kind=kind,
            wanted=wanted,
            source=self._item["item_id"],
            appeal=min((1.0 - self._rng.random()) ** -0.8, 60.0),
        )

    def _title(self) -> _Made:
        return self._exactly(), "title", {"title": self._item["title"]}

    def _half_title(self) -> _Made:
        while True:
            for part in self._parts(self._item["title"].split()):
                holders = sum(part.lower() in other["title"].lower() for other in self._everything)
                if holders == 1:
                    return self._exactly(), "half_title", {"title": part}
            self._item = self._items[int(self._rng.random() * len(self._items))]

    def _parts(self, parts: list[str]) -> list[str]:
        """The runs of half the words or more, but not all, in random order."""
        lengths = range(math.ceil(len(parts) / 2), len(parts))
        runs = [" ".join(parts[at : at + n]) for n in lengths for at in range(len(parts) - n + 1)]
        return [runs[at] for at in self._rng.permutation(len(runs))]

    def _misspelt_title(self) -> _Made:
        title = said = self._item["title"]
        while said == title or self._rng.random() < 0.35:
            said = typo(said, self._rng)
        return self._exactly(), "misspelt_title", {"title": said}

    def _exactly(self) -> Wanted:
        return (("item_id", self._item["item_id"]),)

    def _author(self) -> _Made:
        if self._rng.random() < 0.7:
            return self._traits("author"), "author", {}
        return self._traits("author", "theme"), "author_theme", {}

    def _theme_tone(self) -> _Made:
        if self._rng.random() < 0.65:
            return self._traits("theme", "tone"), "theme_tone", {}
        return self._traits("theme", "tone", "genre"), "theme_tone_genre", {}

    def _broad(self) -> _Made:
        if self._rng.random() < 0.5:
            return self._traits("theme"), "theme", {}
        return self._traits("genre", "tone"), "tone", {}

    def _genre_limit(self) -> _Made:
        limit, said = one_of(self._limits(), self._rng)
        return (*self._traits("genre"), limit), "genre_limit", {"limit": said}

    def _limits(self) -> list[tuple[tuple[str, str | int], str]]:
        """The limits that the item keeps, each with words for it."""
        item, write = self._item, self._writer.write
        yen = 100 * math.ceil(item["price_yen"] / 100)
        limits: list[tuple[tuple[str, str | int], str]] = [
            (("under_yen", yen), write("asked.under", {"yen": str(yen)}))
        ]
        if item["age_rating"] != "teen":
            limits.append((("age_rating", item["age_rating"]), write(f"asked.age.{item['age_rating']}")))
        if item["language"] != "en":
            limits.append((("language", item["language"]), write(f"asked.language.{item['language']}")))
        return limits + [(("format", each), write(f"asked.format.{each}")) for each in _formats(item)]

    def _plot(self) -> _Made:
        chance = self._rng.random()
        if chance < 0.5:
            return self._traits("theme", "hero", "setting"), "plot", {}
        other = "hero" if chance < 0.75 else "setting"
        return self._traits("theme", other), other, {}

    def _like(self) -> _Made:
        wanted = (*self._traits("theme", "tone", "genre"), (OTHER_THAN, self._item["item_id"]))
        return wanted, "like", {"title": self._item["title"]}

    def _traits(self, *names: str) -> Wanted:
        return tuple((name, _trait(self._item, name)) for name in names)

    def _slots(self) -> dict[str, Callable[[], str]]:
        return {
            "author": lambda: str(self._item["author"]),
            "theme": lambda: self._word("theme"),
            "tone": lambda: self._word("tone"),
            "genre": lambda: self._word("genre"),
            "wish": lambda: self._writer.write(f"asked.wish.{self._item['tone']}"),
            "hero": lambda: self._writer.write(f"asked.hero.{_trait(self._item, 'hero')}"),
            "setting": lambda: self._writer.write(f"asked.setting.{_trait(self._item, 'setting')}"),
        }

    def _word(self, name: str) -> str:
        """A wording of that trait; with Japanese mixed in, often the Japanese one."""
        japanese = self._mixed and self._rng.random() < 0.7
        self._said_japanese |= japanese
        return self._writer.write(f"asked.{'ja.' * japanese}{name}.{_trait(self._item, name)}")


_Made = tuple[Wanted, str, Mapping[str, str]]

_MAKERS: Final[dict[str, Callable[[_Shopper], _Made]]] = {
    "title": _Shopper._title,
    "half_title": _Shopper._half_title,
    "misspelt_title": _Shopper._misspelt_title,
    "author": _Shopper._author,
    "theme_tone": _Shopper._theme_tone,
    "broad": _Shopper._broad,
    "genre_limit": _Shopper._genre_limit,
    "plot": _Shopper._plot,
    "like": _Shopper._like,
}

_CUMULATED: Final = [float(each) for each in np.cumsum(list(KINDS.values()))]


def _trait(item: dict[str, Any], name: str) -> str:
    """The value of a trait that can be asked for; of several genres the first."""
    if name in ("hero", "setting"):
        return str(item["tags"].split(", ")[("hero", "setting").index(name)])
    return str(item["genres"].split(", ")[0] if name == "genre" else item[name])


def _formats(item: dict[str, Any]) -> list[str]:
    return [each for each in words("traits")["formats"] if each in item["tags"].split(", ")]
