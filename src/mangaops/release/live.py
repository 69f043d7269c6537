"""A live shadow: gateways log what both sides answered, and a window of that is frozen as evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import polars as pl

from mangaops.errors import InputError, RefusedError, RevisionConflict, UsageError
from mangaops.evidence import Evidence
from mangaops.evidence.envelope import table_digest
from mangaops.gates import Asked, asked_of_shadow
from mangaops.registry import MIRRORED
from mangaops.release import shadow
from mangaops.release.answer_forms import AnswerForm, form_of
from mangaops.release.bootstrap import rules_for
from mangaops.release.desk import (
    Desk,
    Progress,
    binding,
    next_run,
    record_evidence,
    release_of,
    state,
    unit_spec,
)
from mangaops.release.live_logs import LiveLogs, Watched, answered, counted, unanswered
from mangaops.release.live_numbers import LATE
from mangaops.stats import bernoulli_sequence
from mangaops.vocabulary import (
    SHADOW_WORKER,
    STACK_STREAM,
    Digest,
    EventKind,
    EvidenceKind,
    ShadowMode,
    State,
)

POLL_SECONDS: Final = 5.0
"""How long a look at the logs waits for the next one."""

_HOPELESS: Final = 2
"""Where so many times the requests fell into the share and too few were answered, waiting mends nothing."""


@dataclass(frozen=True)
class Window:
    """Until when requests count (that moment not included), and whether a hard limit ended it early."""

    until: datetime
    stopped: bool


def begin(desk: Desk, unit: str, release: str, *, reason: str) -> Watched:
    """The challenger is in shadow; what gateways log of it and of today's champion from then on counts.

    Raises:
        UsageError: the unit has no champion, so that no gateway answers anything.
        RevisionConflict: another verb appended first.
    """
    shadow.begin(desk, unit, release, reason)
    current = state(desk, unit)
    if current.champion is None:
        raise UsageError(
            f"a live shadow of {release} was refused: {unit} has no champion whose traffic it could share",
            accepted="a unit that serves",
            next_step=next_run(desk, state(desk, unit)),
        )
    began = [
        event.at
        for event in desk.ledger.read(unit)
        if event.kind == EventKind.SHADOW_STARTED and event.body["release"] == release
    ]
    return Watched(current.champion, current.generation, release, datetime.fromisoformat(began[-1]))


def asked(desk: Desk, unit: str, release: str) -> Asked:
    """What today's rules ask of the shadow."""
    current = state(desk, unit)
    return asked_of_shadow(rules_for(desk, current, release_of(current, release)), unit_spec(desk, unit))


def wait(
    desk: Desk,
    unit: str,
    logs: LiveLogs,
    watched: Watched,
    wanted: Asked,
    *,
    pause: Callable[[float], None],
    check: Callable[[], None],
    progress: Progress = None,
) -> Window:
    """Enough was mirrored, or a hard limit is proven broken; asks again every `POLL_SECONDS`, by `pause`.

    `check` raises where this run may not go on.

    Raises:
        RevisionConflict: the champion changed meanwhile.
        RefusedError: the release is no longer in shadow, or a gateway cannot load it and none answers.
        InputError: the challenger answered none of all the requests that were mirrored.
    """
    form = form_of(desk, unit)
    while True:
        check()
        _stands(desk, unit, watched)
        look = logs.look()
        _loads(desk, unit, watched, look.mirrored, progress)
        until = look.settled(desk.clock())
        if until is not None and (window := _enough(look.mirrored, until, wanted, form, progress)):
            return window
        if until is None and progress:
            progress("live shadow: no request was mirrored yet", 0, wanted.requests)
        pause(POLL_SECONDS)


def _enough(
    mirrored: pl.DataFrame, until: datetime, wanted: Asked, form: AnswerForm, progress: Progress
) -> Window | None:
    rows = mirrored.filter(pl.col("at") < until)
    table, hours = answered(rows, form), _hours(rows["at"])
    if progress:
        progress("live shadow, requests", min(table.height, wanted.requests), wanted.requests)
        progress("live shadow, minutes", int(60 * min(hours, wanted.hours)), int(60 * wanted.hours))
    if _proven_over(table, wanted):
        return Window(until, stopped=True)
    hopeless = rows.height >= _HOPELESS * wanted.requests
    if hours < wanted.hours or not (table.height >= wanted.requests or hopeless):
        return None
    if table.is_empty():
        raise _none_answered(rows)
    return Window(until, stopped=False)


def _proven_over(table: pl.DataFrame, wanted: Asked) -> bool:
    if wanted.hard_limit is None or table.is_empty():
        return False
    wrong = table["disagrees"].cast(pl.Float64)
    if float(wrong.sum()) <= wanted.hard_limit * table.height:
        return False
    low = bernoulli_sequence(wrong.to_numpy(), table["group"].to_list(), wanted.level)[1].low
    return low > wanted.hard_limit


def _stands(desk: Desk, unit: str, watched: Watched) -> None:
    current = state(desk, unit)
    if (current.champion, current.generation) != (watched.champion, watched.generation):
        raise RevisionConflict(
            f"the live shadow of {watched.challenger} was refused: the champion changed meanwhile",
            found=f"{current.champion or 'no champion'} at generation {current.generation}",
            accepted=f"{watched.champion} at generation {watched.generation}, from first to last request",
            next_step="run the same command again: it measures against today's champion",
        )
    stands = release_of(current, watched.challenger).state
    if stands != State.SHADOW:
        raise RefusedError(
            f"the live shadow of {watched.challenger} was refused: it is {stands} by now",
            accepted="a release in shadow",
            next_step=f"mangaops release explain {watched.challenger}",
        )


def _loads(desk: Desk, unit: str, watched: Watched, mirrored: pl.DataFrame, progress: Progress) -> None:
    """It is told where a gateway's shadow could not load the challenger; that ends it where none answers.

    Not at once: a gateway tries again every few seconds, and an answer is in the logs after `LATE`.
    """
    found = [
        event
        for event in desk.ledger.read(STACK_STREAM)
        if event.kind == EventKind.LOAD_REFUSED
        and (event.body["unit"], event.body["release"]) == (unit, watched.challenger)
        and event.body["worker"] == SHADOW_WORKER
        and datetime.fromisoformat(event.at) >= watched.since
    ]
    if not found:
        return
    newest, answers = found[-1], mirrored["challenger_answer"].count()
    told = f"the shadow of gateway {newest.body['gateway']} could not load {watched.challenger}"
    if progress:
        progress(f"live shadow: {told}: {newest.body['found']}", 0, 1)
    if not answers and desk.clock() - datetime.fromisoformat(newest.at) > LATE:
        raise RefusedError(
            f"the live shadow of {watched.challenger} was refused: {told}, and none answers",
            found=f"{newest.body['error']}: {newest.body['found']}",
            accepted="a challenger that a gateway can load",
            next_step="mend that (`mangaops audit log stack` has it) or train again; the gateway tries again "
            "every few seconds: once it answers, run the same command again",
        )


def freeze(
    desk: Desk,
    unit: str,
    logs: LiveLogs,
    watched: Watched,
    window: Window,
    *,
    against: Digest,
    reason: str,
) -> Evidence:
    """Shadow evidence of the window is recorded, of the same form as a replay's.

    Its dataset is the digest of the requests that both sides answered. Beside `answers` (with milliseconds
    of each side) it has a table `unanswered`: what was shed, failed, lost or dropped, which lowers
    `coverage`, the part of `requests` that has answers.

    Raises:
        InputError: the logs hold none of these requests any more.
        RevisionConflict: the champion changed meanwhile.
    """
    share, form = unit_spec(desk, unit).shadow.share, form_of(desk, unit)
    rows = logs.look().window(window.until, share)
    table, missing = answered(rows, form), unanswered(rows)
    if table.is_empty():
        anew = next_run(desk, state(desk, unit), again=EvidenceKind.SHADOW, traffic=MIRRORED)
        raise InputError(
            "the live shadow was refused: the logs no longer hold its requests",
            found=f"{rows.height} mirrored requests until {window.until.isoformat()}",
            accepted="the logs as they were when the window ended",
            next_step=f"restore them, or take a new window: {anew}",
        )
    asked_what = table.select("request_writer", "request_seq", "request_id", "group", "text", "at")
    bound = binding(desk, unit, watched.challenger, table_digest(asked_what), against=against)
    facts = (
        _facts(rows, table, missing)
        | form.facts(table)
        | {
            "share": share,
            "stopped_early": window.stopped,
            "champion": watched.champion,
            "generation": watched.generation,
            "since": watched.since.isoformat(),
            "until": window.until.isoformat(),
        }
    )
    evidence = Evidence(EvidenceKind.SHADOW, bound, facts, {"answers": table, "unanswered": missing})
    return record_evidence(desk, unit, watched.challenger, evidence, reason=reason)


def _facts(rows: pl.DataFrame, table: pl.DataFrame, missing: pl.DataFrame) -> dict[str, Any]:
    why = counted(missing["why"])
    first, last = rows["at"].min(), rows["at"].max()
    control = table["control_disagrees"].drop_nulls()
    return {
        "from": first.isoformat() if isinstance(first, datetime) else None,
        "to": last.isoformat() if isinstance(last, datetime) else None,
        "hours": round(_hours(rows["at"]), 6),
        "requests": rows.height,
        "coverage": round(table.height / rows.height, 6),
        "mode": str(ShadowMode.LIVE),
        "disagreements": int(table["disagrees"].sum()),
        "control_requests": len(control),
        "control_disagreements": int(control.sum()),
        "shed": {word: count for word, count in why.items() if word.startswith("shed_")},
        "errors": {word: count for word, count in why.items() if not word.startswith("shed_")},
    }


def _hours(times: pl.Series) -> float:
    first, last = times.min(), times.max()
    if not isinstance(first, datetime) or not isinstance(last, datetime):
        return 0.0
    return (last - first).total_seconds() / 3600


def _none_answered(rows: pl.DataFrame) -> InputError:
    why = counted(unanswered(rows)["why"])
    return InputError(
        "the live shadow was refused: the challenger answered no request",
        found=f"{rows.height} requests: " + ", ".join(f"{count} {word}" for word, count in why.items()),
        accepted="requests that both sides answer",
        next_step="see what the gateway says of its shadow, then run the same command again",
    )
