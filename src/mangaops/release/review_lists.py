"""Reviews of ranked lists: known pairs of lists among the items, and which list hidden grades prefer."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import numpy as np
import polars as pl

from mangaops.datasets.search_data import items_by_id
from mangaops.datasets.text import normalised
from mangaops.errors import InputError
from mangaops.metrics import TOP, discounted_gain
from mangaops.release.listed import as_list, items_of
from mangaops.release.planted_limits import WHOLE, Limit, Offer, offered
from mangaops.release.review_queue import DRAWN, ITEMS, NO_SEQ
from mangaops.vocabulary import NEITHER, UNCLEAR, Cell, Stage

Grades = Mapping[str, float]
_GRADES: Final = {"query": pl.String, "item_id": pl.String, "grade": pl.Float64}


def plant(
    tables: Mapping[str, pl.DataFrame],
    count: int,
    rng: np.random.Generator,
    asked: Sequence[str | None] = (),
) -> pl.DataFrame:
    """Up to `count` golden queries, each with its best judged items on one side and strangers on the other.

    `tables` are those of ranking evidence, and `items`, the catalogue. The good list begins with the relevant
    items, best grade first, and goes on as the baseline does; the other holds as many items that other
    queries were shown, none of them judged relevant for this one or shown for it. Queries with most relevant
    items come first, up to `TOP`: the more there are, the clearer it is (docs/adr/0091).

    `asked` are the options of the drawn searches. Each planted item has those of one of them, by lot, and
    both its lists keep to them; queries whose lists lose nothing by it come first. Where no relevant item is
    within any of them, the number of items alone is kept.
    """
    queries = tables["queries"].sort("query_id")
    shown = _shown(tables["ranked"])
    graded = _graded(tables["judgments"])
    pool = sorted({item for items in shown.values() for item in items})
    limits = _limits(tables.get("items"), {*pool}.union(*graded.values()), asked)
    found: list[tuple[Mapping[str, str], Offer]] = []
    for row in _clearest_first(queries, graded, rng):
        relevant, own = graded[row["query_id"]], shown.get(row["query_id"], [])
        good = [*dict.fromkeys([*relevant, *own])]
        strangers = [item for item in pool if item not in {*good}]
        if (offer := offered(good, strangers, relevant, limits, rng)) is not None:
            found.append((row, offer))
        if sum(each.fit == WHOLE for _, each in found) >= count:
            break
    best = sorted(found, key=lambda each: each[1].fit)[:count]
    rows = [_planted(row, offer) for row, offer in best]
    return pl.DataFrame(rows, schema={name: ITEMS[name] for name in DRAWN}, orient="row")


def _limits(
    items: pl.DataFrame | None, concerned: Collection[str], asked: Sequence[str | None]
) -> list[Limit]:
    """A limit for each of `asked`, equal ones as one object; a search without any where nothing was drawn."""
    held = None if items is None else items.filter(pl.col("item_id").is_in(list(concerned)))
    catalogue = {} if held is None else items_by_id(held)
    known = {options: Limit(options, catalogue) for options in asked or [None]}
    return [known[options] for options in asked or [None]]


def _planted(row: Mapping[str, str], offer: Offer) -> tuple[object, ...]:
    good, bad = as_list(offer.good), as_list(offer.bad)
    known = (NO_SEQ, row["group"], row["text"], 1.0, good, bad, None, None, False, True, good, offer.options)
    return (f"golden:{row['query_id']}", *known)


def _shown(ranked: pl.DataFrame) -> dict[str, list[str]]:
    """What the baseline shows by query, best first."""
    mine = ranked.filter(pl.col("stage") == Stage.SEARCH, pl.col("side") == Cell.BASELINE)
    lists = mine.sort("query_id", "rank").group_by("query_id", maintain_order=True).agg("item_id")
    return dict(lists.iter_rows())


def _graded(judgments: pl.DataFrame) -> dict[str, dict[str, float]]:
    """Items with a grade over 0 by query, the best first."""
    found: dict[str, dict[str, float]] = {}
    relevant = judgments.filter(pl.col("grade") > 0)
    ordered = relevant.sort(["query_id", "grade", "item_id"], descending=[False, True, False])
    for query, item, grade in ordered.select("query_id", "item_id", "grade").iter_rows():
        found.setdefault(query, {})[item] = grade
    return found


def _clearest_first(
    queries: pl.DataFrame, graded: Mapping[str, Grades], rng: np.random.Generator
) -> list[dict[str, str]]:
    clear = [min(TOP, len(graded.get(query, {}))) for query in queries["query_id"]]
    ordered = queries.with_columns(
        clear=pl.Series(clear, dtype=pl.Int64), luck=pl.Series(rng.random(queries.height))
    ).sort(["clear", "luck"], descending=[True, False])
    return ordered.filter(pl.col("clear") > 0).select("query_id", "group", "text").to_dicts()


def preferred(items: pl.DataFrame, grades: pl.DataFrame) -> dict[str, str]:
    """By request id the list with the higher NDCG of the first `TOP` places; `neither` where they are equal.

    `grades` has query, item_id and grade; an item without one is irrelevant. Of a query that nobody graded
    it is `unclear`: the hidden grades cannot tell. Queries are the same where only case, width, spaces and
    punctuation differ. Planted items are left out.

    Raises:
        InputError: a column is missing, or no reviewed query is graded at all.
    """
    lacking = [name for name in _GRADES if name not in grades.columns]
    known = _by_query(grades) if not lacking else {}
    asked = items.filter(~pl.col("planted"))
    told = [normalised(text) in known for text in asked["text"]]
    if lacking or (told and not any(told)):
        raise InputError(
            "hidden grades were refused: they answer no reviewed query",
            found=f"without {', '.join(lacking)}" if lacking else f"nothing of {asked['text'][0]!r}",
            accepted="columns query, item_id and grade, of the queries of the traffic",
            next_step="give the judgments that were written with this traffic",
        )
    return {
        row["request_id"]: _better(row, known[normalised(row["text"])]) if graded else UNCLEAR
        for row, graded in zip(asked.to_dicts(), told, strict=True)
    }


def _by_query(grades: pl.DataFrame) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for query, item, grade in grades.select(*_GRADES).cast(_GRADES).drop_nulls().iter_rows():  # type: ignore[arg-type]
        found.setdefault(normalised(query), {})[item] = grade
    return found


def _better(row: Mapping[str, str], grades: Grades) -> str:
    """Both lists are measured against the same best one, so that their gains decide."""
    sides = (row["baseline_label"], row["release_label"])
    gains = [discounted_gain(items_of(listed), grades, TOP) for listed in sides]
    if abs(gains[0] - gains[1]) < 1e-9:
        return NEITHER
    return sides[int(gains[1] > gains[0])]
