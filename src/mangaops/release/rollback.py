"""Undo in a second: the rollback pointer serves again. The champion's own artifact is not needed for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mangaops.errors import RefusedError
from mangaops.registry import Permit, drafts, is_fallback, permit
from mangaops.release.desk import Desk, append, state
from mangaops.vocabulary import Purpose


@dataclass(frozen=True)
class RolledBack:
    """Which release was left, what serves now (a release or `fallback:...`), and the new generation."""

    left: str
    to: str
    generation: int


def roll_back(
    desk: Desk, unit: str, *, prove: Callable[[Permit], object], reason: str, to: str | None = None
) -> RolledBack:
    """The newest rollback pointer serves again, or the older one named by `to`; it was proven to load.

    Raises:
        RefusedError: the unit has no champion, or `to` is no rollback pointer.
        IntegrityError: the target does not load; an older pointer may.
        RevisionConflict: another verb appended first.
    """
    current = state(desk, unit)
    if current.champion is None:
        raise RefusedError(
            f"a rollback of {unit} was refused: it has no champion",
            found="the fallback answers",
            next_step=f"mangaops release list {unit}",
        )
    target = current.rollback[-1] if to is None else to
    if target not in current.rollback:
        raise RefusedError(
            f"a rollback of {unit} to {target} was refused: that is no rollback pointer",
            accepted=", ".join(reversed(current.rollback)),
            next_step=f"mangaops release rollback {unit} --to {current.rollback[-1]} --reason '...'",
        )
    if not is_fallback(target):
        for each in permit(current, target, Purpose.SERVE).values():
            prove(each)
    done = RolledBack(current.champion, target, current.generation + 1)
    draft = drafts.rolled_back(
        unit, release=done.left, to=target, generation=done.generation, reason=reason, actor=desk.actor
    )
    append(desk, [draft], expect={unit: current.revision})
    return done
