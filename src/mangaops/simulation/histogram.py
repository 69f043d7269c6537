"""A latency histogram of constant size: buckets of under 0.8 % of their value, from a microsecond to hours.

Values under 256 microseconds have a bucket each; above, every doubling has 128 equal buckets, so that the
quantile of a histogram lies within 0.8 % of that of the raw values, whatever they are.

Source: G. Tene, HdrHistogram (hdrhistogram.org), with fewer significant digits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

_BITS: Final = 7
_HALF: Final = 1 << _BITS
_LONGEST: Final = 1 << 34
"""Microseconds; what took longer counts as this long."""


class Histogram:
    """Counts of durations by bucket; two of them add up."""

    def __init__(self, counts: Mapping[int, int] | None = None) -> None:
        self.counts: dict[int, int] = dict(counts or {})

    def record(self, seconds: float) -> None:
        """One more duration; a negative one counts as none."""
        bucket = bucket_of(int(seconds * 1e6))
        self.counts[bucket] = self.counts.get(bucket, 0) + 1

    def add(self, other: Histogram) -> None:
        """All of the other's durations, too."""
        for bucket, count in other.counts.items():
            self.counts[bucket] = self.counts.get(bucket, 0) + count

    def __len__(self) -> int:
        return sum(self.counts.values())

    def quantile(self, q: float) -> float:
        """Milliseconds at which the share of durations first reaches `q` (0 to 1); NaN without any."""
        total = len(self)
        rank, seen = max(1, math.ceil(q * total - 1e-9)), 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= rank:
                return middle_of(bucket)
        return math.nan

    @property
    def longest(self) -> float:
        """Milliseconds of the longest duration; NaN without any."""
        return middle_of(max(self.counts)) if self.counts else math.nan

    def values(self) -> NDArray[np.float64]:
        """Every duration in milliseconds, ascending, as its bucket's middle."""
        buckets = sorted(self.counts)
        middles = [middle_of(bucket) for bucket in buckets]
        return np.repeat(np.array(middles, dtype=np.float64), [self.counts[bucket] for bucket in buckets])


def bucket_of(microseconds: int) -> int:
    """The bucket of a duration."""
    value = min(max(microseconds, 0), _LONGEST)
    shift = max(0, value.bit_length() - _BITS - 1)
    return shift * _HALF + (value >> shift)


def middle_of(bucket: int) -> float:
    """The middle of a bucket in milliseconds."""
    shift = max(0, bucket // _HALF - 1)
    low = (bucket - shift * _HALF) << shift
    return (low + (1 << shift) / 2) / 1000.0
