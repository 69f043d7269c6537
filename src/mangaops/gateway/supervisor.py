"""The supervisor: one process that holds the socket, starts workers and shadow, and starts again what died.

It answers no request and reads no ledger. Segments that workers and shadow have closed, or left behind when
they were killed, are brought to Parquet from here, at a low priority.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Final

from mangaops.errors import MangaopsError, SetupError
from mangaops.gateway.folder import alone_in
from mangaops.gateway.settings import GatewaySettings
from mangaops.gateway.units import Unit
from mangaops.store.foreign import file_errors

_LOG: Final = logging.getLogger("mangaops.gateway")
_SPAWN: Final = multiprocessing.get_context("spawn")
_LOOK: Final = 0.2
_ROLL: Final = 2.0
_HUNG: Final = 5.0
"""Seconds without a sign of life, beyond the longest time limit, after which the shadow is killed."""

_STUCK: Final = 15.0
"""Seconds without a sign of life after which a worker that serves is killed; it gives two a second."""

_PASSED: Final = 1.0
"""Seconds that one look counts for at most: where the whole gateway was frozen, no worker was silent."""

_LAST: Final = 10.0
"""Seconds for logs to become Parquet at the end; what is not by then stays in the journal."""

_HALTED: Final = 1.0
"""Seconds without a sign of life after which the shadow is told to go on, should it stand still."""

_SHARED: Final = "/dev/shm"

_SOONEST, _LATEST = 0.1, 10.0
"""Seconds before a process that died is started again: doubled with each death within a minute."""


@dataclass
class Child:
    """A process that is kept alive: how it is started, and how often it had to be.

    `beat.value` changes with each of its signs of life, 0 before the first; None: nobody listens to it.
    """

    name: str
    make: Callable[[], Any]
    beat: Any = None
    process: Any = None
    deaths: list[float] = field(default_factory=list)
    due: float = 0.0
    heard: float = 0.0
    silent: float = 0.0

    def start(self) -> None:
        """The process runs. Raises OSError or MemoryError where the system has no room for another."""
        self.heard = self.silent = 0.0
        if self.beat is not None:
            self.beat.value = 0.0
        process = self.make()
        process.start()
        self.process = process

    def listen(self, passed: float) -> None:
        """`silent` is how long it gave no sign of life; so many seconds passed since the last look."""
        if self.beat.value != self.heard:
            self.heard, self.silent = self.beat.value, 0.0
        elif self.heard:
            self.silent += passed

    def died(self) -> None:
        """The process is gone; it is due again after a pause that grows with its deaths."""
        code, self.process = self.process.exitcode, None
        self._fell(f"ended with exit code {code}")

    def start_again(self) -> None:
        """The process runs; where it cannot be started that counts as a death."""
        try:
            self.start()
        except (OSError, MemoryError) as error:
            self._fell(f"could not be started: {error}")

    def _fell(self, why: str) -> None:
        now = time.monotonic()
        self.deaths = [*[t for t in self.deaths if now - t < 60.0], now]
        pause = min(_LATEST, _SOONEST * 2 ** (len(self.deaths) - 1))
        self.due = now + pause
        _LOG.error("%s %s; started again in %.1f s", self.name, why, pause)


class Supervisor:
    """Workers and shadow of one gateway."""

    def __init__(
        self,
        units: Mapping[str, Unit],
        settings: GatewaySettings,
        ready: Callable[[str], None],
    ) -> None:
        """`ready` is told the address once the socket listens."""
        self._units, self._settings, self._ready = units, settings, ready
        self._ended = threading.Event()
        self._beat = _SPAWN.Value("d", time.monotonic(), lock=False)

    def run(self) -> None:
        """The gateway serves until SIGTERM or SIGINT, then drains.

        Raises:
            SetupError: the address is taken, the folder cannot be written, the place of the logs cannot be
                reached, or the system has no room for the processes.
        """
        settings = self._settings
        mine = f"mangaops-gateway-{blake2b(str(settings.folder).encode(), digest_size=6).hexdigest()}-"
        with tempfile.TemporaryDirectory(prefix=mine, dir=_memory()) as scratch:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = scratch
            with alone_in(settings.folder, settings.name) as serves, self._listening() as listening:
                _forget(Path(scratch), mine)
                roller = self._roller()
                children = self._children(listening, Path(scratch) / "shadow.sock")
                for number in (signal.SIGTERM, signal.SIGINT):
                    signal.signal(number, lambda _signal, _frame: self._ended.set())
                self._keep(children, listening, roller, serves)

    def _keep(
        self, children: list[Child], listening: socket.socket, roller: Any, serves: Callable[[], None]
    ) -> None:
        """The children ran until the end was asked for; however this is left, none of them runs on."""
        from mangaops.gateway import gauges

        gauges.supervise()
        rolling = threading.Thread(target=self._roll_all, args=(roller,), name="roller", daemon=True)
        try:
            with file_errors("starting the gateway's processes was refused"):
                for child in children:
                    child.start()
            host, port = listening.getsockname()[:2]
            serves()
            self._ready(f"http://{host}:{port}")
            rolling.start()
            self._watch(children)
        finally:
            self._ended.set()
            listening.close()  # or connections would be taken that no worker is left to answer
            self._stop(children)
            self._roll_last(rolling, roller)

    def _children(self, listening: socket.socket, shadow: Path) -> list[Child]:
        from mangaops.gateway.worker import Place, run_worker

        place = Place(listening, str(shadow))

        def worker(number: int) -> Child:
            name, beat = f"worker {number}", _SPAWN.Value("d", 0.0, lock=False)
            given = (self._units, self._settings, number, place, beat)
            return Child(name, lambda: _SPAWN.Process(target=run_worker, args=given, name=name), beat)

        def mirror() -> Any:
            from mangaops.gateway.shadow import run_shadow

            self._beat.value = time.monotonic() + _HUNG
            given = (self._units, self._settings, shadow, self._beat)
            return _SPAWN.Process(target=run_shadow, args=given, name="shadow")

        return [*map(worker, range(self._settings.workers)), Child("shadow", mirror)]

    @contextlib.contextmanager
    def _listening(self) -> Any:
        settings = self._settings
        try:
            family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
            listening = socket.socket(family, socket.SOCK_STREAM)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((settings.host, settings.port))
            listening.listen(1024)
        except OSError as error:
            raise SetupError(
                f"serving on {settings.host}:{settings.port} was refused",
                found=error.strerror or str(error),
                accepted="an address of this machine and a free port",
                next_step="name another with --host and --port; --port 0 takes a free one",
            ) from error
        with listening:
            yield listening

    def _watch(self, children: list[Child]) -> None:
        """What dies is started again, until the end is asked for."""
        from mangaops.gateway import gauges

        looked = time.monotonic()
        while not self._ended.is_set():
            wait([child.process.sentinel for child in children if child.process], timeout=_LOOK)
            for child in children:
                if child.process is not None and not child.process.is_alive():
                    if self._ended.is_set():
                        return
                    self._bury(child)
                    gauges.RESTARTS.labels(child.name.split()[0]).inc()
                elif child.process is None and time.monotonic() >= child.due:
                    child.start_again()
            self._check_shadow(children[-1])
            passed = min(time.monotonic() - looked, _PASSED)
            looked = time.monotonic()
            self._check_workers(children[:-1], passed)

    def _bury(self, child: Child) -> None:
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(child.process.name)  # type: ignore[no-untyped-call]
        child.process.join()
        child.died()

    def _check_workers(self, workers: list[Child], passed: float) -> None:
        """A worker that serves and hangs is killed: whoever is connected to it would wait for ever."""
        for worker in workers:
            if worker.process is None or not worker.process.is_alive():
                continue
            worker.listen(passed)
            if worker.silent > _STUCK:
                _LOG.error("%s gave no sign of life for %.0f s and is killed", worker.name, worker.silent)
                worker.process.kill()
                worker.silent = 0.0

    def _check_shadow(self, shadow: Child) -> None:
        """A shadow that hangs or grows over its limit is killed; nobody waits for it."""
        if shadow.process is None or not shadow.process.is_alive():
            return
        limit = max(unit.shadow.time_limit_ms for unit in self._units.values()) / 1000
        silent = time.monotonic() - self._beat.value
        size = _resident(shadow.process.pid)
        if silent > _HALTED:  # who halted it for a user may have died before it went on
            with contextlib.suppress(ProcessLookupError):
                os.kill(shadow.process.pid, signal.SIGCONT)
        if silent > _HUNG + limit:
            _LOG.error("the shadow gave no sign of life for %.0f s and is killed", silent)
            shadow.process.kill()
        elif size > self._settings.shadow_memory:
            _LOG.error("the shadow holds %d MiB, over its limit, and is killed", size // 2**20)
            shadow.process.kill()

    def _stop(self, children: list[Child]) -> None:
        """Every process has finished what it had begun, or is killed after the time for draining."""
        running = [child.process for child in children if child.process is not None]
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGCONT)
                process.terminate()
        until = time.monotonic() + self._settings.drain + 5.0
        for process in running:
            process.join(max(0.1, until - time.monotonic()))
            if process.is_alive():
                _LOG.error("%s did not end in time and is killed", process.name)
                process.kill()
                process.join()

    def _roller(self) -> Any:
        from mangaops.store import Roller

        return Roller(self._settings.folder / "journal", self._settings.files_root)

    def _roll_all(self, roller: Any) -> None:
        """Closed segments become Parquet, in a thread that is last in line for the processor."""
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 15)
        while not self._ended.wait(_ROLL):
            self._roll(roller)

    def _roll_last(self, rolling: threading.Thread, roller: Any) -> None:
        """All that was logged is Parquet, unless that takes too long: the journal keeps the rest."""

        if not (self._settings.folder / "journal").exists():
            return  # nothing was logged, and nothing is made for that

        def roll() -> None:
            if rolling.ident is not None:
                rolling.join()
            self._roll(roller)

        last = threading.Thread(target=roll, name="last roll", daemon=True)
        last.start()
        last.join(_LAST)
        if last.is_alive():
            _LOG.error("rolling the logs did not end within %.0f s: the rest stays in the journal", _LAST)

    def _roll(self, roller: Any) -> None:
        from mangaops.gateway import gauges

        damaged = roller.damaged
        try:
            roller.roll(living=())
        except MangaopsError as error:
            _LOG.error("the logs stay in the journal: %s", error.message)
        except Exception:  # noqa: BLE001 - the thread goes on: what cannot be rolled now may be later
            _LOG.exception("the logs stay in the journal")
        if roller.damaged > damaged:
            _LOG.error("segments of logs are damaged and kept in the journal: %s", roller.why or "cut")
        gauges.JOURNAL.set(roller.waiting())
        gauges.SEGMENTS.labels("damaged").set(roller.damaged)
        gauges.SEGMENTS.labels("torn").set(roller.torn)


def _forget(scratch: Path, mine: str) -> None:
    """What a supervisor of this gateway that was killed left in memory is gone, all but `scratch`."""
    for left in scratch.parent.glob(f"{mine}*"):
        if left != scratch:
            shutil.rmtree(left, ignore_errors=True)


def _memory() -> str | None:
    """A folder in memory, where there is one: a process that counts in a mapped file dies on a full disk."""
    return _SHARED if os.access(_SHARED, os.W_OK | os.X_OK) else None


def _resident(pid: int) -> int:
    """Bytes of memory that a process holds; 0 where the system does not say."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
