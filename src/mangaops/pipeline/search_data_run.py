"""A catalogue, judgments and logs of searches to a recorded dataset version."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mangaops.datasets import ValidationReport
from mangaops.datasets.search_data import (
    SearchData,
    collect_items,
    collect_judgments,
    collect_searches,
)
from mangaops.datasets.search_report import validate_search
from mangaops.datasets.search_snapshot import SearchSnapshot, search_snapshot
from mangaops.datasets.source import Source
from mangaops.pipeline.dataset_run import data_state, find_record, recorded_digests
from mangaops.pipeline.workshop import Progress, Workshop
from mangaops.registry import DatasetRecord
from mangaops.release.register import record_search_data
from mangaops.stack import Stack


@dataclass(frozen=True)
class SearchSources:
    """Where the three kinds of rows are."""

    catalogue: Source
    judgments: Source
    searches: Source | None = None


@dataclass(frozen=True)
class Examined:
    """Search data as rows, and the report on it."""

    data: SearchData
    report: ValidationReport


def examine_search(stack: Stack, data: str, sources: SearchSources, progress: Progress) -> Examined:
    """The rows with the report on them; nothing is stored.

    Raises:
        InputError: a file, column or cell that cannot be read, with its place.
    """
    spec = stack.search_data[data]
    found = SearchData(
        collect_items(sources.catalogue, spec, progress), collect_judgments(sources.judgments, spec, progress)
    )
    if sources.searches is not None:
        found = replace(found, searches=collect_searches(sources.searches, spec, progress))
    progress("validating", 0, 1)
    report = validate_search(found, spec)
    progress("validating", 1, 1)
    return Examined(found, report)


def take_search_snapshot(
    shop: Workshop,
    data: str,
    found: SearchData,
    *,
    grow_golden: bool = False,
    reason: str,
    progress: Progress,
) -> SearchSnapshot:
    """The version of this data, stored and recorded; the same data gives the same version.

    Raises:
        InputError: the data was refused by validation, or fills not every split.
    """
    taken = search_snapshot(
        found,
        shop.desk.stack.search_data[data],
        name=data,
        previous=newest_search_version(shop, data),
        at=shop.desk.clock().date(),
        versions=recorded_digests(shop, data),
        grow_golden=grow_golden,
        progress=progress,
    )
    record_search_data(shop.desk, data, taken, reason=reason)
    return taken


def newest_search_version(shop: Workshop, data: str) -> SearchSnapshot | None:
    """The version that was recorded last, None where there is none."""
    versions = list(data_state(shop, data).versions.values())
    return opened_search(shop, versions[-1]) if versions else None


def find_search_version(shop: Workshop, name: str, data: str | None = None) -> SearchSnapshot:
    """The version of search data of that name or digest: of `data`, or of whatever dataset.

    Raises:
        UsageError: the ledger lists no such version, or it is one of another dataset.
    """
    return opened_search(shop, find_record(shop, name, [data] if data else list(shop.desk.stack.search_data)))


def opened_search(shop: Workshop, version: DatasetRecord) -> SearchSnapshot:
    """A recorded version with its tables, verified against its digest."""
    manifest, tables = shop.desk.snapshots.get_tables(version.digest)
    return SearchSnapshot(version.name, version.digest, manifest, **tables)
