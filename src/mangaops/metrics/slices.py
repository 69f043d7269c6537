"""The parts of the golden rows and queries that reports look at: the one definition of every slice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import polars as pl

from mangaops.metrics.metric import V
from mangaops.metrics.ranked import Ranked

_Slices = dict[str, dict[str, pl.Expr]]
_SEEN, _NEAR = pl.col("seen"), pl.col("near")
_LENGTHS: Final[dict[str, pl.Expr]] = {
    "1-2 words": pl.col("words") <= 2,
    "3-5 words": pl.col("words").is_between(3, 5),
    "6-12 words": pl.col("words").is_between(6, 12),
    "13 words and more": pl.col("words") > 12,
}
_GOLDEN: Final[_Slices] = {
    "jargon": {"with jargon": pl.col("jargon"), "without jargon": ~pl.col("jargon")},
    "length": _LENGTHS,
    "turn": {"first turn": pl.col("turn") <= 1, "later turns": pl.col("turn") > 1},
    "users": {"new users": pl.col("new_user"), "known users": ~pl.col("new_user")},
    "text": {"seen in training": _SEEN, "near a training text": _NEAR & ~_SEEN, "unseen": ~(_NEAR | _SEEN)},
}


def parts(view: V) -> Iterator[tuple[str, str, V]]:
    """Name, value and rows of each slice that has rows: languages first, by size, then the tables above.

    Rows whose trait is unknown belong to no slice of that trait.
    """
    counts = view.rows.get_column("language").drop_nulls().value_counts()
    languages = counts.sort("count", "language", descending=[True, False]).get_column("language").to_list()
    rest = _of_queries(view) if isinstance(view, Ranked) else _GOLDEN
    table = {"language": {str(each): pl.col("language") == each for each in languages}, **rest}
    for name, values in table.items():
        for value, keep in values.items():
            part = view.where(keep.fill_null(False))
            if not part.rows.is_empty():
                yield name, value, part


def _of_queries(ranked: Ranked) -> _Slices:
    """A query is one of new titles where a relevant item is new in the catalogue, shown by a side or not."""
    relevant = ranked.judgments.filter(pl.col("grade") > 0)
    new = relevant.filter("new_title").get_column("query_id").unique()
    asks_new = pl.col("query_id").is_in(new.implode())
    known = pl.col("query_id").is_in(relevant.get_column("query_id").unique().implode())
    return {
        "traffic": {"head": pl.col("traffic") == "head", "tail": pl.col("traffic") == "tail"},
        "titles": {"new titles": asks_new, "known titles": known & ~asks_new},
        "length": _LENGTHS,
    }
