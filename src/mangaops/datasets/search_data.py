"""What people searched for, in: a catalogue, judged queries, logs of searches; from files or SQL."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from mangaops.datasets.collect import read
from mangaops.datasets.groups import grouped
from mangaops.datasets.source import Progress, Provenance, Source
from mangaops.errors import InputError
from mangaops.inference.catalogue import READ, Item, reading

if TYPE_CHECKING:
    from mangaops.stack import SearchDataSpec

ITEMS: Final = {
    "item_id": True,
    "title": True,
    **dict.fromkeys(
        ("synopsis", "tags", "genres", "price", "stock", "language", "age_rating", "released"), False
    ),
}
"""The columns of a catalogue and whether each must be there. `tags` and `genres` are joined by commas."""

JUDGMENTS: Final = {
    "query_id": False,
    "query": True,
    "item_id": True,
    "grade": True,
    "language": False,
    "split": False,
}
SEARCHES: Final = {
    "search_id": True,
    "query": True,
    "user_id": False,
    "session_id": False,
    "at": False,
    "item_id": True,
    "rank": True,
    "clicked": True,
    "bought": False,
}
"""One row an item that was shown: which search, at which rank from 1, and what the user did."""


@dataclass(frozen=True)
class Collected:
    """Rows in the canonical columns with `place`, where they came from, and what a reader must know."""

    rows: pl.DataFrame
    provenance: Provenance = field(default_factory=Provenance)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class SearchData:
    """A catalogue, judged queries, and searches where there are logs of them."""

    items: Collected
    judgments: Collected
    searches: Collected = field(default_factory=lambda: Collected(nothing(SEARCHES)))


def collect_items(source: Source, spec: SearchDataSpec, progress: Progress | None = None) -> Collected:
    """The catalogue, one row an item, in the order read.

    Raises:
        InputError: a file, column or cell that cannot be read, or an item without an id, with its place.
        UsageError, SetupError: as `collect`.
    """
    return _collected(source, ITEMS, spec.catalogue, progress, ("item_id",))


def collect_judgments(source: Source, spec: SearchDataSpec, progress: Progress | None = None) -> Collected:
    """Judgments, one row a query and item: `grade` is 0 for irrelevant, and more for more relevant.

    A query without an id gets a hash of its text.

    Raises:
        InputError: as `collect_items`; a judgment without a grade or without a query.
    """
    found = _collected(source, JUDGMENTS, spec.judgments, progress, ("item_id", "grade"))
    hashed = [_query_id(query) for query in found.rows.get_column("query")]
    own = pl.Series("hashed", hashed, dtype=pl.String)
    rows = found.rows.with_columns(query_id=pl.coalesce("query_id", own))
    _refuse(rows, pl.col("query").str.strip_chars() == "", "query", "the words that were searched for")
    return Collected(rows, found.provenance, found.notes)


def collect_searches(source: Source, spec: SearchDataSpec, progress: Progress | None = None) -> Collected:
    """Logs of searches, one row a shown item.

    Raises:
        InputError: as `collect_items`; a row without search, item, rank or click; a rank of 0.
    """
    return _collected(source, SEARCHES, spec.searches, progress, ("search_id", "item_id", "rank", "clicked"))


def collect_asked(source: Source, spec: SearchDataSpec, progress: Progress | None = None) -> pl.DataFrame:
    """What was searched for in a window: row_id, group (of user and session), text, at; one row a search.

    Logs of shown items will do: a search that stands on many rows is one.

    Raises:
        InputError: a file, column or cell that cannot be read, with its place; or a search without an id.
    """
    wanted = {name: SEARCHES[name] for name in ("search_id", "query", "user_id", "session_id", "at")}
    mapping = {ours: theirs for ours, theirs in spec.searches.items() if ours in wanted}
    found = _collected(source, wanted, mapping, progress, ("search_id", "query"))
    rows = found.rows.unique("search_id", keep="first", maintain_order=True)
    named = grouped(rows.with_columns(row_id="search_id", conversation_id="session_id"), "traffic")
    return named.select("row_id", "group", text="query", at="at")


def _query_id(query: str) -> str:
    return f"q-{hashlib.sha256(query.strip().encode(errors='replace')).hexdigest()[:24]}"


def nothing(wanted: Mapping[str, bool]) -> pl.DataFrame:
    """No row, in these columns."""
    from mangaops.datasets.columns import canonical

    empty = pl.DataFrame({"": [None]}).clear()
    frame, _ = canonical(empty, "nothing", dict.fromkeys(wanted, False), {})
    return frame.with_columns(place=pl.lit("", dtype=pl.String))


def item_text(items: pl.DataFrame) -> pl.Series:
    """What models read of each item: title, genres, tags and synopsis, those that it has."""
    told = [reading(item) for item in items.select(READ).iter_rows(named=True)]
    return pl.Series("text", told, dtype=pl.String)


def items_by_id(items: pl.DataFrame) -> dict[str, Item]:
    """The columns of each item as JSON values, by its id: as catalogues and their deltas hold them."""
    held = items.select(list(ITEMS)).iter_rows(named=True)
    return {
        str(row.pop("item_id")): {name: _plain(value) for name, value in row.items() if value is not None}
        for row in held
    }


def _plain(value: Any) -> Any:
    """The value as a JSON value."""
    return value.isoformat() if isinstance(value, datetime) else value


def _collected(
    source: Source,
    wanted: Mapping[str, bool],
    columns: Mapping[Any, str],
    progress: Progress | None,
    whole: tuple[str, ...],
) -> Collected:
    mapping = {str(ours): theirs for ours, theirs in columns.items()} | dict(source.columns)
    rows, origins, notes = read(source, wanted, mapping, progress)
    for name in whole:
        _refuse(rows, pl.col(name).is_null(), name, f"{name} on each row")
    return Collected(rows, Provenance(source.shown(), source.query, mapping, origins), notes)


def _refuse(rows: pl.DataFrame, wrong: pl.Expr, column: str, accepted: str) -> None:
    bad = rows.filter(wrong)
    if bad.height:
        more = f", and {bad.height - 1:,} more rows like it" if bad.height > 1 else ""
        raise InputError(
            f"{bad['place'][0]} was refused: it has no {column}",
            found=f"{bad[column][0]!r}{more}",
            accepted=accepted,
            next_step="mend the rows, or map another column in stack.yaml",
        )
