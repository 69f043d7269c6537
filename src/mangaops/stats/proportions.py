"""Intervals of a proportion, and of the difference of two paired proportions."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mangaops.stats.interval import Interval, check_level, last_true, normal_quantile, one_sided


def clopper_pearson(successes: float, n: float, level: float) -> Interval:
    """The exact interval of a proportion: it covers at least `level`, whatever the proportion is.

    `n` = 0 gives [0, 1]. At level 0 it is the median-unbiased pair around the estimate, not the estimate.

    Raises:
        ValueError: not 0 <= successes <= n, or a level outside [0, 1).

    Source: Clopper and Pearson (1934), Biometrika 26:404.
    """
    from scipy.special import betaincinv

    _check_counts(successes, n)
    tail = (1.0 - check_level(level)) / 2.0
    low = 0.0 if successes == 0 else float(betaincinv(successes, n - successes + 1, tail))
    high = 1.0 if successes == n else float(betaincinv(successes + 1, n - successes, 1.0 - tail))
    return Interval(low, high, level, "clopper-pearson")


@dataclass(frozen=True)
class TangoScore:
    """The score test of a difference of paired proportions, for `b` gains and `c` losses in `n` pairs.

    Counts may be fractional, so that effective sample sizes can be put in. The estimate is (b - c) / n.

    Raises:
        ValueError: a negative count, b + c > n, or n = 0.

    Source: Tango (1998), Statistics in Medicine 17:891, equations 10 to 13.
    """

    b: float
    c: float
    n: float

    def __post_init__(self) -> None:
        fits = self.b + self.c <= self.n * (1.0 + 1e-9)
        if not (self.b >= 0.0 and self.c >= 0.0 and self.n > 0.0 and fits):
            raise ValueError(f"b={self.b} gains and c={self.c} losses do not fit into n={self.n} pairs")

    @property
    def estimate(self) -> float:
        """The difference of the two proportions."""
        return (self.b - self.c) / self.n

    def lower(self, confidence: float) -> float:
        """The one-sided lower bound; at 0.5 it is the estimate itself."""
        return self.lower_at(normal_quantile(confidence))

    def lower_at(self, z: float) -> float:
        """The lower bound that lies `z` standard errors (under the bound itself) below the estimate."""
        return -TangoScore(self.c, self.b, self.n).upper_at(z) if z else self.estimate

    def upper(self, confidence: float) -> float:
        """The one-sided upper bound; at 0.5 it is the estimate itself."""
        return self.upper_at(normal_quantile(confidence))

    def upper_at(self, z: float) -> float:
        """The upper bound that lies `z` standard errors (under the bound itself) above the estimate."""
        if z == 0.0:
            return self.estimate
        # statistic(difference) falls from +inf to -inf; the upper bound is where it reaches -z
        reached = last_true(lambda difference: self.statistic(difference) >= -z, -1.0, 1.0)
        return max(reached, self.estimate) if z > 0.0 else min(reached, self.estimate)

    def statistic(self, difference: float) -> float:
        """How many standard errors (under `difference`) the estimate lies above `difference`."""
        b, c, n, d = self.b, self.c, self.n, difference
        linear = -b - c + (2.0 * n - b + c) * d
        root = linear * linear + 8.0 * n * c * d * (1.0 - d)
        losses = max(0.0, (math.sqrt(max(0.0, root)) - linear) / (4.0 * n))
        variance = n * (2.0 * losses + d * (1.0 - d))
        gap = b - c - n * d
        if variance <= 0.0:
            return math.copysign(math.inf, gap) if gap else 0.0
        return gap / math.sqrt(variance)


def tango(b: float, c: float, n: float, level: float) -> Interval:
    """The score interval of (b - c) / n, the difference of two proportions seen on the same `n` pairs.

    `b` pairs where only the first is a success, `c` where only the second is. Sound where b = c = 0 and
    where b = n. Bounds lie in [-1, 1]. Level 0 gives the estimate.

    Raises:
        ValueError: a negative count, b + c > n, n = 0, or a level outside [0, 1).

    Source: Tango (1998), Statistics in Medicine 17:891.
    """
    score, confidence = TangoScore(b, c, n), one_sided(level)
    return Interval(score.lower(confidence), score.upper(confidence), level, "tango")


def _check_counts(successes: float, n: float) -> None:
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes do not fit into {n} trials")
