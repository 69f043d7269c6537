"""Slots: the releases that a worker holds, and the one reference that says which of them answers.

Rule 1: a slot moves only as `MOVES` says.

Rule 2: blue and green take turns. The active slot has one colour; the other colour belongs to the way back,
and to the release that is prepared to take its place. The way back stays warm until its colour serves again.

Rule 3: what a unit serves is one frozen `Served`, which names slot, release and generation. Cutover replaces
that one reference on the event loop; a request takes it once and keeps it to its end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from mangaops.errors import IllegalMove
from mangaops.inference.families import Servable
from mangaops.vocabulary import SlotState

_S = SlotState

MOVES: Final[Mapping[SlotState, frozenset[SlotState]]] = {
    _S.ADDING: frozenset({_S.WARMING, _S.CLOSED}),
    _S.WARMING: frozenset({_S.HEALTHY, _S.CLOSED}),
    _S.HEALTHY: frozenset({_S.ACTIVE, _S.CLOSED}),
    _S.ACTIVE: frozenset({_S.DRAINING}),
    _S.DRAINING: frozenset({_S.HEALTHY, _S.ACTIVE, _S.CLOSED}),
    _S.CLOSED: frozenset(),
}
"""`adding`: files are fetched and verified; `warming`: it answers probes off the serving path; `healthy`: it
could answer now; `active`: it answers; `draining`: it finishes what it began; `closed`: it holds nothing."""

WARM: Final = frozenset({_S.HEALTHY, _S.ACTIVE, _S.DRAINING})
"""States in which a slot can answer at once."""

BLUE, GREEN = "blue", "green"

_REMEMBERED: Final = 8
"""How many generations back a pin may lead, while their releases are warm."""


@dataclass(eq=False)
class Slot:
    """One release in one worker. `running` is touched on the event loop alone."""

    release: str
    colour: str
    state: SlotState = SlotState.ADDING
    predictor: Servable | None = None
    running: int = 0

    def move(self, after: SlotState) -> None:
        """The slot is in that state. Raises IllegalMove where the table has no such arrow."""
        if after not in MOVES[self.state]:
            raise IllegalMove(
                f"slot {self.colour} with {self.release} cannot become {after}",
                found=self.state,
                accepted=", ".join(sorted(MOVES[self.state])) or "nothing: it is closed",
            )
        self.state = after

    def close(self) -> None:
        """The slot is closed and holds no model."""
        if self.state == SlotState.ACTIVE:
            self.move(SlotState.DRAINING)
        if self.state != SlotState.CLOSED:
            self.move(SlotState.CLOSED)
        self.predictor = None


@dataclass(frozen=True)
class Served:
    """What answers for a unit: a release in its slot, or the fallback (`slot` None); only ever replaced."""

    release: str
    generation: int
    slot: Slot | None


@dataclass
class Slots:
    """The slots of one unit and what it serves; changed on the event loop alone."""

    unit: str
    fallback: str
    served: Served
    held: dict[str, Slot] = field(default_factory=dict)
    by_generation: dict[int, Served] = field(default_factory=dict)
    pins_from: int = 0

    @classmethod
    def of(cls, unit: str, fallback: str) -> Slots:
        """The slots of a unit that serves its fallback, named as rollback pointers name it."""
        return cls(unit, fallback, Served(fallback, 0, None))

    def add(self, release: str) -> Slot:
        """A new slot for a release, in the colour that is not active."""
        active = self.served.slot.colour if self.served.slot else GREEN
        self.held[release] = Slot(release, BLUE if active == GREEN else GREEN)
        return self.held[release]

    def warm(self, release: str) -> Slot | None:
        """The slot of a release that could answer now, None where there is none."""
        slot = self.held.get(release)
        return slot if slot is not None and slot.state in WARM else None

    def cut_over(self, release: str, generation: int, pins_from: int = 0) -> None:
        """The release answers from the next request on; what answered before drains and stays warm.

        `release` is warm, or a fallback. No pin leads to a generation before `pins_from`, that of the last
        rollback.
        """
        before, slot = self.served.slot, self.warm(release)
        if slot is not None and slot is not before:
            slot.move(SlotState.ACTIVE)
        self.served = Served(release, generation, slot)
        newest = [*self.by_generation.items(), (generation, self.served)][-_REMEMBERED:]
        self.by_generation = dict(newest)
        self.pins_from = max(self.pins_from, pins_from)
        if before is not None and before is not slot:
            before.move(SlotState.DRAINING)
            self.rest(before)

    def rest(self, slot: Slot) -> None:
        """A draining slot that has nothing left to answer is healthy again: warm, and ready to come back."""
        if slot.state == SlotState.DRAINING and slot.running == 0:
            slot.move(SlotState.HEALTHY)

    def keep(self, releases: frozenset[str]) -> list[str]:
        """Slots of other releases are closed, once nothing runs in them; their releases are returned."""
        gone = [
            name
            for name, slot in self.held.items()
            if name not in releases and slot is not self.served.slot and slot.running == 0
        ]
        for name in gone:
            self.held.pop(name).close()
        for number in [n for n, old in self.by_generation.items() if old.release in gone]:
            del self.by_generation[number]
        return gone

    def of_generation(self, generation: int, release: str) -> Served | None:
        """What answered in that generation, which was this release; None where it is not warm any more."""
        known = self.by_generation.get(generation)
        if known is None and (slot := self.warm(release)) is not None:
            known = self.by_generation[generation] = Served(release, generation, slot)
        usable = known is not None and (known.slot is None or known.slot.state in WARM)
        return known if usable else None

    def doing(self) -> dict[str, object]:
        """What heartbeats and /health tell of this unit; other threads may ask while slots change."""
        held = list(self.held.items())
        return {
            "active": self.served.release if self.served.slot else None,
            "generation": self.served.generation,
            "slots": {name: str(slot.state) for name, slot in held},
            "colours": {name: slot.colour for name, slot in held},
        }
