"""An estimate for a whole window of traffic from a sample of it that people have labelled."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mangaops.stats.bounds import Bounded
from mangaops.stats.effective import EffectiveScore, effective_score
from mangaops.stats.grouping import Codes, Floats, Groups, column, group_codes
from mangaops.stats.interval import Undefined, check_confidence

_METHOD = "horvitz-thompson, tango over design effect"


@dataclass(frozen=True)
class SurveyEstimate(Bounded):
    """The mean difference per request over a window, and one-sided bounds.

    `estimate` counts unclear items as 0; `lower` takes them as -1 and `upper` as +1, so that with unclear
    items `lower(0.5) <= estimate <= upper(0.5)`, and without any all three are equal.
    `requests` and `groups` are those of the window; `items`, `unclear`, `discordant` those of the sample
    (discordant: value not 0). `design_variance` is the part of `variance` that more labels would remove,
    `group_variance` the part that only more traffic would.
    """

    estimate: float
    requests: int
    groups: int
    items: int
    unclear: int
    discordant: int
    variance: float
    design_variance: float
    group_variance: float
    method: str
    pessimist: EffectiveScore = field(repr=False, compare=False)
    optimist: EffectiveScore = field(repr=False, compare=False)

    @property
    def differing(self) -> int:
        """The sampled items on which one side is preferred."""
        return self.discordant

    def lower(self, confidence: float) -> float:
        """The one-sided lower bound, unclear items taken as -1."""
        bound = self.pessimist.lower(check_confidence(confidence))
        return self.estimate if confidence == 0.5 and not self.unclear else bound

    def upper(self, confidence: float) -> float:
        """The one-sided upper bound, unclear items taken as +1."""
        bound = self.optimist.upper(check_confidence(confidence))
        return self.estimate if confidence == 0.5 and not self.unclear else bound


def horvitz_thompson(
    values: ArrayLike,
    probabilities: ArrayLike,
    groups: Groups,
    group_sizes: Mapping[Hashable, int],
    *,
    unclear: ArrayLike | None = None,
) -> SurveyEstimate:
    """The mean of a value per request over a window, from items sampled with known probabilities.

    `values` has -1, 0 or 1 for each sampled item (any number in [-1, 1] will do), `probabilities` with
    which each was drawn, in (0, 1], `groups` what it belongs to, `group_sizes` the requests of every group
    of the window, those without items too. `unclear` marks items that nobody could tell. Requests that
    could not be sampled count as 0: so sample from all requests that both sides answered differently.

    Items must be drawn independently of each other (Poisson sampling), or a fixed number of them at
    random, which makes the bounds a little wide. Bounds are for traffic of which the window's groups are a
    sample: the variance of estimated group totals holds both parts. They are Tango's at the effective
    number of requests, which tends to the usual normal interval as discordant groups grow in number, and
    stays honest where there are few or none (see effective_score).

    Raises:
        Undefined: no requests.
        ValueError: a value outside [-1, 1], a probability outside (0, 1], an item of an unknown group, a
            group with more items than requests or without any request, NaN, unequal lengths.

    Source: Horvitz and Thompson (1952), JASA 47:663; Särndal, Swensson and Wretman (1992), Model Assisted
    Survey Sampling, results 2.8.1 and 4.6.1 (ultimate clusters); docs/adr/0034.
    """
    value, chance, hidden = _items(values, probabilities, unclear)
    codes, sizes = _window(groups, group_sizes, value.size)
    requests = float(sizes.sum())
    known = np.where(hidden, 0.0, value)
    share = sizes / requests
    totals = np.bincount(codes, weights=known / chance, minlength=sizes.size) / requests
    estimate = float(totals.sum())
    variance = float(np.square(totals - estimate * share).sum()) * sizes.size / max(1, sizes.size - 1)
    design = float(((1.0 - chance) * np.square(known / chance)).sum()) / requests**2
    return SurveyEstimate(
        estimate=estimate,
        requests=int(requests),
        groups=int(sizes.size),
        items=int(value.size),
        unclear=int(hidden.sum()),
        discordant=int((known != 0.0).sum()),
        variance=variance,
        design_variance=min(design, variance),
        group_variance=max(0.0, variance - design),
        method=_METHOD,
        pessimist=_score(np.where(hidden, -1.0, value), chance, codes, sizes),
        optimist=_score(np.where(hidden, 1.0, value), chance, codes, sizes),
    )


def _items(
    values: ArrayLike, probabilities: ArrayLike, unclear: ArrayLike | None
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    value = column(values, "values")
    chance = column(probabilities, "probabilities", value.size)
    hidden = np.zeros(value.size, bool) if unclear is None else np.asarray(unclear, dtype=bool)
    if hidden.shape != value.shape:
        raise ValueError(f"unclear marks {hidden.size} items, and there are {value.size}")
    if (np.abs(value[~hidden]) > 1.0).any():
        raise ValueError("values must lie between -1 and 1")
    if ((chance <= 0.0) | (chance > 1.0)).any():
        raise ValueError("a probability of inclusion must be over 0 and at most 1")
    return value, chance, hidden


def _window(groups: Groups, group_sizes: Mapping[Hashable, int], items: int) -> tuple[Codes, Floats]:
    group_codes(groups, items)
    sizes = np.fromiter(group_sizes.values(), np.float64, len(group_sizes))
    if sizes.size == 0:
        raise Undefined("the window holds no requests")
    if (sizes < 1.0).any():
        raise ValueError("every group of the window needs at least one request")
    place = {group: index for index, group in enumerate(group_sizes)}
    listed = groups.tolist() if isinstance(groups, np.ndarray) else groups
    try:
        codes = np.fromiter((place[group] for group in listed), np.intp, items)
    except KeyError as unknown:
        raise ValueError(f"an item belongs to group {unknown}, which group_sizes does not list") from None
    if (np.bincount(codes, minlength=sizes.size) > sizes).any():
        raise ValueError("a group has more items than requests")
    return codes, sizes


def _score(value: Floats, chance: Floats, codes: Codes, sizes: Floats) -> EffectiveScore:
    """Tango's test for these values; the imagined group is one whose sampled items are all discordant.

    Without any item it is a group of the window, discordant in every request.
    """
    requests = float(sizes.sum())
    totals = np.bincount(codes, weights=value / chance, minlength=sizes.size) / requests
    all_discordant = np.bincount(codes, weights=1.0 / chance, minlength=sizes.size)
    worst = all_discordant[all_discordant > 0.0] if value.size else sizes
    return effective_score(totals, worst / requests, 1.0)
