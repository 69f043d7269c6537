"""Undo in a second: the rollback pointer serves again. The champion's own artifact is not needed for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from mangaops.errors import RefusedError, RevisionConflict
from mangaops.registry import Draft, Event, UnitState, drafts, is_fallback, permit
from mangaops.release.cutover import PATIENCE, Patience, await_active
from mangaops.release.desk import Desk, Progress, append, next_run, state
from mangaops.release.standing import Prove
from mangaops.vocabulary import Purpose

_TRIES: Final = 20
"""How often a rollback gives way to others that append at the same moment."""


@dataclass(frozen=True)
class RolledBack:
    """Which release was left, what serves now (a release or `fallback:...`), and the new generation.

    `acknowledged` has the milliseconds that each gateway worker took to follow (None: it did not say),
    `silent` the workers that live and did not follow in time; `seconds` passed until the last had said so.
    """

    left: str
    to: str
    generation: int
    acknowledged: Mapping[str, float | None] = field(default_factory=dict)
    silent: tuple[str, ...] = ()
    seconds: float = 0.0


def roll_back(
    desk: Desk,
    unit: str,
    *,
    prove: Prove,
    reason: str,
    to: str | None = None,
    progress: Progress = None,
    patience: Patience = PATIENCE,
) -> RolledBack:
    """The newest rollback pointer serves again, or the older one named by `to`; it was proven to load.

    Proven is what a living gateway worker holds loaded, or what loads here: undoing waits for no sick
    worker. What others append meanwhile is no hindrance while champion and target stay what they are.

    Raises:
        RefusedError: the unit has no champion, or never had one, or `to` is no rollback pointer.
        IntegrityError: the target does not load; an older pointer may.
        SetupError: the artifacts cannot be reached, and no gateway worker holds the target.
        RevisionConflict: the champion moved meanwhile.
    """
    current = state(desk, unit)
    if current.generation == 0:
        raise _never_served(desk, current)
    left, target = _pointer(current, to)
    if not is_fallback(target):
        _proven(desk, current, target, prove)
    generation = current.generation + 1
    draft = drafts.rolled_back(
        unit, release=left, to=target, generation=generation, reason=reason, actor=desk.actor
    )
    moved = _appended(desk, draft, current)
    serves = None if is_fallback(target) else target
    after = replace(current, champion=serves, generation=generation)
    followed = await_active(desk, moved, after, patience, progress)
    return RolledBack(left, target, generation, followed.acknowledged, followed.silent, followed.seconds)


def _appended(desk: Desk, draft: Draft, current: UnitState) -> Event:
    """The rollback is in the ledger, behind whatever others appended that left the champion alone."""
    for _ in range(_TRIES):
        try:
            return append(desk, [draft], expect={current.unit: current.revision})[0]
        except RevisionConflict:
            now = state(desk, current.unit)
            if (now.champion, now.rollback, now.generation) != (
                current.champion,
                current.rollback,
                current.generation,
            ):
                raise
            current = now
    return append(desk, [draft], expect={current.unit: current.revision})[0]


def _never_served(desk: Desk, current: UnitState) -> RefusedError:
    """Nothing was ever promoted: there is no champion to leave, and no release to reopen for that."""
    newest = [*current.releases.values()][-1] if current.releases else None
    waiting = f"{newest.name} is {newest.state}" if newest else "no release is registered"
    return RefusedError(
        f"a rollback of {current.unit} was refused: there is nothing to roll back, it never had a champion",
        found=f"the fallback answers; {waiting}",
        accepted="a unit with a champion; the first one is made by bootstrapping it",
        next_step=next_run(desk, current),
    )


def _pointer(current: UnitState, to: str | None) -> tuple[str, str]:
    """The champion, and the rollback pointer that is meant. Raises RefusedError where there is none such."""
    unit = current.unit
    if current.champion is None:
        raise RefusedError(
            f"a rollback of {unit} was refused: it has no champion",
            found="the fallback answers",
            accepted="a champion; a release that was rolled back comes back by reopening it, judged again",
            next_step=f"mangaops release list {unit}; mangaops release reopen RELEASE --reason '...'",
        )
    target = current.rollback[-1] if to is None else to
    if target not in current.rollback:
        raise RefusedError(
            f"a rollback of {unit} to {target} was refused: that is no rollback pointer",
            accepted=", ".join(reversed(current.rollback)),
            next_step=f"mangaops release rollback {unit} --to {current.rollback[-1]} --reason '...'",
        )
    return current.champion, target


def _proven(desk: Desk, current: UnitState, target: str, prove: Prove) -> None:
    """Nothing happens where somebody who serves holds the target already, or where it loads here."""
    permits = permit(current, target, Purpose.SERVE)
    if any(member.holds(current.unit, target) for member in desk.gateways.members(current.unit)):
        return
    prove(permits)
