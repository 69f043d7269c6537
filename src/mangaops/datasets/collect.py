"""Logs in: every source becomes the same canonical rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import polars as pl

from mangaops.datasets.columns import canonical
from mangaops.datasets.files import Piece, pieces
from mangaops.datasets.groups import grouped
from mangaops.datasets.source import ROWS, Logs, Origin, Progress, Provenance, Source
from mangaops.datasets.sql import query_piece
from mangaops.errors import InputError, UsageError
from mangaops.store.addresses import is_sql

if TYPE_CHECKING:
    from mangaops.stack import DataSpec

_LABELLED = {name: name in ("text", "label") for name in ROWS if name != "place"}
_TRAFFIC = {"request_id": False, "text": True, "conversation_id": False, "user_id": False, "at": False}
_TRUTH = {"request_id": True, "label": True}
_IDENTITY = ("text", "conversation_id", "user_id", "at", "turn", "split")


def collect(source: Source, spec: DataSpec, progress: Progress | None = None) -> Logs:
    """All rows of the source in the canonical columns, in the order read.

    Empty and over-long texts are still there: `validate` counts them and `snapshot` drops them.

    Raises:
        InputError: a file, column or cell that cannot be read, with its place.
        UsageError: an SQL source without a query, or several sources of which one is SQL.
        SetupError: a driver is not installed.
    """
    mapping = {str(ours): theirs for ours, theirs in spec.columns.items()} | dict(source.columns)
    rows, origins, notes = read(source, _LABELLED, mapping, progress)
    provenance = Provenance(source.shown(), source.query, mapping, origins)
    return Logs(_with_row_ids(rows), provenance, notes)


def logs(rows: pl.DataFrame, columns: Mapping[str, str] | None = None) -> Logs:
    """Rows made in memory, brought to the canonical columns like those of a file.

    Raises:
        InputError: as `collect`.
    """
    table, notes = canonical(rows, "rows", _LABELLED, columns or {})
    origin = Origin("rows", rows.height, 0, None)
    placed = _placed(table, "rows")
    return Logs(_with_row_ids(placed), Provenance(("rows",), None, columns or {}, (origin,)), _told(notes))


def collect_traffic(source: Source, progress: Progress | None = None) -> pl.DataFrame:
    """A window of requests in the order read: `request_id, text, conversation_id, user_id, at, group`.

    Requests without an id get `request-000001` and so on. `group` is equal for requests joined by a
    conversation or a user.

    Raises:
        InputError: as `collect`; two requests with one id; a request without text.
    """
    rows, _, _ = read(source, _TRAFFIC, dict(source.columns), progress)
    number = pl.format("request-{}", pl.int_range(1, pl.len() + 1).cast(pl.String).str.zfill(6))
    rows = rows.with_columns(request_id=pl.coalesce("request_id", number))
    _refuse_repeats(rows, "request_id")
    empty = rows.filter(pl.col("text").str.strip_chars() == "")
    if empty.height:
        raise InputError(
            f"{empty['place'][0]} has no text",
            found=f"{empty.height} requests without text",
            accepted="text in each request",
        )
    named = grouped(rows.with_columns(row_id="request_id"), "traffic")
    return named.select("request_id", "text", "conversation_id", "user_id", "at", "group")


def collect_truth(source: Source, progress: Progress | None = None) -> pl.DataFrame:
    """The hidden labels of a window: `request_id, label`, one row a request.

    Raises:
        InputError: as `collect`; two labels for one request.
    """
    rows, _, _ = read(source, _TRUTH, dict(source.columns), progress)
    _refuse_repeats(rows, "request_id")
    return rows.select("request_id", "label")


def read(
    source: Source, wanted: Mapping[str, bool], mapping: Mapping[str, str], progress: Progress | None
) -> tuple[pl.DataFrame, tuple[Origin, ...], tuple[str, ...]]:
    """The wanted columns of all that the source holds, with `place`; where it came from; what must be told.

    Raises:
        InputError: as `collect`.
        UsageError: no location, or files together with a database.
    """
    frames, origins, notes = [], list[Origin](), dict[str, int]()
    for piece in _pieces(source, progress):
        table, told = canonical(piece.table, piece.name, wanted, mapping)
        frames.append(_placed(table, piece.name))
        origins.append(piece.origin)
        for note, rows in told.items():
            notes[note] = notes.get(note, 0) + rows
    return pl.concat(frames), tuple(origins), _told(notes)


def _pieces(source: Source, progress: Progress | None) -> Iterable[Piece]:
    if not source.locations:
        raise UsageError(
            "no logs were named", accepted="files, patterns, URLs, or an SQLAlchemy URL with a query"
        )
    if not any(is_sql(location) for location in source.locations):
        if source.query is not None:
            raise UsageError("a query goes with a database only", next_step="leave the query out")
        return pieces(source.locations, progress)
    if len(source.locations) > 1:
        raise UsageError(
            "a database is collected alone",
            found=f"{len(source.locations)} sources",
            next_step="name the database alone, or files alone",
        )
    return [query_piece(source.locations[0], source.query, progress)]


def _placed(table: pl.DataFrame, name: str) -> pl.DataFrame:
    return table.with_columns(place=pl.format("{} row {}", pl.lit(name), pl.int_range(1, pl.len() + 1)))


def _told(notes: Mapping[str, int]) -> tuple[str, ...]:
    return tuple(f"{note} ({rows:,} rows)" for note, rows in notes.items())


def _refuse_repeats(rows: pl.DataFrame, column: str) -> None:
    missing = rows.filter(pl.col(column).is_null())
    if missing.height:
        raise InputError(f"{missing['place'][0]} has no {column}", accepted=f"{column} on each row")
    repeated = rows.filter(pl.col(column).is_duplicated())
    if repeated.height:
        raise InputError(
            f"{repeated['place'][0]} repeats {column}",
            found=f"{repeated[column][0]!r}; {repeated.height} rows share theirs with another row",
            accepted=f"each {column} once",
        )


def _with_row_ids(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with `row_id`: their own, else a hash of text, conversation, user, time, turn and own split.

    Rows that are equal in all of these are numbered in order of label. The label is part of the id only
    where nothing but the text tells a row: elsewhere a row that is labelled anew stays the same row.
    """
    if rows.get_column("row_id").null_count() < rows.height:
        _refuse_repeats(rows, "row_id")
        return rows.select(ROWS.keys())
    anonymous = pl.all_horizontal(pl.col("conversation_id", "user_id", "at").is_null())
    numbered = (
        rows.with_row_index("order")
        .with_columns(told=pl.when(anonymous).then("label"))
        .sort("label", "annotator", "order")
        .with_columns(ordinal=pl.int_range(pl.len()).over(*_IDENTITY, "told"))
        .sort("order")
    )
    keys = numbered.select(
        *_IDENTITY[:3], pl.col("at").dt.epoch("us"), *_IDENTITY[4:], "told", "ordinal"
    ).iter_rows()
    ids = [hashlib.sha256(repr(key).encode()).hexdigest()[:24] for key in keys]
    return rows.with_columns(row_id=pl.Series(ids, dtype=pl.String)).select(ROWS.keys())
