"""Where rows come from and what is remembered of it: never a credential."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import polars as pl

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

_USER = re.compile(r"://(?:[^/:@]*:(?!:).*@|[^/]*@)", re.DOTALL)
"""`user:password@`, whose password may hold anything, and `user@`; chained URLs (`::`) are no password."""
_OPTIONS = re.compile(r"\?[^/]*=.*$", re.DOTALL)
_SQL_URL = re.compile(r"^(sqlite|postgresql|postgres|mysql|mariadb|oracle|mssql)(\+\w+)?:", re.IGNORECASE)


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


def is_sql(location: str) -> bool:
    """Whether a location is an SQLAlchemy URL rather than a file."""
    return bool(_SQL_URL.match(location))


def without_credentials(location: str) -> str:
    """The location without user, password and query string, chained URLs too; a plain path stays as it is.

    Where it is unclear what belongs to a password (an `@` in the path after one), too much is left out.
    """
    if is_sql(location):
        return _sql_without_credentials(location)
    if "://" not in location:
        return location
    return _OPTIONS.sub("", _USER.sub("://", location))


def _sql_without_credentials(location: str) -> str:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(location)
    except (ArgumentError, ValueError):
        return _OPTIONS.sub("", _USER.sub("://", location))
    database, port = url.database or "", f":{url.port}" if url.port else ""
    if url.host and "@" in database:  # the password held an `@`, and was read as host and database
        return f"{url.get_backend_name()}://{database.rpartition('@')[2]}"
    return f"{url.get_backend_name()}://{url.host or ''}{port}/{database}"
