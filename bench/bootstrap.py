"""The cluster bootstrap against `scipy.stats.bootstrap`: time, peak memory, and agreement of the bounds.

    python bench/bootstrap.py

The first table is the size that the project promises; the second compares with SciPy on a size that SciPy
finishes, both sides interleaved in one run, medians of the rounds. Interval: two-sided 90 %, percentile.
"""

from __future__ import annotations

import os
import platform
import resource
import statistics
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mangaops.stats import paired_difference

Floats = NDArray[np.float64]
RESAMPLES = 2000
ROUNDS = 3


def sides(rows: int, groups: int, weights: str) -> tuple[Floats, Floats, Floats, NDArray[np.int64]]:
    """Values of both sides, weights and groups of rows that differ on 4 %, a little worse on side b."""
    rng = np.random.default_rng(20260420)
    group = rng.integers(0, groups, rows)
    first = (rng.random(rows) < 0.92).astype(float)
    second = np.where(rng.random(rows) < 0.96, first, 1.0 - first)
    choices: dict[str, Callable[[], Floats]] = {
        "equal": lambda: np.ones(rows),
        "stratified": lambda: rng.choice([0.2, 0.5, 1.0, 2.0, 3.0], rows),
        "continuous": lambda: rng.random(rows),
    }
    return first, second, choices[weights](), group


def ours(first: Floats, second: Floats, weight: Floats, group: NDArray[np.int64]) -> tuple[float, float]:
    """Bounds of the percentile bootstrap inside `paired_difference`."""
    found = paired_difference(
        first * weight,
        weight,
        second * weight,
        weight,
        group,
        rng=np.random.default_rng(1),
        resamples=RESAMPLES,
    )
    assert found.resampled is not None
    low, high = np.quantile(found.resampled, [0.05, 0.95])
    return float(low), float(high)


def scipys(first: Floats, second: Floats, weight: Floats, group: NDArray[np.int64]) -> tuple[float, float]:
    """The same bounds by SciPy, which is given the sums by group, the best case for it."""
    from scipy.stats import bootstrap

    changed = np.bincount(group, weights=(second - first) * weight)
    weighed = np.bincount(group, weights=weight)

    def ratio(top: Floats, bottom: Floats, axis: int = -1) -> Floats:
        return np.asarray(top.sum(axis=axis) / bottom.sum(axis=axis))

    found = bootstrap(
        (changed, weighed),
        ratio,
        paired=True,
        n_resamples=RESAMPLES,
        batch=50,
        confidence_level=0.9,
        method="percentile",
        rng=np.random.default_rng(1),
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def timed(work: Callable[[], tuple[float, float]]) -> tuple[float, tuple[float, float]]:
    """Seconds and the result."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def promised_size() -> None:
    """Print time and memory for 1,000,000 rows in 200,000 groups; the promise is 10 s and 2 GB."""
    print(f"1,000,000 paired rows, 200,000 groups, {RESAMPLES} resamples (promised: 10 s, 2 GB)")
    print(f"{'weights':<12} {'seconds':>8} {'peak RSS MB':>12}")
    for weights in ("equal", "stratified", "continuous"):
        data = sides(1_000_000, 200_000, weights)
        seconds = statistics.median(timed(lambda data=data: ours(*data))[0] for _ in range(ROUNDS))  # type: ignore[misc]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{weights:<12} {seconds:>8.2f} {peak:>12.0f}")


def against_scipy(rows: int, groups: int) -> None:
    """Print medians of both and the ratio, SciPy being 1, and how far the bounds lie apart."""
    print(f"\n{rows:,} paired rows, {groups:,} groups, {RESAMPLES} resamples, SciPy = 1")
    print(f"{'weights':<12} {'scipy s':>8} {'ours s':>8} {'ratio':>7} {'bounds apart, in widths':>24}")
    for weights in ("equal", "stratified", "continuous"):
        data = sides(rows, groups, weights)
        theirs, mine = [], []
        for _ in range(ROUNDS):
            theirs.append(timed(lambda data=data: scipys(*data)))  # type: ignore[misc]
            mine.append(timed(lambda data=data: ours(*data)))  # type: ignore[misc]
        (low, high), (our_low, our_high) = theirs[0][1], mine[0][1]
        apart = max(abs(low - our_low), abs(high - our_high)) / (high - low)
        slow, fast = statistics.median(t for t, _ in theirs), statistics.median(t for t, _ in mine)
        print(f"{weights:<12} {slow:>8.2f} {fast:>8.2f} {fast / slow:>7.3f} {apart:>24.3f}")


def main() -> None:
    """Print both tables."""
    print(
        f"host: {platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, NumPy {np.__version__}"
    )
    promised_size()
    against_scipy(100_000, 20_000)


if __name__ == "__main__":
    main()
