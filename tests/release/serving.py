"""Workers of a gateway as a release sees them: they follow the ledger, beat and acknowledge. No model."""

from __future__ import annotations

import threading
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from desk_world import WHY, make_desk, prove_by_seal

from mangaops.registry import UnitState, fold
from mangaops.release.cutover import Patience
from mangaops.release.desk import Desk
from mangaops.release.promote import promote
from mangaops.store import Gateways, Ledger
from mangaops.vocabulary import Acknowledged, SlotState

NOBODY: dict[str, Any] = {"units": {}}


def holding(*releases: str) -> dict[str, Any]:
    """What a member says that holds these releases and has not switched."""
    slots = dict.fromkeys(releases, SlotState.HEALTHY)
    return {"units": {"router": {"active": None, "generation": 0, "revision": 0, "slots": slots}}}


class Worker:
    """A thread that says `prepared` to a cutover (None: nothing), and follows if it `switches`."""

    def __init__(
        self,
        desk: Desk,
        number: int = 0,
        *,
        prepared: Acknowledged | None = Acknowledged.READY,
        switches: bool = True,
    ) -> None:
        self.desk, self.prepared, self.switches = desk, prepared, switches
        self.answered = 0
        self.name = desk.gateways.join("gateway", number, NOBODY)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> Worker:
        self._thread.start()
        return self

    def __exit__(self, *_raised: object) -> None:
        self._stopped.set()
        self._thread.join()
        self.desk.gateways.leave(self.name)

    def _follow(self) -> None:
        active = fold(self.desk.ledger.read("router"))
        while not self._stopped.wait(0.005):
            now = fold(self.desk.ledger.read("router"))
            self._answer(now)
            if now.generation != active.generation and self.switches:
                self._say(now.revision, Acknowledged.ACTIVE)
                active = now

    def _answer(self, now: UnitState) -> None:
        if now.prepared is None or self.prepared is None or now.prepared.revision == self.answered:
            return
        self._say(now.prepared.revision, self.prepared)
        self.answered = now.prepared.revision

    def _say(self, revision: int, word: Acknowledged) -> None:
        reason = "not enough memory" if word == Acknowledged.REFUSED else ""
        self.desk.gateways.acknowledge(self.name, "router", revision, word, reason=reason, milliseconds=3.5)


def live(url: str, pipe: Connection) -> None:
    """A process that joins and says nothing more, until it is killed."""
    with Ledger(url) as ledger:
        pipe.send(Gateways(ledger, 60.0).join("gateway", 9, NOBODY))
        pipe.recv()


def promote_there(folder: Path, url: str, release: str) -> None:
    """A promotion in a process of its own, which waits for as long as it takes."""
    desk = patient(make_desk(folder, url=url))
    patience = Patience(ready=600, active=600, poll=0.005)
    promote(desk, "router", release, prove=prove_by_seal(desk), reason=WHY, patience=patience)


def patient(desk: Desk) -> Desk:
    """The desk, for which members live on without beating: a loaded machine kills nobody."""
    return replace(desk, gateways=Gateways(desk.ledger, 60.0))
