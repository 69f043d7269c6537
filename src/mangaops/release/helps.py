"""What would likely help a release that was not promoted: read from the data, one sentence each."""

from __future__ import annotations

from typing import Any

import polars as pl

from mangaops.datasets.personal import mask
from mangaops.gates import Finding
from mangaops.metrics import Scored
from mangaops.release.dossier import Dossier
from mangaops.release.escape import visible
from mangaops.release.figures import SENTENCE, count, figure, span
from mangaops.release.list_figures import Changes
from mangaops.vocabulary import EvidenceKind, Outcome, Side, Verdict

AT_MOST = 8


def helps(case: Dossier) -> list[str]:
    """The likeliest remedies first, at most `AT_MOST`, none twice; empty where nothing stands against it."""
    failed = case.outcome == Outcome.REJECT
    found: list[str] = []
    for each in case.open_rows:
        if not failed or each.finding.verdict == Verdict.FAIL:
            found += _for_finding(case, each.finding)
    if case.open_rows:
        found += _for_slices(case)
    return list(dict.fromkeys(visible(each, SENTENCE) for each in found))[:AT_MOST]


def _for_finding(case: Dossier, finding: Finding) -> list[str]:
    by_gate = {
        "latency": _latency,
        "leakage": _leakage,
        "fingerprint": _fingerprint,
        "release_record": _record,
    }
    special = by_gate.get(finding.gate)
    if special is not None:
        return special(case, finding)
    if finding.verdict == Verdict.ERROR:
        return [f"{finding.gate}: {finding.next_step}"] if finding.next_step else []
    if "shadow_review" in finding.subject:
        return _review(case)
    if case.changes is not None:
        return _lists(case.changes, finding)
    if case.scored is None:
        return []
    label = next((each for each in case.scored.labels if each in finding.subject.split()), None)
    if label is not None:
        return _label(case.scored, label)
    if "harm" in finding.subject or "escalation" in finding.subject:
        return _costly(case)
    return _broken_pairs(case.scored)


def _label(scored: Scored, label: str) -> list[str]:
    """Where rows of the label go that the baseline answered rightly."""
    lost = _lost(scored).filter(pl.col("truth") == label)
    truth = scored.outcomes.filter(pl.col("truth") == label)
    if lost.is_empty():
        return [f"{label}: label more rows of it; {count(truth.height, 'golden row')} decide too little"]
    to, rows = next(
        lost.group_by("release_label").len().sort("len", "release_label", descending=True).iter_rows()
    )
    return [
        f"{label}: {count(lost.height, 'row')} that the baseline answered rightly are lost, {rows} of them "
        f"to {to}. Label more rows of the pair {label} / {to}, and read those {rows} for wrong labels"
    ]


def _lost(scored: Scored) -> pl.DataFrame:
    right = pl.col("baseline_label") == pl.col("truth")
    return scored.outcomes.filter(right & (pl.col("release_label") != pl.col("truth")))


def _broken_pairs(scored: Scored) -> list[str]:
    pairs = _lost(scored).group_by("truth", "release_label").len()
    worst = pairs.sort(["len", "truth", "release_label"], descending=[True, False, False]).head(2)
    return [
        f"{count(rows, 'row')} of {truth} are newly answered {answer}: label more rows of the pair "
        f"{truth} / {answer}"
        for truth, answer, rows in worst.iter_rows()
        if rows > 1
    ]


def _lists(changes: Changes, finding: Finding) -> list[str]:
    """What a search lacks: a reranker of the new candidates, judgments, or what its broken queries tell."""
    facts = finding.facts or {}
    if facts.get("joint_loss"):
        return [
            "the pair: train the reranker again on candidates that the new adapter draws; each model is a "
            "gain beside its old partner, so either may be released alone where the table excludes harm"
        ]
    if facts.get("to_judge"):
        return [f"{finding.subject}: {finding.next_step}"]
    if finding.verdict != Verdict.FAIL or not changes.lost:
        return []
    named = ", ".join(repr(mask(each.text)) for each in changes.lost[:3])
    return [
        f"{count(changes.worse, 'golden query')} got worse and {changes.broken:,} of them are broken: read "
        f"{named} first, and judge or train on more queries like them"
    ]


def _costly(case: Dossier) -> list[str]:
    rows = (case.summary or {}).get("costly_confusions", [])
    grown = [each for each in rows if each["rows"] > each["baseline_rows"]]
    return [
        f"{each['truth']} answered as {each['answer']} costs most that is new ({each['rows']} rows, "
        f"{each['baseline_rows']} before): weight {each['truth']} higher in training, "
        "or offer a human below a confidence"
        for each in grown[:2]
    ]


def _latency(case: Dossier, finding: Finding) -> list[str]:
    shown: dict[str, Any] = case.facts(EvidenceKind.LATENCY).get("quantiles", {})
    if not shown:
        return [f"latency: {finding.next_step}"] if finding.next_step else []
    ours, theirs = (shown[str(side)]["p95"]["ms"] for side in (Side.RELEASE, Side.BASELINE))
    ratio = ours / theirs if theirs else float("nan")
    if finding.threshold is not None and theirs >= finding.threshold:
        return [
            f"latency: this machine breaks the limit for the baseline too (P95 {figure(theirs, 'ms')}): "
            "measure again on a quieter or faster one with --again latency"
        ]
    if steps := case.facts(EvidenceKind.LATENCY).get("steps", {}).get(str(Side.RELEASE)):
        slowest = max(steps, key=lambda step: float(steps[step]["p95"]["ms"]))
        took = figure(steps[slowest]["p95"]["ms"], "ms")
        return [
            f"latency: P95 is {figure(ours, 'ms')}, and {slowest} takes most of it ({took} at P95): fewer "
            "candidates, fewer layers or a shorter maximum length of the reranker"
        ]
    return [
        f"latency: P95 is {ratio:.2f} times the baseline's ({figure(ours, 'ms')} against "
        f"{figure(theirs, 'ms')}): a smaller base, int8, or a shorter maximum length"
    ]


def _leakage(case: Dossier, finding: Finding) -> list[str]:
    evidence = case.evidence.get(EvidenceKind.LEAKAGE)
    if evidence is None or evidence.tables["conflicts"].is_empty():
        return [f"leakage: {finding.next_step}"] if finding.next_step else []
    conflicts = evidence.tables["conflicts"]
    rows = conflicts["training_row_id"].n_unique()
    checks = ", ".join(sorted(set(conflicts["check"])))
    return [
        f"leakage: take {count(rows, 'training row')} out ({checks}; first "
        f"{conflicts['training_row_id'][0]}) and train again: they share what the golden set is judged on"
    ]


def _fingerprint(case: Dossier, finding: Finding) -> list[str]:
    side = case.facts(EvidenceKind.FINGERPRINT).get("sides", {}).get(finding.subject.split()[0], {})
    why = str(side.get("why") or finding.says).splitlines()[0]
    return [
        f"fingerprint: {why}. Train and seal with the tokenizer and preprocessing that serve; "
        "do not edit sealed files"
    ]


def _record(case: Dossier, _finding: Finding) -> list[str]:
    missing = [part for part, value in case.parts if value is None]
    return [f"release record: measure or restore what is missing ({', '.join(missing)})"] if missing else []


def _review(case: Dossier) -> list[str]:
    evidence = case.evidence.get(EvidenceKind.REVIEW)
    if evidence is None:
        return ["review: people must look at the disagreements on traffic"]
    items = evidence.tables["items"].filter(~pl.col("planted") & ~pl.col("by_action"))
    lost = items.filter(pl.col("answer") == pl.col("baseline_label"))
    if "titles" in evidence.tables:
        gained = items.filter(pl.col("answer") == pl.col("release_label")).height
        told = f"in {count(lost.height, 'search')}, and the release's in {gained:,}"
        return [f"traffic: reviewers preferred the baseline's list {told}: read what they saw, and judge it"]
    pairs = lost.group_by("baseline_label", "release_label").len().sort("len", descending=True)
    return [
        f"traffic: reviewers preferred {right} over {wrong} in {count(rows, 'request')}: "
        "label more such requests"
        for right, wrong, rows in pairs.head(2).iter_rows()
    ]


def _for_slices(case: Dossier) -> list[str]:
    view = case.scored if case.ranked is None else case.ranked
    whole = view.rows.height if view is not None else 0  # of the whole set there is nothing to collect more
    worse = [each for each in case.worst_slices if each.worse and each.rows < whole]
    word = "row" if case.ranked is None else "query"
    return [
        f"{each.name}, {each.value}: {_points(each.difference)} on {count(each.rows, word)} "
        f"({span(each.low, each.high, 'share', difference=True)}): collect more like these"
        for each in worse[:2]
    ]


def _points(value: float) -> str:
    return figure(value, "share", difference=True)
