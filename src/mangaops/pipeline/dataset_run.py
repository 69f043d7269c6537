"""Logs to a recorded dataset version."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mangaops.datasets import Logs, Snapshot, Source, ValidationReport, collect, snapshot, validate
from mangaops.errors import InputError, UsageError
from mangaops.pipeline.digests import chosen, looks_like_digest
from mangaops.pipeline.workshop import Progress, Workshop
from mangaops.registry import DatasetRecord, DataState, UnitState, fold_data
from mangaops.release.desk import state
from mangaops.release.register import record_dataset
from mangaops.stack import DataSpec, Stack, guess
from mangaops.vocabulary import FROM_LOGS


@dataclass(frozen=True)
class Gathered:
    """Rows that passed validation, and the report on them."""

    logs: Logs
    report: ValidationReport


def data_name(stack: Stack, name: str | None, fitting: Collection[str] = ()) -> str:
    """The dataset that is meant: the named one, or the only one of the stack, or of those that are `fitting`.

    Raises:
        UsageError: the stack declares no such dataset, or none is named and several will do.
    """
    declared = sorted([*stack.data, *stack.search_data])
    meant = (sorted(fitting) or declared) if name is None else [each for each in declared if each == name]
    if len(meant) == 1:
        return meant[0]
    choices = meant or declared
    raise UsageError(
        f"no dataset was chosen, and {len(choices)} will do"
        if name is None
        else f"dataset {name!r} was refused: the stack has none such{guess(name, declared)}",
        accepted=", ".join(choices),
        next_step="name one of these with --data",
    )


def critical_labels(stack: Stack, data: str) -> tuple[str, ...]:
    """The critical labels of every model that learns from this dataset, each once."""
    models = stack.models.values()
    return tuple(dict.fromkeys(label for model in models if model.data == data for label in model.critical))


def gather(shop: Workshop, data: str, source: Source, progress: Progress) -> Gathered:
    """The logs as rows with the report on them; nothing is stored.

    Raises:
        InputError: the logs cannot be read as rows.
    """
    return examine(shop.desk.stack, data, source, frozen_labels(shop, data), progress)


def examine(
    stack: Stack, data: str, source: Source, frozen: Sequence[str] | None, progress: Progress
) -> Gathered:
    """The logs as rows with the report on them; `frozen` are the newest version's labels, if any.

    Raises:
        InputError: the logs cannot be read as rows.
    """
    spec = stack.labelled(data)
    logs = collect(source, spec, progress)
    return Gathered(logs, validate(logs, spec, critical_labels(stack, data), frozen))


def accepted(gathered: Gathered) -> Logs:
    """The rows, if the report has no error.

    Raises:
        InputError: the report has errors; each is in the message.
    """
    if gathered.report.errors:
        raise InputError(
            "the logs were refused",
            found="\n    " + "\n    ".join(gathered.report.errors),
            next_step="mangaops data validate shows the whole report with examples",
        )
    return gathered.logs


def take_snapshot(
    shop: Workshop, data: str, logs: Logs, *, grow_golden: bool, reason: str, progress: Progress
) -> Snapshot:
    """The dataset version of these rows, stored and recorded; the same rows give the same version."""
    spec: DataSpec = shop.desk.stack.labelled(data)
    taken = snapshot(
        logs,
        spec,
        critical=critical_labels(shop.desk.stack, data),
        previous=newest_version(shop, data),
        versions=recorded_digests(shop, data),
        data=data,
        at=shop.desk.clock().date(),
        trained=trained_on(shop, data) if grow_golden else (),
        grow_golden=grow_golden,
        progress=progress,
    )
    record_dataset(shop.desk, data, taken, reason=reason)
    return taken


def data_state(shop: Workshop, data: str) -> DataState:
    """The dataset's versions as the fold of its events."""
    return fold_data(shop.desk.ledger.read(f"data/{data}"))


def recorded_digests(shop: Workshop, data: str) -> Mapping[str, str]:
    """Digest of each recorded version, by name."""
    return {name: version.digest for name, version in data_state(shop, data).versions.items()}


def newest_version(shop: Workshop, data: str) -> Snapshot | None:
    """The version that was recorded last, None where there is none."""
    versions = list(data_state(shop, data).versions.values())
    return opened(shop, versions[-1]) if versions else None


def frozen_labels(shop: Workshop, data: str) -> tuple[str, ...] | None:
    """The labels that the first version froze where stack.yaml says `from_logs`, None where nothing did."""
    if shop.desk.stack.labelled(data).labels != FROM_LOGS:
        return None
    newest = newest_version(shop, data)
    return newest.labels if newest else None


def trained_on(shop: Workshop, data: str) -> tuple[Snapshot, ...]:
    """The versions that the champions and the rollback pointers learnt from, each once."""
    learnt: set[str] = set()
    for unit in shop.desk.stack.units:
        current = state(shop.desk, unit)
        serving = [release for name, release in current.releases.items() if _may_serve(current, name)]
        keys = [f"{model}@{version}" for release in serving for model, version in release.models.items()]
        learnt |= {current.models[key].dataset for key in keys}
    versions = data_state(shop, data).versions.values()
    return tuple(opened(shop, version) for version in versions if version.digest in learnt)


def _may_serve(current: UnitState, release: str) -> bool:
    return release == current.champion or release in current.rollback


def opened(shop: Workshop, version: DatasetRecord) -> Snapshot:
    """A recorded version with its rows, verified against its digest."""
    manifest, rows = shop.desk.snapshots.get(version.digest)
    return Snapshot(version.name, version.digest, manifest, rows)


def find_manifest(shop: Workshop, name: str) -> tuple[str, dict[str, Any]]:
    """Digest and manifest of the dataset version of that name or digest, of either kind.

    Raises:
        UsageError: the ledger lists no such version.
    """
    version = find_record(shop, name, [*shop.desk.stack.data, *shop.desk.stack.search_data])
    manifest, _ = shop.desk.snapshots.get_tables(version.digest)
    return version.digest, manifest


def find_version(shop: Workshop, name: str, data: str | None = None) -> Snapshot:
    """The version of labelled logs of that name or digest: of `data`, or of whatever dataset.

    Raises:
        UsageError: the ledger lists no such version, or it is one of another dataset.
    """
    return opened(shop, find_record(shop, name, [data] if data else list(shop.desk.stack.data)))


def find_record(shop: Workshop, name: str, datasets: Sequence[str]) -> DatasetRecord:
    """What the ledger lists of these datasets under that name or digest; of a digest, 8 digits are enough.

    Raises:
        UsageError: no such version of these, or several digests that begin so.
    """
    listed = {version.name: version for data in datasets for version in _versions(shop, data)}
    digests = {each: version.digest for each, version in listed.items()}
    if meant := chosen(name, digests, what="dataset version"):
        return listed[meant[0]]
    wanted = "digest" if looks_like_digest(name) else "name"
    raise UsageError(
        f"dataset version {name!r} was refused: the ledger lists no such {wanted}",
        found=_elsewhere(shop, name, datasets),
        accepted=_accepted(datasets, list(listed)),
        next_step="mangaops data snapshot records one",
    )


def _versions(shop: Workshop, data: str) -> Iterable[DatasetRecord]:
    return data_state(shop, data).versions.values()


def _elsewhere(shop: Workshop, name: str, datasets: Sequence[str]) -> str:
    """Which other dataset has a version that is meant; empty where none has."""
    stack = shop.desk.stack
    for kind, others in (("labels", stack.data), ("search", stack.search_data)):
        for data in others:
            digests = {version.name: version.digest for version in _versions(shop, data)}
            if data not in datasets and chosen(name, digests, what="dataset version"):
                return f"a version of {data}, which is data of kind {kind}"
    return ""


def _accepted(datasets: Sequence[str], names: Sequence[str]) -> str:
    """The newest versions, and of which datasets they must be."""
    of = f"a version of {' or '.join(datasets) or 'no dataset: the stack declares none of this kind'}"
    return f"{of}: {', '.join(names[-5:]) or 'none is recorded yet'}"
