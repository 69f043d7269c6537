"""Two ranked lists of items beside each other: another set on top, how much they share, how alike they are.

A list holds its best item first and no item twice; lists may be of different length, or empty.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

TOP: Final = 3
"""Another set of so many first items is a disagreement of a search."""

PERSISTENCE: Final = 0.9
"""The chance with which a reader goes on to the next place: the first 10 places hold 86 % of the weight."""

Items = Sequence[Hashable]


@dataclass(frozen=True)
class Change:
    """How the second list differs from the first.

    `other_top`: another set in the first `k` places, in whatever order. `other_first`: another item at the
    top. `overlap`: share of the first `k` places that both hold. `alike`: rank-biased overlap at
    persistence `p`.
    """

    other_top: bool
    other_first: bool
    overlap: float
    alike: float
    k: int
    p: float


def change(first: Items, second: Items, *, k: int = TOP, p: float = PERSISTENCE) -> Change:
    """How the second list differs from the first, at the first `k` places and as a whole.

    Raises:
        ValueError: a list holds an item twice; `k` under 1; `p` not in (0, 1).
    """
    return Change(
        other_top=set(first[:k]) != set(second[:k]),
        other_first=list(first[:1]) != list(second[:1]),
        overlap=overlap(first, second, k),
        alike=rank_biased_overlap(first, second, p),
        k=k,
        p=p,
    )


def overlap(first: Items, second: Items, k: int) -> float:
    """The share of items that the first `k` places of both lists hold, in whatever order; 0 to 1.

    |A & B| / max(|A|, |B|) of these sets, so that two short and equal lists overlap by 1; two empty lists
    too.

    Raises:
        ValueError: a list holds an item twice, or `k` is under 1.
    """
    if k < 1:
        raise ValueError(f"a list is cut at 1 place or more, and not at {k}")
    a, b = _distinct(first, k), _distinct(second, k)
    longer = max(len(a), len(b))
    return len(a & b) / longer if longer else 1.0


def discounted_gain(items: Items, grades: Mapping[Any, float], k: int) -> float:
    """sum over i <= k of grade / log2(i + 1), where an item without a grade has 0.

    Over that of the best list of the same grades it is `ndcg@k`; of two lists the same is higher.
    """
    return sum(grades.get(item, 0.0) / math.log2(place + 1) for place, item in enumerate(items[:k], 1))


def rank_biased_overlap(first: Items, second: Items, p: float = PERSISTENCE) -> float:
    """The rank-biased overlap of both lists, extrapolated to endless ones (RBO_ext); 0 to 1.

    With X(d) the size of the overlap of the first d places, s and l the shorter and the longer length:

        (1 - p)/p (sum over d = 1..l of X(d)/d p^d + sum over d = s+1..l of X(s) (d - s)/(s d) p^d)
        + ((X(l) - X(s))/l + X(s)/s) p^l

    The weight of the places down to d is that of a reader who goes on with probability `p`. Of two empty
    lists it is 1, of an empty and another one 0.

    Raises:
        ValueError: a list holds an item twice, or `p` is not in (0, 1).

    Source: Webber, Moffat and Zobel (2010), ACM TOIS 28:20, equation 32.
    """
    if not 0.0 < p < 1.0:
        raise ValueError(f"the persistence p must lie strictly between 0 and 1, and this one is {p}")
    short, long = sorted((first, second), key=len)
    s, length = len(_distinct(short)), len(_distinct(long))
    if not s:
        return float(length == 0)
    shared = _shared(short, long)
    seen = sum(shared[d - 1] / d * p**d for d in range(1, length + 1))
    unseen = sum(shared[s - 1] * (d - s) / (s * d) * p**d for d in range(s + 1, length + 1))
    last, at_short = shared[length - 1], shared[s - 1]
    return (1.0 - p) / p * (seen + unseen) + ((last - at_short) / length + at_short / s) * p**length


def _shared(short: Items, long: Items) -> list[int]:
    """Size of the overlap of the first d places of both, for d from 1 to the longer length."""
    a: set[Hashable] = set()
    b: set[Hashable] = set()
    sizes: list[int] = []
    for d, item in enumerate(long):
        b.add(item)
        a.update(short[d : d + 1])
        new = (item in a) + (d < len(short) and short[d] != item and short[d] in b)
        sizes.append((sizes[-1] if sizes else 0) + new)
    return sizes


def _distinct(items: Items, k: int | None = None) -> set[Hashable]:
    """The items of the first `k` places as a set, once none stands in the list twice."""
    if len(set(items)) != len(items):
        raise ValueError("a ranked list holds an item twice")
    return set(items[:k])
