"""What a gateway knows of a unit: the ledger's stream as it was read, verified, and copied to disk."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import Final

from mangaops.errors import LedgerTampered, MangaopsError, SetupError
from mangaops.registry import Event, UnitState, fold, is_fallback
from mangaops.store import Ledger
from mangaops.store.chain import ChainCopy
from mangaops.store.heads import Head
from mangaops.vocabulary import EventKind, State

_LOG: Final = logging.getLogger("mangaops.gateway")
_MOVES = frozenset({EventKind.PROMOTED, EventKind.ROLLED_BACK})


@dataclass
class Chain:
    """One unit's stream, as far as it was followed; `known` once there is a copy or the ledger was read.

    `uncopied` says why the local copy lacks what is known here, None where it does not.
    """

    unit: str
    state: UnitState
    events: list[Event] = field(default_factory=list)
    known: bool = False
    uncopied: str | None = None

    @classmethod
    def of_copy(cls, unit: str, copy: ChainCopy) -> Chain:
        """The stream as the local disk has it; empty where nothing was ever read.

        A copy that does not add up, or cannot be read, is none: nothing in it loads, and the ledger makes it
        anew.
        """
        try:
            events = copy.load(unit)
        except MangaopsError as error:
            _LOG.error("the local copy of %s counts for nothing: %s", unit, error.message)
            events = []
        return cls(unit, replace(fold(events), unit=unit), events, known=bool(events))

    def follow(self, ledger: Ledger, heads: dict[str, Head], copy: ChainCopy) -> bool:
        """The ledger's newest events are known here, and copied or `uncopied`; whether there were any.

        Raises:
            LedgerTampered: the ledger does not go on from what was read before: it was cut or rewritten.
            SetupError: the ledger cannot be reached.
        """
        moved = self._read(ledger, heads.get(self.unit))
        self.known = True
        if moved or self.uncopied is not None:
            self._save(copy)
        return moved

    def _read(self, ledger: Ledger, head: Head | None) -> bool:
        """Whether the ledger had newer events, which are known now."""
        if head is None or (head.revision, head.hash) == (self.state.revision, self.state.head):
            self._require(head is not None or not self.events, "no events at all")
            return False
        self._require(head.revision > self.state.revision, f"revision {head.revision}, hash {head.hash}")
        new = ledger.read(self.unit, after=self.state.revision)
        self.state = replace(fold(new, onto=self.state), unit=self.unit)
        self.events = self.events + new
        return True

    def _save(self, copy: ChainCopy) -> None:
        """The local disk has what is known here; where it has no room for that, it is tried again later."""
        before, self.uncopied = self.uncopied, None
        try:
            copy.save(self.unit, self.events)
        except MangaopsError as error:
            self.uncopied = f"{error.refused}: {error.found}"
            if before is None:
                _LOG.error("the local copy of %s stays behind: %s", self.unit, error.message)
            if not isinstance(error, SetupError):
                raise  # the ledger is not the one that was copied: said so at every look

    def _require(self, holds: bool, found: str) -> None:
        if not holds:
            raise LedgerTampered(
                f"the ledger's stream {self.unit} was refused: it does not go on from what was verified here",
                found=found,
                accepted=f"a stream that holds revision {self.state.revision}, hash {self.state.head}",
                next_step="mangaops audit verify, then restore the ledger from its backup",
            )

    @property
    def champion(self) -> str | None:
        """The release that should answer, None where the fallback should."""
        return self.state.champion

    @property
    def way_back(self) -> str | None:
        """The release that a rollback leads to, None where that is the fallback."""
        pointer = self.state.rollback[-1] if self.state.rollback else None
        return None if pointer is None or is_fallback(pointer) else pointer

    @property
    def shadowed(self) -> str | None:
        """The challenger that wants a copy of the traffic, None where none does."""
        name = self.state.challenger
        return name if name is not None and self.state.releases[name].state == State.SHADOW else None

    def shadow_of(self, served: str) -> str | None:
        """The challenger that wants a copy of what this release answers: only a champion has one."""
        return self.shadowed if served == self.state.champion else None

    def release_of(self, generation: int) -> str:
        """What answered in that generation: a release or the fallback; empty where the chain is silent."""
        for event in self.events:
            if event.kind in _MOVES and event.body["generation"] == generation:
                return str(event.body["release" if event.kind == EventKind.PROMOTED else "to"])
        return ""

    @property
    def moved_at(self) -> int:
        """The revision of the event that made today's champion, 0 where there was none."""
        return next((event.revision for event in reversed(self.events) if event.kind in _MOVES), 0)

    @property
    def rolled_back_at(self) -> int:
        """The generation that the last rollback made, 0 where there was none."""
        undone = (event for event in reversed(self.events) if event.kind == EventKind.ROLLED_BACK)
        return next((int(event.body["generation"]) for event in undone), 0)
