"""A release run in the ledger: begun once, gone on with after a kill, finished once.

A run goes on under its name only where it was asked to do the same. What else stands unfinished is
finished as `killed`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mangaops.registry import Draft, Run, drafts
from mangaops.release.desk import Desk, append, state
from mangaops.vocabulary import Because, EventKind

KILLED: Final = "killed"
"""The outcome of a run that was stopped and that no later run went on with."""


@dataclass(frozen=True)
class Begun:
    """A run, why, and the revision at which it began: what was recorded later may be the run's own work."""

    run: str
    because: Because
    revision: int
    resumed: bool


def begin(desk: Desk, unit: str, *, because: Because, reason: str, plan: str) -> Begun:
    """A run is under way: one of an equal plan that never finished, one that was requested, or a new one.

    `plan` is the digest of what the run was asked to do. A requested run keeps the cause of its request.
    The caller holds the unit's lease, so that an unfinished run is one that was killed.

    Raises:
        RevisionConflict: another verb appended first.
    """
    current = state(desk, unit)
    unfinished = [run for run in current.runs.values() if run.finished_at is None]
    stopped = [run for run in unfinished if run.started_at is not None]
    if stopped and stopped[-1].details.get("plan") == plan:
        return _resumed(desk, unit, stopped[-1], because)
    asked = [run for run in unfinished if run.started_at is None]
    run = asked[0].run if asked else f"{unit}-run-{len(current.runs) + 1}"
    cause = (asked[0].because or because) if asked else because
    made = [_killed(desk, unit, each, by=run) for each in stopped]
    details = {"plan": plan}
    made.append(
        drafts.run_started(unit, run=run, because=cause, details=details, reason=reason, actor=desk.actor)
    )
    events = append(desk, made, expect={unit: current.revision})
    return Begun(run, cause, events[-1].revision, resumed=False)


def _resumed(desk: Desk, unit: str, stopped: Run, because: Because) -> Begun:
    began = next(
        event.revision
        for event in desk.ledger.read(unit)
        if event.kind == EventKind.RUN_STARTED and event.body["run"] == stopped.run
    )
    return Begun(stopped.run, stopped.because or because, began, resumed=True)


def _killed(desk: Desk, unit: str, stopped: Run, *, by: str) -> Draft:
    why = f"it was stopped, and {by} was asked to do something else"
    return drafts.run_finished(unit, run=stopped.run, outcome=KILLED, reason=why, actor=desk.actor)


def finish(desk: Desk, unit: str, run: str, *, outcome: str, reason: str) -> None:
    """The run is at its end.

    Raises:
        RevisionConflict: another verb appended first.
    """
    current = state(desk, unit)
    draft = drafts.run_finished(unit, run=run, outcome=outcome, reason=reason, actor=desk.actor)
    append(desk, [draft], expect={unit: current.revision})
