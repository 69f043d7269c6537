"""One envelope for every kind of evidence: scalars in `facts`, per-example outcomes in `tables`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import polars as pl

from mangaops.vocabulary import Digest, EvidenceKind

Table = pl.DataFrame


@dataclass(frozen=True)
class Binding:
    """What a measurement was made on. A gate refuses evidence whose binding is not the one it judges.

    `release` and `baseline` are release digests (of the challenger, and of the champion or of the plain
    baseline that stands in its place); `dataset` is the digest of the snapshot whose golden rows, or of
    the traffic window whose requests, both sides answered.
    """

    unit: str
    release: Digest
    baseline: Digest
    dataset: Digest


@dataclass(frozen=True)
class Evidence:
    """A frozen report. Two reports with equal facts and tables have the same digest, on every machine.

    `facts` holds JSON values only (no NaN, no infinity). `tables` holds frames whose columns
    are listed in `schemas.TABLES`.
    """

    kind: EvidenceKind
    binding: Binding
    facts: Mapping[str, Any] = field(default_factory=dict)
    tables: Mapping[str, Table] = field(default_factory=dict)

    @cached_property
    def table_digests(self) -> dict[str, Digest]:
        """Digest of each table, by name."""
        return {name: table_digest(frame) for name, frame in sorted(self.tables.items())}

    @cached_property
    def digest(self) -> Digest:
        """Digest over kind, binding, facts and the digests of the tables."""
        body = {
            "kind": str(self.kind),
            "binding": vars(self.binding),
            "facts": self.facts,
            "tables": self.table_digests,
        }
        text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def table_digest(frame: Table) -> Digest:
    """Digest of a frame's values: column names, types and cells, independent of how a file stores them.

    Columns must be of strings, booleans, integers, floats or datetimes; row order counts.
    """
    hasher = hashlib.sha256(f"rows={frame.height}".encode())
    for name in frame.columns:
        column = frame.get_column(name)
        hasher.update(f"\0{name}\0{column.dtype}\0".encode())
        hasher.update(column.is_null().to_numpy().tobytes())
        hasher.update(_cells(column))
    return "sha256:" + hasher.hexdigest()


def tables_digest(tables: Mapping[str, Table]) -> Digest:
    """Digest of named frames; of one that is called `rows` it is that frame's own."""
    digests = {name: table_digest(frame) for name, frame in sorted(tables.items())}
    if list(digests) == ["rows"]:
        return digests["rows"]
    return "sha256:" + hashlib.sha256(json.dumps(digests, separators=(",", ":")).encode()).hexdigest()


def _cells(column: pl.Series) -> bytes:
    dtype = column.dtype
    if dtype == pl.String:
        return json.dumps(column.to_list(), ensure_ascii=False, separators=(",", ":")).encode()
    if dtype.is_float():
        return column.fill_null(0.0).cast(pl.Float64).to_numpy().astype("<f8").tobytes()
    if dtype.is_integer() or dtype == pl.Boolean:
        return column.cast(pl.Int64).fill_null(0).to_numpy().astype("<i8").tobytes()
    if isinstance(dtype, pl.Datetime):
        return column.dt.epoch("us").fill_null(0).to_numpy().astype("<i8").tobytes()
    raise TypeError(f"column {column.name!r} of type {dtype} cannot be part of evidence")
