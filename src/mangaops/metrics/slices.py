"""The parts of the golden rows that reports look at: the one definition of every slice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import polars as pl

from mangaops.metrics.scored import Scored

_SEEN, _NEAR = pl.col("seen"), pl.col("near")
_FIXED: Final[dict[str, dict[str, pl.Expr]]] = {
    "jargon": {"with jargon": pl.col("jargon"), "without jargon": ~pl.col("jargon")},
    "length": {
        "1-2 words": pl.col("words") <= 2,
        "3-5 words": pl.col("words").is_between(3, 5),
        "6-12 words": pl.col("words").is_between(6, 12),
        "13 words and more": pl.col("words") > 12,
    },
    "turn": {"first turn": pl.col("turn") <= 1, "later turns": pl.col("turn") > 1},
    "users": {"new users": pl.col("new_user"), "known users": ~pl.col("new_user")},
    "text": {"seen in training": _SEEN, "near a training text": _NEAR & ~_SEEN, "unseen": ~(_NEAR | _SEEN)},
}


def parts(scored: Scored) -> Iterator[tuple[str, str, Scored]]:
    """Name, value and rows of each slice that has rows: languages first, by size, then the table above.

    Rows whose trait is unknown belong to no slice of that trait.
    """
    counts = scored.outcomes.get_column("language").drop_nulls().value_counts()
    languages = counts.sort("count", "language", descending=[True, False]).get_column("language").to_list()
    table = {"language": {str(each): pl.col("language") == each for each in languages}, **_FIXED}
    for name, values in table.items():
        for value, keep in values.items():
            part = scored.where(keep.fill_null(False))
            if not part.outcomes.is_empty():
                yield name, value, part
