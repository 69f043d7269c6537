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
from mangaops.release.answer_forms import AnswerForm
from mangaops.release.live_numbers import LATE, dropped, gaps, whole_until
from mangaops.store import LogReader

SENT: Final = "sent"
LOST: Final = "lost"
DROPPED: Final = "dropped"
OTHER_CATALOGUE: Final = "another catalogue"
SHADOWED: Final = ("challenger", "control")
"""The sides of the shadow, beside the champion that answers users."""
_UNANSWERED: Final = "no answer"

_REQUESTS: Final = ("writer", "seq", "at", "unit", "request_id", "release", "generation", "mirror")
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
    "options",
    "champion_answer",
    "champion_ms",
    "challenger_answer",
    "challenger_ms",
    "challenger_error",
    "control_answer",
    "control_ms",
)
_SIDES: Final[Mapping[str, str]] = {"baseline": "champion", "release": "challenger", "control": "control"}


@dataclass(frozen=True)
class Watched:
    """The pair whose requests count, and since when."""

    champion: str
    generation: int
    challenger: str
    since: datetime


@dataclass(frozen=True)
class Look:
    """What both logs hold of a pair by now.

    `mirrored`: the requests in the share, from the first that reached the challenger on, in order of time;
    one row a request, with its shadow row where it `reached` the challenger, and whether it is `logged`
    itself. `logged`: `writer`, `seq` and `at` of all rows of the request log, whatever unit they are of.
    `known`: the same, and of requests that the shadow log alone has.
    """

    mirrored: pl.DataFrame
    logged: pl.DataFrame
    known: pl.DataFrame
    since: datetime

    def settled(self, now: datetime) -> datetime | None:
        """Until when nothing can come any more: for no longer than each writer's rows are here, and not
        beyond the first request of which the other log may still get a row.

        None where there is nothing yet. What was asked at that very moment comes after it.
        """
        rows = self.mirrored
        last = rows["at"].max()
        if not isinstance(last, datetime):
            return None
        half = rows.filter(
            (pl.col("mirror") == SENT) & ~(pl.col("reached") & pl.col("logged")), pl.col("at") > now - LATE
        )
        ends = [last + timedelta(microseconds=1), half["at"].min(), whole_until(self.logged, now)]
        return min(end for end in ends if isinstance(end, datetime))

    def window(self, until: datetime, share: float) -> pl.DataFrame:
        """The mirrored requests before that moment, and those that no log holds (see `dropped`)."""
        rows = self.mirrored.filter(pl.col("at") < until)
        first = rows["at"].min()
        if not isinstance(first, datetime):
            return rows
        lost = dropped(gaps(self.known, self.since), first, until, share)
        told = lost.select(at="after", request_writer="writer").with_columns(
            mirror=pl.lit(DROPPED), reached=False, logged=False
        )
        return pl.concat([rows, told], how="diagonal")


class LiveLogs:
    """Both logs of a unit, read again and again while they grow."""

    def __init__(self, root: str | Path, unit: str, watched: Watched) -> None:
        """`root` is the folder or fsspec URL of all files."""
        self._watched, self._unit = watched, unit
        self._requests = LogReader(root, "requests", unit=None, since=watched.since, columns=_REQUESTS)
        self._shadow = LogReader(root, "shadow", unit=unit, since=watched.since, columns=_SHADOW)

    def look(self) -> Look:
        """What is rolled by now.

        Raises:
            SetupError, IntegrityError: the logs cannot be read.
        """
        shadow, requests = self._shadow.read(), self._requests.read()
        logged = requests.select("writer", "seq", "at")
        seen = shadow.select("at", writer="request_writer", seq="request_seq").select(logged.columns)
        return Look(self._mirrored(requests, shadow), logged, pl.concat([logged, seen]), self._watched.since)

    def _mirrored(self, requests: pl.DataFrame, shadow: pl.DataFrame) -> pl.DataFrame:
        mine = self._watched
        pair = shadow.filter(
            champion=mine.champion, generation=mine.generation, challenger=mine.challenger
        ).drop("champion", "generation", "challenger")
        shared = requests.filter(
            (pl.col("mirror") == SENT) | pl.col("mirror").str.starts_with("shed_"),
            unit=self._unit,
            release=mine.champion,
            generation=mine.generation,
        ).select("at", "request_id", "mirror", request_writer="writer", request_seq="seq")
        key = ["request_writer", "request_seq"]
        rows = (
            shared.with_columns(logged=True)
            .join(pair.with_columns(reached=True), on=key, how="full", coalesce=True)
            .with_columns(
                at=pl.coalesce("at", "at_right"),
                request_id=pl.coalesce("request_id", "request_id_right"),
                mirror=pl.col("mirror").fill_null(SENT),
                reached=pl.col("reached").fill_null(False),
                logged=pl.col("logged").fill_null(False),
            )
            .drop("at_right", "request_id_right")
        )
        rows = of_one_catalogue(rows)
        first = rows.filter("reached")["at"].min()
        return rows.filter(pl.col("at") >= first).sort("at", *key) if first is not None else rows.clear()


def of_one_catalogue(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows; an answer from another catalogue than the champion's is none, and says so.

    Each process follows a catalogue's log for itself, so that two answers to one request may be of
    neighbouring generations: what differs then is the catalogue, and no model. One number may be of two
    catalogues, where a log was restored and went on otherwise: hashes tell, where both have one. Labels are
    of none.
    """
    apart = [_other(side, "catalogue_generation") | _other(side, "catalogue_hash") for side in SHADOWED]
    return rows.with_columns(
        challenger_answer=pl.when(~apart[0]).then("challenger_answer"),
        challenger_error=pl.when(apart[0]).then(pl.lit(OTHER_CATALOGUE)).otherwise("challenger_error"),
        control_answer=pl.when(~apart[1]).then("control_answer"),
    )


def _other(side: str, field: str) -> pl.Expr:
    """Whether the side's answer and the champion's both say that, and say something else."""
    theirs, mine = (pl.col(f"{each}_answer").str.json_path_match(f"$.{field}") for each in (side, "champion"))
    return (theirs != mine).fill_null(False)


def answered(window: pl.DataFrame, form: AnswerForm) -> pl.DataFrame:
    """One row a request that both sides answered, in order of `seq`: the table of shadow evidence.

    Answers are read in the form of the unit's.

    Raises:
        IntegrityError: an answer in the log is none.
    """
    rows = window.filter(pl.col("champion_answer").is_not_null(), pl.col("challenger_answer").is_not_null())
    named = rows.with_columns(
        row_id=pl.format("{} {}", "request_writer", "request_seq"), text=pl.col("text").fill_null("")
    )
    told = grouped(named, "traffic")
    for side, logged in _SIDES.items():
        answers = _decoded(rows[f"{logged}_answer"], side, form)
        told = told.with_columns(*answers, pl.col(f"{logged}_ms").alias(f"{side}_ms"))
    return told.select(
        pl.int_range(pl.len(), dtype=pl.Int64).alias("seq"),
        "request_id",
        "group",
        "text",
        "options",
        *(f"{side}_{part}" for side in ("baseline", "release") for part in ("label", "action", "confidence")),
        *(pl.col(f"{side}_ms").cast(pl.Float64) for side in _SIDES),
        "at",
        "request_writer",
        "request_seq",
        disagrees=form.differs("baseline", "release"),
        control_disagrees=form.differs("baseline", "control"),
    )


def unanswered(window: pl.DataFrame) -> pl.DataFrame:
    """The requests that fell into the share and that not both sides answered, each with `why`.

    One that is `dropped` has a writer and a moment after which it came, and no more.
    """
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


def _decoded(answers: pl.Series, side: str, form: AnswerForm) -> list[pl.Series]:
    """The answers as columns `<side>_label`, `<side>_action`, `<side>_confidence`."""
    try:
        told = answers.str.json_decode(form.logged)
    except pl.exceptions.PolarsError as problem:
        raise _no_answer(side, form, str(problem)) from problem
    for name in form.log_fields:
        if (told.struct.field(name).is_null() & answers.is_not_null()).any():
            raise _no_answer(side, form, f"an answer without {name}")
    return form.of_log(told, side)


def _no_answer(side: str, form: AnswerForm, found: str) -> IntegrityError:
    return IntegrityError(
        f"the shadow log was refused: an answer of {_SIDES[side]} cannot be read",
        found=found.splitlines()[0],
        accepted=f"JSON with {', '.join(form.log_fields)}",
        next_step="restore the log from a backup, or move the damaged file away",
    )


def counted(why: pl.Series) -> dict[str, Any]:
    """How often each word stands in the column."""
    found = why.value_counts().sort(why.name)
    return dict(zip(found[why.name], found["count"], strict=True))
