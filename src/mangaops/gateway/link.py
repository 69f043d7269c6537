"""A worker's link to the ledger: it reads, beats and acknowledges, and survives the ledger's absence."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from mangaops.errors import MangaopsError, SetupError
from mangaops.gateway.chain import Chain
from mangaops.registry import drafts
from mangaops.store import Ledger
from mangaops.store.catalogue_log import CatalogueLog
from mangaops.store.chain import ChainCopy
from mangaops.store.changes import Changes
from mangaops.store.gateways import Gateways
from mangaops.vocabulary import Acknowledged

_LOG: Final = logging.getLogger("mangaops.gateway")
_BEAT: Final = 1.0
_SOONEST: Final = 1.0
_FIRST: Final = 0


@dataclass
class _Open:
    ledger: Ledger
    gateways: Gateways
    changes: Changes


class Link:
    """One worker's way to the ledger. `trouble` says why it cannot be followed, None where it can.

    A ledger that is out of reach is so for every process of a gateway: its first worker writes that to the
    log, and the others to their health alone. What does not add up is written by each: its copy may be why.
    """

    def __init__(
        self,
        open_ledger: Callable[[], Ledger],
        *,
        gateway: str,
        worker: int,
        copies: Path,
        poll: float,
        doing: Callable[[], Mapping[str, Any]],
    ) -> None:
        self.copy = ChainCopy(copies)
        self.trouble: str | None = None
        self._told: type[MangaopsError] | None = None
        """What was written to the log of why the ledger is not followed: out of reach, or wrong."""
        self.since = time.monotonic()
        self.member: str | None = None
        self._open_ledger, self._gateway, self._worker = open_ledger, gateway, worker
        self._poll, self._doing = poll, doing
        self._open: _Open | None = None
        self._tried = -_SOONEST
        self._lock, self._telling = threading.Lock(), threading.Lock()
        self._poked, self._ended = threading.Event(), threading.Event()
        self._heart = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    @property
    def silent(self) -> float:
        """Seconds since the ledger was last read."""
        return time.monotonic() - self.since

    def start(self) -> None:
        """This worker beats from now on, as a member once the ledger can be reached."""
        self._heart.start()

    def follow(self, chains: Iterable[Chain]) -> None:
        """The chains are as the ledger has them, or `trouble` says why they are not."""
        opened = self._reach()
        if opened is None:
            return
        wrong: MangaopsError | None = None
        try:
            heads = opened.ledger.heads()
        except MangaopsError as error:
            self._lost(error)
            return
        for chain in chains:
            try:
                chain.follow(opened.ledger, heads, self.copy)
            except MangaopsError as error:  # the other units are followed all the same
                wrong = error
        if wrong is None:
            self._found()
        else:
            self._lost(wrong)

    def deltas(self, catalogue: str) -> CatalogueLog:
        """The delta log of that catalogue.

        Raises:
            SetupError: the ledger cannot be reached.
        """
        opened = self._reach()
        if opened is None:
            raise SetupError(
                f"the changes of the catalogue {catalogue} cannot be read: the ledger is out of reach",
                found=self.trouble or "it was tried a moment ago",
                accepted="the ledger, which holds them",
                next_step="see what /health/ready says of the ledger",
            )
        return CatalogueLog(opened.ledger, catalogue)

    def wait(self) -> None:
        """Something changed, or a little time has passed."""
        opened = self._open
        if self._poked.is_set() or self.trouble is not None or opened is None:
            self._poked.wait(self._poll)
        else:
            try:
                opened.changes.wait(self._poll)
            except MangaopsError as error:
                self._lost(error)
        self._poked.clear()

    def interrupt(self) -> None:
        """A wait ends at once."""
        self._poked.set()
        if self._open is not None:
            self._open.changes.interrupt()

    def acknowledge(
        self, unit: str, revision: int, word: Acknowledged, *, reason: str, milliseconds: float | None
    ) -> bool:
        """Whether the ledger's database knows now what this worker says of a cutover."""
        opened = self._reach()
        if opened is None or self.member is None:
            return False
        try:
            opened.gateways.acknowledge(
                self.member, unit, revision, word, reason=reason, milliseconds=milliseconds
            )
        except MangaopsError as error:
            self._lost(error)
            return False
        self._try_beat()
        return True

    def refuse(self, unit: str, release: str, error: MangaopsError) -> bool:
        """Whether the ledger lists now that this worker could not load the release; the log does at least."""
        _LOG.error("%s %s was not loaded: %s", unit, release, error.message)
        opened = self._reach()
        if opened is None:
            return False
        draft = drafts.load_refused(
            unit=unit,
            release=release,
            gateway=self._gateway,
            worker=self._worker,
            error=type(error).__name__,
            found=error.found or error.refused,
            reason=error.refused,
            actor=f"gateway {self._gateway}",
        )
        at = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        try:
            opened.ledger.append([draft], expect={}, at=at)
        except MangaopsError as trouble:
            self._lost(trouble)
            return False
        return True

    def close(self) -> None:
        """This worker is no member any more, and no connection is open."""
        self._ended.set()
        self._heart.join(timeout=2 * _BEAT)
        opened, self._open = self._open, None
        if opened is None:
            return
        try:
            if self.member is not None:
                opened.gateways.leave(self.member)
            opened.changes.close()
            opened.ledger.close()
        except MangaopsError as error:
            _LOG.warning("leaving the ledger failed, the heartbeat will run out: %s", error.message)

    def _reach(self) -> _Open | None:
        """The ledger, opened anew at most once a second where it was out of reach."""
        with self._lock:
            if self._open is None and time.monotonic() - self._tried >= _SOONEST:
                self._tried = time.monotonic()
                try:
                    ledger = self._open_ledger()
                    self._open = _Open(ledger, Gateways(ledger), Changes(ledger))
                except MangaopsError as error:
                    self._lost(error)
            return self._open

    def _lost(self, error: MangaopsError) -> None:
        kind = SetupError if isinstance(error, SetupError) else MangaopsError
        mine = self._worker == _FIRST or kind is not SetupError
        with self._telling:  # follower and heartbeat may lose it at once
            worse = self._told is SetupError and kind is not SetupError
            if mine and (self._told is None or worse):
                _LOG.error("the ledger is not followed: %s", error.message)
                self._told = kind
            self.trouble = f"{error.refused}{f': {error.found}' if error.found else ''}"

    def _found(self) -> None:
        if self._told is not None:
            _LOG.warning("the ledger is followed again, after %.0f s", self.silent)
        self.trouble, self._told, self.since = None, None, time.monotonic()

    def _beat(self) -> None:
        while True:
            try:
                self._try_beat()
            except Exception:  # noqa: BLE001 - a thread that ends would never beat again
                _LOG.exception("a heartbeat failed; the next one comes")
            if self._ended.wait(_BEAT):
                return

    def _try_beat(self) -> None:
        opened = self._reach()
        if opened is None:
            return
        doing = {**self._doing(), "pid": os.getpid()}
        try:
            if self.member is None:
                self.member = opened.gateways.join(self._gateway, self._worker, doing)
            else:
                opened.gateways.beat(self.member, doing)
        except MangaopsError as error:
            self._lost(error)
