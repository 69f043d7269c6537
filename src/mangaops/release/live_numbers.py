"""The numbers of request logs: until when the logs are whole, and how many rows they lack."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

import polars as pl

LATE: Final = timedelta(seconds=90)
"""A row that is not logged so long after its request is lost: a segment and a roll are younger."""

_BORN: Final = re.compile(r"/\d+-([0-9a-f]{14,17})$")
"""A worker names its log by the process's number and the nanosecond, in hex, at which it began."""


def whole_until(numbers: pl.DataFrame, now: datetime) -> datetime | None:
    """Until when every writer's rows are here, that moment not included; None where nobody wrote.

    `numbers` has the `writer` and `at` of each row. A writer's rows come in order, so they are here up to
    its newest; and whoever wrote nothing newer for `LATE` is dead or idle, and hides nothing older than that.
    """
    newest = numbers.group_by("writer").agg(pl.col("at").max())["at"].to_list()
    return min((max(at, now - LATE) for at in newest), default=None)


def gaps(numbers: pl.DataFrame, since: datetime) -> pl.DataFrame:
    """The stretches of numbers that no row has, a row each: `writer`, `missing`, `after`, `before` (moments).

    `numbers` has `writer`, `seq` and `at` of each row known since that moment, once or more often. The
    numbers before a writer's first row count where its name says that it began since then; where it does
    not, they may be rows of earlier days. What a writer lost after its last row is not known.
    """
    ordered = numbers.unique(("writer", "seq")).sort("writer", "seq")
    began = pl.DataFrame(
        [(name, _began(name, since)) for name in ordered["writer"].unique()],
        schema={"writer": pl.String, "began": numbers.schema["at"]},
        orient="row",
    )
    before = ordered.with_columns(
        last=pl.col("seq").shift(1).over("writer"), after=pl.col("at").shift(1).over("writer")
    ).join(began, on="writer", how="left")
    first = pl.col("last").is_null() & pl.col("began").is_not_null()
    return (
        before.with_columns(
            last=pl.when(first).then(0).otherwise("last"),
            after=pl.when(first).then("began").otherwise("after"),
        )
        .with_columns(missing=pl.col("seq") - pl.col("last") - 1)
        .filter(pl.col("missing") > 0)
        .select("writer", "missing", "after", before="at")
        .sort("after", "writer")
    )


def dropped(found: pl.DataFrame, begin: datetime, until: datetime, share: float) -> pl.DataFrame:
    """A row for each request of the share that is taken to be lost in the window: `writer`, `after`.

    Nothing says whose request a row was that is nowhere. So that coverage is at most what it was, each is
    taken for one of this unit and champion, a gap that reaches into the window for one that lies in it, and a
    part of a request for a whole one; `share` of them would have been mirrored.
    """
    mine = found.filter(pl.col("before") > begin, pl.col("after") < until).with_columns(
        after=pl.max_horizontal("after", pl.lit(begin, found.schema["after"]))  # no window grows by them
    )
    upto = (pl.col("missing").cum_sum() * share - 1e-9).ceil().cast(pl.Int64)
    counted = mine.with_columns(count=upto - upto.shift(1, fill_value=0))
    return (
        counted.select("writer", "after", pl.col("after").repeat_by("count").alias("each"))
        .explode("each")
        .drop_nulls("each")
        .select("writer", "after")
    )


def _began(writer: str, since: datetime) -> datetime | None:
    """When the process began that this writer's name tells, None where it was before `since` or is untold."""
    found = _BORN.search(writer)
    if found is None:
        return None
    began = datetime.fromtimestamp(int(found.group(1), 16) / 1e9, UTC)
    return began if began >= since else None
