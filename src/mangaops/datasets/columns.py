"""Their columns to ours: found by name, brought to one type, refused by file, column and row."""

from __future__ import annotations

import difflib
import math
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl

from mangaops.errors import InputError
from mangaops.vocabulary import Split

_OWN_SPLITS = {
    "train": Split.TRAIN,
    "training": Split.TRAIN,
    "validation": Split.VALIDATION,
    "valid": Split.VALIDATION,
    "val": Split.VALIDATION,
    "dev": Split.VALIDATION,
    "golden": Split.GOLDEN,
    "test": Split.GOLDEN,
}
_WHERE = "under `columns` of the dataset; under `catalogue`, `judgments` or `searches` of one of kind search"
_NOT_A_LABEL = {"", "nan", "null", "<na>", "nat"}
_AT = pl.Datetime("us", "UTC")
_TEXTS = (pl.String, pl.Categorical, pl.Enum)
_EARLIEST, _LATEST = datetime(1990, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


@dataclass
class Spot:
    """The column that is being read, for errors; counts what a reader must be told."""

    file: str
    ours: str
    theirs: str
    notes: dict[str, int] = field(default_factory=dict)

    def refuse(self, row: int, found: str, accepted: str, next_step: str = "") -> InputError:
        """The error for the cell in 0-based `row`."""
        return InputError(
            f"{self.file} row {row + 1}, column {self.theirs!r} was refused as {self.ours}",
            found=found,
            accepted=accepted,
            next_step=next_step or f"mend the row, or map another column in stack.yaml: {_WHERE}",
        )


def canonical(
    table: pl.DataFrame, file: str, wanted: Mapping[str, bool], mapping: Mapping[str, str]
) -> tuple[pl.DataFrame, dict[str, int]]:
    """The wanted columns under our names and types, in that order, and notes with their numbers of rows.

    `wanted` says of each column whether it is required; an optional one that is missing becomes null.

    Raises:
        InputError: a required or a renamed column is missing, or a cell is not what its column holds.
    """
    columns, notes = [], dict[str, int]()
    for ours, required in wanted.items():
        theirs = mapping.get(ours, ours)
        if theirs not in table.columns:
            _refuse_missing(table, file, ours, theirs, required=required or theirs != ours)
            if ours in mapping:
                notes[f"{file} has no column {theirs!r}{_meant(theirs, table.columns)}"] = table.height
            columns.append(pl.Series(ours, [None] * table.height, dtype=_TYPES[ours]))
            continue
        spot = Spot(file, ours, theirs)
        columns.append(_READERS[ours](table.get_column(theirs), spot).alias(ours))
        for note, rows in spot.notes.items():
            notes[note] = notes.get(note, 0) + rows
    return pl.DataFrame(columns), notes


def _refuse_missing(table: pl.DataFrame, file: str, ours: str, theirs: str, *, required: bool) -> None:
    if not required:
        return
    raise InputError(
        f"{file} has no column {theirs!r}, which holds our {ours}{_meant(theirs, table.columns)}",
        found=", ".join(table.columns[:30]),
        accepted=f"a column {theirs!r}",
        next_step=f"map it in stack.yaml, as {{{ours}: THEIR_COLUMN}}: {_WHERE}",
    )


def _meant(theirs: str, columns: list[str]) -> str:
    lowered = {column.lower(): column for column in columns}
    close = difflib.get_close_matches(theirs.lower(), list(lowered), n=2, cutoff=0.6)
    return f"; did you mean {' or '.join(repr(lowered[name]) for name in close)}?" if close else ""


def _missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _text(column: pl.Series, spot: Spot) -> pl.Series:
    """Text; null becomes the empty text, which is counted and dropped later."""
    if column.dtype in _TEXTS:
        return column.cast(pl.String).fill_null("")
    values = column.to_list()
    for row, value in enumerate(values):
        if not _missing(value) and not isinstance(value, str):
            raise spot.refuse(row, _described(value), "text")
    return pl.Series([value if isinstance(value, str) else "" for value in values], dtype=pl.String)


def _label(column: pl.Series, spot: Spot) -> pl.Series:
    values = column.cast(pl.String).to_list() if column.dtype in _TEXTS else column.to_list()
    labels: list[str] = []
    absent: list[int] = []
    for row, value in enumerate(values):
        if isinstance(value, list | tuple):
            raise spot.refuse(
                row,
                f"a list of {len(value)} labels",
                "one label a row",
                "a router chooses one intent: keep the first or the rarest label of each row",
            )
        if not _missing(value) and (isinstance(value, bool) or not isinstance(value, str | int)):
            raise spot.refuse(row, _described(value), "a label: text or a whole number")
        label = "" if _missing(value) else str(value).strip()
        if label.lower() in _NOT_A_LABEL:
            absent.append(row)
        labels.append(label)
    if absent:
        more = f", and {len(absent) - 1} more rows like it" if len(absent) > 1 else ""
        raise spot.refuse(
            absent[0],
            f"no label (empty, null or NaN){more}",
            "a label on each row",
            "label these rows or leave them out; unlabelled requests are traffic, not labelled logs",
        )
    if column.dtype.is_integer():
        spot.notes["labels are whole numbers and were taken as text"] = len(labels)
    return pl.Series(labels, dtype=pl.String)


def _identity(column: pl.Series, spot: Spot) -> pl.Series:
    """An id as text; empty is null; 12.0 is 12, as a frame with gaps stores whole numbers."""
    if column.dtype in _TEXTS:
        stripped = column.cast(pl.String).str.strip_chars()
        return stripped.replace("", None)
    if column.dtype.is_integer():
        return column.cast(pl.String)
    ids: list[str | None] = []
    for row, value in enumerate(column.to_list()):
        whole = isinstance(value, float) and value.is_integer()
        if _missing(value):
            ids.append(None)
        elif isinstance(value, str | int | uuid.UUID) and not isinstance(value, bool):
            ids.append(str(value).strip() or None)
        elif whole:
            ids.append(str(int(value)))
        else:
            raise spot.refuse(row, _described(value), "an id: text or a whole number")
    return pl.Series(ids, dtype=pl.String)


def _turn(column: pl.Series, spot: Spot) -> pl.Series:
    if column.dtype.is_integer():
        return column.cast(pl.Int64)
    turns: list[int | None] = []
    for row, value in enumerate(column.to_list()):
        if _missing(value) or value == "":
            turns.append(None)
            continue
        try:
            number = float(value)
            turns.append(int(number) if number.is_integer() else int(str(value)))
        except (TypeError, ValueError, OverflowError) as error:
            raise spot.refuse(row, _described(value), "a whole number") from error
    return pl.Series(turns, dtype=pl.Int64)


def _split(column: pl.Series, spot: Spot) -> pl.Series:
    names: list[str] = []
    for row, value in enumerate(column.to_list()):
        split = _OWN_SPLITS.get(str(value).strip().lower())
        if split is None:
            raise spot.refuse(
                row,
                _described(value),
                "train, validation (val, dev) or golden (test) on each row",
                "mend the column, or rename it so that rows are split by group",
            )
        names.append(split.value)
    return pl.Series(names, dtype=pl.String)


def _at(column: pl.Series, spot: Spot) -> pl.Series:
    if isinstance(column.dtype, pl.Datetime):
        if column.dtype.time_zone is None:
            spot.notes["times without a zone were taken as UTC"] = column.len() - column.null_count()
            return column.dt.replace_time_zone("UTC").dt.cast_time_unit("us")
        return column.dt.convert_time_zone("UTC").dt.cast_time_unit("us")
    moments: list[datetime | None] = []
    naive = 0
    for row, value in enumerate(column.to_list()):
        moment = None if _missing(value) or value == "" else _moment(value)
        if moment is not None and moment.tzinfo is None:
            naive += 1
            moment = moment.replace(tzinfo=UTC)
        if not _missing(value) and value != "" and (moment is None or not _EARLIEST <= moment < _LATEST):
            raise spot.refuse(row, _described(value), "ISO 8601 as in 2026-04-20T09:30:00Z, or epoch seconds")
        moments.append(moment)
    if naive:
        spot.notes["times without a zone were taken as UTC"] = naive
    return pl.Series(moments, dtype=_AT)


def _moment(value: object) -> datetime | None:
    """The moment that a cell means; null if it means none. Epochs are told apart by their size."""
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    try:
        if isinstance(value, str):
            text = value.strip()
            if not text.lstrip("-").replace(".", "", 1).isdigit() or len(text) == 8:
                return datetime.fromisoformat(text)
            value = float(text)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        size = abs(value)
        unit = 1 if size < 1e11 else 1e3 if size < 1e14 else 1e6 if size < 1e17 else 1e9
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=value / unit)
    except (ValueError, OverflowError):
        return None


def _described(value: object) -> str:
    shown = repr(value)
    return f"{shown[:60]}{'...' if len(shown) > 60 else ''} ({type(value).__name__})"


def _words(column: pl.Series, spot: Spot) -> pl.Series:
    """Text; a list of words is joined by commas."""
    if isinstance(column.dtype, pl.List):
        return column.cast(pl.List(pl.String)).list.join(", ").fill_null("")
    return _text(column, spot)


def _number(column: pl.Series, spot: Spot, least: int = 0, kind: str = "number") -> pl.Series:
    """Numbers of at least `least`; null where there is none."""
    values: list[float | None] = []
    for row, value in enumerate(column.to_list()):
        if _missing(value) or value == "":
            values.append(None)
            continue
        try:
            number = float("nan" if isinstance(value, bool) else value)
        except (TypeError, ValueError):
            number = math.nan
        if not least <= number < math.inf or (kind != "number" and number != math.floor(number)):
            raise spot.refuse(row, _described(value), f"a {kind} of {least} or more")
        values.append(number)
    return pl.Series(values, dtype=pl.Float64)


def _whole(column: pl.Series, spot: Spot) -> pl.Series:
    return _number(column, spot, kind="whole number").cast(pl.Int64)


def _rank(column: pl.Series, spot: Spot) -> pl.Series:
    """Places in a list, the first of which is 1."""
    return _number(column, spot, 1, "whole number").cast(pl.Int64)


def _truth(column: pl.Series, spot: Spot) -> pl.Series:
    words = {"true": True, "1": True, "1.0": True, "yes": True, "false": False, "0": False, "0.0": False}
    words["no"] = False
    found: list[bool | None] = []
    for row, value in enumerate(column.to_list()):
        known = None if _missing(value) or value == "" else words.get(str(value).strip().lower())
        if known is None and not _missing(value) and value != "":
            raise spot.refuse(row, _described(value), "true or false, 1 or 0")
        found.append(known)
    return pl.Series(found, dtype=pl.Boolean)


def _released(column: pl.Series, spot: Spot) -> pl.Series:
    """The day of release; a number of four digits is a year."""
    days: list[datetime | None] = []
    for row, value in enumerate(column.to_list()):
        moment = None if _missing(value) or value == "" else _year(value) or _moment(value)
        if moment is None and not _missing(value) and value != "":
            raise spot.refuse(row, _described(value), "a year, or a date as in 2026-04-20")
        days.append(moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC))
    return pl.Series(days, dtype=_AT)


def _year(value: object) -> datetime | None:
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
    return datetime(int(text), 1, 1, tzinfo=UTC) if text.isdigit() and 1000 <= int(text) < 2200 else None


_READERS: dict[str, Callable[[pl.Series, Spot], pl.Series]] = {
    "text": _text,
    "label": _label,
    "at": _at,
    "turn": _turn,
    "split": _split,
    "released": _released,
    "grade": _number,
    "price": _number,
    "stock": _whole,
    "rank": _rank,
    "clicked": _truth,
    "bought": _truth,
    **dict.fromkeys(("query", "title", "synopsis", "tags", "genres"), _words),
    **dict.fromkeys(
        ("row_id", "request_id", "conversation_id", "user_id", "label_source", "annotator", "language"),
        _identity,
    ),
    **dict.fromkeys(("item_id", "query_id", "search_id", "session_id", "age_rating"), _identity),
}
_TYPES: dict[str, Any] = {
    **dict.fromkeys(_READERS, pl.String()),
    **dict.fromkeys(("at", "released"), _AT),
    **dict.fromkeys(("turn", "stock", "rank"), pl.Int64()),
    **dict.fromkeys(("grade", "price"), pl.Float64()),
    **dict.fromkeys(("clicked", "bought"), pl.Boolean()),
}
