"""What reports show of a search on golden queries: both sides in numbers, and what changed most."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from mangaops.gates import Finding
from mangaops.metrics import METRICS, Ranked, Sides
from mangaops.stats import PairedDifference, Undefined, paired_difference
from mangaops.vocabulary import Cell, Side, Stage, Unjudged

LEVEL: Final = 0.95
QUALITY: Final = "ndcg@10"
"""The metric by which slices and queries are compared."""

SHOWN: Final[Mapping[Stage, tuple[str, ...]]] = {
    Stage.SEARCH: (QUALITY, "recall@3", "mrr@10", "bad_top1", "judged@10", "coverage@10"),
    Stage.ADAPTER: ("recall@3", QUALITY),
    Stage.RERANKER: ("mrr@10", QUALITY),
}
_TOP: Final = 3
_PLACES: Final = 5
_MOST: Final = 20


@dataclass(frozen=True)
class Measured:
    """One metric of the lists of a stage; `low` and `high` bound the difference at 0.95, over groups.

    None: the metric is no mean over queries, and its interval would say little (coverage). `unjudged`: what
    an item counts as that nobody judged, None where the metric reads no grades.
    """

    stage: str
    metric: str
    unjudged: Unjudged | None
    unit: str
    direction: str
    baseline: float
    release: float
    difference: float
    low: float | None
    high: float | None
    n: int


def unjudged(policy: Unjudged) -> str:
    """The policy as it is shown beside a figure."""
    return f"unjudged items {policy.replace('_', ' ')}"


@dataclass(frozen=True)
class Place:
    """One place of a list; `grade` is None where nobody judged the item."""

    number: int
    item_id: str
    title: str
    grade: float | None

    @property
    def text(self) -> str:
        """`Title, grade 2`; the id where there is no title."""
        judged = "not judged" if self.grade is None else f"grade {self.grade:g}"
        return f"{self.title or self.item_id}, {judged}"


@dataclass(frozen=True)
class Query:
    """A golden query with the first places of both lists, and its NDCG@10 before and after.

    `word`: "broken" where it got worse, a relevant item stood in the first three places and none does now;
    "fixed" where it got better, none stood there and one does now; else empty.
    """

    text: str
    before: float
    after: float
    word: str
    baseline: tuple[Place, ...]
    release: tuple[Place, ...]


@dataclass(frozen=True)
class Changes:
    """The queries that lost and gained most, and how many did, of `queries` with a relevant item."""

    lost: tuple[Query, ...]
    gained: tuple[Query, ...]
    worse: int
    better: int
    broken: int
    fixed: int
    queries: int
    unjudged: Unjudged


Policies = Mapping[tuple[str, str], tuple[Unjudged, ...]]
"""What an item counts as that nobody judged, by stage and metric."""


def policies(rules: Iterable[Mapping[str, Any]]) -> Policies:
    """The policies by which these rules judge, each once."""
    found: dict[tuple[str, str], dict[Unjudged, None]] = {}
    for rule in rules:
        if rule.get("unjudged"):
            place = str(rule.get("on", Stage.SEARCH)), str(rule["metric"])
            found.setdefault(place, {})[Unjudged(rule["unjudged"])] = None
    return {place: tuple(each) for place, each in found.items()}


def policies_of(metric: str, stage: Stage, stated: Policies) -> tuple[Unjudged, ...]:
    """By which policies the metric is told: those of the rules on it, or irrelevant where none is stated."""
    return stated.get((stage, metric)) or (Unjudged.IRRELEVANT,)


def measured(
    ranked: Ranked, stated: Policies, *, rng: np.random.Generator, resamples: int = 500
) -> list[Measured]:
    """The metrics of every stage that was measured, by each policy of `policies_of`."""
    found = []
    for stage, names in SHOWN.items():
        lists = ranked.at(stage, ranked.unjudged)
        if not {Cell.BASELINE, Cell.RELEASE} <= lists.measured:
            continue
        deep = [name for name in names if (METRICS[name].places or 0) <= lists.depth]
        views = [(name, lists.at(stage, each)) for name in deep for each in policies_of(name, stage, stated)]
        told = [_measured(view, name, rng, resamples) for name, view in views]
        found += [each for each in told if each is not None]
    return found


def _measured(lists: Ranked, name: str, rng: np.random.Generator, resamples: int) -> Measured | None:
    metric = METRICS[name]
    sides = metric.rows(lists, None)
    paired = difference(sides, lists, rng, resamples)
    if paired is None:
        return None
    bounds = paired.interval(LEVEL)
    told = sides.scale <= 1.0
    return Measured(
        stage=str(lists.stage),
        metric=name,
        unjudged=lists.unjudged if metric.graded else None,
        unit=metric.unit,
        direction=str(metric.direction),
        baseline=paired.estimate_a,
        release=paired.estimate_b,
        difference=paired.difference,
        low=bounds.low if told else None,
        high=bounds.high if told else None,
        n=sides.rows(),
    )


def difference(
    sides: Sides, lists: Ranked, rng: np.random.Generator, resamples: int
) -> PairedDifference | None:
    """Release minus baseline over groups of queries; None where no query bears the metric."""
    columns = (
        sides.baseline_numerator,
        sides.baseline_denominator,
        sides.release_numerator,
        sides.release_denominator,
    )
    try:
        return paired_difference(*columns, lists.groups, rng=rng, resamples=resamples, scale=sides.scale)
    except Undefined:
        return None


def changes(ranked: Ranked, titles: Mapping[str, str]) -> Changes:
    """What became of single queries end to end, those first whose weight makes the change largest."""
    sides = METRICS[QUALITY].rows(ranked, None)
    counted = sides.baseline_denominator > 0
    before, after = (
        np.divide(top, sides.baseline_denominator, out=np.zeros_like(top), where=counted)
        for top in (sides.baseline_numerator, sides.release_numerator)
    )
    had, has = (
        ranked.count(ranked.shown(side, _TOP).filter(pl.col("grade") > 0)) > 0
        for side in (Side.BASELINE, Side.RELEASE)
    )
    frame = ranked.queries.select("query_id", "text", "weight").with_columns(
        row=pl.int_range(pl.len()),
        before=before,
        after=after,
        gain=after - before,
        had=had,
        has=has,
    )
    moved = frame.filter(pl.Series(counted))
    worse = _worded(moved.filter(pl.col("gain") < -1e-9), "broken", pl.col("had") & ~pl.col("has"))
    better = _worded(moved.filter(pl.col("gain") > 1e-9), "fixed", pl.col("has") & ~pl.col("had"))
    return Changes(
        lost=_queries(ranked, worse, titles),
        gained=_queries(ranked, better, titles),
        worse=worse.height,
        better=better.height,
        broken=worse.filter(word="broken").height,
        fixed=better.filter(word="fixed").height,
        queries=moved.height,
        unjudged=ranked.unjudged,
    )


def _worded(moved: pl.DataFrame, word: str, where: pl.Expr) -> pl.DataFrame:
    return moved.with_columns(word=pl.when(where).then(pl.lit(word)).otherwise(pl.lit("")))


def _queries(ranked: Ranked, moved: pl.DataFrame, titles: Mapping[str, str]) -> tuple[Query, ...]:
    worth = moved.with_columns(worth=(pl.col("gain") * pl.col("weight")).abs())
    first = worth.sort(["worth", "query_id"], descending=[True, False]).head(_MOST)
    lists = {side: _places(ranked, side, first["row"], titles) for side in Side}
    return tuple(
        Query(
            text=row["text"],
            before=row["before"],
            after=row["after"],
            word=row["word"],
            baseline=lists[Side.BASELINE].get(row["row"], ()),
            release=lists[Side.RELEASE].get(row["row"], ()),
        )
        for row in first.iter_rows(named=True)
    )


def _places(
    ranked: Ranked, side: Side, rows: pl.Series, titles: Mapping[str, str]
) -> dict[int, tuple[Place, ...]]:
    """The first places of these queries' lists, by row."""
    found: dict[int, tuple[Place, ...]] = {}
    shown = ranked.shown(side, _PLACES).filter(pl.col("row").is_in(rows.implode()))
    for row, rank, item, grade in (
        shown.sort("row", "rank").select("row", "rank", "item_id", "grade").iter_rows()
    ):
        found[row] = (*found.get(row, ()), Place(rank, item, titles.get(item, ""), grade))
    return found


@dataclass(frozen=True)
class Square:
    """The 2 x 2 table of a `pair` finding: a metric of the four pairs of models, and the interaction.

    `gains` holds for every cell but the baseline its gain with interval, positive where it is better.
    """

    subject: str
    unit: str
    values: Mapping[str, float]
    gains: Mapping[str, Mapping[str, Any]]
    interaction: Mapping[str, Any]
    changed: tuple[str, ...]


def square(finding: Finding) -> Square | None:
    """The table that the finding holds; None where it holds none."""
    facts = finding.facts or {}
    if "table" not in facts or not all(math.isfinite(number) for number in facts["table"].values()):
        return None
    return Square(
        finding.subject,
        finding.unit,
        facts["table"],
        facts["gains"],
        facts["interaction"],
        tuple(facts["changed"]),
    )
