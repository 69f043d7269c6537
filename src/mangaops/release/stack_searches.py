"""What is known of a unit that ranks before its weeks are simulated: of its evidence, else drawn."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import polars as pl

from mangaops.evidence import Evidence
from mangaops.metrics import METRICS, Ranked, judged_share
from mangaops.registry import Release, UnitState
from mangaops.release.desk import Desk, newest, state
from mangaops.release.stack_drawn import drawn_lists
from mangaops.release.stack_evidence import BINDING
from mangaops.release.stack_known import NO_EVIDENCE, UNDONE, measured_beside, traffic_of
from mangaops.release.stack_lists import ListAssumptions, Lists, gains
from mangaops.release.stack_report import GateRow
from mangaops.stack import MOST_QUERIES, Rule, SearchDataSpec, Stack, UnitSpec
from mangaops.vocabulary import EvidenceKind, Side, Stage, Unjudged

SEEN: Final = 0.8
"""A rule that passes equal challengers less often cannot tell them from worse ones on so few queries."""

_OF_LISTS: Final = ("value", "apart", "judged", "changed")


@dataclass(frozen=True)
class Searches:
    """What is known. Without `ranking` the lists are drawn, without `index` it finds everything."""

    assumptions: ListAssumptions
    ranking: Evidence | None = None
    index: Evidence | None = None


def assumed_searches(stack: Stack, unit: str, *, why: str = NO_EVIDENCE) -> Searches:
    """What the stack itself says, before anything was measured, and why that."""
    spec = stack.units[unit]
    data = stack.dataset(stack.models[spec.models[0]].data)
    assert isinstance(data, SearchDataSpec)
    told = ListAssumptions(
        queries=data.golden.queries,
        requests=spec.shadow.min_requests,
        hours=max(spec.shadow.min_hours, 168.0),
        source=f"stack.yaml: {why}",
    )
    return Searches(told)


def searches_from_ledger(desk: Desk, unit: str) -> Searches:
    """What the evidence on which the champion stands says of golden queries, lists and traffic.

    How far lists of two trainings lie apart is read only where two pairs were compared: a plain baseline
    differs more than a retrained pair does. A first champion, which stands on such a comparison, takes the
    newest challenger beside it that was not refused or rolled back: a spoiled pair differs more too.
    """
    base, current = assumed_searches(desk.stack, unit), state(desk, unit)
    if current.champion is None:
        return base
    champion = current.releases[current.champion]
    of_lists, ranking = _two_pairs(desk, current, champion)
    own = newest(desk, champion, EvidenceKind.RANKING)
    golden = ranking or own
    if golden is None:
        return base
    mirrored = measured_beside(current, champion, EvidenceKind.SHADOW)
    shadow = newest(desk, mirrored, EvidenceKind.SHADOW)
    index = newest(desk, champion, EvidenceKind.INDEX)
    found = _golden(golden) | traffic_of(shadow)
    by_lists = _OF_LISTS if ranking is not None else ()
    by_index = ("index_recall",) if index is not None else ()
    names = [f"golden queries of {champion.name}"]
    names += [f"lists of {of_lists.name}"] if of_lists is not None else []
    names += [f"traffic of {mirrored.name}"] if shadow is not None else []
    told = replace(
        base.assumptions, **found, source=", ".join(names), measured=(*found, *by_lists, *by_index)
    )
    return Searches(told, ranking, index)


def _two_pairs(desk: Desk, current: UnitState, champion: Release) -> tuple[Release | None, Evidence | None]:
    """The release whose lists lie beside another pair's, with that evidence; the champion comes first."""
    measured = [
        (ref.revision if release is not champion else math.inf, release, ref)
        for release in current.releases.values()
        if release.state not in UNDONE
        for ref in release.evidence
        if ref.kind == EvidenceKind.RANKING
        and (release is champion or ref.binding["baseline"] == champion.digest)
    ]
    for _, release, ref in sorted(measured, key=lambda each: (each[0], each[2].revision), reverse=True):
        evidence = desk.evidence.get(ref.digest)
        lists = Ranked.of(evidence)
        if lists.against_pair and lists.changed:
            return release, evidence
    return None, None


def _golden(evidence: Evidence) -> dict[str, Any]:
    groups = evidence.tables["queries"].get_column("group")
    return {"queries": len(groups), "per_group": len(groups) / groups.n_unique()}


def lists_of(known: Searches, unit: UnitSpec, rng: np.random.Generator) -> tuple[Lists, ListAssumptions]:
    """The lists that challengers are made of, and what is then known of them."""
    told = known.assumptions
    ranking = known.ranking or drawn_lists(told.queries, told.per_group, rng)
    stated = stated_in(unit)
    lists = Lists(ranking, known.index or _finds_all(ranking, unit), stated.metric, stated.unjudged)
    metric = METRICS[stated.metric]
    sides = metric.rows(lists.ranked, None)
    recalls = lists.index.tables["recalls"]
    weight = recalls.get_column("weight").to_numpy()
    differs = float(np.average(lists.other_top, weights=lists.ranked.weight))
    return lists, replace(
        told,
        differs=told.differs if "differs" in told.measured else differs,
        metric=stated.metric,
        value=float(np.nan_to_num(np.mean([sides.value(side) for side in Side]))),
        apart=float(np.abs(lists.apart).sum()),
        judged=judged_share(lists.ranked, metric.places or lists.ranked.depth, 0.0).share,
        changed=lists.ranked.changed,
        index_recall=float(np.average(recalls.get_column("recall").to_numpy(), weights=weight)),
    )


@dataclass(frozen=True)
class Stated:
    """What challengers' gains are stated in, and the margin, all of one rule."""

    metric: str = "ndcg@10"
    unjudged: Unjudged = Unjudged.IRRELEVANT
    margin: float = 0.01


def stated_in(unit: UnitSpec) -> Stated:
    """Of the unit's first rule `pair` with a margin; of its first one, and a point, where none has any."""
    pairs = [rule.params.model_dump() for rule in unit.gates if rule.gate == "pair"]
    if not pairs:
        return Stated()
    asked = next((each for each in pairs if each["margin"] > 0.0), pairs[0])
    return Stated(asked["metric"], Unjudged(asked["unjudged"]), asked["margin"] or Stated.margin)


def _finds_all(ranking: Evidence, unit: UnitSpec) -> Evidence:
    """Evidence of an index that searches exactly, at the k of the unit's first rule on it."""
    asked = [rule.params.model_dump()["k"] for rule in unit.gates if rule.gate == "index_recall"]
    facts = {
        "k": next(iter(asked), 50),
        "items": ranking.facts["catalogue_items"],
        "kind": "exact",
        "index": "simulated",
        "parameters": {},
        "generation": 0,
    }
    recalls = ranking.tables["queries"].select("query_id", "group", "weight", recall=pl.lit(1.0))
    return Evidence(EvidenceKind.INDEX, BINDING, facts, {"recalls": recalls})


def unanswerable(rule: Rule, known: Searches) -> str:
    """Why an invented search cannot answer the rule, in words; empty where it can, or lists were measured."""
    metric = str(rule.params.model_dump().get("metric", ""))
    if known.ranking is None and metric.startswith("coverage"):
        return "lists of no catalogue say nothing of coverage; it is simulated once two pairs were compared"
    return ""


def notes(
    found: Sequence[tuple[Rule, GateRow]], lists: Lists, told: ListAssumptions, budget: int
) -> tuple[str, ...]:
    """What rules ask that these queries and reviews cannot tell, a sentence each.

    `found`: each rule with a margin, and how it judged an equal challenger. `budget`: items of a review.
    """
    return tuple(
        f"{row.gate}: {row.subject}: {why}"
        for rule, row in found
        for why in _doubts(rule.params.model_dump(), row.passed.share, lists, told, budget)
    )


def _doubts(
    asked: Mapping[str, Any], passed: float, lists: Lists, told: ListAssumptions, budget: int
) -> Iterator[str]:
    """What one rule cannot tell, in words. Of one that never decides nothing else is worth saying."""
    least, share = asked.get("min_judged"), _judged(asked, lists) if "judged" in told.measured else None
    if least is not None and share is not None and share < least:
        yield f"never decides: min_judged is {least:g}, and {share:.1%} of the places are judged"
        return
    if passed < SEEN:
        luck = _luck(asked, lists) if asked["on"] in set(Stage) else _reviews(asked, told, budget)
        yield f"passes an equal pair in {passed:.0%} of weeks: {luck}"
    if least is not None and share is not None and least < share / 2.0:
        yield f"would decide with half of the judgments: min_judged is {least:g}, and {share:.1%} are judged"


def _judged(asked: Mapping[str, Any], lists: Lists) -> float | None:
    """The share of the places that the rule looks at which is judged; None where it does not ask."""
    least, places = asked.get("min_judged"), METRICS[asked["metric"]].places
    if least is None or places is None:
        return None
    view = lists.ranked.at(Stage(asked["on"]), Unjudged(asked["unjudged"]))
    return judged_share(view, places, least).share


def _luck(asked: Mapping[str, Any], lists: Lists) -> str:
    """How far two equal trainings lie apart on these queries, beside the margin."""
    view = lists.ranked.at(Stage(asked["on"]), Unjudged(asked["unjudged"] or Unjudged.IRRELEVANT))
    apart = np.bincount(view.groups, weights=gains(view, asked["metric"]))
    more = ", or judge more queries" if view.queries.height < MOST_QUERIES else ""
    wide = 2.0 * float(np.sqrt(np.square(apart).sum()))
    return (
        f"on {view.queries.height:,} queries luck alone moves it by up to {100 * wide:.1f} points, "
        f"and its margin is {100 * asked['margin']:g}; widen it{more}"
    )


def _reviews(asked: Mapping[str, Any], told: ListAssumptions, budget: int) -> str:
    """What a review rests on, beside the margin."""
    apart = round(told.requests * told.differs)
    return (
        f"{min(budget, apart):,} of {apart:,} disagreements on {told.requests:,} requests are reviewed, and "
        f"its margin is {100 * asked['margin']:g} points; widen it, mirror more requests, or review more"
    )
