"""The report of one release: a self-contained HTML page that fetches nothing and runs no script."""

from __future__ import annotations

from typing import Any, Final

import polars as pl

from mangaops.release import charts
from mangaops.release.desk import Desk
from mangaops.release.dossier import Dossier, dossier
from mangaops.release.figures import count, figure
from mangaops.release.helps import helps
from mangaops.release.pages import render
from mangaops.release.wording import price_lines, sentence, stopped_early
from mangaops.vocabulary import EvidenceKind, Outcome, Side

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
        interval=charts.interval,
        confusion=charts.confusion,
        most_labels=charts.MOST_LABELS,
        figure=figure,
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
    drawn = count(evidence.facts["disagreements"], "label disagreement")
    acted = asked.filter("by_action").height
    drawn += f"; {count(acted, 'item')} with another action alone" if acted else ""
    return [
        ("Reviewer", f"{evidence.facts['reviewer']}{kind}"),
        ("Reviewed", f"{answered.height:,} of {count(asked.height, 'item')}, drawn from {drawn}"),
        (
            "Known items",
            f"{right} of {planted.height} right; the floor is {evidence.facts['planted_floor']:.0%}",
        ),
        ("Right was", f"the release {for_release:,} times, the baseline {for_baseline:,} times"),
    ]
