"""Accuracy of both sides on parts of the golden set, with the paired difference and its interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from mangaops.metrics import METRICS, Scored
from mangaops.stats import Undefined, paired_difference
from mangaops.vocabulary import Side

LEVEL: Final = 0.95
LEAST_ROWS: Final = 20
"""Smaller slices are not shown: their intervals say nothing."""

_NEAR_OR_SEEN = pl.col("near") | pl.col("seen")
FIXED: Final[dict[str, dict[str, pl.Expr]]] = {
    "jargon": {"with jargon": pl.col("jargon"), "without jargon": ~pl.col("jargon")},
    "length": {
        "1-2 words": pl.col("words") <= 2,
        "3-5 words": pl.col("words").is_between(3, 5),
        "6-12 words": pl.col("words").is_between(6, 12),
        "13 words and more": pl.col("words") > 12,
    },
    "turn": {"first turn": pl.col("turn") <= 1, "later turns": pl.col("turn") > 1},
    "users": {"new users": pl.col("new_user"), "known users": ~pl.col("new_user")},
    "text": {
        "seen in training": pl.col("seen"),
        "near a training text": pl.col("near") & ~pl.col("seen"),
        "unseen": ~_NEAR_OR_SEEN,
    },
}


@dataclass(frozen=True)
class Slice:
    """Accuracy of both sides on one part, and the difference (release minus baseline) at level 0.95."""

    name: str
    value: str
    rows: int
    baseline: float
    release: float
    difference: float
    low: float
    high: float

    @property
    def worse(self) -> bool:
        """Whether the interval lies under zero."""
        return self.high < 0


def slices(scored: Scored, *, rng: np.random.Generator, resamples: int = 500) -> list[Slice]:
    """Every slice with `LEAST_ROWS` rows or more, in the order of the table above, languages first.

    Rows whose trait is unknown belong to no slice of that trait. The intervals are one at a time; with
    many slices one in twenty misses.
    """
    languages = scored.outcomes["language"].drop_nulls().value_counts(sort=True)["language"].to_list()
    parts = {"language": {str(each): pl.col("language") == each for each in languages}, **FIXED}
    found = [
        _slice(scored.where(keep.fill_null(False)), name, value, rng, resamples)
        for name, values in parts.items()
        for value, keep in values.items()
    ]
    return [each for each in found if each is not None]


def _slice(part: Scored, name: str, value: str, rng: np.random.Generator, resamples: int) -> Slice | None:
    if part.outcomes.height < LEAST_ROWS:
        return None
    sides = METRICS["accuracy"].rows(part, None)
    try:
        paired = paired_difference(
            sides.baseline_numerator,
            sides.baseline_denominator,
            sides.release_numerator,
            sides.release_denominator,
            part.groups,
            rng=rng,
            resamples=resamples,
        )
    except Undefined:
        return None
    interval = paired.interval(LEVEL)
    return Slice(
        name,
        value,
        part.outcomes.height,
        sides.value(Side.BASELINE),
        sides.value(Side.RELEASE),
        paired.difference,
        interval.low,
        interval.high,
    )
