"""The interval of a quantile by order statistics, in blocks or not; and that of the difference of two."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mangaops.stats.grouping import Floats, Groups, column, group_codes, group_sums
from mangaops.stats.interval import Interval, Undefined, check_level


def quantile_interval(
    samples: ArrayLike, q: float, level: float, blocks: Groups | None = None
) -> tuple[float, Interval]:
    """The q-quantile of what the samples were drawn from, and its interval at `level`, in their unit.

    The estimate is the order statistic at which the share of samples first reaches q. Without `blocks` the
    interval is exact for independent samples of any distribution: it covers at least `level`. With
    `blocks` (which block each sample was measured in; at least two) samples of a block may depend on each
    other: the ranks are taken at the effective sample size, the samples over the design effect of "is at
    most the estimate" (never under 1), shrunk once more by Student's t for few blocks. Blocks themselves
    must not depend on each other: interleave both sides, and spread the blocks over the run.

    Too few samples to bound a side give `-inf` or `inf` there. Level 0 gives the estimate twice. Ties are
    kept as they are, and make the interval wider, never narrower.

    Raises:
        Undefined: no samples, or blocks and only one of them.
        ValueError: NaN, q outside (0, 1), a level outside [0, 1), not one block a sample.

    Source: David and Nagaraja (2003), Order Statistics, section 7.1; Woodruff (1952), JASA 47:635;
    Korn and Graubard (1998), Survey Methodology 24:193; docs/adr/0032.
    """
    ordered = np.sort(column(samples, "samples"))
    if ordered.size == 0:
        raise Undefined("there are no samples to take a quantile of")
    if not 0.0 < q < 1.0:
        raise ValueError(f"a quantile must lie strictly between 0 and 1, and this one is {q}")
    method = "order statistics" if blocks is None else "order statistics over design effect"
    estimate = float(ordered[math.ceil(ordered.size * q) - 1])
    if check_level(level) == 0.0:
        return estimate, Interval(estimate, estimate, level, method)
    if blocks is None:
        low, high = _exact_ranks(ordered.size, q, level)
    else:
        low, high = _clustered_ranks(column(samples, "samples") <= estimate, blocks, q, level)
    return estimate, Interval(_at(ordered, low), _at(ordered, high), level, method)


def quantile_difference(
    first: ArrayLike,
    second: ArrayLike,
    q: float,
    level: float,
    first_blocks: Groups | None = None,
    second_blocks: Groups | None = None,
) -> tuple[float, Interval]:
    """The q-quantile of `second` less that of `first`, and its interval at `level`, in their unit.

    With estimates a and b and their own intervals (la, ua) and (lb, ub) at `level`, each by
    `quantile_interval`, the bounds are

        b - a - sqrt((b - lb)^2 + (ua - a)^2)    and    b - a + sqrt((ub - b)^2 + (a - la)^2)

    as they are for independent estimates. Sides whose blocks alternate share the machine's slow moments: then
    both quantiles move together, and the interval is wider than it need be, never narrower. A side that
    too few samples leave open leaves the difference open.

    Raises:
        Undefined, ValueError: as `quantile_interval` does.

    Source: Zou and Donner (2008), Statistics in Medicine 27:1693, section 2 (MOVER); docs/adr/0090.
    """
    a, of_first = quantile_interval(first, q, level, first_blocks)
    b, of_second = quantile_interval(second, q, level, second_blocks)
    low = b - a - math.hypot(b - of_second.low, of_first.high - a)
    high = b - a + math.hypot(of_second.high - b, a - of_first.low)
    return b - a, Interval(low, high, level, f"MOVER of {of_second.method}")


def _exact_ranks(n: int, q: float, level: float) -> tuple[int, int]:
    """Ranks, from 1, of the two order statistics; 0 and n + 1 stand for a side that has none."""
    from scipy.special import bdtr

    tail = (1.0 - level) / 2.0
    below = bdtr(np.arange(n), n, q)  # P(at most k of n samples lie under the quantile)
    low = int(np.searchsorted(below, tail, side="right"))
    high = int(np.searchsorted(below, 1.0 - tail, side="left")) + 1
    return low, high


def _clustered_ranks(under: NDArray[np.bool_], blocks: Groups, q: float, level: float) -> tuple[int, int]:
    from scipy.special import betaincinv

    n = under.size
    effective = n / _design_effect(under, blocks, level)
    tail, expected = (1.0 - level) / 2.0, q * effective
    share_low = float(betaincinv(expected, effective - expected + 1.0, tail))
    share_high = float(betaincinv(expected + 1.0, effective - expected, 1.0 - tail))
    exact_low, exact_high = _exact_ranks(n, q, level)
    return min(exact_low, math.floor(n * share_low)), max(exact_high, math.floor(n * share_high) + 1)


def _design_effect(under: NDArray[np.bool_], blocks: Groups, level: float) -> float:
    """How many dependent samples are worth one independent one, few blocks counted in."""
    from scipy.special import ndtri, stdtrit

    codes, count = group_codes(blocks, under.size)
    if count < 2:
        raise Undefined("one block cannot show how much blocks differ: measure in two or more")
    share = float(under.mean())
    sums = group_sums([under.astype(np.float64), np.ones(under.size)], codes, count)
    between = float(np.square(sums[:, 0] - share * sums[:, 1]).sum()) * count / (count - 1)
    independent = under.size * share * (1.0 - share)
    effect = max(1.0, between / independent) if independent > 0.0 else 1.0
    few_blocks = float(stdtrit(count - 1, (1.0 + level) / 2.0) / ndtri((1.0 + level) / 2.0))
    return effect * few_blocks**2


def _at(ordered: Floats, rank: int) -> float:
    if rank < 1:
        return -math.inf
    return math.inf if rank > ordered.size else float(ordered[rank - 1])
