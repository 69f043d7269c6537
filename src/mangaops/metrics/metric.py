"""What a metric is: a name, a unit, a direction, and a numerator and denominator a row and side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mangaops.metrics.scored import Scored
from mangaops.vocabulary import Direction, Side

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Sides:
    """A ratio of sums over the same rows, once for each side.

    The value of a side is `sum(numerator) / sum(denominator)`; a row that says nothing has 0 in both.
    `scale` is the largest difference that one row can make.
    """

    baseline_numerator: Numbers
    baseline_denominator: Numbers
    release_numerator: Numbers
    release_denominator: Numbers
    scale: float = 1.0

    def value(self, side: Side) -> float:
        """The metric of one side; NaN where no row counts."""
        mine = side is Side.RELEASE
        top = self.release_numerator if mine else self.baseline_numerator
        bottom = self.release_denominator if mine else self.baseline_denominator
        total = float(bottom.sum())
        return float(top.sum()) / total if total > 0 else float("nan")

    def rows(self) -> int:
        """How many rows count on either side."""
        return int(((self.baseline_denominator > 0) | (self.release_denominator > 0)).sum())


@dataclass(frozen=True)
class Metric:
    """One entry of `METRICS`: no gate guesses a sign or a unit.

    `rows(scored, label)` needs a label where `per_label` is true, and takes none elsewhere.
    """

    name: str
    unit: str
    direction: Direction
    per_label: bool
    says: str
    rows: Callable[[Scored, str | None], Sides]
