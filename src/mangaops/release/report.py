"""The report of one release: a self-contained HTML page that fetches nothing and runs no script."""

from __future__ import annotations

from typing import Any, Final

import polars as pl

from mangaops.evidence import Evidence
from mangaops.release import charts, list_charts
from mangaops.release.desk import Desk
from mangaops.release.dossier import Dossier, dossier
from mangaops.release.figures import NO_CLASSES, count, figure, span
from mangaops.release.helps import helps
from mangaops.release.list_figures import unjudged
from mangaops.release.pages import render
from mangaops.release.wording import price_lines, sentence, stopped_early
from mangaops.stats import Undefined, horvitz_thompson
from mangaops.vocabulary import UNCLEAR, EvidenceKind, Outcome, Side, Stage, Step

LEVEL: Final = 0.95
_APART: Final = {
    "other_top3": "Another set in the first three",
    "top1_changed": "Another item at the top",
    "overlap@10": "Shared by the first ten places",
    "rbo": "Rank-biased overlap",
}

SIGNS: Final = {Outcome.PROMOTE: "✓", Outcome.REJECT: "✗", Outcome.HOLD: "?", None: "·"}


def release_report(desk: Desk, unit: str, release: str) -> str:
    """The page as HTML: decision table, evaluation, latency, shadow, review, lineage, ledger head.

    User text is masked and escaped. A release that was not judged yet shows what was measured.

    Raises:
        UsageError: no such unit or release.
        IntegrityError: a stored document or evidence is missing or was changed.
    """
    return rendered(dossier(desk, unit, release))


def rendered(case: Dossier) -> str:
    """The report of what was gathered."""
    latency = case.evidence.get(EvidenceKind.LATENCY)
    return render(
        "report.html",
        case=case,
        sign=SIGNS[case.outcome],
        sentence=sentence(case),
        tiles=tiles(case),
        judgements=case.facts(EvidenceKind.EVALUATION).get("golden_judgements"),
        helps=helps(case),
        price=price_lines(case),
        stopped=stopped_early(case),
        quantiles=case.facts(EvidenceKind.LATENCY).get("quantiles", {}),
        latency_facts=case.facts(EvidenceKind.LATENCY),
        latency_plot=charts.latency(latency.tables["samples"], _limit(case)) if latency else "",
        shadow_facts=case.facts(EvidenceKind.SHADOW),
        review_lines=review_lines(case),
        shadow_lists=shadow_lists(case),
        steps=steps(case),
        index_lines=index_lines(case),
        interval=charts.interval,
        gains=list_charts.gains,
        square=list_charts.table,
        confusion=charts.confusion,
        most_labels=charts.MOST_LABELS,
        figure=figure,
        no_classes=NO_CLASSES,
    )


def _limit(case: Dossier) -> float | None:
    limits = [each.finding.threshold for each in case.rows if each.gate == "latency"]
    return next((limit for limit in limits if limit is not None), None)


def tiles(case: Dossier) -> list[dict[str, str]]:
    """The handful of numbers that a reader looks for first."""
    shown: list[dict[str, str]] = []
    for name in ("accuracy", "rare_accuracy", "harm_cost", "escalation_miss_rate"):
        metric = (case.summary or {}).get("metrics", {}).get(name)
        if metric and metric["release"] is not None:
            shown.append(_tile(name.replace("_", " "), metric["release"], metric["baseline"], metric["unit"]))
    for each in case.lists:
        if (
            each.unjudged
            and each.stage == Stage.SEARCH
            and each.metric in ("ndcg@10", "recall@3", "bad_top1")
        ):
            what = f"{each.metric}, search, {unjudged(each.unjudged)}"
            shown.append(_tile(what, each.release, each.baseline, each.unit))
    quantiles: dict[str, Any] = case.facts(EvidenceKind.LATENCY).get("quantiles", {})
    if quantiles:
        ours, theirs = (quantiles[str(side)]["p95"]["ms"] for side in (Side.RELEASE, Side.BASELINE))
        shown.append(_tile("P95 latency", ours, theirs, "ms"))
    shadow = case.facts(EvidenceKind.SHADOW)
    if shadow:
        rate = figure(shadow["disagreements"] / max(1, shadow["requests"]), "share")
        than = f"of {count(shadow['requests'], 'mirrored request')}"
        shown.append({"what": "answered differently", "value": rate, "than": than})
    return shown


def _tile(what: str, release: float, baseline: float | None, unit: str) -> dict[str, str]:
    short = unit if unit in ("share", "ms") else ""
    return {"what": what, "value": figure(release, short), "than": f"baseline {figure(baseline, short)}"}


def review_lines(case: Dossier) -> list[tuple[str, str]]:
    """Who answered how many items, how careful they were, and what they preferred; empty without a review."""
    evidence = case.evidence.get(EvidenceKind.REVIEW)
    if evidence is None:
        return []
    items = evidence.tables["items"]
    planted, asked = items.filter("planted"), items.filter(~pl.col("planted"))
    right = planted.filter(pl.col("answer") == pl.col("known")).height
    answered = asked.filter(pl.col("answer").is_not_null())
    for_release = answered.filter(pl.col("answer") == pl.col("release_label")).height
    for_baseline = answered.filter(pl.col("answer") == pl.col("baseline_label")).height
    kind = " (simulated)" if evidence.facts["simulated"] else ""
    lists = "titles" in evidence.tables
    drawn = count(evidence.facts["disagreements"], "disagreement" if lists else "label disagreement")
    acted = asked.filter("by_action").height
    drawn += f"; {count(acted, 'item')} with another action alone" if acted else ""
    return [
        ("Reviewer", f"{evidence.facts['reviewer']}{kind}"),
        ("Reviewed", f"{answered.height:,} of {count(asked.height, 'item')}, drawn from {drawn}"),
        (
            "Known items",
            f"{right} of {planted.height} right; the floor is {evidence.facts['planted_floor']:.0%}",
        ),
        (
            "Preferred was" if lists else "Right was",
            f"the release {for_release:,} times, the baseline {for_baseline:,} times",
        ),
        *(_net_preference(evidence, answered) if lists else []),
    ]


def _net_preference(evidence: Evidence, answered: pl.DataFrame) -> list[tuple[str, str]]:
    """How much more often the release's list is preferred, of all mirrored requests; empty while it waits."""
    if evidence.facts["unanswered"]:
        return []
    preferred = pl.col("answer") == pl.col("release_label")
    net = preferred.cast(pl.Int8) - (pl.col("answer") == pl.col("baseline_label")).cast(pl.Int8)
    sizes = dict(evidence.tables["groups"].select("group", "requests").iter_rows())
    try:
        found = horvitz_thompson(
            answered.select(net.cast(pl.Float64)).to_series().to_numpy(),
            answered["probability"].to_numpy(),
            answered["group"].to_list(),
            sizes,
            unclear=(answered["answer"] == UNCLEAR).to_numpy(),
        )
    except Undefined as problem:
        return [("Net preference", str(problem))]
    bounds = found.interval(LEVEL)
    told = figure(found.estimate, "share", difference=True)
    said = f"{told} of all mirrored requests ({span(bounds.low, bounds.high, 'share', difference=True)})"
    return [("Net preference", said)]


def shadow_lists(case: Dossier) -> list[tuple[str, str]]:
    """How far apart the lists of both sides were on traffic; empty where answers are no lists."""
    found: dict[str, dict[str, float]] = case.facts(EvidenceKind.SHADOW).get("lists", {})
    units = {name: "" if name == "rbo" else "share" for name in _APART if name in found}
    return [
        (
            _APART[name],
            f"{figure(found[name]['mean'], unit)} ({span(found[name]['low'], found[name]['high'], unit)})",
        )
        for name, unit in units.items()
    ]


def steps(case: Dossier) -> list[tuple[str, str, dict[str, Any]]]:
    """Side, step and quantiles of what a search spends its time on; empty where it was not measured."""
    found: dict[str, dict[str, Any]] = case.facts(EvidenceKind.LATENCY).get("steps", {})
    return [(side, str(step), own[step]) for side, own in found.items() for step in Step if step in own]


def index_lines(case: Dossier) -> list[tuple[str, str]]:
    """What the vector index is, and how much of exact search it finds; empty where it was not measured."""
    evidence = case.evidence.get(EvidenceKind.INDEX)
    if evidence is None:
        return []
    recalls, facts = evidence.tables["recalls"], evidence.facts
    mean = float((recalls["recall"] * recalls["weight"]).sum()) / max(float(recalls["weight"].sum()), 1e-12)
    return [
        ("Kind", f"{facts['kind']}, of {count(facts['items'], 'item')}"),
        (
            f"Recall@{facts['k']} of exact search",
            f"{figure(mean, 'share')} on {count(recalls.height, 'query')}",
        ),
        ("Parameters", ", ".join(f"{name} {value}" for name, value in facts["parameters"].items() if value)),
        ("Index digest", str(facts["index"])),
    ]
