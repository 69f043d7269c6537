"""Confidence sequences: intervals that may be looked at after every request and stay valid."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from mangaops.stats.grouping import Codes, Floats, Groups, column, group_codes, group_sums
from mangaops.stats.interval import Interval, Undefined, check_level, last_true

_PRIOR = 0.5


def bernoulli_sequence(successes: ArrayLike, groups: Groups | None, level: float) -> tuple[float, Interval]:
    """The share of successes, and an interval that holds the true share at every moment at once.

    `successes` has a number in [0, 1] for each request so far (order does not matter), `groups` what each
    request belongs to (None: each is its own). Call it as often as new requests come: the probability that
    the interval *ever* misses is at most 1 - level.

    One request a group: that guarantee is exact at every size, from the first request on (Ville's
    inequality on a beta-binomial mixture; requests need one common mean given the past). More: it holds at
    an effective number of requests, n over the measured design effect of groups and one imagined group of
    requests that are all alike, never more than n; then it is asymptotic, for groups that arrive
    independently, and simulated in tests/stats/test_coverage_slow.py.

    Raises:
        Undefined: no requests.
        ValueError: a number outside [0, 1], a level outside [0, 1), not one group a request.

    Source: Robbins (1970), Annals of Mathematical Statistics 41:1397; Howard, Ramdas, McAuliffe and Sekhon
    (2021), Annals of Statistics 49:1055, proposition 7; Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas
    (2024), Annals of Statistics 52:2613 (asymptotic sequences); docs/adr/0033.
    """
    counts = column(successes, "successes")
    if counts.size == 0:
        raise Undefined("there are no requests to take a share of")
    if ((counts < 0.0) | (counts > 1.0)).any():
        raise ValueError("successes must lie between 0 and 1")
    share, requests, method = float(counts.mean()), float(counts.size), "beta-binomial sequence"
    if groups is not None:
        codes, count = group_codes(groups, counts.size)
        if count < counts.size:
            requests = _effective_requests(counts, codes, count, share)
            method = "beta-binomial sequence over design effect"
    low, high = _mixture_bounds(share * requests, requests, 1.0 - check_level(level))
    return share, Interval(min(low, share), max(high, share), level, method)


def _effective_requests(counts: Floats, codes: Codes, count: int, share: float) -> float:
    sums = group_sums([counts, np.ones(counts.size)], codes, count)
    clustered = float(np.square(sums[:, 0] - share * sums[:, 1]).sum())
    independent = counts.size * share * (1.0 - share)
    alike = float(np.square(sums[:, 1]).mean())
    single = float(sums[:, 1].mean())
    effect = (clustered + alike) / (independent + single)
    return counts.size / max(1.0, effect)


def _mixture_bounds(successes: float, n: float, miss: float) -> tuple[float, float]:
    """Every share that the mixture has not won 1 / miss against: the ends of that interval."""
    share, failures = successes / n, n - successes
    high = last_true(_unbeaten(successes, failures, miss), share, 1.0)
    low = 1.0 - last_true(_unbeaten(failures, successes, miss), 1.0 - share, 1.0)
    return low, high


def _unbeaten(successes: float, failures: float, miss: float) -> Callable[[float], bool]:
    won = _log_beta(successes + _PRIOR, failures + _PRIOR) - _log_beta(_PRIOR, _PRIOR)
    limit = -math.log(miss)

    def holds(share: float) -> bool:
        return won - _times_log(successes, share) - _times_log(failures, 1.0 - share) <= limit

    return holds


def _times_log(count: float, share: float) -> float:
    if count == 0.0:
        return 0.0
    return count * math.log(share) if share > 0.0 else -math.inf


def _log_beta(first: float, second: float) -> float:
    return math.lgamma(first) + math.lgamma(second) - math.lgamma(first + second)
