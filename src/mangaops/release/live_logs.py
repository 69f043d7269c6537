"""Requests and their shadow answers, joined from the logs of gateways: the rows that a live shadow counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import polars as pl

from mangaops.datasets.groups import grouped
from mangaops.errors import IntegrityError
from mangaops.release.shadow import differs
from mangaops.store import LogReader

LATE: Final = timedelta(seconds=90)
"""A shadow answer that is not logged so long after its request is lost: a segment and a roll are younger."""

SENT: Final = "sent"
LOST: Final = "lost"
_UNANSWERED: Final = "no answer"

_REQUESTS: Final = ("writer", "seq", "at", "request_id", "release", "generation", "mirror")
_SHADOW: Final = (
    "at",
    "request_id",
    "request_writer",
    "request_seq",
    "champion",
    "generation",
    "challenger",
    "conversation_id",
    "user_id",
    "text",
    "champion_answer",
    "champion_ms",
    "challenger_answer",
    "challenger_ms",
    "challenger_error",
    "control_answer",
    "control_ms",
)
_ANSWER: Final = pl.Struct({"label": pl.String, "action": pl.String, "confidence": pl.Float64})
_SIDES: Final[Mapping[str, str]] = {"baseline": "champion", "release": "challenger", "control": "control"}


@dataclass(frozen=True)
class Watched:
    """The pair whose requests count, and since when."""

    champion: str
    generation: int
    challenger: str
    since: datetime


class LiveLogs:
    """Both logs of a unit, read again and again while they grow."""

    def __init__(self, root: str | Path, unit: str, watched: Watched) -> None:
        """`root` is the folder or fsspec URL of all files."""
        self._watched = watched
        self._requests = LogReader(root, "requests", unit=unit, since=watched.since, columns=_REQUESTS)
        self._shadow = LogReader(root, "shadow", unit=unit, since=watched.since, columns=_SHADOW)

    def mirrored(self) -> pl.DataFrame:
        """The requests in the share, from the first that reached the challenger on, in order of time.

        One row a request, with its shadow row where it `reached` the challenger.

        Raises:
            SetupError, IntegrityError: the logs cannot be read.
        """
        mine = self._watched
        shadow = self._shadow.read().filter(
            champion=mine.champion, generation=mine.generation, challenger=mine.challenger
        )
        requests = self._requests.read().filter(
            (pl.col("mirror") == SENT) | pl.col("mirror").str.starts_with("shed_"),
            release=mine.champion,
            generation=mine.generation,
        )
        key = ["request_writer", "request_seq"]
        joined = requests.select(
            "at", "request_id", "mirror", request_writer="writer", request_seq="seq"
        ).join(
            shadow.drop("champion", "generation", "challenger").with_columns(reached=True),
            on=key,
            how="full",
            coalesce=True,
        )
        rows = joined.with_columns(
            at=pl.coalesce("at", "at_right"),
            request_id=pl.coalesce("request_id", "request_id_right"),
            mirror=pl.col("mirror").fill_null(SENT),
            reached=pl.col("reached").fill_null(False),
        ).drop("at_right", "request_id_right")
        first = rows.filter("reached")["at"].min()
        return rows.filter(pl.col("at") >= first).sort("at", *key) if first is not None else rows.clear()


def settled(mirrored: pl.DataFrame, now: datetime) -> datetime | None:
    """Until when nothing can come any more: the first request whose shadow answer may still come, or the end.

    None where there is nothing yet. What was asked at that very moment comes after it.
    """
    waiting = mirrored.filter(pl.col("mirror") == SENT, ~pl.col("reached"), pl.col("at") > now - LATE)
    first, last = waiting["at"].min(), mirrored["at"].max()
    if isinstance(first, datetime):
        return first
    return last + timedelta(microseconds=1) if isinstance(last, datetime) else None


def answered(window: pl.DataFrame) -> pl.DataFrame:
    """One row a request that both sides answered, in order of `seq`: the table of shadow evidence.

    Raises:
        IntegrityError: an answer in the log is none.
    """
    rows = window.filter(pl.col("champion_answer").is_not_null(), pl.col("challenger_answer").is_not_null())
    named = rows.with_columns(
        row_id=pl.format("{} {}", "request_writer", "request_seq"), text=pl.col("text").fill_null("")
    )
    told = grouped(named, "traffic").with_columns(
        each
        for side, logged in _SIDES.items()
        for each in (_decoded(rows[f"{logged}_answer"], side), pl.col(f"{logged}_ms").alias(f"{side}_ms"))
    )
    return told.unnest(*_SIDES).select(
        pl.int_range(pl.len(), dtype=pl.Int64).alias("seq"),
        "request_id",
        "group",
        "text",
        *(f"{side}_{part}" for side in ("baseline", "release") for part in ("label", "action", "confidence")),
        *(pl.col(f"{side}_ms").cast(pl.Float64) for side in _SIDES),
        "at",
        "request_writer",
        "request_seq",
        disagrees=differs("baseline", "release"),
        control_disagrees=differs("baseline", "control"),
    )


def unanswered(window: pl.DataFrame) -> pl.DataFrame:
    """The requests that fell into the share and that not both sides answered, each with `why`."""
    failed = pl.coalesce("challenger_error", pl.lit(_UNANSWERED))
    why = (
        pl.when(pl.col("mirror") != SENT)
        .then("mirror")
        .when(~pl.col("reached"))
        .then(pl.lit(LOST))
        .otherwise(failed)
    )
    rows = window.filter(pl.col("champion_answer").is_null() | pl.col("challenger_answer").is_null())
    return rows.select("request_id", "at", "request_writer", "request_seq", why=why)


def _decoded(answers: pl.Series, side: str) -> pl.Series:
    """The answers as a struct of `<side>_label`, `<side>_action`, `<side>_confidence`."""
    try:
        told = answers.str.json_decode(_ANSWER)
    except pl.exceptions.PolarsError as problem:
        raise _no_answer(side, str(problem)) from problem
    fields = told.struct
    for name in _fields():
        if (fields.field(name).is_null() & answers.is_not_null()).any():
            raise _no_answer(side, f"an answer without {name}")
    return fields.rename_fields([f"{side}_{name}" for name in _fields()]).alias(side)


def _fields() -> list[str]:
    return [field.name for field in _ANSWER.fields]


def _no_answer(side: str, found: str) -> IntegrityError:
    return IntegrityError(
        f"the shadow log was refused: an answer of {_SIDES[side]} cannot be read",
        found=found.splitlines()[0],
        accepted="JSON with label, action and confidence",
        next_step="restore the log from a backup, or move the damaged file away",
    )


def counted(why: pl.Series) -> dict[str, Any]:
    """How often each word stands in the column."""
    found = why.value_counts().sort(why.name)
    return dict(zip(found[why.name], found["count"], strict=True))
