"""One worker's follower in-process: its slots, its link to a real ledger, and an event loop in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gateway_parts import FALLBACK, until

from mangaops.errors import MangaopsError
from mangaops.gateway.follower import Follower
from mangaops.gateway.link import Link
from mangaops.gateway.releases import Releases
from mangaops.gateway.slots import Slots
from mangaops.store import Artifacts, Ledger
from mangaops.vocabulary import Family

FAMILIES = {"router": Family.INTENT_CLASSIFIER}


class Loop:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def do(self, call: Callable[[], Any]) -> Any:
        """What the call gives, made on the loop."""

        async def called() -> Any:
            return call()

        return asyncio.run_coroutine_threadsafe(called(), self.loop).result(30)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


class Room:
    """A follower of `ledger` that begins at once; `releases` may load otherwise than the real ones do."""

    def __init__(
        self,
        ledger: str,
        files: Path,
        folder: Path,
        *,
        releases: Any = None,
        worker: int = 0,
        open_ledger: Callable[[], Ledger] | None = None,
        alone: bool = True,
        before: Mapping[str, Slots] | None = None,
    ) -> None:
        """`before`: units that are settled before the router is."""
        self.folder, self.loop = folder, Loop()
        self.slots = Slots.of("router", FALLBACK)
        self.refusals: list[tuple[str, str, MangaopsError]] = []
        self.link = Link(
            open_ledger or (lambda: Ledger(ledger, create=False)),
            gateway="gateway",
            worker=worker,
            copies=folder / "chain",
            poll=0.02,
            doing=lambda: {"units": {"router": self.slots.doing()}},
        )
        releases = releases or Releases(folder, lambda: Artifacts(files / "artifacts"), FAMILIES)
        self.follower = Follower(
            {**(before or {}), "router": self.slots},
            releases,
            self.link,
            self.loop.loop,
            lambda unit, release, error: self.refusals.append((unit, release, error)),
            alone=alone,
        )
        self.link.start()
        self.follower.start()

    def serves(self, release: str, generation: int) -> None:
        """The release answers with that generation, at the latest now."""
        until(
            lambda: (self.slots.served.release, self.slots.served.generation) == (release, generation),
            f"{release} at generation {generation}, where {self.slots.served} was found",
        )

    def states(self) -> dict[str, str]:
        return dict(self.slots.doing()["slots"])  # type: ignore[call-overload]

    def close(self) -> None:
        self.follower.close()
        self.link.close()
        self.loop.close()
