"""The follower: one thread that keeps a worker's slots as the ledger says, and acknowledges what it did.

    ledger ─▶ Chain ─▶ settle: load what is wanted ─▶ swap ─▶ acknowledge ─▶ close what nobody wants

Loading happens in a thread of its own, so that a rollback is never behind a release that is being warmed.
Where the ledger cannot be reached, or does not go on from what was verified before, the worker goes on with
what it has and says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Final, ParamSpec, TypeVar

from mangaops.errors import MangaopsError, SetupError
from mangaops.gateway.catalogues import Catalogues
from mangaops.gateway.chain import Chain
from mangaops.gateway.link import Link
from mangaops.gateway.releases import Releases, warm
from mangaops.gateway.slots import Slot, Slots
from mangaops.inference.families import Servable
from mangaops.registry.state import Cutover
from mangaops.vocabulary import Acknowledged, Purpose, SlotState

_LOG: Final = logging.getLogger("mangaops.gateway")

P = ParamSpec("P")
R = TypeVar("R")

RETRY: Final = 5.0
"""Seconds after which a champion that could not be loaded is tried again."""

_SWAP_LIMIT: Final = 10.0

_OTHERS: Final = 6.0
"""Seconds for which a worker without its champion leaves the answers to others: it is tried twice."""

Told = Callable[[str, str, MangaopsError], None]
"""Called with unit, release and the error when a release cannot be loaded."""


@dataclass
class Wanted:
    """What the ledger wants of one unit, in the order in which it is loaded; and what could not be loaded."""

    chain: Chain
    loading: set[str] = field(default_factory=set)
    refused: dict[str, tuple[int, float, str]] = field(default_factory=dict)

    @property
    def prepared(self) -> str | None:
        """The release that a cutover is prepared for, None where none is."""
        return self.chain.state.prepared.release if self.chain.state.prepared else None

    @property
    def releases(self) -> list[str]:
        """Champion, way back, prepared release: each once, those that there are.

        Undoing never waits for a cutover.
        """
        chain = self.chain
        return list(dict.fromkeys(r for r in (chain.champion, chain.way_back, self.prepared) if r))

    def refusal(self, release: str) -> str | None:
        """Why the release could not be loaded for what is prepared now, None where it may be tried."""
        revision, when, why = self.refused.get(release, (-1, 0.0, ""))
        if release == self.prepared and release != self.chain.champion:
            prepared = self.chain.state.prepared
            return why if prepared and revision == prepared.revision else None
        return why if revision >= 0 and time.monotonic() - when < RETRY else None


class Follower:
    """Follows the ledger for one worker's units; `settled` is set once each answers as it should."""

    def __init__(
        self,
        units: Mapping[str, Slots],
        releases: Releases,
        link: Link,
        loop: asyncio.AbstractEventLoop,
        told: Told,
        *,
        alone: bool = True,
        together: Mapping[str, int] | None = None,
    ) -> None:
        """`alone`: no other worker answers while this one waits for its champion.

        `together`: with how many texts at once a unit's releases are warmed; 1 where it names none.
        """
        self._together = together or {}
        self.units, self.link, self.patience = units, link, 0.0 if alone else _OTHERS
        self.wanted = {unit: Wanted(Chain.of_copy(unit, link.copy)) for unit in units}
        self.settled = threading.Event()
        self._stuck_since: float | None = None
        self.seconds_a_text: dict[str, float] = {}
        self._releases, self._loop, self._told = releases, loop, told
        self.catalogues = Catalogues(units, link, self._on_loop)
        self._listed: set[tuple[str, str, int, str]] = set()
        self._acknowledged: set[tuple[str, int, Acknowledged]] = set()
        self._loads: SimpleQueue[tuple[str, str] | None] = SimpleQueue()
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._follow, name="follower", daemon=True),
            threading.Thread(target=self._load_all, name="loader", daemon=True),
        ]

    def start(self) -> None:
        """The ledger is followed from now on."""
        for thread in self._threads:
            thread.start()
        self.catalogues.start()

    def close(self) -> None:
        """Nothing is followed any more."""
        self._ended.set()
        self._loads.put(None)
        self.link.interrupt()
        for thread in self._threads:
            thread.join(timeout=_SWAP_LIMIT)
        self.catalogues.close(_SWAP_LIMIT)

    def unready(self) -> dict[str, str]:
        """For each unit that does not answer as the ledger says: why."""
        return {unit: why for unit, each in self.wanted.items() if (why := self._lack(unit, each))}

    def _lack(self, unit: str, each: Wanted) -> str:
        champion = each.chain.champion
        if not each.chain.known:
            return "the ledger was never read, and there is no verified copy of it"
        if champion is None or self.units[unit].served.release == champion:
            return ""
        _, _, why = each.refused.get(champion, (0, 0.0, ""))
        return f"{champion} cannot be loaded: {why}" if why else f"{champion} is being loaded"

    def _stuck(self, each: Wanted) -> bool:
        """Whether waiting promises nothing: the fallback answers, and readiness says why."""
        unknown = not each.chain.known and self.link.trouble is not None
        return unknown or each.chain.champion in each.refused

    def _is_settled(self) -> bool:
        """Whether each unit answers as it should, or is stuck for as long as other workers may answer."""
        lacking = [each for unit, each in self.wanted.items() if self._lack(unit, each)]
        if not all(self._stuck(each) for each in lacking):
            self._stuck_since = None
            return False
        now = time.monotonic()
        self._stuck_since = self._stuck_since or now
        return not lacking or now - self._stuck_since >= self.patience

    def _follow(self) -> None:
        while not self._ended.is_set():
            with self._going_on("following the ledger"):
                self.link.follow([each.chain for each in self.wanted.values()])
            for unit, each in self.wanted.items():
                with self._going_on(f"settling {unit}"):
                    self._settle(unit, each)
            if self._is_settled():
                self.settled.set()
            self.catalogues.wake()
            self.link.wait()

    @contextlib.contextmanager
    def _going_on(self, what: str) -> Iterator[None]:
        """What failed in the block is told; neither the thread nor another unit stops for it."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - a thread that ends would never follow again
            if self._ended.is_set():
                return  # the event loop is gone, and its slots with it
            _LOG.exception("%s failed; it goes on", what)
            self.link.trouble = f"{what}: {type(error).__name__}: {error}"

    def _settle(self, unit: str, each: Wanted) -> None:
        """One step towards what the ledger says; what needs loading comes back when it is loaded."""
        slots, chain = self.units[unit], each.chain
        self._swap(slots, chain)
        for release in each.releases:
            if slots.warm(release) is None and release not in each.loading and not each.refusal(release):
                each.loading.add(release)
                self._loads.put((unit, release))
        self._answer_prepared(unit, each)
        self._on_loop(slots.keep, frozenset([*each.releases, *each.loading]))

    def _swap(self, slots: Slots, chain: Chain) -> None:
        target = chain.champion or slots.fallback
        generation, begun = chain.state.generation, time.monotonic()
        if chain.champion is not None and slots.warm(chain.champion) is None:
            if why := self.wanted[slots.unit].refusal(chain.champion):
                self._acknowledge(slots.unit, chain.moved_at, Acknowledged.REFUSED, reason=why)
            return
        if (slots.served.release, slots.served.generation) != (target, generation):
            self._on_loop(slots.cut_over, target, generation, chain.rolled_back_at)
        spent = (time.monotonic() - begun) * 1000
        self._acknowledge(slots.unit, chain.moved_at, Acknowledged.ACTIVE, milliseconds=spent)

    def _answer_prepared(self, unit: str, each: Wanted) -> None:
        prepared = each.chain.state.prepared
        if prepared is None:
            return
        if self.units[unit].warm(prepared.release) is not None:
            self._acknowledge(unit, prepared.revision, Acknowledged.READY)
        elif (why := each.refusal(prepared.release)) is not None:
            self._acknowledge(unit, prepared.revision, Acknowledged.REFUSED, reason=why)

    def _acknowledge(
        self,
        unit: str,
        revision: int,
        word: Acknowledged,
        *,
        reason: str = "",
        milliseconds: float | None = None,
    ) -> None:
        key = (unit, revision, word)
        if not revision or key in self._acknowledged:
            return
        if self.link.acknowledge(unit, revision, word, reason=reason, milliseconds=milliseconds):
            self._acknowledged.add(key)

    def _load_all(self) -> None:
        while (wanted := self._loads.get()) is not None and not self._ended.is_set():
            unit, release = wanted
            each = self.wanted[unit]
            prepared = each.chain.state.prepared
            try:
                self._load(unit, release)
                each.refused.pop(release, None)
            except MangaopsError as error:
                self._refuse(unit, release, prepared, error)
            except Exception as error:  # noqa: BLE001 - a thread that ends would never load again
                if self._ended.is_set():
                    return  # the event loop is gone, and its slots with it
                found = f"{type(error).__name__}: {error}"
                self._refuse(unit, release, prepared, SetupError(f"loading {release} failed", found=found))
            finally:
                each.loading.discard(release)
            self.link.interrupt()

    def _refuse(self, unit: str, release: str, prepared: Cutover | None, error: MangaopsError) -> None:
        """The release is tried again later; what the ledger was told of this reason, it is told once."""
        each = self.wanted[unit]
        revision = prepared.revision if prepared and prepared.release == release else 0
        each.refused[release] = (revision, time.monotonic(), error.message)
        self._told(unit, release, error)
        told = (unit, release, revision, type(error).__name__)
        if told not in self._listed and self.link.refuse(unit, release, error):
            self._listed.add(told)

    def _load(self, unit: str, release: str) -> None:
        """The release has a slot that could answer; what failed leaves no slot behind."""
        slots = self.units[unit]
        slot: Slot = self._on_loop(slots.add, release)
        try:
            predictor = self._releases.load(self.wanted[unit].chain.state, release, Purpose.SERVE)
            self._on_loop(slot.move, SlotState.WARMING)
            self.seconds_a_text[release] = warm(predictor, self._together.get(unit, 1))
            self.catalogues.bring_in(unit, predictor, lambda: _ready(slot, predictor))
        except BaseException:
            self._on_loop(self._drop, slots, slot)
            raise

    def _drop(self, slots: Slots, slot: Slot) -> None:
        slots.held.pop(slot.release, None)
        slot.close()

    def _on_loop(self, call: Callable[P, R], *given: P.args, **named: P.kwargs) -> R:
        """What the call gives when it is made on the event loop, where alone slots change."""
        return asyncio.run_coroutine_threadsafe(_called(lambda: call(*given, **named)), self._loop).result(
            _SWAP_LIMIT
        )


async def _called(call: Callable[[], R]) -> R:
    return call()


def _ready(slot: Slot, predictor: Servable) -> None:
    slot.predictor = predictor
    slot.move(SlotState.HEALTHY)
