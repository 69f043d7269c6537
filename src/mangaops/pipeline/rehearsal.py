"""Whether accepted rows could become a dataset version: the snapshot is made, and thrown away."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import TypeVar

from mangaops.datasets import ValidationReport, snapshot
from mangaops.datasets.search_snapshot import search_snapshot
from mangaops.errors import InputError, LeakageError
from mangaops.pipeline.dataset_run import Gathered, critical_labels, newest_version
from mangaops.pipeline.search_data_run import Examined, newest_search_version
from mangaops.pipeline.workshop import Progress, Workshop
from mangaops.stack import Stack

Open = Callable[[], Workshop | None]
"""Gives the stores as they are, None where there is no ledger."""
S = TypeVar("S")


def rehearsed(
    stack: Stack, data: str, found: Gathered, stores: Open, at: date, tell: Progress
) -> ValidationReport:
    """The report on labelled logs; what would keep a snapshot from being made of them is an error in it.

    The version before is asked only where a first version is refused: its frozen golden rows may fill a split
    that these rows leave empty.
    """
    spec, critical = stack.labelled(data), critical_labels(stack, data)
    return _with_refusal(
        found.report,
        lambda previous: snapshot(
            found.logs, spec, data=data, critical=critical, previous=previous, at=at, progress=tell
        ),
        lambda: newest_version(shop, data) if (shop := stores()) else None,
    )


def rehearsed_search(
    stack: Stack,
    data: str,
    found: Examined,
    stores: Open,
    at: date,
    tell: Progress,
) -> ValidationReport:
    """As `rehearsed`, of search data."""
    spec = stack.search_data[data]
    return _with_refusal(
        found.report,
        lambda previous: search_snapshot(
            found.data, spec, name=data, previous=previous, at=at, progress=tell
        ),
        lambda: newest_search_version(shop, data) if (shop := stores()) else None,
    )


def _with_refusal(
    report: ValidationReport, make: Callable[[S | None], S], newest: Callable[[], S | None]
) -> ValidationReport:
    if report.errors:
        return report
    says = _refusal(make, None)
    if says and (previous := newest()) is not None:
        says = _refusal(make, previous)
    return replace(report, errors=(says,)) if says else report


def _refusal(make: Callable[[S | None], S], previous: S | None) -> str:
    try:
        make(previous)
    except (InputError, LeakageError) as refused:
        return f"{refused.refused}; found: {refused.found}; accepted: {refused.accepted}; {refused.next_step}"
    return ""
