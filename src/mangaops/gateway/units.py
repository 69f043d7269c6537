"""What a gateway knows of each unit from stack.yaml: plain values, and how its family is served."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mangaops.errors import UsageError
from mangaops.inference.families import Serving, serving
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
    def without_release(self) -> Mapping[str, object]:
        """What the unit answers where no release serves."""
        return self.serving.fallback(self.fallback.removeprefix(FALLBACK))


def units_of(stack: Stack) -> dict[str, Unit]:
    """The units of a stack, by name.

    Raises:
        SetupError: this version cannot serve one of their families.
        UsageError: two units want one path.
    """
    units = {
        name: Unit(
            name=name,
            family=stack.models[spec.models[0]].family,
            fallback=FALLBACK + spec.fallback,
            shadow=spec.shadow,
            log=spec.log,
            pin_seconds=spec.pin_seconds,
        )
        for name, spec in stack.units.items()
    }
    taken: dict[str, str] = {}
    for unit in units.values():
        path = unit.serving.path
        if path in taken:
            raise UsageError(
                f"serving {unit.name} was refused: {taken[path]} answers under /v1/{path} already",
                accepted="one unit a path",
                next_step="serve them with two gateways, each with a stack.yaml of its own",
            )
        taken[path] = unit.name
    return units
