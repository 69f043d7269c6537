"""Which unit should run now, and why: from its cadence and its history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from mangaops.errors import UsageError
from mangaops.registry import UnitState
from mangaops.release.runs import KILLED
from mangaops.stack import Cadence, Stack
from mangaops.vocabulary import Because

FAILED: Final = "failed"
"""The outcome of a run that ended in an error and judged nothing."""
_UNJUDGED: Final = frozenset({None, FAILED, KILLED})
"""Outcomes of runs that judged nothing; None is that of one that began and never finished."""


@dataclass(frozen=True)
class Due:
    """One unit that should run: for which reason, in words, and since when (UTC)."""

    unit: str
    because: Because
    why: str
    since: datetime


def due(stack: Stack, states: Mapping[str, UnitState], now: datetime) -> list[Due]:
    """Units that should run at `now`, each once, requests before schedules, in the order of the stack.

    A scheduled unit is due when its last due moment (in its own time zone) lies after the start of its
    last run that came to a decision; one that never ran is due at once. A requested run is due until it
    ends. A run that is alive counts as unfinished: started again it is told so by the lease. Units without
    a cadence run when asked. A unit without a champion is not due: no run of it is begun before a
    bootstrap.

    Raises:
        UsageError: a cron line or a time zone that does not exist.
    """
    found = []
    for unit, spec in stack.units.items():
        state = states.get(unit) or UnitState(unit)
        if state.champion is None:
            continue
        asked = _requested(unit, state)
        if asked is not None:
            found.append(asked)
        elif spec.cadence is not None and (scheduled := _scheduled(unit, spec.cadence, state, now)):
            found.append(scheduled)
    return found


def without_champion(stack: Stack, states: Mapping[str, UnitState]) -> list[str]:
    """Units that would run by cadence or on request, and have no champion to compare with."""
    return [
        unit
        for unit, spec in stack.units.items()
        if (state := states.get(unit) or UnitState(unit)).champion is None
        and (spec.cadence is not None or _requested(unit, state))
    ]


def _requested(unit: str, state: UnitState) -> Due | None:
    for run in state.runs.values():
        if run.requested_at is not None and run.finished_at is None:
            because = run.because or Because.MANUAL
            return Due(unit, because, f"{run.run} was requested ({because})", _moment(run.requested_at))
    return None


def _scheduled(unit: str, cadence: Cadence, state: UnitState, now: datetime) -> Due | None:
    last_due = previous(cadence, now)
    judged = [run for run in state.runs.values() if run.outcome not in _UNJUDGED]
    started = [_moment(run.started_at) for run in judged if run.started_at is not None]
    if not started:
        return Due(
            unit,
            Because.SCHEDULE,
            "it never ran" if not state.runs else "no run of it came to its end",
            last_due,
        )
    if max(started) >= last_due:
        return None
    local = last_due.astimezone(_zone(cadence))
    late = _span(now.astimezone(UTC) - last_due)
    why = f"due since {local:%Y-%m-%d %H:%M} {cadence.timezone} ({late} ago)"
    return Due(unit, Because.SCHEDULE, why, last_due)


def previous(cadence: Cadence, now: datetime) -> datetime:
    """The newest due moment that is not after `now`, in UTC.

    Raises:
        UsageError: the cron line or the time zone does not exist, or the line was never due.
    """
    try:
        minute = now.astimezone(_zone(cadence)).replace(second=0, microsecond=0)
        moments = CronSim(cadence.cron, minute + timedelta(minutes=1), reverse=True)
        found: datetime = next(moments)
    except (CronSimError, StopIteration) as error:
        raise UsageError(
            f"the cadence {cadence.cron!r} was refused",
            found=str(error) or "it is never due",
            accepted='five fields, as in "0 3 * * 5"',
            next_step="mend `cadence.cron` in stack.yaml",
        ) from error
    return found.astimezone(UTC)


def _zone(cadence: Cadence) -> ZoneInfo:
    try:
        return ZoneInfo(cadence.timezone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise UsageError(
            f"the time zone {cadence.timezone!r} was refused",
            accepted="a name of the IANA list, as in Asia/Tokyo",
            next_step="mend `cadence.timezone` in stack.yaml",
        ) from error


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _span(late: timedelta) -> str:
    hours = int(late.total_seconds() // 3600)
    return f"{hours // 24} days" if hours >= 48 else f"{hours} hours"
