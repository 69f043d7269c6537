"""A verified copy of streams in a folder, for a gateway that cannot reach its ledger.

One file a stream, one event a line, each line as the ledger has it. A copy is replaced whole: temporary
name, fsync, rename. It is also a witness: a ledger that no longer agrees with it was cut or rewritten.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Final

from mangaops.errors import LedgerTampered
from mangaops.registry import GENESIS, Event
from mangaops.store.foreign import file_errors
from mangaops.store.rows import event_of, hash_of, row_of

_LOCK: Final = ".lock"


_Stamp = tuple[int, int, int]


class ChainCopy:
    """Copies of streams in one folder. Several processes may read and save."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._seen: dict[str, tuple[_Stamp, Event]] = {}

    def save(self, stream: str, events: Sequence[Event]) -> None:
        """The copy holds these events of the stream, from its first on; a longer copy stays.

        A copy that is damaged is replaced.

        Raises:
            LedgerTampered: the events are no chain, or not the chain that was copied before.
            SetupError: the disk is full or read-only.
        """
        if not events:
            return
        _verified(stream, events, "what was to be saved")
        with file_errors(f"copying stream {stream} to {self.folder} was refused"), self._locked():
            path, newest = self._path(stream), self._newest(stream, events)
            if newest is None:
                self._write(path, events)
            elif newest.revision < len(events):
                self._add(path, events[newest.revision :])
            else:
                return
            self._seen[stream] = (_stamp(path), events[-1])

    def load(self, stream: str) -> list[Event]:
        """The events of the copy, each hash and link verified; none where there is no copy.

        Raises:
            LedgerTampered: an event was edited, lost or moved.
            SetupError: an event of a newer mangaops, or a disk that cannot be read.
        """
        path = self._path(stream)
        with file_errors(f"reading {path} was refused"):
            if not path.exists():
                return []
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
        if len(lines) > 1 and not lines[-1].endswith("\n"):
            del lines[-1]  # it was being added when its process was killed, and nobody counts on it
        events = [_event(stream, number, line) for number, line in enumerate(lines, 1)]
        _verified(stream, events, f"the copy {path.name}")
        return events

    def _newest(self, stream: str, events: Sequence[Event]) -> Event | None:
        """The newest event of the copy, of the same chain as these; None where it is to be written anew.

        A copy that this process wrote last, and that nobody touched since, is not read again.
        """
        path = self._path(stream)
        stamp, newest = self._seen.get(stream, (None, None))
        if newest is not None and path.exists() and _stamp(path) == stamp and newest.revision <= len(events):
            _same_chain(stream, [newest], [events[newest.revision - 1]])
            return newest
        try:
            known = self.load(stream)
        except LedgerTampered:
            return None
        _same_chain(stream, known, events)
        whole = known and path.read_bytes().endswith(b"\n")
        return known[-1] if whole else None

    def _path(self, stream: str) -> Path:
        return self.folder / f"{stream}.jsonl"

    def _write(self, path: Path, events: Sequence[Event]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.with_name(f".{path.name}.half")
        with half.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row_of(event)) + "\n" for event in events)
            file.flush()
            os.fsync(file.fileno())
        half.replace(path)
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _add(self, path: Path, events: Sequence[Event]) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(row_of(event)) + "\n" for event in events)
            file.flush()
            os.fsync(file.fileno())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _stamp(path: Path) -> _Stamp:
    """What changes with a file when somebody else writes it."""
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _event(stream: str, number: int, line: str) -> Event:
    try:
        row = SimpleNamespace(**json.loads(line))
        if hash_of(row) == row.hash:
            return event_of(row)
    except (ValueError, TypeError, AttributeError) as error:
        raise _damaged(stream, f"line {number} is no event: {error}") from error
    raise _damaged(stream, f"revision {row.revision} is not what was hashed")


def _verified(stream: str, events: Sequence[Event], what: str) -> None:
    """Nothing happens where the events are the chain of that stream from its first event on."""
    tip = GENESIS
    for revision, event in enumerate(events, 1):
        if (event.stream, event.revision, event.previous_hash) != (stream, revision, tip):
            found = f"{what} has revision {event.revision} of {event.stream} as its event {revision}"
            raise _damaged(stream, found)
        tip = event.hash


def _same_chain(stream: str, known: Sequence[Event], events: Sequence[Event]) -> None:
    common = min(len(known), len(events))
    if common and known[common - 1].hash != events[common - 1].hash:
        raise LedgerTampered(
            f"the ledger's stream {stream} was refused: it is not the one that was copied here before",
            found=f"revision {common} is {events[common - 1].hash}, the copy has {known[common - 1].hash}",
            accepted="the same events, and newer ones",
            next_step="mangaops audit verify with the copy's head as --witness; restore the ledger",
        )


def _damaged(stream: str, found: str) -> LedgerTampered:
    return LedgerTampered(
        f"the copy of stream {stream} was refused: it does not add up",
        found=found,
        accepted="events as they were copied from the ledger",
        next_step="mend the way to the ledger: the copy is made anew from it",
    )
