"""The first champion of a unit: the same run, judged by `bootstrap` rules against the plain baseline."""

from __future__ import annotations

from mangaops.errors import RefusedError
from mangaops.registry import Release, UnitState
from mangaops.release.desk import Desk, state, unit_spec
from mangaops.stack import Rule


def require_first(desk: Desk, unit: str) -> None:
    """Nothing happens where the unit never had a champion.

    Raises:
        RefusedError: it has one, or had one.
    """
    current = state(desk, unit)
    if current.champion is None and current.generation == 0:
        return
    raise RefusedError(
        f"a bootstrap of {unit} was refused: it is for the first champion only",
        found=f"champion {current.champion or 'none'}, generation {current.generation}",
        accepted="a unit that never had a champion",
        next_step=f"mangaops release run {unit}",
    )


def rules_for(desk: Desk, current: UnitState, subject: Release) -> tuple[Rule, ...]:
    """The rules that the release is judged by: `bootstrap` for the first champion, `gates` for all others.

    A unit that was rolled back to its fallback has no champion either; there the full list applies,
    with the plain baseline in the champion's place.

    Raises:
        RefusedError: the unit has no champion and the release is no bootstrap, or the other way round.
    """
    spec = unit_spec(desk, current.unit)
    if current.generation > 0:
        if subject.bootstrap and current.champion != subject.name:
            require_first(desk, current.unit)
        return spec.gates
    if not subject.bootstrap:
        raise RefusedError(
            f"{subject.name} was not judged: {current.unit} has no champion to compare with",
            accepted="a bootstrap, judged by absolute gates against a plain baseline",
            next_step=f"mangaops release bootstrap {current.unit} --reason ...",
        )
    return spec.bootstrap
