"""Champion and challenger on the same golden rows, asked one text at a time as they will serve."""

from __future__ import annotations

import math
from dataclasses import dataclass

import polars as pl

from mangaops.errors import InputError
from mangaops.evidence import Evidence
from mangaops.inference import Answer, Predictor, answers
from mangaops.metrics import METRICS, Scored
from mangaops.registry import fold_data
from mangaops.release.desk import Desk, Progress, binding, model_spec, of_first_model, record_evidence, state
from mangaops.vocabulary import Digest, EvidenceKind, Side

_ROW = {"row_id": pl.String, "group": pl.String, "text": pl.String, "truth": pl.String, "weight": pl.Float64}
_NEAR = {"row_id": pl.String, "seen": pl.Boolean, "near": pl.Boolean}
_TRAITS = {
    "row_id": pl.String,
    "language": pl.String,
    "turn": pl.Int64,
    "words": pl.Int64,
    "jargon": pl.Boolean,
    "new_user": pl.Boolean,
}


@dataclass(frozen=True)
class Pair:
    """The two that answer: the champion (or the plain baseline in its place) and the release on trial.

    `against`: the digest of what `baseline` answers for, to which evidence is bound; where that is not what
    stands there when it is recorded, nothing is recorded. None: what stands there when measuring begins.
    """

    baseline: Predictor
    release: Predictor
    against: Digest | None = None


@dataclass(frozen=True)
class GoldenRows:
    """The golden rows of one snapshot with what slices need, and the model's critical examples.

    `rows`: row_id, group, text, label, weight. `nearness`: row_id, seen, near, against the training
    snapshots of both sides. `traits`: row_id, language, turn, words, jargon, new_user.
    `critical`: text, label; one wrong answer among them is one too many. None where there are none.
    """

    snapshot: Digest
    dataset_version: str
    rows: pl.DataFrame
    nearness: pl.DataFrame
    traits: pl.DataFrame
    critical: pl.DataFrame | None = None


def evaluate(
    desk: Desk,
    unit: str,
    release: str,
    pair: Pair,
    golden: GoldenRows,
    *,
    reason: str,
    progress: Progress = None,
) -> Evidence:
    """Evaluation evidence is recorded: one row a golden example with both sides' answers.

    Raises:
        InputError: a golden row lacks its nearness or traits, or there is no golden row.
        RevisionConflict: the champion changed meanwhile.
    """
    asked = joined(golden)
    bound = binding(desk, unit, release, golden.snapshot, against=pair.against)
    outcomes = answer_both(asked, pair, "golden rows", progress)
    tables = {"outcomes": outcomes}
    if golden.critical is not None and not golden.critical.is_empty():
        examples = golden.critical.select("text", truth="label")
        tables["critical_examples"] = answer_both(examples, pair, "critical examples", progress).select(
            "text", "truth", "baseline_label", "release_label"
        )
    facts = {
        "labels": sorted(set(pair.release.labels) | set(outcomes["truth"].to_list())),
        "dataset_version": golden.dataset_version,
        "golden_judgements": golden_judgements(desk, unit, release, golden.snapshot),
        "baseline_name": pair.baseline.name,
        "release_name": pair.release.name,
    }
    evidence = Evidence(EvidenceKind.EVALUATION, bound, facts, tables)
    metrics = of_first_model(desk, unit, _registered_metrics(desk, unit, evidence))
    return record_evidence(desk, unit, release, evidence, reason=reason, metrics=metrics)


def _registered_metrics(desk: Desk, unit: str, evidence: Evidence) -> dict[str, float]:
    """What the registry record shows of the release: each metric that takes no label and is defined here."""
    scored = Scored.of(evidence, model_spec(desk, unit))
    values = {
        metric.name: metric.rows(scored, None).value(Side.RELEASE)
        for metric in METRICS.of(Scored)
        if not metric.per_label
    }
    return {name: value for name, value in values.items() if math.isfinite(value)}


def joined(golden: GoldenRows) -> pl.DataFrame:
    """The golden rows with nearness and traits, one row each, in order of row_id.

    Raises:
        InputError: there is none, or one has no nearness or no traits.
    """
    rows = golden.rows.select("row_id", "group", "text", truth="label", weight="weight").cast(_ROW)  # type: ignore[arg-type]
    nearness = golden.nearness.select(*_NEAR).cast(_NEAR)  # type: ignore[arg-type]
    traits = golden.traits.select(*_TRAITS).cast(_TRAITS)  # type: ignore[arg-type]
    whole = rows.join(nearness, on="row_id").join(traits, on="row_id").sort("row_id")
    if whole.is_empty() or whole.height != rows.height:
        raise InputError(
            f"the evaluation on {golden.dataset_version} was refused: not every golden row can be sliced",
            found=f"{rows.height} golden rows, {whole.height} of them with nearness and traits",
            accepted="one golden row or more, each once in every frame",
            next_step="take the snapshot again: mangaops data snapshot",
        )
    return whole


def answer_both(asked: pl.DataFrame, pair: Pair, what: str, progress: Progress) -> pl.DataFrame:
    """The frame with label, confidence and action of both sides for its `text`, row by row."""
    answered = asked
    for side, predictor in (("baseline", pair.baseline), ("release", pair.release)):
        told = retitled(progress, f"{what}, {side}")
        answered = answered.with_columns(answer_columns(answers(predictor, asked["text"], told), side))
    return answered


def retitled(progress: Progress, what: str) -> Progress:
    """A progress that says `what` in place of what the room below says."""
    return (lambda _, done, total: progress(what, done, total)) if progress else None


def answer_columns(given: list[Answer], side: str) -> list[pl.Series]:
    """Answers as columns `<side>_label`, `<side>_confidence`, `<side>_action`."""
    return [
        pl.Series(f"{side}_label", [answer.label for answer in given], dtype=pl.String),
        pl.Series(f"{side}_confidence", [answer.confidence for answer in given], dtype=pl.Float64),
        pl.Series(f"{side}_action", [str(answer.action) for answer in given], dtype=pl.String),
    ]


def golden_judgements(desk: Desk, unit: str, release: str, snapshot: Digest) -> int:
    """How many releases this golden set has been used on, this one among them: each use wears it.

    Snapshots of many weeks share a golden set until it grows.
    """
    known = fold_data(desk.ledger.read(f"data/{model_spec(desk, unit).data}"))
    golden_of = {version.digest: version.golden_digest for version in known.versions.values()}
    same = {digest for digest, golden in golden_of.items() if golden == golden_of.get(snapshot)} | {snapshot}
    used = {
        name
        for name, subject in state(desk, unit).releases.items()
        for ref in subject.evidence
        if ref.kind in (EvidenceKind.EVALUATION, EvidenceKind.RANKING) and ref.binding["dataset"] in same
    }
    return len(used | {release})
