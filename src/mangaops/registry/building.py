"""A unit that is being folded: the unfrozen twins of `UnitState` and `Release`, which only the fold sees."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from mangaops.errors import IllegalMove
from mangaops.registry.events import GENESIS, Event
from mangaops.registry.lifecycle import OPEN, advance
from mangaops.registry.state import (
    Cutover,
    DecisionRef,
    EvidenceRef,
    ModelRecord,
    Release,
    ReviewRef,
    Run,
    UnitState,
)
from mangaops.vocabulary import Digest, State


@dataclass
class Life:
    """A release that is being folded: its frozen start, and lists that grow."""

    start: Release
    state: State
    evidence: list[EvidenceRef]
    decisions: list[DecisionRef]
    reviews: list[ReviewRef]
    error_reviews: list[Digest]
    reopened_at: int
    stands_since: str
    stands_because: str

    @classmethod
    def of(cls, release: Release) -> Life:
        """The release, thawed."""
        lists = (list(release.evidence), list(release.decisions), list(release.reviews))
        stands = (release.stands_since, release.stands_because)
        return cls(release, release.state, *lists, list(release.error_reviews), release.reopened_at, *stands)

    def freeze(self) -> Release:
        """The release as it is now."""
        return replace(
            self.start,
            state=self.state,
            evidence=tuple(self.evidence),
            decisions=tuple(self.decisions),
            reviews=tuple(self.reviews),
            error_reviews=tuple(self.error_reviews),
            reopened_at=self.reopened_at,
            stands_since=self.stands_since,
            stands_because=self.stands_because,
        )

    def move(self, event: Event) -> None:
        """The state that the lifecycle table gives after the event, which may be the same."""
        after = advance(self.state, event.kind)
        if after != self.state:
            self.state, self.stands_since, self.stands_because = after, event.at, event.reason


@dataclass
class Building:
    """A unit that is being folded. Releases are thawed when an event touches them, and no sooner."""

    unit: str = ""
    revision: int = 0
    head: Digest = GENESIS
    models: dict[str, ModelRecord] = field(default_factory=dict)
    releases: dict[str, Release] = field(default_factory=dict)
    champion: str | None = None
    rollback: list[str] = field(default_factory=list)
    generation: int = 0
    opened: str | None = None
    prepared: Cutover | None = None
    runs: dict[str, Run] = field(default_factory=dict)
    lives: dict[str, Life] = field(default_factory=dict)

    @classmethod
    def of(cls, state: UnitState | None) -> Building:
        """The state, to go on from; an empty one for None."""
        if state is None:
            return cls()
        return cls(
            unit=state.unit,
            revision=state.revision,
            head=state.head,
            models=dict(state.models),
            releases=dict(state.releases),
            champion=state.champion,
            rollback=list(state.rollback),
            generation=state.generation,
            opened=state.challenger,
            prepared=state.prepared,
            runs=dict(state.runs),
        )

    def freeze(self) -> UnitState:
        """The unit as it is now."""
        return UnitState(
            unit=self.unit,
            revision=self.revision,
            head=self.head,
            models=self.models,
            releases={**self.releases, **{name: life.freeze() for name, life in self.lives.items()}},
            champion=self.champion,
            rollback=tuple(self.rollback),
            generation=self.generation,
            challenger=self.open_release(),
            prepared=self.prepared,
            runs=self.runs,
        )

    @cached_property
    def digests(self) -> dict[Digest, str]:
        """The release of each digest."""
        return {release.digest: name for name, release in self.releases.items()}

    def open_release(self) -> str | None:
        """The release that is on its way, if any."""
        return self.opened if self.opened is not None and self.thaw(self.opened).state in OPEN else None

    def unprepare(self, release: str) -> None:
        """No cutover to that release is under way."""
        if self.prepared is not None and self.prepared.release == release:
            self.prepared = None

    def thaw(self, name: str) -> Life:
        """The release of that name, which is there, ready to change."""
        if name not in self.lives:
            self.lives[name] = Life.of(self.releases[name])
        return self.lives[name]

    def life(self, event: Event, name: str) -> Life:
        """The release of that name. Raises IllegalMove where there is none."""
        if name not in self.releases:
            raise refused(event, f"{name} is no release of {self.unit}", f"one of {some_of(self.releases)}")
        return self.thaw(name)


def refused(event: Event, found: str, accepted: str, next_step: str = "") -> IllegalMove:
    """The error that names the event and what stands against it."""
    what = f"{event.kind} was refused as revision {event.revision} of {event.stream}"
    return IllegalMove(what, found=found, accepted=accepted, next_step=next_step)


def some_of(names: dict[str, Any]) -> str:
    """The newest of what is there, for a message."""
    return ", ".join(list(names)[-5:]) or "none yet"
