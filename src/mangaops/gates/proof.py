"""Evidence for a gate: there, complete, measured on the very things that are judged; or a reason why not."""

from __future__ import annotations

from typing import NoReturn

import polars as pl

from mangaops.errors import IntegrityError
from mangaops.evidence import Evidence, require
from mangaops.gates.case import Case
from mangaops.gates.measure import Measure
from mangaops.metrics import METRICS, Ranked, Scored, View
from mangaops.registry import judging, traffic_of
from mangaops.vocabulary import EvidenceKind, Stage, Unjudged

_ANSWERED = ("group", "truth", "weight", "baseline_label", "release_label", "near")
_ON_TRAFFIC = frozenset({EvidenceKind.SHADOW, EvidenceKind.REVIEW})


class Unusable(Exception):
    """There is nothing to judge on: becomes an ERROR that says what to measure again.

    `lacks`: the kind of evidence of which there is none.
    """

    def __init__(self, says: str, next_step: str, lacks: EvidenceKind | None = None) -> None:
        super().__init__(says)
        self.says = says
        self.next_step = next_step
        self.lacks = lacks


def again(case: Case, kind: EvidenceKind) -> str:
    """The command that measures this kind of evidence again."""
    if kind is EvidenceKind.REVIEW:
        return f"mangaops review open {case.called}"
    return rerun(case, kind, anew=True)


def rerun(case: Case, kind: EvidenceKind | None = None, *, anew: bool = False) -> str:
    """The command that judges again, and measures this kind of evidence where it is missing, or `anew`.

    It names the traffic of the shadow where that is what is measured, or where the case is judged on one.
    """
    shadow = case.evidence.get(EvidenceKind.SHADOW)
    on_traffic = kind is EvidenceKind.SHADOW or case.traffic is not None
    return judging(
        case.binding.unit,
        served=case.served,
        searches=case.searches,
        logged=case.logged,
        again=kind if anew else None,
        traffic=traffic_of(shadow.facts.get("mode") if shadow else None) if on_traffic else "",
    )


def proof(case: Case, kind: EvidenceKind) -> Evidence:
    """The evidence of this kind, once it is complete and bound to what is judged.

    Raises:
        Unusable: it is missing, incomplete, without rows, or was measured on another release, baseline or
            dataset.
    """
    if kind in case.proven:
        return case.proven[kind]
    evidence = case.evidence.get(kind)
    if evidence is None:
        raise Unusable(f"there is no {kind} evidence", rerun(case, kind), kind)
    stale = _stale(case, evidence)
    if stale:
        raise Unusable(f"the {kind} evidence is stale: it was measured on {stale}", again(case, kind))
    try:
        case.proven[kind] = require(evidence)
    except IntegrityError as problem:
        raise Unusable(f"{problem.refused}: {problem.found}", again(case, kind)) from problem
    if kind is EvidenceKind.EVALUATION:
        _answered(case, evidence.tables["outcomes"])
    return evidence


def _answered(case: Case, outcomes: pl.DataFrame) -> None:
    if outcomes.is_empty():
        raise Unusable("the evaluation evidence holds no rows", again(case, EvidenceKind.EVALUATION))
    if any(outcomes.get_column(name).null_count() for name in _ANSWERED):
        says = "the evaluation evidence has rows without an answer"
        raise Unusable(says, again(case, EvidenceKind.EVALUATION))


def scored(case: Case) -> Scored:
    """The golden rows of the evaluation evidence.

    Raises:
        Unusable: as `proof`.
    """
    proof(case, EvidenceKind.EVALUATION)
    return case.scored


def ranked(case: Case, stage: Stage, unjudged: Unjudged | None, places: int | None) -> Ranked:
    """The lists of the ranking evidence at this stage, once they are as deep as a rule looks.

    Raises:
        Unusable: as `proof`; a stage that was not measured, or to fewer places.
    """
    evidence = proof(case, EvidenceKind.RANKING)
    if evidence.tables["queries"].is_empty():
        raise Unusable("the ranking evidence holds no queries", again(case, EvidenceKind.RANKING))
    found = case.ranked.at(stage, unjudged or Unjudged.IRRELEVANT)
    if not found.depth and stage is Stage.RERANKER and not found.against_pair:
        says = "the baseline is no pair of models: it has no adapter whose candidates both rerankers order"
        raise Unusable(says, "write on: search; the release's lists there are those that its reranker orders")
    if not found.depth:
        raise Unusable(f"the ranking evidence holds no lists of {stage}", again(case, EvidenceKind.RANKING))
    if places is not None and places > found.depth:
        says = f"the lists of {stage} hold {found.depth} places, and the rule looks at {places}"
        raise Unusable(says, f"state a k of at most {found.depth}, or measure deeper lists")
    return found


def measured(case: Case, asked: Measure) -> View:
    """The rows or lists that a rule compares on.

    Raises:
        Unusable: as `scored` and `ranked`.
    """
    if asked.on not in set(Stage):
        return scored(case)
    return ranked(case, Stage(asked.on), asked.unjudged, METRICS[asked.metric].places)


def review(case: Case) -> Evidence:
    """The review evidence, once its reviewer may answer here and, where all is answered, met the floor.

    Raises:
        Unusable: as `proof`; a review of another shadow; a simulated reviewer in a stack that is not
            simulated; careless labels.
    """
    evidence = proof(case, EvidenceKind.REVIEW)
    if evidence.facts["shadow"] != (judged := proof(case, EvidenceKind.SHADOW).digest):
        says = f"its items are of shadow {_short(evidence.facts['shadow'])}, not {_short(judged)}"
        raise Unusable(f"the review evidence is stale: {says}", f"mangaops review open {case.called}")
    if evidence.facts["simulated"] and not case.simulated:
        says = f"the review was answered by {evidence.facts['reviewer']} from hidden labels"
        raise Unusable(f"{says}, and this stack is not simulated", f"mangaops review open {case.called}")
    if not evidence.tables["items"].get_column("answer").null_count():
        _careful(case, evidence)
    return evidence


def _careful(case: Case, evidence: Evidence) -> None:
    planted = evidence.tables["items"].filter("planted")
    floor = case.unit.review.floor
    reopen = f"mangaops review open {case.called} --seed {evidence.facts['seed'] + 1}"
    if planted.is_empty():
        if case.unit.review.planted and not evidence.tables["items"].is_empty():
            _refuse_planted(f"none of the {case.unit.review.planted} planted items is in the review", reopen)
        return
    right = int((planted.get_column("answer") == planted.get_column("known")).sum())
    if right < floor * planted.height - 1e-9:
        says = (
            f"{right} of {planted.height} planted items were answered rightly, and the floor is {floor:.0%}"
        )
        _refuse_planted(says, reopen)


def _refuse_planted(says: str, reopen: str) -> NoReturn:
    raise Unusable(f"the review cannot be relied on: {says}", reopen)


def disagreements(shadow: Evidence) -> pl.DataFrame:
    """The mirrored requests that disagree by another label or list: those that people can judge."""
    return shadow.tables["answers"].filter("disagrees", pl.col("baseline_label") != pl.col("release_label"))


def _stale(case: Case, evidence: Evidence) -> str:
    """What the evidence was measured on instead, in words; empty where it fits."""
    wanted, found = case.binding, evidence.binding
    dataset = case.traffic if evidence.kind in _ON_TRAFFIC else wanted.dataset
    named = "traffic window" if evidence.kind in _ON_TRAFFIC else "dataset"
    parts = (
        ("unit", wanted.unit, found.unit),
        ("release", wanted.release, found.release),
        ("baseline", wanted.baseline, found.baseline),
        (named, dataset, found.dataset),
    )
    return ", ".join(f"{name} {_short(mine)}, not {_short(his)}" for name, his, mine in parts if his != mine)


def _short(digest: str | None) -> str:
    if digest is None:
        return "none"
    return digest[:19] if digest.startswith("sha256:") else digest
