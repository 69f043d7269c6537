"""The row schema in pandera: what makes a row unusable, and which rows those are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

EMPTY, OVER_LONG, UNREADABLE, UNKNOWN_LABEL = "empty text", "over-long text", "unreadable text", "unknown label"
UNUSABLE_TEXT = (EMPTY, OVER_LONG, UNREADABLE)
_CONTROL = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\x{fffd}]"


def row_schema(max_characters: int, labels: Sequence[str] | None) -> Any:
    """The pandera schema of canonical rows; `labels` null allows any label."""
    import pandera.polars as pa

    texts = [
        pa.Check(lambda data: _flags(data, pl.col(data.key).str.contains(r"\S")), name=EMPTY),
        pa.Check(
            lambda data: _flags(data, pl.col(data.key).str.len_chars() <= max_characters), name=OVER_LONG
        ),
        pa.Check(lambda data: _flags(data, ~unreadable(pl.col(data.key))), name=UNREADABLE),
    ]
    known = [] if labels is None else [pa.Check.isin(list(labels), name=UNKNOWN_LABEL)]
    optional = {
        name: pa.Column(pl.String, nullable=True)
        for name in ("conversation_id", "user_id", "label_source", "annotator", "language", "split")
    }
    return pa.DataFrameSchema(
        {
            "row_id": pa.Column(pl.String, unique=True),
            "text": pa.Column(pl.String, checks=texts),
            "label": pa.Column(pl.String, checks=known),
            "at": pa.Column(pl.Datetime("us", "UTC"), nullable=True),
            "turn": pa.Column(pl.Int64, nullable=True),
            **optional,
        }
    )


def failures(rows: pl.DataFrame, max_characters: int, labels: Sequence[str] | None) -> pl.DataFrame:
    """One row a failure: `index` of the row and `check`, the name of what it fails.

    Raises:
        pandera.errors.SchemaErrors: the frame is not of canonical rows at all.
    """
    from pandera.errors import SchemaErrors

    try:
        row_schema(max_characters, labels).validate(rows, lazy=True)
    except SchemaErrors as errors:
        cases = errors.failure_cases
        if cases.get_column("index").null_count():
            raise
        return cases.select(pl.col("index").cast(pl.Int64), "check")
    return pl.DataFrame(schema={"index": pl.Int64, "check": pl.String})


def unreadable(text: pl.Expr) -> pl.Expr:
    """Whether more than one character in twenty is a control or replacement character: binary junk."""
    return text.str.count_matches(_CONTROL) * 20 > text.str.len_chars()


def unusable(rows: pl.DataFrame, max_characters: int) -> pl.DataFrame:
    """`row_id, reason` of the rows whose text cannot be used, with the first reason that holds."""
    text = pl.col("text")
    reason = (
        pl.when(~text.str.contains(r"\S"))
        .then(pl.lit(EMPTY))
        .when(text.str.len_chars() > max_characters)
        .then(pl.lit(OVER_LONG))
        .when(unreadable(text))
        .then(pl.lit(UNREADABLE))
    )
    return rows.select("row_id", reason=reason).filter(pl.col("reason").is_not_null())


def _flags(data: Any, expression: pl.Expr) -> pl.LazyFrame:
    frame: pl.LazyFrame = data.lazyframe
    return frame.select(expression)
