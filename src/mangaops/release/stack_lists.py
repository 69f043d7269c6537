"""Evidence of a pair that is as good as one says: the raw material of `mangaops stack check` for a search.

Two trainings' lists of the same golden queries are taken as they are, measured ones or drawn ones. Which
side showed which is decided by lot, one lot a group of queries and all its lists: an equal challenger wins
each lot with the chance 1/2, a better or worse one with the chance that makes the mean gain what one says.
So every metric, stage and query keeps the differences that retraining makes, and only whose they are is
drawn (docs/adr/0096).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mangaops.evidence import Binding, Evidence
from mangaops.metrics import METRICS, TOP, Ranked, Sides
from mangaops.release.listed import as_list
from mangaops.release.stack_evidence import (
    BINDING,
    TRAFFIC,
    Challenger,
    answer_table,
    groups_of,
    latency,
    reviewed,
    shared_luck,
    sound,
)
from mangaops.vocabulary import NEITHER, Cell, Direction, EvidenceKind, Side, Stage, Step, Unjudged

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]

OTHER: Final[Mapping[Cell, Cell]] = {
    Cell.BASELINE: Cell.RELEASE,
    Cell.RELEASE: Cell.BASELINE,
    Cell.NEW_ADAPTER: Cell.NEW_RERANKER,
    Cell.NEW_RERANKER: Cell.NEW_ADAPTER,
}
"""Whose lists a cell's become where both sides change places."""

STEPS: Final[Mapping[Step, float]] = {Step.ENCODE: 0.3, Step.RETRIEVE: 0.1, Step.RERANK: 0.6}
"""The share of a search's time that a step takes, on both sides."""


@dataclass(frozen=True)
class ListAssumptions:
    """What golden queries, lists and traffic of a unit that ranks are taken to be.

    `metric` on the search is what a challenger's gain is stated in. `value` is the mean of both trainings,
    `apart` the mean difference of a query between them, whoever gains. `differs`: the share of requests with
    another top 3. `judged`: the share of shown places that is judged.
    The rest is as in `stack_evidence.Assumptions`. `notes`: what rules ask that such queries cannot tell.
    """

    queries: int
    requests: int
    hours: float = 168.0
    metric: str = "ndcg@10"
    value: float = 0.0
    apart: float = 0.0
    judged: float = 1.0
    differs: float = 0.0
    per_group: float = 1.0
    per_conversation: float = 3.0
    alike: float = 0.2
    latency_share: float = 0.6
    index_recall: float = 1.0
    changed: tuple[str, ...] = ("adapter", "reranker")
    source: str = "stack.yaml"
    measured: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def said(self) -> dict[str, str]:
        """Each figure in words, by field."""
        return {
            "queries": f"{self.queries:,} golden queries",
            "value": f"{self.metric} {self.value:.1%}, the mean of both trainings",
            "apart": f"retraining moves a query's {self.metric} by {100 * self.apart:.1f} points on average",
            "changed": f"a challenger brings a new {' and a new '.join(self.changed)}, and nothing else",
            "judged": f"{self.judged:.1%} of the shown places judged",
            "differs": f"{self.differs:.1%} answered with another top {TOP}",
            "requests": f"{self.requests:,} mirrored requests",
            "hours": f"a window of {self.hours:,.0f} hours",
            "per_group": f"{self.per_group:.2f} golden queries a group",
            "per_conversation": f"{self.per_conversation:.2f} requests a session",
            "alike": f"{self.alike:.0%} of sessions share their luck",
            "prefer": f"people prefer the list with the higher NDCG@{TOP}, and neither where it is equal",
            "index_recall": f"the index finds {self.index_recall:.1%}",
            "latency_share": f"both sides' latency at {self.latency_share:.0%} of its limit, no step slower",
            "sound": "record, leakage and fingerprint as of a sound release",
        }


@dataclass(frozen=True)
class Lists:
    """Two trainings' lists of the same golden queries. `ranking` holds them as one measured beside the other.

    `index` is index evidence. Gains are stated in `metric` on the search, by the policy `unjudged`.
    """

    ranking: Evidence
    index: Evidence
    metric: str = "ndcg@10"
    unjudged: Unjudged = Unjudged.IRRELEVANT

    @cached_property
    def ranked(self) -> Ranked:
        """The lists of the search as they lie in the evidence."""
        return Ranked.of(self.ranking).at(Stage.SEARCH, self.unjudged)

    @cached_property
    def apart(self) -> Floats:
        """By query what the second training gains on the first, as a part of the mean gain."""
        return gains(self.ranked, self.metric)

    @cached_property
    def by_group(self) -> Floats:
        """The same, by group of queries."""
        found: Floats = np.bincount(self.ranked.groups, weights=self.apart).astype(np.float64)
        return found

    @property
    def most(self) -> float:
        """The largest mean gain that a challenger can have: every lot won."""
        return float(np.abs(self.by_group).sum())

    def chance(self, gain: float) -> float:
        """With which a challenger of this mean gain has the better of the two lists."""
        return 0.5 + gain / (2.0 * self.most) if self.most > 0 else 0.5

    @cached_property
    def labels(self) -> NDArray[Any]:
        """The lists of the search as labels: the first training's by query, then the second's."""
        found = []
        for side in Side:
            shown = self.ranked.shown(side).group_by("row").agg("item_id")
            by_row = dict(shown.iter_rows())
            found += [as_list(by_row.get(row, [])) for row in range(self.ranked.queries.height)]
        return np.array(found, dtype=object)

    @cached_property
    def other_top(self) -> Flags:
        """Queries for which another set of items stands in the first `TOP` places."""
        both = [
            self.ranked.shown(side, TOP).select("row", "item_id", side=pl.lit(str(side))) for side in Side
        ]
        once = pl.concat(both).filter(pl.len().over("row", "item_id") == 1)
        return self.ranked.count(once) > 0

    @cached_property
    def prefers(self) -> Floats:
        """Above 0 where the second training's list is the one that people prefer, below where the first's."""
        return gains(self.ranked, f"ndcg@{TOP}")

    @cached_property
    def _cells(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Of each place of a list the number of its query's group, and of its cell."""
        ranked, cells = self.ranking.tables["ranked"], list(Cell)
        number = self.ranking.tables["queries"].select("query_id", group=pl.Series(self.ranked.groups))
        group = ranked.select("query_id").join(number, on="query_id", how="left", maintain_order="left")
        cell = ranked.get_column("side").replace_strict({str(each): at for at, each in enumerate(cells)})
        return group.get_column("group").to_numpy(), cell.to_numpy().astype(np.int64)

    def exchanged(self, swapped: Flags) -> Evidence:
        """The ranking evidence with both sides in each other's place for these groups, at every stage."""
        cells = list(Cell)
        group, cell = self._cells
        other = np.array([cells.index(OTHER[each]) for each in cells])
        numbers = pl.Series(np.where(swapped[group], other[cell], cell))
        side = pl.Series("side", list(map(str, cells)), dtype=pl.String).gather(numbers)
        ranked = self.ranking.tables["ranked"].with_columns(side)
        return Evidence(
            EvidenceKind.RANKING, BINDING, self.ranking.facts, {**self.ranking.tables, "ranked": ranked}
        )


def gains(ranked: Ranked, metric: str) -> Floats:
    """By query what the release gains on the baseline, better is positive, as a part of the mean gain."""
    known = METRICS[metric]
    sides: Sides = known.rows(ranked, None)
    sign = 1.0 if known.direction is Direction.HIGHER else -1.0
    release, baseline = (
        top / max(bottom.sum(), 1e-12)
        for top, bottom in (
            (sides.release_numerator, sides.release_denominator),
            (sides.baseline_numerator, sides.baseline_denominator),
        )
    )
    found: Floats = sign * (release - baseline)
    return np.where(np.abs(found) < 1e-12, 0.0, found)


def evidence_of_lists(
    lists: Lists,
    assumed: ListAssumptions,
    challenger: Challenger,
    *,
    budget: int,
    limits: tuple[float, float],
    rng: np.random.Generator,
) -> dict[EvidenceKind, Evidence]:
    """One week's evidence of every kind. `limits` is the latency gate's quantile and milliseconds."""
    chance = lists.chance(challenger.gain)
    swapped = _swapped(lists.by_group, chance, rng.random(lists.by_group.size))
    timed = latency(assumed.latency_share, limits, rng)
    steps = timed.tables["samples"].with_columns(
        **{str(step): pl.col("ms") * part for step, part in STEPS.items()}
    )
    found = (
        lists.exchanged(swapped),
        replace(lists.index, binding=BINDING),
        replace(timed, tables={"samples": steps}),
        *sound(lists.by_group.size),
        *_live(lists, assumed, chance, budget, rng),
    )
    return {evidence.kind: evidence for evidence in found}


def _swapped(apart: Floats, chance: float, luck: Floats) -> Flags:
    """Where the second training's lists are the champion's: the challenger has the better with that chance.

    Where neither is better it is a toss.
    """
    wins = luck < np.where(apart == 0.0, 0.5, chance)
    found: Flags = wins != (apart >= 0.0)
    return found


def _live(
    lists: Lists, assumed: ListAssumptions, chance: float, budget: int, rng: np.random.Generator
) -> tuple[Evidence, Evidence]:
    """A window of searches like the golden queries, each with a lot of its own, and a review of some."""
    requests, queries = assumed.requests, lists.apart.size
    groups = groups_of(requests, assumed.per_conversation, rng)
    query, differs = _asked(lists, assumed, rng)
    swapped = _swapped(lists.apart[query], chance, shared_luck(groups, assumed.alike, rng))
    first, second = query, query + queries * differs
    baseline, release = np.where(swapped, second, first), np.where(swapped, first, second)
    answers = answer_table(lists.labels, groups, baseline, release).with_columns(
        pl.lit(None, dtype=dtype).alias(f"{side}_{part}")
        for side in Side
        for part, dtype in (("action", pl.String), ("confidence", pl.Float64))
    )
    prefers = lists.prefers[query]
    preferred = np.where(prefers > 0, second, first)
    right = np.where(prefers == 0.0, NEITHER, lists.labels[preferred])
    bound = Binding(BINDING.unit, BINDING.release, BINDING.baseline, TRAFFIC)
    return reviewed(answers, right, hours=assumed.hours, budget=budget, bound=bound, rng=rng, lists=True)


def _asked(
    lists: Lists, assumed: ListAssumptions, rng: np.random.Generator
) -> tuple[NDArray[np.int64], Flags]:
    """A golden query a request, by weight, and whether it is answered with another top: `differs` of them."""
    weight, apart = lists.ranked.weight, lists.other_top
    query = np.zeros(assumed.requests, dtype=np.int64)
    differs = rng.random(assumed.requests) < assumed.differs
    for asked, among in ((differs, apart), (~differs, ~apart)):
        share = weight * among if (weight * among).sum() > 0 else weight
        query[asked] = rng.choice(weight.size, size=int(asked.sum()), p=share / share.sum())
    return query, differs & apart[query]
