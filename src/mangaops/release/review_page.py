"""A review queue as one self-contained page to look at: both answers side by side, blind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from mangaops.release.listed import items_of, limits
from mangaops.release.pages import render
from mangaops.release.review_sheet import Titles, ordered


@dataclass(frozen=True)
class Place:
    """One place of a list: the title that people read, the item's id, whether the other list lacks it."""

    number: int
    title: str
    item_id: str
    only_here: bool


@dataclass(frozen=True)
class Option:
    """What stands under A or B: a label, or the places of a list."""

    letter: str
    label: str
    places: tuple[Place, ...]


@dataclass(frozen=True)
class Asked:
    """One item of the queue as it is shown; `number` counts the rows of the CSV file from 1.

    `limits`: what its search was limited to.
    """

    number: int
    item_id: str
    text: str
    limits: str
    options: tuple[Option, Option]
    answered: bool


def to_html(items: pl.DataFrame, *, titles: Titles | None, unit: str, review: str) -> bytes:
    """The queue in the order of its CSV file; user text is masked, and nothing tells a side or a known item.

    With `titles` answers are lists, and what one list alone holds is marked; None: they are labels.
    """
    rows = enumerate(items.iter_rows(named=True), 1)
    asked = [_asked(number, row, titles) for number, row in rows]
    listed = titles is not None
    return render("review.html", asked=asked, listed=listed, unit=unit, review=review).encode()


def _asked(number: int, row: Mapping[str, object], titles: Titles | None) -> Asked:
    a, b = ordered(row)
    options = (_option("A", a, b, titles), _option("B", b, a, titles))
    limited, answered = limits(row.get("options")), row["answer"] is not None
    return Asked(number, str(row["item_id"]), str(row["text"]), limited, options, answered)


def _option(letter: str, mine: str, other: str, titles: Titles | None) -> Option:
    if titles is None:
        return Option(letter, mine, ())
    also = set(items_of(other))
    places = [
        Place(number, titles.get(item, ""), item, item not in also)
        for number, item in enumerate(items_of(mine), 1)
    ]
    return Option(letter, "", tuple(places))
