"""The row schema in pandera: what makes a row unusable, and which rows those are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from mangaops.errors import InputError

EMPTY, OVER_LONG, UNREADABLE, UNKNOWN_LABEL = (
    "empty text",
    "over-long text",
    "unreadable text",
    "unknown label",
)
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
    allowed = list(labels or ())
    known = pa.Check(lambda data: _flags(data, pl.col(data.key).is_in(allowed)), name=UNKNOWN_LABEL)
    optional = {
        name: pa.Column(pl.String, nullable=True)
        for name in ("conversation_id", "user_id", "label_source", "annotator", "language", "split")
    }
    return pa.DataFrameSchema(
        {
            "row_id": pa.Column(pl.String, unique=True),
            "text": pa.Column(pl.String, checks=texts),
            "label": pa.Column(pl.String, checks=[] if labels is None else [known]),
            "at": pa.Column(pl.Datetime("us", "UTC"), nullable=True),
            "turn": pa.Column(pl.Int64, nullable=True),
            **optional,
        }
    )


def failures(rows: pl.DataFrame, max_characters: int, labels: Sequence[str] | None) -> pl.DataFrame:
    """One row a failure: `index` of the row and `check`, the name of what it fails.

    Raises:
        InputError: the frame is not of canonical rows at all.
    """
    from pandera.errors import SchemaErrors

    try:
        row_schema(max_characters, labels).validate(rows, lazy=True)
    except SchemaErrors as errors:
        cases: pl.DataFrame = errors.failure_cases
        if cases.get_column("index").null_count():
            told = sorted({str(check) for check in cases.get_column("check")})
            raise InputError("the rows are not in the canonical columns", found=", ".join(told)) from errors
        return cases.select(pl.col("index").cast(pl.Int64), "check")
    return pl.DataFrame(schema={"index": pl.Int64, "check": pl.String})


def unreadable(text: pl.Expr) -> pl.Expr:
    """Whether more than one character in twenty is a control or replacement character: binary junk."""
    return text.str.count_matches(_CONTROL) * 20 > text.str.len_chars()


def unusable(rows: pl.DataFrame, max_characters: int) -> pl.DataFrame:
    """`row_id, reason` of the rows whose text cannot be used, with the first reason that holds."""
    failed = failures(rows, max_characters, None).filter(pl.col("check").is_in(UNUSABLE_TEXT))
    first = failed.unique("index", keep="first", maintain_order=True)
    names = rows.get_column("row_id").gather(first.get_column("index"))
    return pl.DataFrame({"row_id": names, "reason": first.get_column("check")})


def _flags(data: Any, expression: pl.Expr) -> pl.LazyFrame:
    frame: pl.LazyFrame = data.lazyframe
    return frame.select(expression)
