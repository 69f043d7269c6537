"""Where rows come from and what is remembered of it: never a credential."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import polars as pl

from mangaops.store.addresses import without_credentials

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done and how much there is (0 where that is unknown)."""

ROWS: dict[str, pl.DataType] = {
    "row_id": pl.String(),
    "text": pl.String(),
    "label": pl.String(),
    "conversation_id": pl.String(),
    "user_id": pl.String(),
    "at": pl.Datetime("us", "UTC"),
    "label_source": pl.String(),
    "annotator": pl.String(),
    "language": pl.String(),
    "turn": pl.Int64(),
    "split": pl.String(),
    "place": pl.String(),
}
"""The canonical columns of collected rows. Only `row_id`, `text`, `label` and `place` are never null;
`place` says where a row stood, as in `logs.csv row 17`, and is not kept in a snapshot."""


@dataclass(frozen=True)
class Source:
    """What to collect: files, globs and fsspec URLs, or one SQLAlchemy URL with a query.

    `columns` maps our names to theirs and wins over those of stack.yaml. Printing a source shows no
    user name, no password and no query string of a URL.
    """

    locations: tuple[str, ...] = field(repr=False)
    query: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)

    def shown(self) -> tuple[str, ...]:
        """The locations without anything that could be a credential."""
        return tuple(without_credentials(each) for each in self.locations)


@dataclass(frozen=True)
class Origin:
    """One file or query result that was read: `sha256` is null for SQL."""

    name: str
    rows: int
    bytes: int
    sha256: str | None


@dataclass(frozen=True)
class Provenance:
    """What a manifest says about where rows came from."""

    locations: tuple[str, ...] = ()
    query: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    origins: tuple[Origin, ...] = ()


@dataclass(frozen=True)
class Logs:
    """Collected rows (columns `ROWS`), where they came from, and what a reader must know about them."""

    rows: pl.DataFrame
    provenance: Provenance = Provenance()
    notes: tuple[str, ...] = ()
