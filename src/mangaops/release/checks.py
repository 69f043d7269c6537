"""What is looked up rather than measured: leakage, fingerprints here, the eight parts of the record."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import polars as pl

from mangaops.datasets import Snapshot, compare
from mangaops.datasets.search_leakage import compare_search
from mangaops.datasets.search_snapshot import SearchSnapshot
from mangaops.errors import MangaopsError, UsageError
from mangaops.evidence import Evidence
from mangaops.inference import probe
from mangaops.inference.families import loaded
from mangaops.inference.load import load_model
from mangaops.inference.manifest import file_digest, verify
from mangaops.metrics import Scored, summary
from mangaops.registry import ModelRecord, Permit, Release, UnitState, fold_data, permit
from mangaops.release.desk import (
    Desk,
    bind,
    binding,
    model_spec,
    newest,
    opponent,
    record_evidence,
    release_of,
    state,
    unit_spec,
)
from mangaops.stack import DataSpec, SearchDataSpec
from mangaops.vocabulary import FALLBACK, Digest, EvidenceKind, Family, Part, Purpose, RecordPart, Side

TOKENIZER: Final = "tokenizer.json"
CONFIG: Final = "training_config.yaml"


def check_leakage(
    desk: Desk,
    unit: str,
    release: str,
    golden: Snapshot | SearchSnapshot,
    training: Mapping[Side, Snapshot] | Mapping[Side, SearchSnapshot],
    *,
    reason: str,
    order: Mapping[str, Any] | None = None,
    against: Digest | None = None,
) -> Evidence:
    """Leakage evidence is recorded: what the golden rows share with the training snapshots of both sides.

    Snapshots are of the kind that the unit's models learn from, labelled logs or search data, and all alike.

    `order` is told beside it: order in time, and how much a random split would flatter. `against` is the
    digest of the side whose training snapshot `training` names the baseline's; None: whatever stands there.

    Raises:
        RevisionConflict: the champion changed meanwhile.
    """
    bound = binding(desk, unit, release, golden.digest, against=against)
    facts, conflicts = _compared(desk.stack.dataset(model_spec(desk, unit).data), golden, training)
    facts = {**facts, "order": dict(order)} if order else facts
    evidence = Evidence(EvidenceKind.LEAKAGE, bound, facts, {"conflicts": conflicts})
    return record_evidence(desk, unit, release, evidence, reason=reason)


def _compared(
    spec: DataSpec | SearchDataSpec,
    golden: Snapshot | SearchSnapshot,
    training: Mapping[Side, Snapshot] | Mapping[Side, SearchSnapshot],
) -> tuple[dict[str, Any], pl.DataFrame]:
    """Facts and conflicts by the kind of data.

    Raises:
        UsageError: snapshots of the other kind, or of both.
    """
    if isinstance(spec, SearchDataSpec):
        searched = {side: each for side, each in training.items() if isinstance(each, SearchSnapshot)}
        if isinstance(golden, SearchSnapshot) and len(searched) == len(training):
            return compare_search(golden, searched, spec)
    else:
        labelled = {side: each for side, each in training.items() if isinstance(each, Snapshot)}
        if isinstance(golden, Snapshot) and len(labelled) == len(training):
            return compare(golden, labelled, spec)
    raise UsageError(
        f"checking {golden.name} for leakage was refused: the unit learns from data of another kind",
        found=", ".join(sorted({type(each).__name__ for each in (golden, *training.values())})),
        accepted=f"versions of data of kind {spec.kind}",
        next_step="name a version of the data that stack.yaml gives the unit's models",
    )


def check_fingerprints(desk: Desk, unit: str, release: str, *, dataset: Digest, reason: str) -> Evidence:
    """Fingerprint evidence is recorded: whether each side reads texts here as it was sealed, and loads.

    A side that does not load is a fact and no error: the gate says what it means. Where the plain
    baseline stands in the champion's place, that side has nothing sealed and is left out.
    """
    current = state(desk, unit)
    sides = {str(Side.RELEASE): _side(desk, current, release)}
    if champion := opponent(current, release):
        sides[str(Side.BASELINE)] = _side(desk, current, champion)
    bound = bind(current, release_of(current, release), dataset)
    evidence = Evidence(EvidenceKind.FINGERPRINT, bound, {"sides": sides})
    return record_evidence(desk, unit, release, evidence, reason=reason)


def _side(desk: Desk, current: UnitState, release: str) -> dict[str, Any]:
    """The facts of the release's first model that does not load here, or of its first one; and of the whole.

    A release is its models and parts together: each may load, and the whole may not.
    """
    permits = permit(current, release, Purpose.MEASURE)
    found = [_checked(desk, each) for each in permits.values() if each.family is not None]
    facts = next((each for each in found if not each["loads"]), found[0])
    if not facts["loads"] or len(permits) == 1:
        return facts
    try:
        loaded({name: desk.artifacts.open(each.artifact) for name, each in permits.items()}, permits)
    except MangaopsError as refusal:
        return facts | {"model": release, "loads": False, "why": refusal.message}
    return facts


def _checked(desk: Desk, each: Permit) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "model": f"{each.model}@{each.version}",
        "expected": each.fingerprint,
        "found": None,
        "probe_gap": None,
        "tolerance": None,
    }
    try:
        folder = desk.artifacts.open(each.artifact)
        result = probe(folder)
        gap = result.gap if math.isfinite(result.gap) else None
        facts |= {"found": result.found, "probe_gap": gap, "tolerance": result.tolerance}
        load_model(folder, each)
    except MangaopsError as refusal:
        return facts | {"loads": False, "why": refusal.message}
    return facts | {"loads": True, "why": ""}


def record_parts(desk: Desk, unit: str, release: str, *, dataset: Digest, reason: str) -> Evidence:
    """Record evidence is recorded: digest or name of each of the eight parts, null for what is missing.

    What belongs to a model must be there of every model, and the artifact of every part of the release too;
    where there are several, `facts["of"]` says what was found of each.
    """
    current = state(desk, unit)
    subject = release_of(current, release)
    of = _held_parts(desk, current, subject)
    parts = {
        **_together(of),
        **_measured_parts(desk, current, subject, dataset),
        RecordPart.ROLLBACK_POINTER: _pointer(desk, current, subject),
    }
    facts: dict[str, Any] = {"parts": {str(part): parts[part] for part in RecordPart}}
    if len(of) > 1:
        facts["of"] = {name: {str(part): value for part, value in each.items()} for name, each in of.items()}
    bound = bind(current, subject, dataset)
    return record_evidence(desk, unit, release, Evidence(EvidenceKind.RECORD, bound, facts), reason=reason)


def _held_parts(desk: Desk, current: UnitState, subject: Release) -> dict[str, dict[RecordPart, str | None]]:
    """What each model brings, and each part that a release of this unit holds, by its name."""
    records = [current.models[f"{model}@{version}"] for model, version in subject.models.items()]
    models: dict[str, dict[RecordPart, str | None]] = {
        record.model: {
            RecordPart.DATASET_VERSION: _dataset_version(desk, record),
            **_sealed_parts(desk, record.artifact),
        }
        for record in records
    }
    needed = [Part.INDEX] if any(record.family == Family.EMBEDDING_ADAPTER for record in records) else []
    names = dict.fromkeys([*needed, *subject.parts])
    whole = RecordPart.MODEL_ARTIFACT
    return models | {
        str(name): {whole: _sealed_parts(desk, subject.parts[name])[whole] if name in subject.parts else None}
        for name in names
    }


def _together(of: Mapping[str, Mapping[RecordPart, str | None]]) -> dict[RecordPart, str | None]:
    """One value a part: that of all where they are the same, else each by name; null where one lacks it."""
    parts: dict[RecordPart, dict[str, str | None]] = {}
    for name, each in of.items():
        for part, value in each.items():
            parts.setdefault(part, {})[name] = value
    return {part: _as_one(values) for part, values in parts.items()}


def _as_one(values: Mapping[str, str | None]) -> str | None:
    if None in values.values():
        return None
    same = {str(value) for value in values.values()}
    return same.pop() if len(same) == 1 else ", ".join(f"{name} {value}" for name, value in values.items())


def _dataset_version(desk: Desk, model: ModelRecord) -> str | None:
    """The version's name, if the ledger lists it with the digest that the model was trained on."""
    stream = f"data/{desk.stack.models[model.model].data}"
    listed = fold_data(desk.ledger.read(stream)).versions.get(model.dataset_version)
    return model.dataset_version if listed is not None and listed.digest == model.dataset else None


def _sealed_parts(desk: Desk, artifact: Digest) -> dict[RecordPart, str | None]:
    try:
        folder: Path | None = desk.artifacts.open(artifact)
        sealed = verify(folder) if folder else None
    except MangaopsError:
        folder, sealed = None, None
    files = {RecordPart.TOKENIZER_HASH: TOKENIZER, RecordPart.TRAINING_CONFIG: CONFIG}
    found: dict[RecordPart, str | None] = {
        part: file_digest(folder / file) if folder is not None and (folder / file).is_file() else None
        for part, file in files.items()
    }
    return {**found, RecordPart.MODEL_ARTIFACT: sealed if sealed == artifact else None}


def _measured_parts(
    desk: Desk, current: UnitState, subject: Release, dataset: Digest
) -> dict[RecordPart, str | None]:
    """What was measured; a unit that ranks is evaluated by its lists, and has no confusion matrix."""
    bound = bind(current, subject, dataset)
    ranks = desk.stack.ranks(current.unit)
    kind = EvidenceKind.RANKING if ranks else EvidenceKind.EVALUATION
    evaluation = newest(desk, subject, kind, bound)
    confusion = _confusion(desk, current.unit, evaluation) if evaluation and not ranks else None
    latency = newest(desk, subject, EvidenceKind.LATENCY, bound)
    return {
        RecordPart.EVALUATION_REPORT: evaluation.digest if evaluation else None,
        RecordPart.CONFUSION_MATRIX: confusion,
        RecordPart.LATENCY_REPORT: latency.digest if latency else None,
    }


def _confusion(desk: Desk, unit: str, evaluation: Evidence) -> Digest:
    """The confusion matrices of both sides as a stored document: labels, and rows of truth by answer."""
    shown = summary(Scored.of(evaluation, model_spec(desk, unit)))
    document = {"labels": shown["labels"], "confusion": shown["confusion"]}
    return desk.documents.put(json.dumps(document, sort_keys=True).encode(), ".json")


def _pointer(desk: Desk, current: UnitState, subject: Release) -> str | None:
    """What a rollback would lead to after this promotion: the champion, if it is whole; else the fallback."""
    if current.champion is None:
        return FALLBACK + unit_spec(desk, current.unit).fallback
    if current.champion == subject.name:
        return current.rollback[-1] if current.rollback else None
    try:
        for each in permit(current, current.champion, Purpose.SERVE).values():
            verify(desk.artifacts.open(each.artifact))
    except MangaopsError:
        return None
    return current.champion
