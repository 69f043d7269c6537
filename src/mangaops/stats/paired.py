"""The difference of two sides that answered the same rows: the number that most gates judge."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mangaops.stats.bootstrap import resampled_sums
from mangaops.stats.bounds import Bounded
from mangaops.stats.effective import EffectiveScore, effective_score
from mangaops.stats.grouping import Codes, Floats, Groups, column, group_codes, group_sums
from mangaops.stats.interval import Undefined, check_confidence


@dataclass(frozen=True)
class PairedDifference(Bounded):
    """Side b minus side a: the estimates, how much data they rest on, and one-sided bounds.

    `rows` and `groups` count those on which the metric is defined for either side. `discordant_groups`:
    groups whose sums differ between the sides. `method`: `tango` or `cluster bootstrap, tango if wider`.
    """

    estimate_a: float
    estimate_b: float
    difference: float
    rows: int
    groups: int
    discordant_groups: int
    method: str
    score: EffectiveScore = field(repr=False, compare=False)
    resampled: Floats | None = field(repr=False, compare=False)

    @property
    def differing(self) -> int:
        """The groups whose sums differ between the sides."""
        return self.discordant_groups

    def lower(self, confidence: float) -> float:
        """The one-sided lower bound; `lower(0.5)` is the difference itself, whatever the method."""
        if check_confidence(confidence) == 0.5:
            return self.difference
        bounds = [self.difference, self.score.lower(confidence)]
        if self.resampled is not None:
            bounds.append(float(np.quantile(self.resampled, 1.0 - confidence)))
        return min(bounds) if confidence > 0.5 else max(bounds)

    def upper(self, confidence: float) -> float:
        """The one-sided upper bound; `upper(0.5)` is the difference itself, whatever the method."""
        if check_confidence(confidence) == 0.5:
            return self.difference
        bounds = [self.difference, self.score.upper(confidence)]
        if self.resampled is not None:
            bounds.append(float(np.quantile(self.resampled, confidence)))
        return max(bounds) if confidence > 0.5 else min(bounds)


def paired_difference(
    numerator_a: ArrayLike,
    denominator_a: ArrayLike,
    numerator_b: ArrayLike,
    denominator_b: ArrayLike,
    groups: Groups,
    *,
    rng: np.random.Generator,
    resamples: int = 2000,
    scale: float | None = None,
) -> PairedDifference:
    """Side b minus side a, each a ratio of sums over the same rows, with bounds that respect the groups.

    The four columns have one number a row: weight x value, and weight (0 where the metric is not defined
    for that row and side). `groups` has what each row belongs to; rows of one group are not independent.
    `scale` is the largest difference that one row can make to the ratio; when it is not given, the spread
    of the values seen, 0 included (1 for values 0 and 1), or 1 where all are 0.

    One row a group, equal weights and values 0 or 1: Tango's score interval. Else, bound by bound, the
    wider of the percentile cluster bootstrap and Tango at the effective sample size (see effective_score):
    the bootstrap alone is meaningless where next to nothing is discordant, and too narrow on the longer
    tail up to about 100 discordant groups. Resamples without a denominator are left out.

    Raises:
        Undefined: no rows, or a side whose denominators add up to zero.
        ValueError: NaN, unequal lengths, negative denominators, fewer than 100 resamples.

    Source: Tango (1998), Statistics in Medicine 17:891; Field and Welsh (2007), JRSS B 69:369;
    docs/adr/0030 and 0031.
    """
    if resamples < 100:
        raise ValueError(f"at least 100 resamples are needed, and {resamples} were asked for")
    table = _table(numerator_a, denominator_a, numerator_b, denominator_b)
    counted = (table != 0.0).any(axis=1)
    codes, count = _counted_codes(groups, counted)
    table = table[counted]
    sums = group_sums(list(table.T), codes, count)
    totals = [float(total) for total in sums.sum(axis=0)]
    contributions, imagined = _contributions(sums, _scale(table) if scale is None else scale)
    discordant = (sums[:, :2] != sums[:, 2:]).any(axis=1)
    exact = count == table.shape[0] and _is_plain(table)
    return PairedDifference(
        estimate_a=totals[0] / totals[1],
        estimate_b=totals[2] / totals[3],
        difference=_difference(*totals),
        rows=table.shape[0],
        groups=count,
        discordant_groups=int(discordant.sum()),
        method="tango" if exact else "cluster bootstrap, tango if wider",
        score=effective_score(contributions, imagined, float(imagined.sum())),
        resampled=None if exact else _resampled(sums, rng, resamples),
    )


def _table(
    numerator_a: ArrayLike, denominator_a: ArrayLike, numerator_b: ArrayLike, denominator_b: ArrayLike
) -> Floats:
    first = column(numerator_a, "numerator_a")
    rest = (
        (denominator_a, "denominator_a"),
        (numerator_b, "numerator_b"),
        (denominator_b, "denominator_b"),
    )
    table = np.stack([first, *(column(values, name, first.size) for values, name in rest)], axis=1)
    for side, number, weight in (("a", 0, 1), ("b", 2, 3)):
        if (table[:, weight] < 0.0).any():
            raise ValueError(f"denominator_{side} holds a negative number")
        if ((table[:, weight] == 0.0) & (table[:, number] != 0.0)).any():
            raise ValueError(f"numerator_{side} is not zero on a row where denominator_{side} is")
        if table[:, weight].sum() == 0.0:
            raise Undefined(f"side {side} has no row to measure this on: its denominators add up to zero")
    return table


def _counted_codes(groups: Groups, counted: NDArray[np.bool_]) -> tuple[Codes, int]:
    codes, _ = group_codes(groups, counted.size)
    names, kept = np.unique(codes[counted], return_inverse=True)
    return kept, int(names.size)


def _difference(number_a: float, weight_a: float, number_b: float, weight_b: float) -> float:
    # over one denominator where there is one: 0.900 - 0.902 is not -0.002 in floats, -4 / 2000 is
    if weight_a == weight_b:
        return (number_b - number_a) / weight_a
    return number_b / weight_b - number_a / weight_a


def _ratios(totals: Floats) -> Floats:
    return np.stack([totals[:, 0] / totals[:, 1], totals[:, 2] / totals[:, 3]], axis=1)


def _scale(table: Floats) -> float:
    values = [table[held, number] / table[held, weight] for number, weight, held in _sides(table)]
    together = np.concatenate(values)
    return max(0.0, float(together.max())) - min(0.0, float(together.min())) or 1.0


def _sides(table: Floats) -> list[tuple[int, int, NDArray[np.bool_]]]:
    return [(number, number + 1, table[:, number + 1] > 0.0) for number in (0, 2)]


def _contributions(sums: Floats, scale: float) -> tuple[Floats, Floats]:
    """What each group adds to the difference, and what it would add were it discordant in every row.

    The first sum to the difference exactly: each side's numerator is taken about the ratio of both sides
    together, which cancels in the sum and keeps groups apart where only the denominators differ.
    """
    totals = sums.sum(axis=0)
    common = (totals[0] + totals[2]) / (totals[1] + totals[3])
    of_a = (sums[:, 0] - common * sums[:, 1]) / totals[1]
    of_b = (sums[:, 2] - common * sums[:, 3]) / totals[3]
    return of_b - of_a, scale * np.maximum(sums[:, 1] / totals[1], sums[:, 3] / totals[3])


def _is_plain(table: Floats) -> bool:
    weight = table[0, 1]
    equal_weights = bool((table[:, 1] == weight).all() and (table[:, 3] == weight).all())
    return equal_weights and bool(np.isin(table[:, [0, 2]], (0.0, weight)).all())


def _resampled(sums: Floats, rng: np.random.Generator, resamples: int) -> Floats:
    totals = resampled_sums(sums, rng=rng, resamples=resamples)
    ratios = _ratios(totals[(totals[:, 1] > 0.0) & (totals[:, 3] > 0.0)])
    return np.sort(ratios[:, 1] - ratios[:, 0])
