"""A dataset version, a sealed model version, a release enter the ledger. Told twice, they stand once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mangaops.datasets import Snapshot, golden_digest
from mangaops.datasets.search_snapshot import SearchSnapshot
from mangaops.errors import UsageError
from mangaops.registry import Draft, UnitState, canonical, drafts, fold_data
from mangaops.release.desk import Desk, append, next_run, state, unit_spec
from mangaops.vocabulary import Because, Digest


def record_dataset(desk: Desk, data: str, snapshot: Snapshot, *, reason: str) -> Digest:
    """The snapshot is stored and the ledger lists it as a version of `data`; returns the store's digest.

    Raises:
        IllegalMove: the name is taken by other rows.
        RevisionConflict: another verb appended first.
    """
    stored = desk.snapshots.put(snapshot.manifest, snapshot.rows)
    golden = snapshot.golden
    frozen = _Frozen(golden_digest(golden), golden.height, sorted(set(golden["label"])))
    _record(desk, data, _Version(snapshot.name, snapshot.digest, snapshot.rows.height), frozen, reason)
    return stored


def record_search_data(desk: Desk, data: str, snapshot: SearchSnapshot, *, reason: str) -> Digest:
    """The same for a version of search data: its rows are its judgments.

    Raises:
        IllegalMove, RevisionConflict: as `record_dataset`.
    """
    stored = desk.snapshots.put_tables(snapshot.manifest, snapshot.tables)
    frozen = _Frozen(snapshot.golden_digest, snapshot.golden.height, [])
    version = _Version(snapshot.name, snapshot.digest, snapshot.judgments.height)
    _record(desk, data, version, frozen, reason)
    return stored


@dataclass(frozen=True)
class _Version:
    name: str
    digest: Digest
    rows: int


@dataclass(frozen=True)
class _Frozen:
    digest: Digest
    rows: int
    labels: list[str]


def _record(desk: Desk, data: str, version: _Version, golden: _Frozen, reason: str) -> None:
    """The version is listed, and before it the golden set where this version freezes a new one."""
    known = fold_data(desk.ledger.read(f"data/{data}"))
    listed = known.versions.get(version.name)
    if listed is not None and listed.digest == version.digest:
        return
    told: list[Draft] = []
    if golden.digest != known.golden:
        told.append(
            drafts.golden_frozen(
                data,
                name=version.name,
                golden_digest=golden.digest,
                rows=golden.rows,
                labels=golden.labels,
                reason=reason,
                actor=desk.actor,
            )
        )
    told.append(
        drafts.dataset_recorded(
            data,
            name=version.name,
            digest=version.digest,
            rows=version.rows,
            golden_digest=golden.digest,
            reason=reason,
            actor=desk.actor,
        )
    )
    append(desk, told, expect={f"data/{data}": known.revision})


def register_model(
    desk: Desk,
    unit: str,
    model: str,
    *,
    folder: Path,
    fingerprint: str,
    dataset_version: str,
    dataset: Digest,
    training_code_sha: str,
    config: Mapping[str, Any],
    metrics: Mapping[str, float],
    reason: str,
) -> str:
    """The sealed folder is stored and listed as the model's next version; returns `model@version`.

    An artifact that is listed already keeps its version, whoever trained it again. Accuracy, rare-label
    accuracy and latency join the record as evidence is recorded.

    Raises:
        UsageError: the unit has no such model.
        RevisionConflict: another verb appended first.
    """
    _require_part(desk, unit, model)
    artifact, current = desk.artifacts.put(folder), state(desk, unit)
    known = [record for record in current.models.values() if record.model == model]
    same = [record.name for record in known if record.artifact == artifact]
    if same:
        return same[0]
    version = f"v{max((int(record.version[1:]) for record in known), default=0) + 1}"
    draft = drafts.model_registered(
        unit,
        model=model,
        version=version,
        family=desk.stack.models[model].family,
        artifact=artifact,
        fingerprint=fingerprint,
        dataset_version=dataset_version,
        dataset=dataset,
        training_code_sha=training_code_sha,
        config=config,
        metrics=metrics,
        reason=reason,
        actor=desk.actor,
    )
    append(desk, [draft], expect={unit: current.revision})
    return f"{model}@{version}"


def _require_part(desk: Desk, unit: str, model: str) -> None:
    models = unit_spec(desk, unit).models
    if model not in models:
        raise UsageError(f"model {model!r} was refused: it is not part of {unit}", accepted=", ".join(models))


def register_release(
    desk: Desk,
    unit: str,
    models: Mapping[str, str],
    *,
    because: Because,
    reason: str,
    parts: Mapping[str, Digest] = MappingProxyType({}),
) -> str:
    """The model versions are a release of the unit, and its only open one; returns its name.

    `parts`: the stored artifacts that belong to it and are no model. The same artifacts give the same
    release, whatever state that is in. An older open release is withdrawn in the same transaction.

    Raises:
        UsageError: not exactly the unit's models, or a version that is not registered.
        RevisionConflict: another verb appended first.
    """
    current = state(desk, unit)
    digest = release_digest(desk, unit, current, models, parts)
    for name, known in current.releases.items():
        if known.digest == digest:
            return name
    name = f"{unit}-{len(current.releases) + 1}"
    registered = drafts.release_registered(
        unit,
        release=name,
        digest=digest,
        models=models,
        parts=parts,
        because=because,
        bootstrap=current.champion is None,
        reason=reason,
        actor=desk.actor,
    )
    append(desk, [*_superseded(desk, current, name), registered], expect={unit: current.revision})
    return name


def _superseded(desk: Desk, current: UnitState, by: str) -> list[Draft]:
    """The withdrawal of the open release, if there is one."""
    if current.challenger is None:
        return []
    why = f"superseded by {by}"
    return [drafts.withdrawn(current.unit, release=current.challenger, reason=why, actor=desk.actor)]


def release_digest(
    desk: Desk,
    unit: str,
    current: UnitState,
    models: Mapping[str, str],
    parts: Mapping[str, Digest] = MappingProxyType({}),
) -> Digest:
    """The digest over the unit and the artifact of each model and part: what the release is, not when made.

    Raises:
        UsageError: not exactly the unit's models, or a version that is not registered.
    """
    wanted = unit_spec(desk, unit).models
    unknown = [f"{m}@{v}" for m, v in models.items() if f"{m}@{v}" not in current.models]
    if set(models) != set(wanted) or unknown:
        raise UsageError(
            f"a release of {unit} was refused",
            found=f"not registered: {', '.join(unknown)}"
            if unknown
            else f"models {', '.join(models) or 'none'}",
            accepted=f"one registered version of each of {', '.join(wanted)}",
            next_step=f"mangaops registry list, or train: {next_run(desk, current)}",
        )
    artifacts = {m: current.models[f"{m}@{v}"].artifact for m, v in models.items()}
    named = {str(part): artifact for part, artifact in parts.items()}
    text = canonical({"unit": unit, "models": artifacts, **({"parts": named} if named else {})})
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
