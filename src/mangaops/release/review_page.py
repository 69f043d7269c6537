"""A review queue as one self-contained page to look at: both answers side by side, blind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from mangaops.release.listed import NOTHING, items_of, limits, side_by_side
from mangaops.release.pages import render
from mangaops.release.review_sheet import Titles, ordered


@dataclass(frozen=True)
class Place:
    """One place of a list: the title that people read, the item's id, whether the other list lacks it.

    `item_id` is None where this list ends before the other one.
    """

    number: int
    title: str
    item_id: str | None
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
    told = {"listed": titles is not None, "no_item": NOTHING, "unit": unit, "review": review}
    return render("review.html", asked=asked, **told).encode()


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
        Place(number, titles.get(item or "", ""), item, item is not None and item not in also)
        for number, item in enumerate(side_by_side(mine, other), 1)
    ]
    return Option(letter, "", tuple(places))
