"""A window of traffic replayed through both sealed releases, in the code that serves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final, Protocol

import polars as pl

from mangaops.errors import InputError
from mangaops.evidence import Evidence
from mangaops.evidence.envelope import table_digest
from mangaops.inference.answer import side_by_side
from mangaops.registry import drafts
from mangaops.release.answer_forms import AnswerForm, form_of
from mangaops.release.desk import (
    Desk,
    Progress,
    append,
    binding,
    record_evidence,
    release_of,
    state,
    unit_spec,
)
from mangaops.stack.share import in_share
from mangaops.vocabulary import Digest, EvidenceKind, ShadowMode, State

MODE: Final = ShadowMode.REPLAY
_COLUMNS: Final = ("row_id", "group", "text", "at")


class Answers(Protocol):
    """What answers a text in the form of its family: a predictor, or a loaded retrieval release."""

    @property
    def name(self) -> str:
        """Who answers, as reports name it."""

    def answer(self, text: str, /) -> Any:
        """The answer to any text at all."""


class Sides(Protocol):
    """The two that answer; `against` as in `evaluate.Pair`, which is one of these."""

    @property
    def baseline(self) -> Answers:
        """The champion."""

    @property
    def release(self) -> Answers:
        """The release on trial."""

    @property
    def against(self) -> Digest | None:
        """The digest of what `baseline` answers for."""


@dataclass(frozen=True)
class Searches:
    """Two retrieval releases side by side."""

    baseline: Answers
    release: Answers
    against: Digest | None = None


@dataclass(frozen=True)
class Traffic:
    """A window of requests. `rows`: row_id (unique), group (component of conversation and user), text, at."""

    rows: pl.DataFrame

    @property
    def digest(self) -> Digest:
        """The digest of the window's rows: shadow evidence is bound to it."""
        return table_digest(ordered(self.rows))


def replay(
    desk: Desk,
    unit: str,
    release: str,
    pair: Sides,
    traffic: Traffic,
    *,
    reason: str,
    share: float | None = None,
    progress: Progress = None,
) -> Evidence:
    """Shadow evidence is recorded, and a challenger is in shadow: both sides' answers beside each other.

    The baseline is asked a second time for the noise floor (`control_disagrees`). `share` is the part of
    the requests that is mirrored, by a hash of row_id; None takes it from stack.yaml. Hours are event
    time: from the first to the last mirrored request.

    Raises:
        InputError: the window has no request or lacks a column, or none fell into the share.
        RevisionConflict: the champion changed meanwhile.
    """
    bound = binding(desk, unit, release, traffic.digest, against=pair.against)
    begin(desk, unit, release, reason)
    window = ordered(traffic.rows)
    wanted = unit_spec(desk, unit).shadow.share if share is None else share
    mirrored = sample(window, wanted)
    if mirrored.is_empty():
        raise InputError(
            "the shadow replay was refused: no request was mirrored",
            found=f"{window.height} requests in the window, share {wanted}",
            accepted="one request or more",
            next_step="give a longer window with --traffic, or a larger share",
        )
    form = form_of(desk, unit)
    table = _answers(mirrored, pair, form, progress)
    facts = _facts(mirrored, table) | form.facts(table) | {"share": wanted}
    evidence = Evidence(EvidenceKind.SHADOW, bound, facts, {"answers": table})
    return record_evidence(desk, unit, release, evidence, reason=reason)


def ordered(rows: pl.DataFrame) -> pl.DataFrame:
    """The columns of a traffic window, in order of time and then of row_id.

    Raises:
        InputError: a column is missing, a text or group is null, or a row_id stands twice.
    """
    lacking = [name for name in _COLUMNS if name not in rows.columns]
    empty = [name for name in ("row_id", "group", "text") if not lacking and rows[name].null_count()]
    if lacking or empty or rows["row_id"].n_unique() != rows.height:
        raise InputError(
            "the traffic was refused",
            found=f"missing columns: {', '.join(lacking)}"
            if lacking
            else f"empty cells in: {', '.join(empty)}"
            if empty
            else "a row_id stands twice",
            accepted=f"columns {', '.join(_COLUMNS)}, each row_id once",
            next_step="collect the traffic again: mangaops data validate",
        )
    return rows.select(*_COLUMNS).sort("at", "row_id", nulls_last=True)


def sample(window: pl.DataFrame, share: float) -> pl.DataFrame:
    """The requests whose hash falls under the share: the same ones on every machine and in every run."""
    if share >= 1.0:
        return window
    kept = [in_share(share, row_id) for row_id in window["row_id"]]
    return window.filter(pl.Series(kept, dtype=pl.Boolean))


def begin(desk: Desk, unit: str, release: str, reason: str) -> None:
    """A challenger is in shadow; what is in shadow stays there. Raises RevisionConflict."""
    current = state(desk, unit)
    if release_of(current, release).state == State.CHALLENGER:
        draft = drafts.shadow_started(unit, release=release, reason=reason, actor=desk.actor)
        append(desk, [draft], expect={unit: current.revision})


def _answers(mirrored: pl.DataFrame, pair: Sides, form: AnswerForm, progress: Progress) -> pl.DataFrame:
    whole, texts = mirrored, mirrored["text"].to_list()
    asked = {"baseline": pair.baseline, "release": pair.release, "control": pair.baseline}
    for side, answering in asked.items():
        told = partial(progress, f"shadow replay, {side}") if progress else None
        whole = whole.with_columns(form.columns(side_by_side(answering.answer, texts, told), side))
    return whole.select(
        pl.int_range(pl.len(), dtype=pl.Int64).alias("seq"),
        pl.col("row_id").alias("request_id"),
        "group",
        "text",
        "baseline_label",
        "baseline_action",
        "baseline_confidence",
        "release_label",
        "release_action",
        "release_confidence",
        disagrees=form.differs("baseline", "release"),
        control_disagrees=form.differs("baseline", "control"),
    )


def _answered(table: pl.DataFrame) -> int:
    """How many of the mirrored requests both sides answered."""
    return table.select("baseline_label", "release_label").drop_nulls().height


def _facts(mirrored: pl.DataFrame, table: pl.DataFrame) -> dict[str, Any]:
    times = mirrored["at"].drop_nulls()
    first, last = (times.min(), times.max()) if len(times) else (None, None)
    hours = (
        (last - first).total_seconds() / 3600
        if isinstance(first, datetime) and isinstance(last, datetime)
        else 0.0
    )
    return {
        "from": first.isoformat() if isinstance(first, datetime) else None,
        "to": last.isoformat() if isinstance(last, datetime) else None,
        "hours": round(hours, 6),
        "requests": mirrored.height,
        "coverage": round(_answered(table) / mirrored.height, 6),
        "mode": str(MODE),
        "disagreements": int(table["disagrees"].sum()),
        "control_disagreements": int(table["control_disagrees"].sum()),
    }
