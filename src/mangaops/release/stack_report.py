"""What `mangaops stack check` says of a gate list: shares of simulated weeks, with their intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from textwrap import wrap
from typing import Any, Final, Protocol

from mangaops.stats import clopper_pearson

_LEVEL: Final = 0.95
_GATES: Final = 52
"""Columns for the name of a gate and what it judges; a longer one goes on in the next line."""


class Told(Protocol):
    """What the simulated weeks rest on. `measured` names the figures that evidence gave, `source` which."""

    @property
    def source(self) -> str:
        """Where the measured figures come from."""

    @property
    def measured(self) -> tuple[str, ...]:
        """The figures that evidence gave; every other one is assumed."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What the rules ask and such figures cannot tell, a sentence each."""

    def said(self) -> Mapping[str, str]:
        """Each figure in words, by its name."""


@dataclass(frozen=True)
class Share:
    """A simulated share with its 95 % interval."""

    share: float
    low: float
    high: float

    @classmethod
    def of(cls, count: int, total: int) -> Share:
        """The share of a count (Clopper-Pearson)."""
        interval = clopper_pearson(count, total, _LEVEL)
        return cls(count / total, interval.low, interval.high)


@dataclass(frozen=True)
class GateRow:
    """How one gate judged one kind of challenger."""

    gate: str
    subject: str
    passed: Share
    failed: Share


@dataclass(frozen=True)
class ChallengerRow:
    """What the whole list did with one kind of challenger."""

    challenger: str
    gain: float
    promoted: Share
    held: Share
    rejected: Share
    gates: tuple[GateRow, ...]


@dataclass(frozen=True)
class StackReport:
    """The answer of `mangaops stack check` for one unit.

    `not_simulated`: rules that simulated evidence cannot answer, each with the reason. They are left out of
    the list that is judged, so that a real release is promoted at most as often.
    """

    unit: str
    simulations: int
    assumptions: Told
    challengers: tuple[ChallengerRow, ...]
    not_simulated: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)

    def text(self) -> str:
        """A table that a person can read."""
        said, measured = self.assumptions.said(), self.assumptions.measured
        observed = "; ".join(said[name] for name in said if name in measured)
        rest = "; ".join(said[name] for name in said if name not in measured)
        head = [
            f"{self.unit}: {self.simulations} simulated weeks of each kind, through the real judge",
            f"OBSERVED ({self.assumptions.source}): {observed}"
            if observed
            else f"OBSERVED: nothing, all is from {self.assumptions.source}; so this is not your traffic",
            f"ASSUMED, not measured: {rest}",
            *self._left_out(),
            *(f"NOTE {note}" for note in self.assumptions.notes),
            "",
            f"{'challenger':<28}{'promoted':>22}{'held':>22}{'rejected':>22}",
        ]
        body = [
            f"{row.challenger:<28}{_cell(row.promoted):>22}{_cell(row.held):>22}{_cell(row.rejected):>22}"
            for row in self.challengers
        ]
        return "\n".join([*head, *body, "", *self._by_gate()])

    def _left_out(self) -> list[str]:
        if not self.not_simulated:
            return []
        rules = "; ".join(self.not_simulated)
        return [
            f"NOT SIMULATED: {rules}",
            "the shares are of the other rules: a real release is promoted at most as often as here",
        ]

    def _by_gate(self) -> list[str]:
        names = [f"{row.challenger:>24}" for row in self.challengers]
        lines = [f"{'passes, by gate (fails)':<{_GATES}}" + "".join(names)]
        for at, gate in enumerate(self.challengers[0].gates):
            cells = [row.gates[at] for row in self.challengers]
            shown = "".join(f"{f'{c.passed.share:.0%} ({c.failed.share:.1%})':>24}" for c in cells)
            first, *more = wrap(f"{gate.gate}: {gate.subject}", _GATES - 1, subsequent_indent="  ")
            lines += [f"{first:<{_GATES}}{shown}", *more]
        return lines


def _cell(share: Share) -> str:
    return f"{share.share:.1%} ({share.low:.1%}-{share.high:.1%})"
