"""One process's log: rows are put without waiting, and a thread brings them to disk in groups.

    put ─▶ queue ─▶ prepare ─▶ record batch ─▶ one fsync ─▶ acknowledged
                                   segment: open ─▶ closed ─▶ (roll.py) Parquet

Nothing that goes wrong with a disk reaches who puts a row: rows are dropped and counted, and `seq` has a gap.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from mangaops.store.bundles import make_folder
from mangaops.store.log_form import COLUMNS, OPEN, Kind, Segment, arrow, arrow_schema

Row = dict[str, Any]
Prepare = Callable[[list[Row]], list[Row]]

RETRY_SECONDS: Final = 1.0
"""How long after a failed write the next one is tried."""

_REMEMBERED: Final = 10_000
"""How many stretches of lost rows `wait` can tell from written ones."""


class LogWriter:
    """The log of one process, which alone writes it. Safe to share between threads, not over a fork."""

    def __init__(
        self,
        folder: Path,
        kind: Kind,
        writer: str,
        *,
        every: float = 0.05,
        segment_bytes: int = 8 * 2**20,
        segment_seconds: float = 30.0,
        capacity: int = 20_000,
        prepare: Prepare | None = None,
    ) -> None:
        """Rows may be put; the folder, a journal, is made with the first of them.

        At most one fsync each `every` seconds. A segment is closed at `segment_bytes`, or when it is
        `segment_seconds` old. `prepare` changes a batch before it is written, row by row or as a whole.

        Raises:
            SetupError: pyarrow is not installed.
        """
        self._folder, self._name = folder / kind, quote(writer, safe="")
        self._writer, self._schema = writer, arrow_schema(kind)
        self._columns = COLUMNS[kind].keys()
        self._every, self._prepare = every, prepare
        self._segment_bytes, self._segment_seconds = segment_bytes, segment_seconds
        self._capacity = capacity
        self._lock = threading.Lock()
        self._rows: list[tuple[int, Row]] = []
        self._given = 0
        self._settled = threading.Condition()
        self._done = 0
        self._lost: deque[tuple[int, int]] = deque(maxlen=_REMEMBERED)
        self._segment: Segment | None = None
        self._began = self._wrote = self._failed = float("-inf")
        self._wake, self._closing = threading.Event(), threading.Event()
        self.acknowledged = 0
        """The last `seq` that is on disk."""
        self.dropped = 0
        """How many rows are in no segment and never will be."""
        self.trouble: str | None = None
        """Why rows are dropped now; None where none is."""
        self._thread = threading.Thread(target=self._run, name=f"log {kind} {writer}", daemon=True)
        self._thread.start()

    def put(self, row: Row) -> int | None:
        """The row's number, which `acknowledged` will reach; None where the row is dropped. Never waits.

        The row is this log's from now on: whoever put it changes it no more.
        """
        with self._lock:
            self._given += 1
            if len(self._rows) >= self._capacity or self._closing.is_set():
                self.dropped += 1
                return None
            self._rows.append((self._given, row))
            seq = self._given
        if not self._wake.is_set():
            self._wake.set()
        return seq

    def wait(self, seq: int, timeout: float) -> bool:
        """Whether the row of that number is on disk, at the latest after so many seconds."""
        with self._settled:
            self._settled.wait_for(lambda: self._done >= seq, timeout)
            return self._done >= seq and not any(first <= seq <= last for first, last in self._lost)

    def close(self) -> None:
        """Every row that was put is on disk or counted as dropped, and the segment is closed."""
        with self._lock:
            self._closing.set()
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wake.wait(self._until_turn())
            self._closing.wait(self._until_write())
            self._wake.clear()
            self._write(self._take())
            if self._until_turn() == 0.0:
                self._turn()
        self._write(self._take())
        self._turn()

    def _until_turn(self) -> float | None:
        if self._segment is None:
            return None
        full = self._segment.size >= self._segment_bytes
        return 0.0 if full else max(0.0, self._began + self._segment_seconds - time.monotonic())

    def _until_write(self) -> float:
        at = max(self._wrote + self._every, self._failed + RETRY_SECONDS)
        return max(0.0, at - time.monotonic())

    def _take(self) -> list[tuple[int, Row]]:
        with self._lock:
            rows, self._rows = self._rows, []
        return rows

    def _write(self, rows: list[tuple[int, Row]]) -> None:
        if not rows:
            return
        self._wrote = time.monotonic()
        try:
            numbers, batch, trouble = self._batch(rows)
            if numbers:
                self._opened(rows[0][0]).append(batch)
        except Exception as error:  # noqa: BLE001 - a thread that ends would lose every later row
            self._settle(rows, [], _told(error))
            self._failed = time.monotonic()
            self._turn()
        else:
            self._settle(rows, numbers, trouble)

    def _batch(self, rows: list[tuple[int, Row]]) -> tuple[list[int], Any, str | None]:
        """The numbers of the rows that can be written, they themselves as a record batch, why others cannot.

        Where the whole batch cannot be prepared or has another form, each row is tried alone.
        """
        try:
            numbers, batch = self._as_batch(self._prepared(rows))
            trouble = None
        except Exception:  # noqa: BLE001 - a preparation may raise whatever it likes
            made, trouble = self._each_alone(rows)
            numbers, batch = self._as_batch(made)
        lost = len(rows) - len(numbers)
        return numbers, batch, trouble or (f"{lost} rows that are no rows of this log" if lost else None)

    def _prepared(self, rows: list[tuple[int, Row]]) -> list[Row]:
        given = [{**row, "seq": seq, "writer": self._writer} for seq, row in rows]
        return self._prepare(given) if self._prepare else given

    def _each_alone(self, rows: list[tuple[int, Row]]) -> tuple[list[Row], str | None]:
        """The rows that can be prepared and have the form of this log; why one could not be prepared."""
        made: list[Row] = []
        trouble = None
        for row in rows:
            try:
                made += [each for each in map(_mended, self._prepared([row])) if self._fits(each)]
            except Exception as error:  # noqa: BLE001 - it costs this row, and no other
                trouble = trouble or _told(error)
        return made, trouble

    def _as_batch(self, rows: list[Row]) -> tuple[list[int], Any]:
        if any(not row.keys() <= self._columns for row in rows):
            raise ValueError("a row has a column that this log lacks")
        return [row["seq"] for row in rows], arrow().RecordBatch.from_pylist(rows, schema=self._schema)

    def _fits(self, row: Row) -> bool:
        try:
            self._as_batch([row])
        except (ValueError, TypeError, OverflowError):
            return False
        return True

    def _settle(self, rows: list[tuple[int, Row]], numbers: list[int], trouble: str | None) -> None:
        """The rows of these numbers are on disk, and the others of the batch are lost."""
        kept = set(numbers)
        lost = [seq for seq, _ in rows if seq not in kept]
        with self._lock:
            self.dropped += len(lost)
        with self._settled:
            for seq in lost:
                first = self._lost.pop()[0] if self._lost and self._lost[-1][1] == seq - 1 else seq
                self._lost.append((first, seq))
            self._done = rows[-1][0]
            self.acknowledged = max([self.acknowledged, *numbers])
            self.trouble = trouble
            self._settled.notify_all()

    def _opened(self, first: int) -> Segment:
        if self._segment is None:
            make_folder(self._folder)
            name = f"{self._name}@{first:012d}-{secrets.token_hex(4)}{OPEN}"
            self._segment = Segment(self._folder / name, self._schema)
            self._began = time.monotonic()
        return self._segment

    def _turn(self) -> None:
        """No segment is open; one that cannot be closed now is rolled when this process has ended."""
        segment, self._segment = self._segment, None
        if segment is not None:
            with suppress(OSError):
                segment.close()


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _mended(row: Row) -> Row:
    """The row with a question mark for each lone surrogate: users send such texts, and UTF-8 has none."""
    return {
        name: value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
        for name, value in row.items()
    }
