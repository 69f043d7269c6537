"""What every estimate with one-sided bounds offers: intervals, and the confidence at which a rule holds."""

from __future__ import annotations

from abc import ABC, abstractmethod

from mangaops.stats.interval import Interval, last_true, one_sided

_NEAREST = 1e-9


class Bounded(ABC):
    """One-sided bounds that move outwards as confidence grows; confidence lies strictly in (0, 1)."""

    method: str

    @property
    @abstractmethod
    def differing(self) -> int:
        """How many of what it rests on tell the sides apart: at 0 the bounds are as wide as n leaves them."""

    @abstractmethod
    def lower(self, confidence: float) -> float:
        """The one-sided lower bound: the true value is at least this, with this confidence."""

    @abstractmethod
    def upper(self, confidence: float) -> float:
        """The one-sided upper bound: the true value is at most this, with this confidence."""

    def interval(self, level: float) -> Interval:
        """The two-sided interval with equal tails; level 0 gives the bounds at confidence 0.5."""
        confidence = one_sided(level)
        return Interval(self.lower(confidence), self.upper(confidence), level, self.method)

    def confidence_above(self, threshold: float) -> float:
        """The highest confidence at which the lower bound is at least `threshold`.

        In [0, 1]: 0 where none is high enough for that, 1 - 1e-9 where the bound is so at any.
        """
        found = last_true(lambda level: self.lower(level) >= threshold, _NEAREST, 1.0 - _NEAREST)
        return found if self.lower(found) >= threshold else 0.0

    def confidence_below(self, threshold: float) -> float:
        """The highest confidence at which the upper bound is at most `threshold`; as confidence_above."""
        found = last_true(lambda level: self.upper(level) <= threshold, _NEAREST, 1.0 - _NEAREST)
        return found if self.upper(found) <= threshold else 0.0
