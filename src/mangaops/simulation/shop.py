"""A shop of some thousand invented titles that hang together: traits first, then the words that tell of them.

Each title has one theme, one tone, a hero and a setting besides its genres; the synopsis is written from them
in words that shoppers mostly do not use (words/shop.yaml; theirs are in words/queries.yaml). The columns
`theme` and `tone` are the hidden truth that judgments follow: an engine reads `readable(shop)`, never
them. All of it is simulated.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeVar

import numpy as np
import polars as pl

from mangaops.errors import UsageError
from mangaops.simulation.catalogue import (
    FIRST_RELEASE,
    LAST_RELEASE,
    Title,
    catalogue,
    invented_author,
    invented_name,
    price,
)
from mangaops.simulation.grammar import Grammar
from mangaops.simulation.lexicon import words
from mangaops.simulation.relevance import near
from mangaops.simulation.world import BEGINS, WEEK

Progress = Callable[[str, int, int], None]
Entry = TypeVar("Entry")

FEWEST: Final = 100
MOST: Final = 10_000

SCHEMA: Final[dict[str, Any]] = {
    "item_id": pl.String,
    "title": pl.String,
    "synopsis": pl.String,
    "tags": pl.String,
    "genres": pl.String,
    "tone": pl.String,
    "theme": pl.String,
    "author": pl.String,
    "price_yen": pl.Int64,
    "stock": pl.Int64,
    "language": pl.String,
    "age_rating": pl.String,
    "released": pl.Datetime("us", "UTC"),
    "simulated": pl.Boolean,
}

SLOTS: Final = (
    "who", "where", "plot", "mood", "plot_ja", "mood_ja", "wrong", "plain_theme", "plain_tone",
    "years", "thing", "thing2", "title", "author", "query", "theme", "tone", "wish", "genre", "hero",
    "setting", "limit", "yen",
)  # fmt: skip
"""What the templates of words/shop.yaml and words/queries.yaml leave to the caller."""

LEANS: Final = 0.55
"""How often a theme, or a tone, is one that the genre favours."""

BILINGUAL: Final = 0.08
TAGGED: Final = 0.25
"""How often the theme is among the tags too; hero, setting and formats always are."""

PROLIFIC: Final = 0.45
"""How often a title that the traffic's catalogue lacks is by an author who has another one."""

_SENTENCE: Final = re.compile(r"(?:^|(?<=[.!?。] ))[a-z]")


@dataclass(frozen=True)
class Nature:
    """What one title is about."""

    theme: str
    tone: str
    hero: str
    setting: str
    genres: tuple[str, ...]
    formats: tuple[str, ...]


def shop(seed: int, titles: int = 3000, progress: Progress | None = None) -> pl.DataFrame:
    """So many titles, distinct, in the order of their ids; the first are those of the traffic's catalogue.

    A shop with more titles begins with the rows of one with fewer. `released` may lie ahead of any week.

    Raises:
        UsageError: the seed is negative, or the number of titles is outside 100 to 10,000.
    """
    if seed < 0 or not FEWEST <= titles <= MOST:
        raise UsageError(
            "a simulated shop was refused",
            found=f"seed {seed}, {titles} titles",
            accepted=f"a seed from 0, with {FEWEST} to {MOST:,} titles",
            next_step="give other numbers",
        )
    rng = np.random.default_rng([seed, 11])
    known = catalogue(seed)
    rows, taken, authors = [], {each.title for each in known}, [each.author for each in known]
    for number in range(titles):
        title = known[number] if number < len(known) else _newcomer(number, taken, authors, rng)
        rows.append(_row(title, nature(title.genre, rng), rng))
        if progress and number % 500 == 499:
            progress("simulating the shop", number + 1, titles)
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def readable(shop: pl.DataFrame) -> list[str]:
    """What an engine may read of each title: title, synopsis, tags, genres and author."""
    columns = ("title", "synopsis", "tags", "genres", "author")
    return shop.select(pl.concat_str(columns, separator=" \n ")).to_series().to_list()


@lru_cache(maxsize=1)
def shop_grammar() -> Grammar:
    """The banks of the shop and of its shoppers; those of shoppers are named `asked.<bank>`."""
    told = {name: text.splitlines() for name, text in words("shop").items()}
    asked = {f"asked.{name}": text.splitlines() for name, text in words("queries").items()}
    return Grammar(told | asked, SLOTS)


def one_of(entries: Sequence[Entry], rng: np.random.Generator) -> Entry:
    """One of the entries, drawn evenly."""
    return entries[int(rng.random() * len(entries))]


def nature(genre: str, rng: np.random.Generator) -> Nature:
    """Traits for a title of that genre: more often such as the genre favours."""
    bank = words("traits")
    favoured = bank["leans"][genre]
    second = [one_of(list(bank["leans"]), rng)] if rng.random() < 0.35 else []
    formats = [each for each in bank["formats"] if rng.random() < 0.15]
    return Nature(
        theme=one_of(favoured["themes"] if rng.random() < LEANS else _each("themes"), rng),
        tone=one_of(favoured["tones"] if rng.random() < LEANS else _each("tones"), rng),
        hero=one_of(bank["heroes"], rng),
        setting=one_of(bank["settings"], rng),
        genres=tuple(dict.fromkeys([genre, *second])),
        formats=tuple(formats[:2]),
    )


def synopsis(about: Nature, week: int, bilingual: bool, rng: np.random.Generator) -> str:
    """Two to four sentences that tell of the traits, worded as was the fashion in that week."""
    writer = shop_grammar().writer(week, {"years": lambda: str(2 + int(rng.random() * 9))}, rng)
    thing = other = writer.write(f"things.{about.theme}")
    while other == thing:
        other = writer.write(f"things.{about.theme}")
    fill = {
        "who": writer.write(f"hero.{about.hero}"),
        "where": writer.write(f"setting.{about.setting}"),
        "plot": writer.write(f"theme.{about.theme}"),
        "thing": thing,
        "thing2": other,
        "mood": writer.write(f"tone.{about.tone}"),
        "wrong": writer.write(f"asked.theme.{_unlike(about.theme, rng)}"),
        "plain_theme": writer.write(f"asked.theme.{about.theme}"),
        "plain_tone": writer.write(f"asked.tone.{about.tone}"),
        "plot_ja": writer.write(f"plot_ja.{about.theme}"),
        "mood_ja": writer.write(f"mood_ja.{about.tone}"),
    }
    text = writer.write("synopsis_ja" if bilingual else "synopsis", fill)
    return _SENTENCE.sub(lambda found: found.group(0).upper(), text)


def _unlike(theme: str, rng: np.random.Generator) -> str:
    return one_of([each for each in _each("themes") if each not in (theme, near()[theme])], rng)


def _each(kind: str) -> list[str]:
    return [str(each) for pair in words("traits")[kind] for each in pair]


def _newcomer(number: int, taken: set[str], authors: list[str], rng: np.random.Generator) -> Title:
    bank = words("catalogue")
    while (name := invented_name(bank, rng)) in taken:
        pass
    taken.add(name)
    author = one_of(authors, rng) if rng.random() < PROLIFIC else invented_author(bank, rng)
    authors.append(author)
    return Title(
        item_id=f"sim-item-{number:04d}",
        title=name,
        author=author,
        genre=one_of(bank["genres"], rng),
        volumes=1,
        price_yen=price(rng),
        released=FIRST_RELEASE + int(rng.random() * (LAST_RELEASE - FIRST_RELEASE)),
        appeal=1.0,
    )


def _row(title: Title, about: Nature, rng: np.random.Generator) -> tuple[object, ...]:
    bilingual = bool(rng.random() < BILINGUAL)
    return (
        title.item_id,
        title.title,
        synopsis(about, title.released, bilingual, rng),
        ", ".join(
            (about.hero, about.setting, *about.formats, *([about.theme] if rng.random() < TAGGED else []))
        ),
        ", ".join(about.genres),
        about.tone,
        about.theme,
        title.author,
        title.price_yen,
        0 if rng.random() < 0.12 else 1 + int(200 * rng.random() ** 3),
        "ja-en" if bilingual else "en",
        _age_rating(about, rng),
        BEGINS + title.released * WEEK,
        True,
    )


def _age_rating(about: Nature, rng: np.random.Generator) -> str:
    grave = about.tone in ("bleak", "eerie") or {"horror", "thriller"} & set(about.genres)
    gentle = about.tone in ("cozy", "funny", "tender", "hopeful")
    chance = rng.random()
    if chance < (0.45 if grave else 0.06):
        return "mature"
    return "all" if chance > (0.45 if gentle and not grave else 0.9) else "teen"
