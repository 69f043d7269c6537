"""Metrics of ranked lists, one number a query: what users find, how high it stands, and how much is judged.

Write g(i) for the grade of the item at place i of a query's list, 1 at the top; R for how many items are
judged relevant, that is with a grade over 0. A query without a relevant item says nothing of a metric of
grades: numerator and denominator are 0. A list may be shorter than k, or empty: its missing places hold
nothing relevant. Order is that of the places shown: equal scores are no tie here, for the user saw an order.

An unjudged item is irrelevant, g = 0, or is left out of the list before the list is cut at k (Sakai 2007), by
the policy of the view. Values are those of trec_eval as ir-measures names them; tests compare the two.

Source: Järvelin and Kekäläinen (2002), ACM TOIS 20:422 (DCG, with log2(i + 1) as trec_eval discounts it);
Voorhees (1999), TREC-8, 77 (reciprocal rank); Sakai (2007), SIGIR, 71 (condensed lists); MacAvaney, Macdonald
and Ounis (2022), ECIR, 305 (ir-measures).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import polars as pl

from mangaops.metrics.metric import Metric, Numbers, Sides
from mangaops.metrics.ranked import Ranked
from mangaops.vocabulary import Direction, Side, Unjudged

Value = Callable[[Ranked, Side, int | None], Numbers]

_RELEVANT = pl.col("grade") > 0


def _recall(ranked: Ranked, side: Side, k: int | None) -> Numbers:
    """|{i <= k: g(i) > 0}| / R. ir-measures: `R@k`."""
    return ranked.count(ranked.top(side, k).filter(_RELEVANT)) / np.maximum(ranked.relevant, 1)


def _ndcg(ranked: Ranked, side: Side, k: int | None) -> Numbers:
    """sum over i <= k of g(i) / log2(i + 1), over the same sum of the best list of all judged items.

    The gain is the grade itself, not 2^g - 1. ir-measures: `nDCG@k`.
    """
    ideal = ranked.graded.with_columns(rank=pl.int_range(1, pl.len() + 1).over("row"))
    ideal = ideal if k is None else ideal.filter(pl.col("rank") <= k)
    gain = pl.col("grade") / (pl.col("rank") + 1).log(2)
    best = ranked.total(ideal, gain)
    return ranked.total(ranked.top(side, k), gain) / np.where(best > 0, best, 1.0)


def _mrr(ranked: Ranked, side: Side, k: int | None) -> Numbers:
    """1 / min{i <= k: g(i) > 0}, 0 where there is none. ir-measures: `RR@k`."""
    first = ranked.top(side, k).filter(_RELEVANT).group_by("row").agg(pl.col("rank").min())
    return ranked.total(first, 1.0 / pl.col("rank"))


def _bad_top1(ranked: Ranked, side: Side, _k: int | None) -> Numbers:
    """1 where g(1) = 0 or the list is empty, else 0: 1 - `Success@1` of ir-measures.

    An unjudged top item is bad where unjudged items are irrelevant; where they are left out, the first
    judged item of the list is looked at, and a list that holds none counts as empty. Nothing shown is bad:
    else a release that answers less would be better.
    """
    return 1.0 - np.minimum(ranked.count(ranked.top(side, 1).filter(_RELEVANT)), 1)


def _of_grades(value: Value, k: int | None) -> Callable[[Ranked, str | None], Sides]:
    """The weighted mean of a number a query, over queries with a relevant item."""

    def rows(ranked: Ranked, _label: str | None) -> Sides:
        counted: Numbers = ranked.weight * (ranked.relevant > 0)
        baseline, release = (counted * value(ranked, side, k) for side in Side)
        return Sides(baseline, counted, release, counted)

    return rows


def _judged(k: int | None) -> Callable[[Ranked, str | None], Sides]:
    """|{i <= k: judged}| / min(k, length) a query, whatever the policy; an empty list says nothing.

    ir-measures: `Judged@k`, which leaves queries out of which no item is judged; here they count as 0.
    """

    def columns(ranked: Ranked, side: Side) -> tuple[Numbers, Numbers]:
        shown = ranked.shown(side, k)
        places = ranked.count(shown)
        judged = ranked.count(shown.filter(pl.col("grade").is_not_null()))
        counted: Numbers = ranked.weight * (places > 0)
        return counted * judged / np.maximum(places, 1), counted

    def rows(ranked: Ranked, _label: str | None) -> Sides:
        (baseline, of_baseline), (release, of_release) = (columns(ranked, side) for side in Side)
        return Sides(baseline, of_baseline, release, of_release)

    return rows


def _coverage(k: int | None) -> Callable[[Ranked, str | None], Sides]:
    """Items in the first k places of any list, over the items of the catalogue; queries are not weighted.

    An item counts in equal parts for the queries that show it, so that the sum over queries is the number
    of items. Resampling holds these parts fixed, which makes the interval an approximation
    (docs/adr/0080).
    """

    def rows(ranked: Ranked, _label: str | None) -> Sides:
        count, catalogue = max(ranked.queries.height, 1), float(ranked.facts["catalogue_items"])
        share = np.full(ranked.queries.height, catalogue / count)
        shown = [ranked.shown(side, k) for side in Side]
        part = 1.0 / pl.len().over("item_id")
        baseline, release = (ranked.total(each, part) for each in shown)
        longest = max(int(ranked.count(each).max(initial=1)) for each in shown)
        return Sides(baseline, share, release, share, longest * count / catalogue)

    return rows


@dataclass(frozen=True)
class JudgedShare:
    """How much of what was shown is judged, on the side where less is.

    `share` is judged@k by weight; `to_judge` are the fewest pairs of query and item, the weightiest first,
    that bring every side to `least`.
    """

    share: float
    least: float
    places: int
    unjudged: Unjudged
    to_judge: tuple[tuple[str, str], ...]

    @property
    def enough(self) -> bool:
        """Whether the share reaches what was asked for."""
        return not self.to_judge


def judged_share(ranked: Ranked, k: int, least: float, sides: tuple[Side, ...] = tuple(Side)) -> JudgedShare:
    """How much of the first `k` places is judged, and what to judge to reach `least`.

    A share without a single place is 1: there is nothing to judge.
    """
    found = [_lacking(ranked, side, k, least) for side in sides]
    pairs = dict.fromkeys(pair for _, lacking in found for pair in lacking)
    return JudgedShare(min(share for share, _ in found), least, k, ranked.unjudged, tuple(pairs))


def _lacking(ranked: Ranked, side: Side, k: int, least: float) -> tuple[float, list[tuple[str, str]]]:
    """The judged share of one side, and the weightiest unjudged places whose grades bring it to `least`."""
    shown = ranked.shown(side, k)
    weight = pl.Series(ranked.weight).gather(shown.get_column("row"))
    worth = shown.with_columns(worth=weight / pl.Series(ranked.count(shown)).gather(shown.get_column("row")))
    total = float(worth.get_column("worth").sum())
    judged = pl.col("grade").is_not_null()
    held = float(worth.filter(judged).get_column("worth").sum())
    open_ = worth.filter(~judged).sort(["worth", "query_id", "rank"], descending=[True, False, False])
    before = held + open_.get_column("worth").cum_sum() - open_.get_column("worth")
    needed = open_.filter(before < least * total - 1e-9 * max(total, 1.0))
    return held / total if total > 0 else 1.0, needed.select("query_id", "item_id").rows()


_HIGHER, _LOWER = Direction.HIGHER, Direction.LOWER


def _graded(name: str, says: str, value: Value) -> Metric[Ranked]:
    cut = partial(_of_grades, value)
    return Metric(name, "share", _HIGHER, False, says, cut(None), Ranked, graded=True, cut=cut)


RANKINGS: Final = (
    _graded("recall@k", "relevant items that stand in the first k places", _recall),
    _graded("ndcg@k", "gain of the first k places, discounted, of the best possible", _ndcg),
    _graded("mrr@k", "1 / place of the first relevant item", _mrr),
    Metric(
        "bad_top1",
        "share",
        _LOWER,
        False,
        "queries with an irrelevant item at the top, or with none",
        _of_grades(_bad_top1, 1),
        Ranked,
        graded=True,
        places=1,
    ),
    Metric("judged@k", "share", _HIGHER, False, "places that are judged", _judged(None), Ranked, cut=_judged),
    Metric(
        "coverage@k",
        "share",
        _HIGHER,
        False,
        "items of the catalogue that any list shows",
        _coverage(None),
        Ranked,
        cut=_coverage,
    ),
)
