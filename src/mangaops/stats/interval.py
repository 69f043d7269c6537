"""What an interval is, and the two small things that every interval needs: a normal quantile, a bisection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

_NORMAL = NormalDist()
_STEPS = 80


class Undefined(ValueError):
    """There is no data to measure this on: no rows, or a denominator of zero."""


@dataclass(frozen=True)
class Interval:
    """An interval that holds the true value at `level`, two-sided with equal tails; `method` names how.

    A side that the data cannot bound is `-inf` or `inf`.
    """

    low: float
    high: float
    level: float
    method: str

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


def normal_quantile(confidence: float) -> float:
    """The point below which a standard normal lies with probability `confidence`, in (0, 1)."""
    return _NORMAL.inv_cdf(check_confidence(confidence))


def check_confidence(confidence: float) -> float:
    """The confidence itself, once it lies strictly between 0 and 1.

    Raises:
        ValueError: it does not.
    """
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"a confidence must lie strictly between 0 and 1, and this one is {confidence}")
    return float(confidence)


def check_level(level: float) -> float:
    """The level itself, once it lies in [0, 1); level 0 stands for the point estimate.

    Raises:
        ValueError: it does not.
    """
    if not 0.0 <= level < 1.0:
        raise ValueError(f"a level must be at least 0 and below 1, and this one is {level}")
    return float(level)


def one_sided(level: float) -> float:
    """The one-sided confidence of each bound of a two-sided interval at `level`."""
    return (1.0 + check_level(level)) / 2.0


def last_true(holds: Callable[[float], bool], low: float, high: float) -> float:
    """The largest x in [low, high] for which `holds` is true, if it is true up to some x and false after.

    `low` where it never holds, `high` where it always does. Found by bisection to full precision.
    """
    if holds(high):
        return high
    for _ in range(_STEPS):
        middle = (low + high) / 2.0
        if holds(middle):
            low = middle
        else:
            high = middle
    return low
