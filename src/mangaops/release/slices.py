"""Both sides on parts of the golden rows or queries, with the paired difference and its interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np

from mangaops.metrics import METRICS, Ranked, Scored, parts
from mangaops.stats import PairedDifference, Undefined, holm, paired_difference

LEVEL: Final = 0.95
LEAST_ROWS: Final = 20
"""Smaller slices are not shown: their intervals say nothing."""

COMPARED_BY: Final[Mapping[type, str]] = {Scored: "accuracy", Ranked: "ndcg@10"}
"""The metric of a slice."""

V = TypeVar("V", Scored, Ranked)


@dataclass(frozen=True)
class Slice:
    """Accuracy (of lists NDCG@10) of both sides on one part, and the difference (release minus baseline).

    `low` and `high` are its interval at level 0.95, of this part alone. `p` is for the claim that the sides
    differ here, adjusted for all parts that are shown (Holm).
    """

    name: str
    value: str
    rows: int
    baseline: float
    release: float
    difference: float
    low: float
    high: float
    p: float

    @property
    def worse(self) -> bool:
        """Whether the release is proven worse here, among all parts that were looked at."""
        return self.difference < 0 and self._proven

    @property
    def better(self) -> bool:
        """Whether the release is proven better here, among all parts that were looked at."""
        return self.difference > 0 and self._proven

    @property
    def _proven(self) -> bool:
        return self.p <= 1.0 - LEVEL


def slices(view: V, *, rng: np.random.Generator, resamples: int = 500) -> list[Slice]:
    """Every slice with `LEAST_ROWS` rows or more, in the order of the metrics room.

    The intervals are one at a time: with many slices one in twenty misses. The claims `worse` and `better`
    are adjusted: where the sides differ nowhere, any of them is made in at most one release of twenty.

    Source: Holm (1979), Scandinavian Journal of Statistics 6:65.
    """
    found = []
    for name, value, part in parts(view):
        paired = _paired(part, rng, resamples)
        if paired is not None:
            found.append((name, value, part.rows.height, paired))
    adjusted = holm([_p_value(paired) for *_, paired in found])
    return [_slice(*each, p=float(p)) for each, p in zip(found, adjusted, strict=True)]


def _paired(part: V, rng: np.random.Generator, resamples: int) -> PairedDifference | None:
    if part.rows.height < LEAST_ROWS:
        return None
    sides = METRICS[COMPARED_BY[type(part)]].rows(part, None)
    try:
        return paired_difference(
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


def _p_value(paired: PairedDifference) -> float:
    """Two-sided: from the highest confidence at which one of the bounds excludes zero."""
    surest = max(paired.confidence_above(0.0), paired.confidence_below(0.0))
    return min(1.0, 2.0 * (1.0 - surest))


def _slice(name: str, value: str, rows: int, paired: PairedDifference, *, p: float) -> Slice:
    interval = paired.interval(LEVEL)
    sides = (paired.estimate_a, paired.estimate_b, paired.difference)
    return Slice(name, value, rows, *sides, interval.low, interval.high, p)
