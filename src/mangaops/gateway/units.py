"""What a gateway knows of each unit from stack.yaml: plain values, and how its family is served."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from mangaops.errors import UsageError
from mangaops.inference.families import Said, Serving, served_family, serving
from mangaops.stack import LogSpec, ShadowSpec, Stack
from mangaops.vocabulary import FALLBACK, Family


@dataclass(frozen=True)
class Unit:
    """One unit as a gateway serves it. `fallback` is spelled as rollback pointers spell it."""

    name: str
    family: Family
    fallback: str
    shadow: ShadowSpec
    log: LogSpec
    pin_seconds: float

    @property
    def serving(self) -> Serving:
        """How the unit's family is served."""
        return serving(self.family)

    @property
    def without_release(self) -> Said:
        """What the unit answers where no release serves."""
        return self.serving.fallback(self.fallback.removeprefix(FALLBACK))


def units_of(stack: Stack, only: Collection[str] = ()) -> dict[str, Unit]:
    """The units of a stack, by name: all, or those that are named.

    Raises:
        SetupError: this version cannot serve one of their families.
        UsageError: a name is none of a unit, or two units want one path.
    """
    for name in sorted(only):
        stack.unit(name)
    units = {
        name: Unit(
            name=name,
            family=served_family([stack.models[model].family for model in spec.models]),
            fallback=FALLBACK + spec.fallback,
            shadow=spec.shadow,
            log=spec.log,
            pin_seconds=spec.pin_seconds,
        )
        for name, spec in stack.units.items()
        if not only or name in only
    }
    taken: dict[str, str] = {}
    for unit in units.values():
        path = unit.serving.path
        if path in taken:
            raise UsageError(
                f"serving {unit.name} was refused: {taken[path]} answers under /v1/{path} already",
                found=f"two units of the family {unit.family}",
                accepted="one unit a path",
                next_step=f"serve them with two gateways; one: mangaops serve --unit {unit.name} --name NAME",
            )
        taken[path] = unit.name
    return units
