"""The shadow process: the challenger answers copies of live requests, and both answers go to the shadow log.

It shares nothing with the workers but a socket. It runs only where nobody else wants the processor, it is
killed where it hangs or grows, and none of that is seen by a user.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, cast

from mangaops.datasets.logged import kept
from mangaops.errors import MangaopsError, SetupError
from mangaops.gateway import gauges
from mangaops.gateway.catalogues import Reader
from mangaops.gateway.chain import Chain
from mangaops.gateway.copies import Copies, Copy
from mangaops.gateway.lineage import end_with_supervisor
from mangaops.gateway.link import Link
from mangaops.gateway.releases import WARMED_TOGETHER, Releases, warm
from mangaops.gateway.settings import GatewaySettings
from mangaops.gateway.together import answers_to
from mangaops.gateway.units import Unit
from mangaops.inference.families import FollowsCatalogue, Said, Servable
from mangaops.stack.share import in_share
from mangaops.store import Artifacts, Ledger, LogWriter
from mangaops.vocabulary import SHADOW_WORKER, Purpose

_LOG: Final = logging.getLogger("mangaops.gateway")
_POLL: Final = 0.25
_RETRY: Final = 5.0

_LAST: Final = 1.0
"""Seconds in which copies that wait are still answered when the process is to end."""

_MOMENT: Final = 0.1
"""Seconds that a batch may take, by what a text took before: a shadow that is silent for long is killed."""


@dataclass
class Sides:
    """What the shadow process holds of one unit: predictors by release, and why one could not be loaded.

    `listed`: which kinds of error the ledger knows.
    """

    chain: Chain
    predictors: dict[str, Servable] = field(default_factory=dict)
    refused: dict[str, tuple[float, str]] = field(default_factory=dict)
    listed: set[tuple[str, str]] = field(default_factory=set)


class Shadow:
    """Answers copies, some together, in one thread; another follows the ledger and loads what is needed."""

    def __init__(
        self,
        units: Mapping[str, Unit],
        settings: GatewaySettings,
        log: LogWriter,
        releases: Releases | None = None,
    ) -> None:
        """`releases` loads what is wanted; None: as the settings say."""
        self._units, self._log = units, log
        self._releases = releases or Releases(
            settings.folder,
            lambda: Artifacts(f"{settings.files_root}/artifacts"),
            {name: unit.family for name, unit in units.items()},
        )
        self._link = Link(  # it only reads and tells: the shadow process is no member
            lambda: Ledger(settings.ledger_url, create=False),
            gateway=settings.name,
            worker=SHADOW_WORKER,
            copies=settings.folder / "chain-shadow",
            poll=_POLL,
            doing=dict,
        )
        self._reader = Reader(self._link)
        self._sides = {name: Sides(Chain.of_copy(name, self._link.copy)) for name in units}
        self._copies = Copies(self._beside)
        self._took: dict[tuple[str, str, str], float] = {}
        """Seconds a text, the last time."""
        self.ended = threading.Event()
        self._workers: set[socket.socket] = set()

    def read(self, connection: socket.socket) -> None:
        """Every copy that one worker sends is queued; where the queue is full, the worker waits and sheds."""
        self._workers.add(connection)
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as lines:
            self._tell(connection)
            for line in lines:
                values = {**json.loads(line.lstrip(b"!")), "late": line.startswith(b"!")}
                self._copies.put(Copy(values, self._units[values["unit"]]))
        self._workers.discard(connection)

    def _tell(self, *connections: socket.socket) -> None:
        """The workers know which challengers are loaded: copies for others would wait in vain."""
        ready = [release for sides in self._sides.values() for release in list(sides.predictors)]
        line = json.dumps({"ready": ready}).encode() + b"\n"
        for connection in connections:
            with contextlib.suppress(OSError):  # a worker that is gone needs no news
                connection.sendall(line)

    def answer_all(self, beat: Any) -> None:
        """Copies are answered until the process ends; `beat.value` is the moment of the last sign of life."""
        while not self.ended.is_set():
            beat.value = time.monotonic()
            gauges.LOGGED.labels("shadow").set(self._log.acknowledged)
            gauges.DROPPED.labels("shadow").set(self._log.dropped)
            if copies := self._copies.take(_POLL):
                self._answer(copies)
        ends = time.monotonic() + _LAST
        while time.monotonic() < ends and (copies := self._copies.take(0.0, linger=0.0)):
            self._answer(copies)  # what was held when the process was told to end

    def _beside(self, copy: Copy) -> int:
        """How many others may be answered with the copy; where any may, its challenger has read it."""
        challenger = self._challenger(copy)
        if challenger is None or not copy.unit.serving.together:
            return 0
        if copy.read is None:
            with contextlib.suppress(Exception):  # what it raises is told when the copy is answered alone
                copy.read = challenger.read(copy.asked)
        took = self._took.get(copy.sides, _MOMENT)
        return 0 if copy.read is None else max(0, int(_MOMENT / took) - 1)

    def _challenger(self, copy: Copy) -> Servable | None:
        """Who answers the copy; nobody where it is too late or the challenger is not loaded."""
        if copy.values["late"]:
            return None
        return self._sides[copy.unit.name].predictors.get(copy.values["challenger"])

    def end(self) -> None:
        """The process may end."""
        self.ended.set()

    def _answer(self, copies: Sequence[Copy]) -> None:
        """A row of the log for each; all have the same sides."""
        first = copies[0]
        unit, sides, challenger = first.unit, self._sides[first.unit.name], self._challenger(first)
        rows = [_both_sides(each.values) for each in copies]
        if challenger is None:
            missing = sides.refused.get(first.values["challenger"], (0.0, "not loaded yet"))[1][:300]
            error = "expired" if first.values["late"] else missing
            rows = [{**row, "challenger_error": error} for row in rows]
        else:
            said = _asked(challenger, copies, "challenger", unit.shadow.time_limit_ms)
            if all("challenger_ms" in each for each in said):  # what failed says little of the others
                self._took[first.sides] = said[0]["challenger_ms"] / 1000
            rows = [row | more for row, more in zip(rows, said, strict=True)]
        champion = sides.predictors.get(first.values["release"])
        drawn = in_share(unit.shadow.control, first.values["request_id"], "control")
        if champion is not None and drawn and not first.values["late"]:
            again = _asked(champion, copies, "control", unit.shadow.time_limit_ms)
            rows = [row | _without_error(more) for row, more in zip(rows, again, strict=True)]
        for row in rows:
            gauges.SHADOWED.labels(unit.name, "failed" if row["challenger_error"] else "answered").inc()
            self._log.put(row)

    def follow(self) -> None:
        """What the ledger wants to be shadowed is loaded, and what it no longer wants is let go."""
        while not self.ended.wait(_POLL):
            try:
                self._link.follow([sides.chain for sides in self._sides.values()])
                for name, sides in self._sides.items():
                    self._load(name, sides)
                    self._keep_up(name, sides.predictors.values())
            except Exception:  # noqa: BLE001 - a thread that ends would never follow again
                _LOG.exception("the shadow failed to follow the ledger; it goes on")
                self.ended.wait(_RETRY)

    def _load(self, unit: str, sides: Sides) -> None:
        chain = sides.chain
        wanted = {chain.shadowed, chain.champion} - {None} if chain.shadowed else set()
        held = set(sides.predictors)
        for release in held - wanted:
            del sides.predictors[release]
        for release in sorted(cast(set[str], wanted) - sides.predictors.keys()):
            when, _ = sides.refused.get(release, (-_RETRY, ""))
            if time.monotonic() - when < _RETRY:
                continue
            try:
                predictor = self._releases.load(chain.state, release, Purpose.SHADOW)
                warm(predictor, WARMED_TOGETHER if self._units[unit].serving.together else 1)
                self._keep_up(unit, [predictor])
            except MangaopsError as error:
                self._refuse(unit, release, error)
            except Exception as error:  # noqa: BLE001 - whatever a model raises, the other releases load
                found = f"{type(error).__name__}: {error}"
                self._refuse(unit, release, SetupError(f"loading {release} failed", found=found))
            else:
                sides.predictors[release] = predictor
        if held != set(sides.predictors):
            self._tell(*list(self._workers))

    def _keep_up(self, unit: str, predictors: Iterable[Servable]) -> None:
        """Where answers are from a catalogue, they are from all that its log holds."""
        following = [each for each in predictors if isinstance(each, FollowsCatalogue)]
        if not following:
            return
        self._reader.catch_up(unit, following)
        for each in following:
            each.show()

    def _refuse(self, unit: str, release: str, error: MangaopsError) -> None:
        """The release is tried again later; of this kind of error the ledger was told once."""
        sides = self._sides[unit]
        sides.refused[release] = (time.monotonic(), error.refused)
        gauges.LOAD_REFUSED.labels(unit, type(error).__name__).inc()
        told = (release, type(error).__name__)  # its words may differ each time
        if told not in sides.listed and self._link.refuse(unit, release, error):
            sides.listed.add(told)


def _both_sides(copy: Mapping[str, Any]) -> dict[str, Any]:
    """The row of the shadow log, with what is known before the challenger is asked."""
    same = ("request_id", "unit", "generation", "conversation_id", "user_id", "text", "options")
    return {
        **{name: copy[name] for name in same},
        "at": datetime.fromtimestamp(copy["at"], UTC),
        "request_writer": copy["writer"],
        "request_seq": copy["seq"],
        "champion": copy["release"],
        "challenger": copy["challenger"],
        "champion_answer": copy["answer"],
        "champion_ms": copy["latency_ms"],
        "challenger_answer": None,
        "challenger_ms": None,
        "challenger_error": None,
        "control_answer": None,
        "control_ms": None,
    }


def _asked(predictor: Servable, copies: Sequence[Copy], side: str, limit_ms: float) -> list[dict[str, Any]]:
    """What a side answers to each, and each one's part of the time that all took.

    An answer after the time limit is an error, and not an answer.
    """
    begun = time.perf_counter()
    read = [_read(predictor, each, side) for each in copies]
    whole = [each for each in read if not isinstance(each, Exception)]
    told = iter(answers_to(predictor, whole) if whole else [])
    said = [each if isinstance(each, Exception) else next(told) for each in read]
    spent = (time.perf_counter() - begun) * 1000 / len(copies)
    return [_told(each, side, spent, limit_ms) for each in said]


def _without_error(said: Mapping[str, Any]) -> dict[str, Any]:
    """What a control that failed leaves: it is no answer, and the log has no word for its error."""
    return {name: value for name, value in said.items() if name != "control_error"}


def _read(predictor: Servable, copy: Copy, side: str) -> Any:
    """What the copy asks as that side takes it, or what it raised; the challenger may have read it before."""
    if side == "challenger" and copy.read is not None:
        return copy.read
    try:
        return predictor.read(copy.asked)
    except Exception as error:  # noqa: BLE001 - whatever a model raises is a fact about that model
        return error


def _told(said: Said | Exception, side: str, spent: float, limit_ms: float) -> dict[str, Any]:
    if isinstance(said, Exception):
        return {f"{side}_error": type(said).__name__}  # its message may hold the user's text
    if spent > limit_ms:
        return {f"{side}_error": "timeout", f"{side}_ms": spent}
    answer = json.dumps(said.as_dict(), separators=(",", ":"), ensure_ascii=False)
    return {f"{side}_answer": answer, f"{side}_ms": spent}


def run_shadow(units: Mapping[str, Unit], settings: GatewaySettings, path: Path, beat: Any) -> None:
    """The shadow process of a gateway: it ends with SIGTERM, and its log is whole."""
    _be_low()
    gauges.begin(units)
    log = LogWriter(
        settings.folder / "journal",
        "shadow",
        f"{settings.name}/shadow/{os.getpid()}-{time.time_ns():x}",
        segment_seconds=settings.roll_seconds,
        prepare=kept({name: unit.log for name, unit in units.items()}),
    )
    shadow = Shadow(units, settings, log)
    signal.signal(signal.SIGTERM, lambda _signal, _frame: shadow.end())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_supervisor()
    server = _listening(path)
    threading.Thread(target=shadow.follow, name="shadow follower", daemon=True).start()
    threading.Thread(target=_accept, args=(server, shadow), name="shadow accept", daemon=True).start()
    shadow.answer_all(beat)
    path.unlink(missing_ok=True)
    log.close()


def _accept(server: socket.socket, shadow: Shadow) -> None:
    """Every worker that connects is read until the process ends, also after there was no room for one."""
    while not shadow.ended.is_set():
        try:
            connection, _ = server.accept()
        except OSError as error:
            _LOG.error("the shadow could not take a worker's connection: %s", error)
            shadow.ended.wait(_POLL)
            continue
        threading.Thread(target=shadow.read, args=(connection,), name="shadow copies", daemon=True).start()


def _listening(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(str(path))
    server.listen(64)
    return server


def _be_low() -> None:
    """The process runs when nobody else wants to, where the system knows such a thing."""
    os.nice(19)
    if hasattr(os, "SCHED_IDLE"):
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
