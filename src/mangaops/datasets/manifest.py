"""What is written down of a dataset version: enough to trace, to count and to make it again."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from mangaops.datasets.golden import golden_digest
from mangaops.datasets.snapshot import Snapshot
from mangaops.datasets.source import Logs
from mangaops.datasets.validation import ValidationReport, synthetic
from mangaops.evidence.envelope import table_digest
from mangaops.vocabulary import Digest, Split

if TYPE_CHECKING:
    from mangaops.stack import DataSpec

SCHEMA = 1


@dataclass
class Making:
    """A dataset version in the making: what it is made of, and what is counted on the way."""

    name: str
    logs: Logs
    spec: DataSpec
    report: ValidationReport
    critical: tuple[str, ...]
    previous: Snapshot | None
    labels: tuple[str, ...] = ()
    traffic: dict[str, float] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    relabelled: int = 0
    grown: bool = True


def manifest(making: Making, name: str, digest: Digest, rows: pl.DataFrame) -> dict[str, Any]:
    """The manifest as JSON values. It holds no credential and no clock: it is a function of the logs, the
    settings and the version before.
    """
    sections = making.report.sections
    previous = making.previous
    return {
        "schema": SCHEMA,
        "name": name,
        "data": making.name,
        "digest": digest,
        "previous": None if previous is None else {"name": previous.name, "digest": previous.digest},
        "source": _source(making.logs),
        "labels": list(making.labels),
        "critical": list(making.critical),
        "rows": rows.height,
        "groups": rows.get_column("group").n_unique(),
        "splits": _splits(rows),
        "golden": _golden(making, name, rows),
        "dropped": {reason: count for reason, count in making.dropped.items() if count},
        "traffic": {label: round(share, 9) for label, share in making.traffic.items()},
        "time": sections["time"],
        "languages": sections["languages"]["share"],
        "synthetic_share": round(float(rows.select(synthetic().mean()).item()), 6),
        "own_splits": bool(sections["rows"]["own_splits"]),
        "frames": {split.value: _frame_digest(rows, split) for split in Split},
        "validation": making.report.as_dict(),
        "settings": making.spec.model_dump(mode="json"),
    }


def _source(logs: Logs) -> dict[str, Any]:
    provenance = logs.provenance
    return {
        "locations": list(provenance.locations),
        "query": provenance.query,
        "columns": dict(provenance.columns),
        "files": [asdict(origin) for origin in provenance.origins],
        "notes": list(logs.notes),
    }


def _splits(rows: pl.DataFrame) -> dict[str, Any]:
    splits = {}
    for split in Split:
        part = rows.filter(pl.col("split") == split)
        counts = part.get_column("label").value_counts().sort("label")
        splits[split.value] = {
            "rows": part.height,
            "groups": part.get_column("group").n_unique(),
            "share": round(part.height / rows.height, 6),
            "labels": {str(label): int(count) for label, count in counts.iter_rows()},
        }
    return splits


def _golden(making: Making, name: str, rows: pl.DataFrame) -> dict[str, Any]:
    golden = rows.filter(pl.col("golden"))
    digest = golden_digest(golden)
    nothing: dict[str, Any] = {"digest": "", "version": 0}
    before = making.previous.manifest["golden"] if making.previous else nothing
    counts = golden.get_column("label").value_counts().sort("label")
    same = before["digest"] == digest
    return {
        "digest": digest,
        "version": before["version"] + (0 if same else 1),
        "since": before["since"] if same else name,
        "rows": golden.height,
        "reserve": rows.filter((pl.col("split") == Split.GOLDEN) & ~pl.col("golden")).height,
        "labels": {str(label): int(count) for label, count in counts.iter_rows()},
        "relabelled_in_logs": making.relabelled,
    }


def _frame_digest(rows: pl.DataFrame, split: Split) -> Digest:
    return table_digest(rows.filter(pl.col("split") == split))
