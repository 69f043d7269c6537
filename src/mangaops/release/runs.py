"""A release run in the ledger: begun once, gone on with after a kill, finished once."""

from __future__ import annotations

from dataclasses import dataclass

from mangaops.registry import drafts
from mangaops.release.desk import Desk, append, state
from mangaops.vocabulary import Because


@dataclass(frozen=True)
class Begun:
    """A run and the revision at which it began: what was recorded after it may be the run's own work."""

    run: str
    revision: int
    resumed: bool


def begin(desk: Desk, unit: str, *, because: Because, reason: str) -> Begun:
    """A run is under way: one that was begun and never finished, one that was requested, or a new one.

    The caller holds the unit's lease, so that an unfinished run is one that was killed or failed.

    Raises:
        RevisionConflict: another verb appended first.
    """
    current = state(desk, unit)
    for known in reversed(list(current.runs.values())):
        if known.started_at is None or known.finished_at is not None:
            continue
        revisions = [event.revision for event in desk.ledger.read(unit) if event.at == known.started_at]
        return Begun(known.run, revisions[0], resumed=True)
    asked = [run.run for run in current.runs.values() if run.started_at is None and run.finished_at is None]
    run = asked[0] if asked else f"{unit}-run-{len(current.runs) + 1}"
    draft = drafts.run_started(unit, run=run, because=because, reason=reason, actor=desk.actor)
    (event,) = append(desk, [draft], expect={unit: current.revision})
    return Begun(run, event.revision, resumed=False)


def finish(desk: Desk, unit: str, run: str, *, outcome: str, reason: str) -> None:
    """The run is at its end.

    Raises:
        RevisionConflict: another verb appended first.
    """
    current = state(desk, unit)
    draft = drafts.run_finished(unit, run=run, outcome=outcome, reason=reason, actor=desk.actor)
    append(desk, [draft], expect={unit: current.revision})
